/** A machine that cannot start the process of a module, for want of memory or descriptors. */
import { spawnSync } from "node:child_process";
import { afterEach, describe, expect, it } from "vitest";
import type { Fault } from "../../src/ports.ts";
import { artefactHash, type Hash } from "../../src/protocol/ids.ts";
import { createWasmRunner, WasmTrap } from "../../src/proofs/wasm/runner.ts";
import { readWasmKey } from "../../src/proofs/wasm/settings.ts";
import { createWasmVerifier, type WasmVerifier } from "../../src/proofs/wasm/verifier.ts";
import { assemble, TOY_BYTES, toyCanaries, toyKeyJson, toyText } from "./toy-modules.ts";

const KEY: Hash = "11".repeat(32);
const VALUES = new TextEncoder().encode("toy values");
const [GOOD, OTHER] = toyCanaries(VALUES);
const LOOP_AT = TOY_BYTES - 1;
/** It loops where the last byte of a proof is 0. */
const TEXT = toyText(
  `(if (i32.eqz (i32.load8_u offset=${LOOP_AT} (local.get $at))) (then (loop $ever (br $ever))))
   (call $check (local.get $at) (local.get $bytes))`,
);

/** No process takes a variable so long, so `spawn` throws E2BIG. */
const LARGE = "PROOFMESH_TEST_LARGE";
const exhaust = (): void => {
  process.env[LARGE] = "x".repeat(4 * 1024 * 1024);
};
const recover = (): void => {
  delete process.env[LARGE];
};

let opened: WasmVerifier | null = null;
afterEach(() => {
  recover();
  opened?.close();
});

async function openToy(changed: (fault: Fault | null) => void, isKnown: boolean = false) {
  const module = await assemble(TEXT);
  const files = new Map([module, GOOD, OTHER].map((bytes) => [artefactHash(bytes), bytes]));
  const read = readWasmKey(new TextEncoder().encode(toyKeyJson(module, VALUES, { timeMsMax: 400 })));
  const key = isKnown ? { ...read, canaries: null } : read;
  const verifier = createWasmVerifier("wasm", new Map([[KEY, key]]), {
    find: async (hash) => files.get(hash) ?? new Uint8Array(),
    changed: (_, fault) => changed(fault),
  });
  opened = verifier;
  const verify = (proof: Uint8Array) =>
    verifier.verify({ system: "wasm", key: KEY, values: VALUES, parts: [], proof }, new AbortController().signal);
  return { verifier, verify };
}

describe("a machine that cannot start a module's process", () => {
  it("does not refuse the module at load, and loads it later", async () => {
    const codes: (string | null)[] = [];
    const { verifier, verify } = await openToy((fault) => codes.push(fault?.code ?? null));
    exhaust();
    expect(await verifier.load()).toMatchObject([{ fault: { code: "verifier.trap" } }]);
    recover();
    await expect.poll(() => verify(GOOD).catch(() => null), { timeout: 10_000 }).toEqual({ valid: true });
    expect(codes).toEqual(["verifier.trap", null]);
  });

  it("gives no verdict on a proof, and judges the proof once it can", async () => {
    const { verify } = await openToy(() => {});
    expect(await verify(GOOD)).toEqual({ valid: true });
    await expect(verify(GOOD.with(LOOP_AT, 0))).rejects.toMatchObject({ code: "verifier.trap", reason: "verdictless" });
    exhaust();
    await expect(verify(GOOD)).rejects.toMatchObject({ code: "verifier.trap", reason: "own" });
    recover();
    expect(await verify(GOOD)).toEqual({ valid: true });
  });

  it("gives no verdict where the module needs no canaries", async () => {
    const { verify } = await openToy(() => {}, true);
    exhaust();
    await expect(verify(GOOD)).rejects.toMatchObject({ code: "verifier.trap", reason: "own" });
    recover();
    expect(await verify(GOOD)).toEqual({ valid: true });
    expect(await verify(OTHER)).toEqual({ valid: false, code: "proof.equation" });
  });

  it("says so where the proof itself would be asked", async () => {
    exhaust();
    const runner = createWasmRunner(await assemble(TEXT), { key: null, memoryPagesMax: 16, timeMsMax: 400 });
    const error: unknown = await runner.ask(GOOD).catch((each: unknown) => each);
    expect(error).toBeInstanceOf(WasmTrap);
    expect(error).toMatchObject({ isOwn: true });
    recover();
    expect(await runner.ask(GOOD)).toBe(true);
    runner.close();
  });

  // Node gives a child without pipes there, and throws nothing.
  it("has no descriptors left", () => {
    const program = `
      import { closeSync, openSync } from "node:fs";
      import { createWasmRunner } from ${JSON.stringify(new URL("../../src/proofs/wasm/runner.ts", import.meta.url).href)};
      const runner = createWasmRunner(new Uint8Array(), { key: null, memoryPagesMax: 16, timeMsMax: 400 });
      const taken = [];
      try { for (;;) taken.push(openSync("/dev/null")); } catch {}
      const error = await runner.ask(new Uint8Array()).catch((each) => each);
      for (const each of taken) closeSync(each);
      console.log(error.constructor.name, error.isOwn, error.message);
      runner.close();`;
    const { stdout, stderr } = spawnSync(
      "/bin/sh",
      ["-c", 'ulimit -n 64 && exec "$0" --input-type=module -e "$1"', process.execPath, program],
      { encoding: "utf8" },
    );
    expect(stdout, stderr).toMatch(/^WasmTrap true .*cannot be started/);
  });
});
