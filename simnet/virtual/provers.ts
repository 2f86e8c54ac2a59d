/** Simulated proving and verifying: a proof is a tag over the public values, and both take virtual time. */
import { bytesToHex, concatBytes, hexToBytes, utf8ToBytes } from "@noble/hashes/utils.js";
import type { Cancel, Preparation, PrepareJob, ProveJob, Prover, Verifier, VerifyJob } from "../../src/ports.ts";
import { domainDigest, domainHash, type Hash, type Key, u64, ZERO_HASH } from "../../src/protocol/ids.ts";
import type { Manifest } from "../../src/protocol/manifest.ts";
import { type EntryOf, equalBytes } from "../../src/protocol/messages.ts";
import { splitOf, variantsOf } from "../../src/protocol/stages.ts";
import { SHARD_FOLD } from "../../src/protocol/statement.ts";
import { payeeOf } from "../../src/protocol/systems.ts";
import { type Stage, stagesOf } from "../../src/protocol/workflow.ts";
import type { Chance, World } from "./world.ts";

export interface ProvingTimes {
  readonly proveMsMin: number;
  readonly proveMsMax: number;
  readonly verifyMs: number;
  /** Share of proofs that do not verify, and of jobs whose machine fails. */
  readonly wrong: number;
  readonly failing: number;
  /** Each prover's first so many proofs of a task do not verify: a bad release, which is then mended. */
  readonly wrongFirst: number;
  /** Share of blocks that are too large to be proven whole, where they may be split. */
  readonly tooLarge: number;
}

/** A proof that does not verify. Its bytes differ each time: a broken prover seldom makes the same wrong proof twice. */
export function wrongProof({ steps }: World, values: Uint8Array, salt = 0): Uint8Array {
  return domainDigest("sim-wrong", values, u64(steps), u64(salt));
}

/** What blocks imply, by block and running commitment: the same for every node that derives it. */
export type Preparations = Map<string, Preparation & { readonly before: Uint8Array }>;
const PREPARATIONS_MAX = 1024;

/** What is wrong with a node's machine. */
export interface ProvingMachine {
  /** How much longer than usual its proofs take; infinity is a prover that hangs. */
  factor: number;
  /** How many faults keep its provers from beginning any job. */
  broken: number;
}

/** A prover that cannot begin reports it after so long. */
const BROKEN_MS = 5;

export interface SimProverOptions {
  readonly manifest: Manifest;
  readonly system: string;
  readonly slots: number;
  /** How long the machine works on after a cancel, drawn for each; `null` where a cancel stops it at once. */
  readonly lingers: (() => number) | null;
  /** Called with each proof, for the checkers. */
  readonly made: (proof: Uint8Array) => void;
}

export function simProver(
  world: World,
  chance: Chance,
  times: () => ProvingTimes,
  machine: ProvingMachine,
  { manifest, system, slots, lingers, made: noteMade }: SimProverOptions,
): Prover {
  const made = new Map<string, number>();
  const isEarly = ({ id: { hash, stage, index } }: ProveJob, most: number): boolean => {
    const task = `${hash}/${stage}/${index}`;
    const before = made.get(task) ?? 0;
    if (most > 0) made.set(task, before + 1);
    return before < most;
  };
  /** When the machine is done with the job that was cancelled last. */
  let busyUntilMs = 0;
  const cancelled = (): void => {
    if (lingers !== null) busyUntilMs = world.nowMs + lingers();
  };
  const vacate = (moved: () => void, done: () => void): void => {
    const leftMs = busyUntilMs - world.nowMs;
    busyUntilMs = 0;
    if (leftMs <= 0) return done();
    world.after(leftMs / 2, moved);
    world.after(leftMs, done);
  };
  return {
    system,
    slots,
    ...(lingers === null ? {} : { vacate }),
    prove(job, emit): Cancel {
      if (machine.broken > 0) {
        const fault = { code: "process.start", message: "simulated" };
        return world.after(BROKEN_MS, () => emit({ kind: "failed", logical: false, disabled: true, fault }));
      }
      const now = times();
      const durationMs = chance.between(now.proveMsMin, now.proveMsMax) * machine.factor;
      const [wrong, failing] = [chance.next() < now.wrong, chance.next() < now.failing];
      const { values } = job;
      if (durationMs === Number.POSITIVE_INFINITY) return cancelled;
      const cancels = [0.25, 0.5, 0.75].map((part, at) =>
        world.after(durationMs * part, () => emit({ kind: "progress", units: at + 1 })),
      );
      cancels.push(
        world.after(durationMs, () => {
          if (failing)
            return emit({ kind: "failed", logical: false, fault: { code: "machine.lost", message: "simulated" } });
          if (isTooLarge(manifest, job.id, now.tooLarge))
            return emit({ kind: "failed", logical: true, fault: { code: "job.too-large", message: "simulated" } });
          const right = listOf(manifest, job.id.stage) ?? rightProofOf(job);
          // Two machines that fail do not fail alike; where results are compared, that counts.
          const proof =
            isEarly(job, now.wrongFirst) || (wrong && job.key !== ZERO_HASH)
              ? wrongProof(world, values)
              : wrong
                ? u64(chance.between(0, 2 ** 32))
                : right;
          noteMade(proof);
          emit({ kind: "proved", proof, values, provingMs: durationMs });
        }),
      );
      return () => {
        cancels.forEach((cancel) => cancel());
        cancelled();
      };
    },
    close: () => Promise.resolve(),
  };
}

/** So many blocks need two pieces, and half of them more: their hash says which, so all provers find the same. */
function isTooLarge({ json }: Manifest, { hash, stage: name, index }: ProveJob["id"], share: number): boolean {
  const stages = Object.values(json.workflows).flatMap((each) => each.stages);
  const stage = stages.find((each) => each.name === name);
  const split = stage === undefined ? null : splitOf(stage);
  if (stage === undefined || split === null) return false;
  const drawn = Number.parseInt(hash.slice(-8), 16) / 2 ** 32;
  const needed = Math.min(drawn < share / 2 ? 2 : drawn < share ? 1 : 0, split.length - 1);
  const group = Math.floor(index / variantsOf(stage).length);
  let before = 0;
  for (let level = 0; level < needed; level++) before += split[level] ?? 0;
  return group < before;
}

export function simVerifier(world: World, times: () => ProvingTimes, known: Preparations): Verifier {
  return {
    prepare(job, done) {
      const announced = payloadOf(job);
      const isAnnounced = equalBytes(job.payload, announced) || equalBytes(job.payload, wrapped(announced));
      if (job.items > 0 || !isAnnounced)
        return world.after(1, () =>
          done({ ok: false, fault: { code: "payload.announcement", message: "simulated", reason: "payload" } }),
        );
      const before = job.before ?? commitmentAtStart(job.parent);
      const name = `${job.block} ${bytesToHex(before)}`;
      const ready = known.get(name) ?? derive(job, before);
      known.set(name, ready);
      const [oldest] = known.keys();
      if (known.size > PREPARATIONS_MAX && oldest !== undefined) known.delete(oldest);
      return world.after(1, () => done({ ok: true, value: ready }));
    },
    verify(job, done) {
      const valid = verifies(job);
      return world.after(times().verifyMs, () =>
        done({ ok: true, value: valid ? { valid } : { valid: false, code: "proof.equation" } }),
      );
    },
    close: () => Promise.resolve(),
  };
}

/** A block's own bytes: what an announcement of it has to agree with. No simulated block has items. */
export function payloadOf(block: { readonly hash: Hash; readonly parent: Hash; readonly height: number }): Uint8Array {
  return concatBytes(hexToBytes(block.hash), hexToBytes(block.parent), u64(block.height));
}

/**
 * The same block in another form, which this verifier takes as well: a codec may always turn out to have two forms, and
 * the rule that one block has one id must not rest on the codec alone.
 */
export function wrapped(payload: Uint8Array): Uint8Array {
  return concatBytes(Uint8Array.of(0xc1), payload);
}

function derive(job: PrepareJob, before: Uint8Array): Preparation & { readonly before: Uint8Array } {
  const values = Object.fromEntries(
    job.stages.map(({ name, groups, systems, statements = [] }) => [
      name,
      Array.from({ length: groups * systems.length }, (_, index) => {
        const { [index % systems.length]: statement = SHARD_FOLD } = statements;
        return statement === SHARD_FOLD ? valuesOf(job.block, before, name, index) : hexToBytes(job.hash);
      }),
    ]),
  );
  return { before, after: commitmentAfter(before, job.hash), values };
}

/** Items of every list that other stages are counted by, where they allow as many. */
const LIST_ITEMS = 10;

/** A block's stages: what one makes that others are counted by is known beforehand here. */
export function stagesAnnounced(
  manifest: Manifest,
  { workflow, items }: Pick<EntryOf<"announce">, "workflow" | "items">,
): readonly Stage[] | null {
  const stages = stagesOf(manifest, workflow, items);
  if (stages === null) return null;
  return stages.map((stage) => {
    const groups = stage.countedBy === null ? stage.groups : Math.min(stage.groups, LIST_ITEMS);
    return { ...stage, groups, count: groups * stage.variants.length };
  });
}

/** What a stage makes that others are counted by; `null` for others. */
export function listOf({ json }: Manifest, stage: string): Uint8Array | null {
  const stages = Object.values(json.workflows).flatMap((each) => each.stages);
  const counted = stages.flatMap(({ tasks }) => ("items" in tasks && tasks.items === stage ? [tasks.max] : []));
  if (counted.length === 0) return null;
  const items = Array.from({ length: Math.min(LIST_ITEMS, ...counted) }, (_, item) => item);
  return utf8ToBytes(JSON.stringify(items));
}

/** The running commitment before the first block, and after each. */
export function commitmentAtStart(parent: Hash): Uint8Array {
  return domainDigest("sim-start", hexToBytes(parent));
}

export function commitmentAfter(before: Uint8Array, block: Hash): Uint8Array {
  return domainDigest("sim-after", before, hexToBytes(block));
}

export function valuesOf(block: Hash, before: Uint8Array, stage: string, index: number): Uint8Array {
  return domainDigest("sim-values", hexToBytes(block), before, u64(index), utf8ToBytes(stage));
}

export function proofOf(values: Uint8Array): Uint8Array {
  return domainDigest("sim-proof", values);
}

/** Whom an admission proof is made for, worked out beside the node's own code. */
export function payeeOfAdmission(network: Hash, chain: number, prover: Key, base: Hash): Key {
  return domainHash("admission", hexToBytes(network), u64(chain), hexToBytes(prover), hexToBytes(base));
}

/**
 * A proof of a system that does not name the maker: machines that prove the same make different bytes, and anybody's
 * bytes verify for everybody.
 */
export function anonymousProofOf(values: Uint8Array, maker: Key): Uint8Array {
  return concatBytes(proofOf(values), hexToBytes(maker));
}

function rightProofOf({ key, system, statement, values, prover }: ProveJob): Uint8Array {
  return key !== ZERO_HASH && payeeOf(system, statement) === "none"
    ? anonymousProofOf(values, prover)
    : proofOf(values);
}

function verifies({ system, statement, proof, values }: VerifyJob): boolean {
  return equalBytes(payeeOf(system, statement) === "none" ? proof.subarray(0, 32) : proof, proofOf(values));
}

/** A signer whose signature anybody can compute: quick, and as good as any where nobody forges. */
export function simSigner(
  seed: number,
  name: string,
): { readonly key: string; readonly sign: (message: Uint8Array) => Uint8Array } {
  const key = domainDigest("sim-key", u64(seed), utf8ToBytes(name));
  return { key: bytesToHex(key), sign: (message) => simSignature(key, message) };
}

export function simSignature(key: Uint8Array, message: Uint8Array): Uint8Array {
  const signature = new Uint8Array(64);
  signature.set(domainDigest("sim-signature", key, message), 0);
  signature.set(domainDigest("sim-signature-s", key, message), 32);
  // S must be below the group's order, and R's y below the prime, for the strict checks to pass.
  signature[63] = 0;
  signature[31] = (signature[31] ?? 0) & 0x3f;
  return signature;
}
