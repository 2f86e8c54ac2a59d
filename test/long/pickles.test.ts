/** The recursive system, whose library is installed for it alone. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import type { ProveEvent, ProveJob, Prover, VerifyJob } from "../../src/ports.ts";
import { artefactHash } from "../../src/protocol/ids.ts";
import { createPicklesProvers } from "../../src/proofs/pickles/prover.ts";
import { decodePicklesValues, PASTA_ORDER } from "../../src/proofs/pickles/statement.ts";
import { readPicklesKey } from "../../src/proofs/pickles/verify.ts";
import { encodeElement, type Prepared } from "../../src/provers/statement.ts";
import { createVerifier } from "../../src/provers/verifier.ts";
import { programSuite } from "../compliance/program.ts";
import { proverSuite } from "../compliance/prover.ts";
import { verifierSuite } from "../compliance/verifier.ts";
import { valuesFor } from "../../src/protocol/payee.ts";
import * as fixtures from "../provers/fixtures.ts";
import { install } from "./install.ts";

const { KEYS_DIR, SMALL, SMALL_SHARDS } = fixtures;
const KEY = new Uint8Array(readFileSync(join(KEYS_DIR, "shard.pickles.json")));
const KEY_HASH = artefactHash(KEY);

const systems = { shard: "pickles-shard", block: "pickles-merge" } as const;
type StageName = keyof typeof systems;

let verifier: ReturnType<typeof createVerifier>;
let prepared: Prepared;
let shards: { readonly proofs: readonly Uint8Array[]; readonly events: readonly ProveEvent[] };
let merged: { readonly proof: Uint8Array; readonly events: readonly ProveEvent[] };

const open = (system: string, limits: { timeoutMs: number; memoryBytesMax?: number }): Prover => {
  const found = createPicklesProvers({ keysDir: KEYS_DIR, ...limits }).find((prover) => prover.system === system);
  if (found === undefined) throw new Error(system);
  return found;
};
/** For the prover that is paid, as its proofs name it. */
const valuesOf = (stage: StageName, index = 0): Uint8Array =>
  valuesFor("context", prepared.values[stage]?.[index] ?? new Uint8Array(), fixtures.PROVER);
const job = (stage: StageName, index = 0, inputs: readonly Uint8Array[] = []): ProveJob => {
  const given = { system: systems[stage], key: KEY_HASH, values: valuesOf(stage, index), inputs };
  const made = fixtures.proveJob(SMALL, prepared.before, given);
  return { ...made, group: index, shards: stage === "shard" ? SMALL_SHARDS : 0, id: { ...made.id, stage, index } };
};
const verifyJob = (stage: StageName, proof: Uint8Array, index = 0): VerifyJob => {
  return { system: systems[stage], key: KEY_HASH, values: valuesOf(stage, index), parts: [], proof };
};
const check = (of: VerifyJob): Promise<unknown> => fixtures.value((done) => verifier.verify(of, done));

beforeAll(async () => {
  install("pickles");
  verifier = createVerifier({
    keys: new Map([[KEY_HASH, { system: "pickles-shard", bytes: KEY }]]),
    deadlineMs: 60_000,
  });
  const stages = fixtures.rows(systems.shard, systems.block, SMALL_SHARDS);
  prepared = await fixtures.value((done) =>
    verifier.prepare(fixtures.prepareJob(SMALL, SMALL_SHARDS, { stages }), done),
  );
  const [prover, merger] = createPicklesProvers({ keysDir: KEYS_DIR, timeoutMs: 1_000_000 });
  if (prover === undefined || merger === undefined) throw new Error("no provers");
  const made = [];
  for (let index = 0; index < SMALL_SHARDS; index++) made.push(await fixtures.run(prover, job("shard", index)));
  shards = { proofs: made.map(proofIn), events: made[0] ?? [] };
  const events = await fixtures.run(merger, job("block", 0, shards.proofs));
  merged = { proof: proofIn(events), events };
  await prover.close();
}, 1_200_000);

afterAll(() => verifier.close());

function proofIn(events: readonly ProveEvent[]): Uint8Array {
  const event = events.at(-1);
  if (event?.kind !== "proved") throw new Error(JSON.stringify(event));
  return event.proof;
}

vi.setConfig({ testTimeout: 600_000 });

for (const stage of ["shard", "block"] as const) {
  const proof = (): Uint8Array => (stage === "shard" ? (shards.proofs[0] ?? new Uint8Array()) : merged.proof);
  const own = () => job(stage, 0, stage === "shard" ? [] : shards.proofs);
  const make = (limits: { timeoutMs: number; memoryBytesMax?: number } = { timeoutMs: 600_000 }) =>
    open(systems[stage], limits);
  proverSuite(systems[stage], {
    make,
    makeSlow: make,
    job: own,
    verifier: () => verifier,
    verifyJob: (_, bytes) => verifyJob(stage, bytes),
    events: () => (stage === "shard" ? shards.events : merged.events),
    processes: fixtures.descendants,
  });
  verifierSuite(systems[stage], {
    verifier: () => verifier,
    job: () => verifyJob(stage, proof()),
    otherTask: () => (stage === "shard" ? valuesOf("shard", 1) : valuesOf("shard")),
    otherBlock: () => {
      const other = valuesOf(stage).slice();
      other.set(encodeElement(5n), 128);
      return other;
    },
    notCanonical: () => {
      const beyond = valuesOf(stage).slice();
      beyond.set(encodeElement(PASTA_ORDER), 0);
      return [{ values: beyond, proof: proof() }];
    },
  });
}

programSuite({
  name: "pickles",
  make: (limits) => open(systems.shard, limits),
  job: () => job("shard"),
  processes: fixtures.descendants,
});

describe("a recursive proof", () => {
  it("holds for its own values and no others, though it says those of itself", async () => {
    for (const [stage, proof] of [
      ["shard", shards.proofs[0]],
      ["block", merged.proof],
    ] as const) {
      for (let at = 0; at < 5; at++) {
        const values = valuesOf(stage).slice();
        // The number's lowest bit, in what is asked and in what the proof says.
        values[at * 32 + 31] = (values[at * 32 + 31] ?? 0) ^ 1;
        const said = Uint8Array.from([...values, ...(proof ?? new Uint8Array()).subarray(values.length)]);
        expect(await check({ ...verifyJob(stage, said), values })).toEqual({ valid: false, code: "proof.equation" });
      }
    }
  });

  it("of a block leads from the first shard's commitment to the last one's, and sums up", () => {
    const [first, second] = [0, 1].map((index) => decodePicklesValues(valuesOf("shard", index)));
    const whole = decodePicklesValues(valuesOf("block"));
    expect([whole?.before, second?.before, whole?.after]).toEqual([first?.before, first?.after, second?.after]);
    expect(whole?.count).toBe((first?.count ?? 0n) + (second?.count ?? 0n));
    expect(whole?.fees).toBe((first?.fees ?? 0n) + (second?.fees ?? 0n));
    expect(whole?.context).not.toBe(first?.context);
  });

  it("is not made of parts that do not follow each other, that are missing, or that do not hold", async () => {
    const [left = new Uint8Array(), right = new Uint8Array()] = shards.proofs;
    const merger = open(systems.block, { timeoutMs: 600_000 });
    const broken = left.slice();
    // A digit in the middle of the proof itself.
    const at = broken.length >> 1;
    broken[at] = broken[at] === 0x31 ? 0x32 : 0x31;
    for (const inputs of [[right, left], [left], [broken, right]]) {
      const event = await fixtures.last(merger, job("block", 0, inputs));
      expect(event).toMatchObject({ kind: "failed", fault: { code: "pickles.failed" } });
    }
    await merger.close();
  });
});

describe("a key of recursive proofs", () => {
  it("names library and statement, and brings a proof that holds", async () => {
    expect(() => readPicklesKey(KEY)).not.toThrow();
    const json = JSON.parse(Buffer.from(KEY).toString()) as Record<string, unknown>;
    const other = Buffer.from(JSON.stringify({ ...json, library: "o1js@1.0.0" }));
    expect(() => readPicklesKey(other)).toThrow(/allowed: pickles-shard by o1js@2\.15\.0/);
  });
});
