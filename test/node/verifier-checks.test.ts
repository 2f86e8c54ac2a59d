import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { checkVerifiers, findIn, openVerifier } from "../../src/node.ts";
import { artefactHash } from "../../src/protocol/ids.ts";
import { readManifest } from "../../src/protocol/manifest.ts";
import { keyOf } from "../core/harness.ts";
import { assemble, toyCanaries, toyKeyJson, toyText } from "../proofs/toy-modules.ts";
import { manifestJson } from "../protocol/fixtures.ts";
import { outcome } from "../provers/fixtures.ts";

const VALUES = new TextEncoder().encode("values of the toy");
const [GOOD, OTHER] = toyCanaries(VALUES);
const directory = mkdtempSync(join(tmpdir(), "proofmesh-modules-"));
afterAll(() => rmSync(directory, { recursive: true }));

/** A key of the system `wasm` whose module and canaries are in the directory. */
async function keyFor(text: string) {
  const module = await assemble(text);
  for (const bytes of [module, GOOD, OTHER]) writeFileSync(join(directory, artefactHash(bytes)), bytes);
  return { system: "wasm", verifyingKey: Buffer.from(toyKeyJson(module, VALUES)).toString("base64"), files: {} };
}

describe("the verifiers that a network's keys ask for", () => {
  let toy: Awaited<ReturnType<typeof keyFor>>;
  beforeAll(async () => {
    toy = await keyFor(toyText());
  });

  it("are said to be well where every canary is answered, each byte of the digest changed", async () => {
    const found = await checkVerifiers({ toy }, findIn(directory), "all");
    expect(found).toMatchObject([{ name: "toy", system: "wasm", isModule: true, fault: null }]);
  });

  it("are named with what is wrong", async () => {
    // It takes the byte 20 of the digest for whatever the mask says.
    const blind = await keyFor(
      toyText(
        `(i32.store8 offset=28 (local.get $at)
           (i32.xor (i32.load8_u offset=60 (local.get $at)) (i32.const ${(3 + 20 * 7) & 0xff})))
         (call $check (local.get $at) (local.get $bytes))`,
      ),
    );
    const keys = {
      mock: { system: "mock", verifyingKey: "bW9jaw==", files: {} },
      sp1: { system: "sp1-groth16", verifyingKey: "bW9jaw==", files: {} },
      toy,
      blind,
    };
    const nowhere = await checkVerifiers(keys, findIn(join(directory, "nowhere")), "drawn");
    expect(nowhere.map(({ name, fault }) => [name, fault?.code])).toEqual([
      ["sp1", "keys.unsound"],
      ["toy", "verifier.missing"],
      ["blind", "verifier.missing"],
    ]);
    const [found] = await checkVerifiers({ blind }, findIn(directory), "all");
    expect(found?.fault).toEqual({
      code: "verifier.canary",
      message: "the module accepts the proof with byte 28 of the digest changed",
    });
    const unasked = await checkVerifiers({ blind }, null, "all");
    expect(unasked).toMatchObject([{ fault: null }]);
  });

  it("verify for the node, with the module as a file of the network", async () => {
    const json = manifestJson([keyOf("a")]);
    const read = readManifest({ ...json, keys: { ...json.keys, toy } });
    if (!read.ok) throw new Error(JSON.stringify(read.errors));
    const verifier = openVerifier(read.value, 1, [], { find: findIn(directory) });
    const key = read.value.keyHashes.get("toy") ?? "";
    const ask = (proof: Uint8Array, values: Uint8Array) =>
      outcome((done) => verifier.verify({ system: "wasm", key, values, parts: [], proof }, done));
    expect(await ask(GOOD, VALUES)).toEqual({ ok: true, value: { valid: true } });
    expect(await ask(OTHER, VALUES)).toEqual({ ok: true, value: { valid: false, code: "proof.equation" } });
    expect(await ask(GOOD, VALUES.subarray(1))).toEqual({ ok: true, value: { valid: false, code: "proof.values" } });
    await verifier.close();
  });
});
