/** What every proof system of shards does whose library runs as a program of its own: as prover, program and verifier. */
import { afterAll, beforeAll } from "vitest";
import type { ProveEvent, Prover, VerifyJob } from "../../src/ports.ts";
import { artefactHash } from "../../src/protocol/ids.ts";
import { encodeElement } from "../../src/provers/statement.ts";
import * as fixtures from "../provers/fixtures.ts";
import { programSuite } from "./program.ts";
import { proverSuite } from "./prover.ts";
import { verifierSuite } from "./verifier.ts";

export interface SystemCase {
  /** As in `NAME-shard`. */
  readonly name: string;
  readonly key: Uint8Array;
  readonly otherKey: Uint8Array;
  readonly make: (limits: { readonly timeoutMs: number; readonly memoryBytesMax?: number }) => Prover;
  /** For one proof, with the start of its program. */
  readonly timeoutMs: number;
  readonly notCanonical: (made: Made) => readonly Pick<VerifyJob, "values" | "proof">[];
  /** Before anything else. */
  readonly prepare?: () => void;
}

/** One proof, of the first shard, that all tests share. */
export interface Made {
  readonly bench: fixtures.Bench;
  readonly proof: Uint8Array;
  readonly values: Uint8Array;
}

/** Answers with what was made; to be asked inside of tests. */
export function systemSuite(options: SystemCase): () => Made {
  const { name, key, otherKey, timeoutMs, prepare, notCanonical } = options;
  const system = `${name}-shard`;
  const make = (limits: Parameters<SystemCase["make"]>[0] = { timeoutMs }): Prover => options.make(limits);
  let made: Made;
  let events: readonly ProveEvent[];

  beforeAll(async () => {
    prepare?.();
    const bench = await fixtures.bench(system, key, otherKey);
    const proved = await fixtures.proofOf(make(), bench.job());
    events = proved.events;
    made = { bench, proof: proved.proof, values: bench.values[0] ?? new Uint8Array() };
  }, 2 * timeoutMs);

  afterAll(() => made.bench.verifier.close());

  proverSuite(system, {
    make,
    makeSlow: make,
    job: () => made.bench.job(),
    verifier: () => made.bench.verifier,
    verifyJob: (_, bytes) => made.bench.verifyJob(bytes),
    events: () => events,
    processes: fixtures.descendants,
  });

  programSuite({ name, make, job: () => made.bench.job(), processes: fixtures.descendants });

  verifierSuite(system, {
    verifier: () => made.bench.verifier,
    job: () => made.bench.verifyJob(made.proof),
    otherTask: () => made.bench.values[1] ?? new Uint8Array(),
    // Only the context differs.
    otherBlock: () => changed(made.values, 128, encodeElement(5n)),
    otherKey: artefactHash(otherKey),
    notCanonical: () => notCanonical(made),
  });
  return () => made;
}

/** A copy with these bytes at that place. */
export function changed(bytes: Uint8Array, at: number, by: Uint8Array): Uint8Array {
  const copy = bytes.slice();
  copy.set(by, at);
  return copy;
}
