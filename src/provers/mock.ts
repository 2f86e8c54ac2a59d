/**
 * A proof system that proves nothing, for development and for the simulator.
 *
 * Its proof is a hash over the statement, which anybody could make: a network must never count it for anything. Every
 * decision is drawn from (seed, task, attempt), so a run repeats exactly.
 */
import { hexToBytes, utf8ToBytes } from "@noble/hashes/utils.js";
import { shardRange } from "../protocol/ethereum.ts";
import { domainDigest, type Hash, u64 } from "../protocol/ids.ts";
import { readEither } from "../protocol/range.ts";
import { SHARD_FOLD } from "../protocol/statement.ts";
import type {
  Cancel,
  Clock,
  Done,
  Fault,
  PrepareJob,
  ProveEvent,
  ProveJob,
  Prover,
  Verifier,
  VerifyJob,
} from "../ports.ts";
import type { Check, Prepared } from "./statement.ts";

export interface MockOptions {
  readonly clock: Clock;
  /** `mock`, if left out. */
  readonly system?: string;
  readonly seed: string;
  readonly slots: number;
  /** How long a proof takes: always the same, or drawn evenly from a range. */
  readonly provingMs: number | { readonly min: number; readonly max: number };
  /** Shares of the attempts that fail, between 0 and 1. */
  readonly infrastructure?: number;
  readonly logical?: number;
  /** Share of the proofs that are wrong. */
  readonly wrong?: number;
  /** Of more transactions it says that they are too many for one proof; any number of them, if left out. */
  readonly itemsMax?: number;
  /** Signs of progress a proof gives, evenly spaced. */
  readonly progress?: number;
}

export interface MockVerifierOptions {
  readonly clock: Clock;
  readonly delayMs: number;
  /** What is wrong with a payload, or `null`; the simulator's blocks are its own. */
  readonly check?: (job: PrepareJob) => Fault | null;
}

const PROGRESS = 4;

/** Whether the system proves nothing: `mock` itself, and any number of others like `mock-zkvm`, each a family of its own. */
export function isMock(system: string): boolean {
  return system === "mock" || system.startsWith("mock-");
}

export function mockValues(block: Hash, stage: string, index: number, before: Uint8Array): Uint8Array {
  return domainDigest("mock-values", hexToBytes(block), u64(index), before, utf8ToBytes(stage));
}

export function mockProof(values: Uint8Array): Uint8Array {
  return domainDigest("mock-proof", values);
}

export function mockVerify(values: Uint8Array, proof: Uint8Array): Check {
  const expected = mockProof(values);
  if (proof.length !== expected.length) return { valid: false, code: "proof.length" };
  const equal = expected.every((byte, i) => byte === proof[i]);
  return equal ? { valid: true } : { valid: false, code: "proof.equation" };
}

/** Numbers in [0, 1) that belong to one attempt. */
function chances(seed: string, job: ProveJob): readonly number[] {
  const { block, stage, index } = job.id;
  const place = [hexToBytes(block), u64(index), u64(job.attempt), utf8ToBytes(`${stage}\0${seed}`)];
  const view = new DataView(domainDigest("mock-chance", ...place).buffer);
  return [0, 4, 8].map((at) => view.getUint32(at) / 2 ** 32);
}

/** Transactions that the job is about; `null` where its payload is no block's. */
function itemsIn({ payload, id, shards, group }: ProveJob): number | null {
  const read = readEither(payload, id.hash);
  if (!read.ok) return null;
  const { length } = read.value.items;
  if (shards === 0) return length;
  const { from, to } = shardRange(length, shards, group);
  return to - from;
}

function outcome(options: MockOptions, job: ProveJob, chance: number, provingMs: number): ProveEvent {
  const { itemsMax } = options;
  // What takes proofs is about them.
  const items = itemsMax === undefined || job.inputs.length > 0 ? null : itemsIn(job);
  if (items !== null && items > (itemsMax ?? 0)) {
    const message = `${items} transactions; its itemsMax is ${itemsMax}`;
    return { kind: "failed", logical: true, fault: { code: "job.too-large", message } };
  }
  const { infrastructure = 0, logical = 0, wrong = 0 } = options;
  const failed = (isLogical: boolean, code: string): ProveEvent => {
    return { kind: "failed", logical: isLogical, fault: { code, message: `the seed ${options.seed} says so` } };
  };
  if (chance < infrastructure) return failed(false, "mock.infrastructure");
  if (chance < infrastructure + logical) return failed(true, "mock.logical");
  const { values } = job;
  const proof = mockProof(values);
  if (chance < infrastructure + logical + wrong) proof[0] = (proof[0] ?? 0) ^ 1;
  return { kind: "proved", proof, values, provingMs };
}

export function createMockProver(options: MockOptions): Prover {
  const { clock, provingMs, progress = PROGRESS } = options;
  const running = new Set<Cancel>();
  return {
    system: options.system ?? "mock",
    slots: options.slots,
    prove(job: ProveJob, emit: (event: ProveEvent) => void): Cancel {
      const [time = 0, fate = 0] = chances(options.seed, job);
      const ms = typeof provingMs === "number" ? provingMs : provingMs.min + time * (provingMs.max - provingMs.min);
      let cancelStep: Cancel = () => {};
      const cancel = (): void => {
        running.delete(cancel);
        cancelStep();
      };
      const step = (units: number): void => {
        cancelStep = clock.after(ms / (progress + 1), () => {
          if (units <= progress) {
            // First the next step: `emit` may cancel.
            step(units + 1);
            return emit({ kind: "progress", units });
          }
          running.delete(cancel);
          emit(outcome(options, job, fate, ms));
        });
      };
      running.add(cancel);
      step(1);
      return cancel;
    },
    async close() {
      for (const cancel of running) cancel();
    },
  };
}

/** For blocks that the simulator made up: the commitment is a hash of what came before and the block's own hash. */
export function createMockVerifier(options: MockVerifierOptions): Verifier {
  const { clock, delayMs } = options;
  let closed = false;
  const later = (run: () => void): Cancel => clock.after(delayMs, () => void (closed || run()));
  const prepared = (job: PrepareJob): Prepared => {
    const before = job.before ?? domainDigest("mock-beginning", u64(job.chain), hexToBytes(job.parent));
    // It knows no more of a block than its name, so that is all that a statement can say here.
    const values = job.stages.map(({ name, groups, systems, statements = [] }) => {
      const count = groups * systems.length;
      const isHash = (index: number) => (statements[index % systems.length] ?? SHARD_FOLD) !== SHARD_FOLD;
      return [
        name,
        Array.from({ length: count }, (_, index) =>
          isHash(index) ? hexToBytes(job.hash) : mockValues(job.block, name, index, before),
        ),
      ] as const;
    });
    const after = domainDigest("mock-after", before, hexToBytes(job.hash));
    return { before, after, values: Object.fromEntries(values) };
  };
  return {
    prepare(job: PrepareJob, done: Done<Prepared>): Cancel {
      return later(() => {
        const fault = options.check?.(job) ?? null;
        done(fault === null ? { ok: true, value: prepared(job) } : { ok: false, fault });
      });
    },
    verify(job: VerifyJob, done: Done<Check>): Cancel {
      return later(() => done({ ok: true, value: mockVerify(job.values, job.proof) }));
    },
    async close() {
      closed = true;
    },
  };
}
