import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { PROVER } from "../../src/config/provers.ts";
import { SYSTEM_NAMES } from "../../src/genesis.ts";
import { PROVING_SYSTEMS, SYSTEMS, systemOf } from "../../src/proofs/table.ts";
import { familyOf, payeeOf } from "../../src/protocol/systems.ts";

const ROOT = join(import.meta.dirname, "../..");
const text = (name: string): string => readFileSync(join(ROOT, name), "utf8");

describe("the table of proof systems", () => {
  it("has each name once", () => {
    expect(new Set(SYSTEMS.map(({ name }) => name)).size).toBe(SYSTEMS.length);
    expect(systemOf("mock")).toBeUndefined();
    expect(systemOf("constructor")).toBeUndefined();
  });

  it.each(SYSTEMS)("says of $name what the protocol says of it", ({ name, family, payee }) => {
    expect([familyOf(name), payeeOf(name)]).toEqual([family, payee]);
  });

  it.each(SYSTEMS)("has one way to verify $name", ({ verifier, module }) => {
    expect([verifier, module].filter((way) => way !== undefined)).toHaveLength(1);
  });

  it.each(SYSTEMS)("refuses a key of $name that is none", (system) => {
    expect(() => system.readKey(Uint8Array.of(1, 2, 3))).toThrow();
  });

  it.each(SYSTEMS)("is the documentation's, $name", ({ name }) => {
    expect(text("docs/provers.md")).toContain(`\`${name}\``);
  });

  it("has the provers that the configuration, init and the check of dead code know", () => {
    expect(SYSTEM_NAMES).toEqual(["groth16", "ultrahonk", "stark", "halo2", "pickles"]);
    const { entry } = JSON.parse(text(".knip.json")) as { readonly entry: readonly string[] };
    for (const { proving } of PROVING_SYSTEMS) {
      const { kind, keyFile, files } = proving;
      expect(PROVER.safeParse({ kind, timeoutMs: 1000 }).success, kind).toBe(true);
      expect(entry).toContain(`src/proofs/${kind}/program.ts`);
      for (const name of [keyFile, ...files]) expect(existsSync(join(ROOT, "config/keys", name)), name).toBe(true);
    }
  });
});
