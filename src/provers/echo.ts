/**
 * An executor that computes nothing, for experiments: a list of so many items, or what it was given. What it makes is a function
 * of its job alone, so whoever runs it makes the same.
 */
import { canonicalJson } from "../protocol/shape.ts";
import type { Cancel, Clock, ProveEvent, ProveJob, Prover } from "../ports.ts";

export interface EchoOptions {
  readonly clock: Clock;
  readonly system: string;
  readonly slots: number;
  readonly delayMs: number;
  /** Makes a list of so many items. */
  readonly items?: number;
}

export function echoOf({ id, inputs }: ProveJob, items?: number): Uint8Array {
  const { height, stage, index } = id;
  const place = { block: height, stage, index };
  const made =
    items === undefined
      ? { ...place, inputs: inputs.map((input) => Buffer.from(input).toString("base64")) }
      : Array.from({ length: items }, (_, item) => ({ ...place, item }));
  return new Uint8Array(Buffer.from(canonicalJson(made), "utf8"));
}

export function createEchoProver({ clock, system, slots, delayMs, items }: EchoOptions): Prover {
  const running = new Set<Cancel>();
  return {
    system,
    slots,
    prove(job: ProveJob, emit: (event: ProveEvent) => void): Cancel {
      const stop = clock.after(delayMs, () => {
        running.delete(cancel);
        emit({ kind: "proved", proof: echoOf(job, items), values: job.values, provingMs: delayMs });
      });
      const cancel = (): void => {
        running.delete(cancel);
        stop();
      };
      running.add(cancel);
      return cancel;
    },
    async close() {
      for (const cancel of running) cancel();
    },
  };
}
