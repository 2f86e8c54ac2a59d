import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { bn254 } from "@noble/curves/bn254.js";
import { hexToBytes } from "@noble/hashes/utils.js";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import type { ProveEvent, ProveJob, Verifier, VerifyJob } from "../../src/ports.ts";
import { artefactHash } from "../../src/protocol/ids.ts";
import { createBatchProver } from "../../src/proofs/groth16/batch.ts";
import { createGroth16Prover } from "../../src/proofs/groth16/prover.ts";
import { PROOF_BYTES } from "../../src/proofs/bn254/equation.ts";
import { readVerifyingKey, verifyBatch, verifyOne } from "../../src/proofs/groth16/verify.ts";
import { FIELD_ORDER, valuesFor } from "../../src/protocol/payee.ts";
import { decodeValues, encodeElement, encodeValues, fold } from "../../src/provers/statement.ts";
import { createVerifier } from "../../src/provers/verifier.ts";
import type { Prepared } from "../../src/provers/statement.ts";
import { programSuite } from "../compliance/program.ts";
import { proverSuite } from "../compliance/prover.ts";
import { verifierSuite } from "../compliance/verifier.ts";
import * as fixtures from "./fixtures.ts";

const { KEYS_DIR, SMALL, SMALL_SHARDS, VKEY, VKEY_HASH } = fixtures;

const key = readVerifyingKey(VKEY);
const make = (limits: { timeoutMs: number; memoryBytesMax?: number } = { timeoutMs: 100_000 }) =>
  createGroth16Prover({ slots: 1, keysDir: KEYS_DIR, ...limits });
const makeBatch = () => createBatchProver({ slots: 1 });

const OTHER_KEY = otherSetup();
const KEYS = [VKEY, OTHER_KEY].map((bytes) => [artefactHash(bytes), { system: "groth16-shard", bytes }] as const);

let verifier: Verifier;
let before: Uint8Array;
let parts: readonly Uint8Array[] = [];
let whole: Uint8Array;
const proofs: Uint8Array[] = [];

const shardJob = (index: number): ProveJob => {
  const job = fixtures.proveJob(SMALL, before);
  return { ...job, id: { ...job.id, index }, group: index, values: part(index) };
};
const batchJob = (): ProveJob => {
  const makers = proofs.map(() => fixtures.PROVER);
  const job = fixtures.proveJob(SMALL, before, { system: "groth16-batch", values: whole, inputs: proofs, makers });
  return { ...job, id: { ...job.id, stage: "block" } };
};

beforeAll(async () => {
  verifier = createVerifier({ keys: new Map(KEYS) });
  const prepared = await fixtures.value<Prepared>((done) =>
    verifier.prepare(fixtures.prepareJob(SMALL, SMALL_SHARDS), done),
  );
  before = prepared.before;
  parts = prepared.values["shard"] ?? [];
  whole = prepared.values["block"]?.[0] ?? new Uint8Array(0);
  const prover = make();
  for (let index = 0; index < SMALL_SHARDS; index++) {
    const event = await fixtures.last(prover, shardJob(index));
    if (event.kind !== "proved") throw new Error(JSON.stringify(event));
    expect(event.values).toEqual(part(index));
    proofs.push(event.proof);
  }
  await prover.close();
  // Provers give way to everything else that runs on the machine.
}, 120_000);

afterAll(() => verifier.close());

/** The values of a shard for its prover. */
const part = (index: number): Uint8Array => valuesFor("context", parts[index] ?? new Uint8Array(0), fixtures.PROVER);
const proof = (index: number): Uint8Array => proofs[index] ?? new Uint8Array(0);
const joined = (...some: readonly Uint8Array[]): Uint8Array => new Uint8Array(Buffer.concat(some));
const flipped = (bytes: Uint8Array, at: number, mask = 1): Uint8Array =>
  bytes.map((byte, i) => (i === at ? byte ^ mask : byte));

proverSuite("groth16-shard", {
  make,
  makeSlow: make,
  job: () => shardJob(0),
  verifier: () => verifier,
  verifyJob: (job, bytes): VerifyJob => {
    return { system: job.system, key: VKEY_HASH, values: part(job.id.index), parts: [], proof: bytes };
  },
  processes: fixtures.descendants,
});

proverSuite("groth16-batch", {
  make: makeBatch,
  makeSlow: makeBatch,
  job: batchJob,
  verifier: () => verifier,
  verifyJob: (job, bytes): VerifyJob => {
    return { system: job.system, key: VKEY_HASH, values: whole, parts, proof: bytes };
  },
  processes: fixtures.descendants,
  instant: true,
});

programSuite({ name: "groth16", make, job: () => shardJob(0), processes: fixtures.descendants });

/** The same circuit under another setup: `delta` is another point of the group. */
function otherSetup(): Uint8Array {
  const json = JSON.parse(new TextDecoder().decode(VKEY)) as Record<string, unknown>;
  const { x, y } = bn254.G2.Point.BASE.multiply(7n).toAffine();
  const delta = [[x.c0, x.c1].map(String), [y.c0, y.c1].map(String), ["1", "0"]];
  return new Uint8Array(Buffer.from(JSON.stringify({ ...json, vk_delta_2: delta })));
}

/** The first number of the proof, and a value, in a second form of themselves. */
function aliases({ values, proof: bytes }: VerifyJob): readonly Pick<VerifyJob, "values" | "proof">[] {
  const value = encodeElement((decodeValues(values)?.count ?? 0n) + FIELD_ORDER);
  const x = BigInt(`0x${Buffer.from(bytes.subarray(0, 32)).toString("hex")}`) + bn254.fields.Fp.ORDER;
  return [
    { values: joined(values.subarray(0, 96), value, values.subarray(128)), proof: bytes },
    { values, proof: joined(encodeElement(x), bytes.subarray(32)) },
  ];
}

const shardProof = (): VerifyJob => {
  return { system: "groth16-shard", key: VKEY_HASH, values: part(0), parts: [], proof: proof(0) };
};

verifierSuite("groth16-shard", {
  verifier: () => verifier,
  job: shardProof,
  otherTask: () => part(1),
  otherBlock: () => joined(part(0).subarray(0, 128), encodeElement(5n)),
  otherKey: artefactHash(OTHER_KEY),
  notCanonical: () => aliases(shardProof()),
});

/** A point of the twist outside the subgroup: nearly every point is, for the cofactor has 254 bits. */
function strayPoint(): Uint8Array {
  const { Fp2 } = bn254.fields;
  const b = Fp2.div(Fp2.fromBigTuple([3n, 0n]), Fp2.fromBigTuple([9n, 1n]));
  for (let i = 1n; ; i++) {
    const x = Fp2.fromBigTuple([i, 0n]);
    const square = Fp2.add(Fp2.mul(Fp2.sqr(x), x), b);
    if (Fp2.eql(Fp2.pow(square, (Fp2.ORDER - 1n) / 2n), Fp2.ONE)) {
      const y = Fp2.sqrt(square);
      // On the curve: only the subgroup is wrong with it.
      expect(Fp2.eql(Fp2.sqr(y), square)).toBe(true);
      return joined(...[x.c1, x.c0, y.c1, y.c0].map(encodeElement));
    }
  }
}

describe("a Groth16 proof", () => {
  it("holds for its own values", () => {
    expect(verifyOne(key, part(0), proof(0))).toEqual({ valid: true });
    expect(verifyOne(key, part(1), proof(1))).toEqual({ valid: true });
  });

  it("does not hold with any byte changed", () => {
    // One byte high, middle and low in each of the eight coordinates.
    for (let coordinate = 0; coordinate < 8; coordinate++) {
      for (const at of [0, 13, 31]) {
        const verdict = verifyOne(key, part(0), flipped(proof(0), coordinate * 32 + at));
        expect(verdict.valid, `byte ${at} of coordinate ${coordinate}`).toBe(false);
      }
    }
  });

  it("does not hold for another shard, another block's context or any value changed", () => {
    expect(verifyOne(key, part(1), proof(0))).toEqual({ valid: false, code: "proof.equation" });
    for (let value = 0; value < 5; value++) {
      const verdict = verifyOne(key, flipped(part(0), value * 32 + 31), proof(0));
      expect(verdict, `value ${value}`).toEqual({ valid: false, code: "proof.equation" });
    }
  });

  it("proof.length: has exactly its bytes", () => {
    for (const bytes of [new Uint8Array(0), proof(0).subarray(1), joined(proof(0), new Uint8Array(1))]) {
      expect(verifyOne(key, part(0), bytes)).toEqual({ valid: false, code: "proof.length" });
    }
    expect(verifyOne(key, part(0).subarray(32), proof(0))).toEqual({ valid: false, code: "proof.length" });
  });

  it("proof.not-canonical: has one encoding only", () => {
    const values = decodeValues(part(0));
    if (values === null) throw new Error("values");
    const aliased = joined(part(0).subarray(0, 96), encodeElement(values.count + FIELD_ORDER), part(0).subarray(128));
    expect(verifyOne(key, aliased, proof(0))).toEqual({ valid: false, code: "proof.not-canonical" });
    const huge = joined(new Uint8Array(32).fill(0xff), proof(0).subarray(32));
    expect(verifyOne(key, part(0), huge)).toEqual({ valid: false, code: "proof.not-canonical" });
  });

  it("proof.not-on-curve: has no point at infinity, none off the curve and none outside the subgroup", () => {
    const bad = { valid: false, code: "proof.not-on-curve" };
    const points = [
      [0, 64],
      [64, 192],
      [192, 256],
    ] as const;
    for (const [from, to] of points) {
      expect(verifyOne(key, part(0), proof(0).slice().fill(0, from, to))).toEqual(bad);
      expect(verifyOne(key, part(0), flipped(proof(0), to - 1))).toEqual(bad);
    }
    expect(verifyOne(key, part(0), joined(proof(0).subarray(0, 64), strayPoint(), proof(0).subarray(192)))).toEqual(
      bad,
    );
  });

  it("is found equal in value whoever computes the fold", () => {
    const values = decodeValues(part(1));
    expect(values === null ? null : encodeValues(values)).toEqual(part(1));
    expect(decodeValues(part(0))?.after).toBe(values?.before);
    expect(fold(5n, []).after).toBe(5n);
  });
});

describe("an aggregation", () => {
  /** Proofs, each followed by the key of its maker. */
  const batch = (some: readonly Uint8Array[], maker = fixtures.PROVER): Uint8Array =>
    joined(...some.flatMap((each) => [each, hexToBytes(maker)]));

  it("holds when every part does", () => {
    expect(verifyBatch(key, whole, parts, batch(proofs))).toEqual({ valid: true });
  });

  it("proof.equation: does not hold under another maker's key, for a proof is its maker's alone", () => {
    const stolen = batch(proofs, artefactHash(new Uint8Array(1)));
    expect(verifyBatch(key, whole, parts, stolen)).toEqual({ valid: false, code: "proof.equation" });
  });

  it("proof.equation: does not hold with one bad part, or with parts in another order", () => {
    const bad = { valid: false, code: "proof.equation" };
    expect(verifyBatch(key, whole, parts, batch([proof(0), proof(0)]))).toEqual(bad);
    expect(verifyBatch(key, whole, parts, batch([proof(1), proof(0)]))).toEqual(bad);
  });

  it("proof.chain: does not hold with a gap, other ends or other sums", () => {
    const bad = { valid: false, code: "proof.chain" };
    const both = batch(proofs);
    expect(verifyBatch(key, whole, [part(1), part(0)], both)).toEqual(bad);
    expect(verifyBatch(key, whole, [part(0), part(0)], both)).toEqual(bad);
    for (let value = 0; value < 4; value++) {
      expect(verifyBatch(key, flipped(whole, value * 32 + 31), parts, both), `value ${value}`).toEqual(bad);
    }
  });

  it("proof.length: has a proof for every part", () => {
    const bad = { valid: false, code: "proof.length" };
    expect(verifyBatch(key, whole, parts, proof(0))).toEqual(bad);
    expect(verifyBatch(key, whole, [], new Uint8Array(0))).toEqual(bad);
    expect(verifyBatch(key, whole, parts, joined(...proofs))).toEqual(bad);
    expect(batch(proofs).length).toBe(SMALL_SHARDS * (PROOF_BYTES + 32));
  });

  it("batch.inputs: is not made of anything but the shards' proofs", async () => {
    const prover = makeBatch();
    for (const inputs of [[], [proof(0), proof(1).subarray(1)]]) {
      const event = await fixtures.last(prover, { ...batchJob(), inputs });
      expect(event).toMatchObject({ kind: "failed", logical: true, fault: { code: "batch.inputs" } });
    }
    await prover.close();
  });
});

describe("the Groth16 prover", () => {
  it("shows no progress while its program hangs", async () => {
    const known = fixtures.descendants();
    const prover = make();
    const events: ProveEvent[] = [];
    prover.prove(shardJob(0), (event) => events.push(event));
    await vi.waitFor(() => expect(events.length).toBeGreaterThan(0), 10_000);
    const children = fixtures.descendants().filter((id) => !known.includes(id));
    for (const child of children) process.kill(child, "SIGSTOP");
    // What was under way when it stopped may still arrive.
    await delay(600);
    const seen = events.length;
    await delay(1000);
    expect(events.length).toBe(seen);
    await prover.close();
  }, 20_000);

  it("does not start without its keys", () => {
    const empty = mkdtempSync(join(tmpdir(), "proofmesh-test-"));
    expect(() => createGroth16Prover({ slots: 1, keysDir: empty, timeoutMs: 1 })).toThrow("shard.wasm");
    rmSync(empty, { recursive: true });
  });
});
