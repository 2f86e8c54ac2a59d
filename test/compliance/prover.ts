/** What every Prover does, whatever it proves with. */
import { afterEach, describe, expect, it, vi } from "vitest";
import type { ProveEvent, ProveJob, Prover, Verifier, VerifyJob } from "../../src/ports.ts";

export interface ProverCase {
  /** A new prover; the suite closes it. */
  readonly make: () => Prover;
  /** One whose proof takes long enough to be stopped in the middle. */
  readonly makeSlow: () => Prover;
  readonly job: () => ProveJob | Promise<ProveJob>;
  readonly verifier: () => Verifier;
  readonly verifyJob: (job: ProveJob, proof: Uint8Array) => VerifyJob;
  /** Ids of the processes that it may have started. */
  readonly processes: () => readonly number[];
  /** Shows nothing of itself before it ends, so it is stopped at once. */
  readonly instant?: boolean;
  /** All events of one such job, where a proof costs too much to be made twice. */
  readonly events?: () => readonly ProveEvent[];
}

export function proverSuite(name: string, options: ProverCase): void {
  const { make, makeSlow, job, verifier, verifyJob, processes, instant = false } = options;
  describe(`${name} as a prover`, () => {
    const opened: Prover[] = [];
    const open = (prover: Prover): Prover => {
      opened.push(prover);
      return prover;
    };
    afterEach(async () => {
      await Promise.all(opened.splice(0).map((prover) => prover.close()));
    });
    const run = (prover: Prover, task: ProveJob): Promise<readonly ProveEvent[]> =>
      new Promise((resolve) => {
        const events: ProveEvent[] = [];
        prover.prove(task, (event) => {
          events.push(event);
          if (event.kind !== "progress") resolve(events);
        });
      });
    const gone = (known: readonly number[]): Promise<void> =>
      vi.waitFor(() => expect(processes().filter((id) => !known.includes(id))).toEqual([]), { timeout: 2000 });

    it("proves what the verifier accepts, with progress that only grows", async () => {
      const task = await job();
      const events = options.events?.() ?? (await run(open(make()), task));
      const proved = events.at(-1);
      if (proved?.kind !== "proved") throw new Error(JSON.stringify(proved));
      const verdict = await new Promise((resolve) => {
        verifier().verify(verifyJob(task, proved.proof), resolve);
      });
      expect(verdict).toEqual({ ok: true, value: { valid: true } });
      expect(proved.values).toEqual(verifyJob(task, proved.proof).values);
      const units = events.flatMap((event) => (event.kind === "progress" ? [event.units] : []));
      expect(units).toEqual([...new Set(units)].sort((a, b) => a - b));
      // Provers give way to everything else that runs on the machine.
    }, 60_000);

    it("is silent after a cancel, leaves no process and proves again", async () => {
      const known = processes();
      const prover = open(makeSlow());
      const task = await job();
      const events: ProveEvent[] = [];
      const cancel = prover.prove(task, (event) => events.push(event));
      const busy = (): boolean => events.length > 0 || processes().length > known.length;
      if (!instant) await vi.waitFor(() => expect(busy()).toBe(true), { timeout: 5000 });
      cancel();
      const seen = events.length;
      expect(events.every(({ kind }) => kind === "progress")).toBe(true);
      await gone(known);
      cancel();
      const again = prover.prove(task, () => {});
      again();
      await gone(known);
      expect(events.length).toBe(seen);
    });

    it("is silent after close and leaves no process", async () => {
      const known = processes();
      const prover = open(makeSlow());
      const events: ProveEvent[] = [];
      prover.prove(await job(), (event) => events.push(event));
      await prover.close();
      const seen = events.length;
      await gone(known);
      expect(events.slice(seen)).toEqual([]);
    });

    it("says how many jobs it takes at once", () => {
      const prover = open(make());
      expect(prover.slots).toBeGreaterThan(0);
      expect(prover.system).not.toBe("");
    });
  });
}
