import { poseidon as noblePoseidon } from "@noble/curves/abstract/poseidon.js";
import { bn254 } from "@noble/curves/bn254.js";
import { bytesToHex } from "@noble/hashes/utils.js";
import { afterAll, describe, expect, it } from "vitest";
import { payloadOf } from "../../src/protocol/ethereum.ts";
import { artefactHash, ZERO_HASH } from "../../src/protocol/ids.ts";
import { cutInto } from "../../src/protocol/workflow.ts";
import type { PrepareJob, VerifyJob } from "../../src/ports.ts";
import { missingPackages } from "../../src/proofs/table.ts";
import { createPool } from "../../src/provers/pool.ts";
import { FIELD_ORDER } from "../../src/protocol/payee.ts";
import { POSEIDON, poseidon } from "../../src/provers/poseidon.ts";
import { beginning, decodeValues, elementOf } from "../../src/provers/statement.ts";
import { createVerifier } from "../../src/provers/verifier.ts";
import type { Check, Prepared } from "../../src/provers/statement.ts";
import { block, outcome, prepareJob, rpcBlock, SMALL, value, VKEY, VKEY_HASH } from "./fixtures.ts";
import { sp1Vector } from "../proofs/sp1-vectors.ts";

const SHARD_KEY = { system: "groth16-shard", bytes: VKEY };
const SP1 = sp1Vector(1);
const SP1_HASH = artefactHash(SP1.keyBytes);
const KEYS = new Map([
  [VKEY_HASH, SHARD_KEY],
  [SP1_HASH, { system: "sp1-groth16", bytes: SP1.keyBytes }],
]);
const GOERLI = block("goerli-10536893");
const verifier = createVerifier({ keys: KEYS });
afterAll(() => verifier.close());

const prepare = (job: PrepareJob): Promise<Prepared> => value<Prepared>((done) => verifier.prepare(job, done));
const faultOf = async (job: PrepareJob): Promise<string> => {
  const result = await outcome<Prepared>((done) => verifier.prepare(job, done));
  return result.ok ? "" : [result.fault.reason ?? "", result.fault.code].join(" ").trim();
};
const verifyJob = (changes: Partial<VerifyJob>): VerifyJob => {
  const empty = { values: new Uint8Array(160), parts: [], proof: new Uint8Array(256) };
  return { system: "groth16-shard", key: VKEY_HASH, ...empty, ...changes };
};

describe("Poseidon", () => {
  it("is the one the circom world uses", () => {
    const expected = 18821383157269793795438455681495246036402687001665670618754263018637548127333n;
    expect(poseidon(1n, 2n, 3n, 4n)).toBe(expected);
  });

  it("agrees with the library's", () => {
    const library = noblePoseidon({
      ...POSEIDON,
      Fp: bn254.fields.Fr,
      t: 5,
      roundsFull: 8,
      roundsPartial: 60,
      sboxPower: 5,
    });
    const inputs = [FIELD_ORDER - 1n, 0n, 1n << 253n, 77n] as const;
    expect(poseidon(...inputs)).toBe(library([0n, ...inputs])[0]);
  });
});

describe("preparing a block", () => {
  it("derives one chain of values over all shards, from the parent's hash on", async () => {
    const job = prepareJob(GOERLI, 9);
    const trial = { name: "trial", systems: ["mock", "groth16-shard"], groups: 9, shards: cutInto(9) };
    const prepared = await prepare({ ...job, stages: [...job.stages, trial] });
    const shards = (prepared.values["shard"] ?? []).map(decodeValues);
    const [whole] = (prepared.values["block"] ?? []).map(decodeValues);
    expect(elementOf(prepared.before)).toBe(beginning(1, GOERLI.parent));
    expect(shards).toHaveLength(9);
    const twice = prepared.values["trial"] ?? [];
    expect(twice).toHaveLength(18);
    expect(decodeValues(twice[7] ?? new Uint8Array())?.after).toBe(shards[3]?.after);
    let at = elementOf(prepared.before);
    for (const shard of shards) {
      expect(shard?.before).toBe(at);
      at = shard?.after ?? null;
    }
    expect(at).toBe(elementOf(prepared.after));
    expect(whole?.after).toBe(at);
    expect(whole?.count).toBe(72n);
    expect(shards.reduce((sum, shard) => sum + (shard?.fees ?? 0n), 0n)).toBe(whole?.fees);
    expect(new Set(shards.map((shard) => shard?.context)).size).toBe(9);
  });

  it("continues from the block before and leaves empty shards where they are", async () => {
    const first = await prepare(prepareJob(SMALL, 1));
    const second = await prepare(prepareJob(SMALL, 6, { before: first.after }));
    expect(second.before).toEqual(first.after);
    const shards = (second.values["shard"] ?? []).map(decodeValues);
    const empty = shards.filter((shard) => shard?.count === 0n);
    expect(empty).toHaveLength(2);
    for (const shard of empty) expect(shard?.after).toBe(shard?.before);
  });

  it("derives what each variant's statement says, and takes the one payload that they ask for", async () => {
    const job = prepareJob(GOERLI, 1, { chainId: 5 });
    const layout = {
      kind: "layout" as const,
      bytes: 34,
      fields: [
        { at: 0, is: "block-hash" as const },
        { at: 32, is: "chain-id" as const, bytes: 2, endian: "big" as const },
      ],
    };
    const trial = { name: "trial", systems: ["mock", "zisk", "sp1"], groups: 1, shards: null };
    const statements = ["shard-fold", "block-hash", layout] as const;
    const { values } = await prepare({ ...job, stages: [{ ...trial, statements }] });
    expect(values["trial"]?.map(bytesToHex)).toEqual([
      expect.stringMatching(/^[0-9a-f]{64}$/),
      GOERLI.hash,
      `${GOERLI.hash}0005`,
    ]);
    const result = { kind: "stateless-result", schema: 1 } as const;
    const asked = { ...job, stages: [{ ...trial, statements: [result, result, result] }] };
    expect(await faultOf(asked)).toBe("payload payload.version");
    const full = payloadOf(rpcBlock("goerli-10536893"), { body: true, parent: false });
    if (!full.ok) throw new Error(full.fault.message);
    const given = await prepare({ ...asked, payload: full.value.payload });
    expect(given.values["trial"]?.map(({ length }) => length)).toEqual([43, 43, 43]);
    expect(await faultOf({ ...job, payload: full.value.payload })).toBe("payload payload.version");
  });

  it("tells what does not fit the announcement", async () => {
    const job = prepareJob(SMALL, 2);
    expect(await faultOf({ ...job, hash: GOERLI.hash })).toBe("payload payload.header-mismatch");
    expect(await faultOf({ ...job, parent: GOERLI.hash })).toBe("payload payload.parent-mismatch");
    expect(await faultOf({ ...job, height: 7 })).toBe("payload payload.height-mismatch");
    expect(await faultOf({ ...job, items: 5 })).toBe("payload payload.items-mismatch");
    expect(await faultOf({ ...job, range: 2 })).toBe("payload payload.blocks-mismatch");
    expect(await faultOf({ ...job, payload: new Uint8Array(9) })).toBe("payload payload.malformed");
    expect(await faultOf({ ...job, before: new Uint8Array(32).fill(255) })).toBe("prepare.before");
  });
});

describe("the verifier", () => {
  it("verifier.unknown-key and verifier.unknown-system: has no opinion on what it does not know", async () => {
    const key = await outcome<Check>((done) => verifier.verify(verifyJob({ key: ZERO_HASH }), done));
    expect(key).toMatchObject({ ok: false, fault: { code: "verifier.unknown-key" } });
    const system = await outcome<Check>((done) => verifier.verify(verifyJob({ system: "sp1" }), done));
    expect(system).toMatchObject({ ok: false, fault: { code: "verifier.unknown-system" } });
  });

  it("verifies SP1's proofs of exactly the values that the task implies, under the key that its stage names", async () => {
    const { values, proof } = SP1;
    const job = verifyJob({ system: "sp1-groth16", key: SP1_HASH, values, proof });
    const ask = (changes: Partial<VerifyJob>) =>
      outcome<Check>((done) => verifier.verify({ ...job, ...changes }, done));
    expect(await ask({})).toEqual({ ok: true, value: { valid: true } });
    const other = { ok: true, value: { valid: false, code: "proof.equation" } };
    expect(await ask({ values: values.with(0, 0) })).toEqual(other);
    expect(await ask({ key: VKEY_HASH })).toMatchObject({ ok: false, fault: { code: "verifier.unknown-system" } });
  });

  it("finds zeros no proof", async () => {
    const result = await value<Check>((done) => verifier.verify(verifyJob({}), done));
    expect(result).toEqual({ valid: false, code: "proof.not-on-curve" });
  });

  it("says which packages it lacks, and needs none for Groth16", () => {
    const nothing = (name: string): never => {
      throw new Error(`no ${name}`);
    };
    expect(missingPackages("ultrahonk-shard", nothing)).toEqual(["@aztec/bb.js@0.84.0"]);
    expect(missingPackages("stark-shard", nothing)).toEqual(["@guildofweavers/genstark@0.7.6"]);
    expect(missingPackages("groth16-shard", nothing)).toEqual([]);
    for (const system of ["ultrahonk-shard", "stark-shard"]) expect(missingPackages(system)).toEqual([]);
  });

  it("does not start with a key that is not what its hash says", () => {
    expect(() => createVerifier({ keys: new Map([[ZERO_HASH, SHARD_KEY]]) })).toThrow("another hash");
    const sp1 = new Map([[VKEY_HASH, { system: "sp1-groth16", bytes: VKEY }]]);
    expect(() => createVerifier({ keys: sp1 })).toThrow(`the verifying key ${VKEY_HASH}: the key has`);
  });
});

describe("the pool of verifiers", () => {
  const data = { keys: KEYS };
  const heavy = { kind: "prepare", job: prepareJob(GOERLI, 9) } as const;
  const light = { kind: "verify", job: verifyJob({}) } as const;

  it("verifier.timeout: replaces a worker that overruns and goes on", async () => {
    const pool = createPool({ size: 1, queueMax: 8, deadlineMs: 1, data });
    const late = await outcome((done) => pool.run(heavy, done));
    expect(late).toMatchObject({ ok: false, fault: { code: "verifier.timeout" } });
    await pool.close();
  });

  it("gives a worker the time to load, whatever its deadline", async () => {
    // No worker starts in that time, and no answer of this kind takes it.
    const pool = createPool({ size: 1, queueMax: 8, deadlineMs: 200, data });
    const job = verifyJob({ system: "mock", values: new Uint8Array(32), proof: new Uint8Array(31) });
    const result = await outcome((done) => pool.run({ kind: "verify", job }, done));
    expect(result).toEqual({ ok: true, value: { valid: false, code: "proof.length" } });
    await pool.close();
  });

  it("verifier.crashed: gives a job up that two workers died of, and serves the next", async () => {
    const pool = createPool({ size: 1, queueMax: 8, deadlineMs: 8000, data });
    // No such request: the worker throws.
    const broken = { kind: "prepare", job: null } as unknown as typeof heavy;
    const [crashed, next] = await Promise.all([
      outcome((done) => pool.run(broken, done)),
      outcome((done) => pool.run(light, done)),
    ]);
    expect(crashed).toMatchObject({ ok: false, fault: { code: "verifier.crashed" } });
    expect(next).toMatchObject({ ok: true });
    await pool.close();
  });

  it("verifier.busy: takes no more than it can hold", async () => {
    const pool = createPool({ size: 1, queueMax: 2, deadlineMs: 8000, data });
    const results = await Promise.all([1, 2, 3, 4].map(() => outcome((done) => pool.run(light, done))));
    expect(results.map((result) => (result.ok ? "" : result.fault.code))).toEqual(["", "", "", "verifier.busy"]);
    await pool.close();
  });

  it("does not answer a job that was cancelled, nor after close", async () => {
    const pool = createPool({ size: 1, queueMax: 8, deadlineMs: 8000, data });
    const answers: string[] = [];
    pool.run(light, () => answers.push("running"))();
    pool.run(light, () => answers.push("waiting"))();
    await outcome((done) => pool.run(light, done));
    pool.run(light, () => answers.push("after close"));
    await pool.close();
    expect(answers).toEqual([]);
  });
});
