import { createHash } from "node:crypto";
import { describe, expect, test } from "vitest";
import type { Artefacts } from "../../src/ports.ts";
import { faultOf, valueOf } from "./completion.ts";

export function artefact(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

export function hashOf(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

export function writeArtefact(artefacts: Artefacts, bytes: Uint8Array): Promise<string> {
  return valueOf((done) => artefacts.write(bytes, done));
}

export async function readArtefact(
  artefacts: Artefacts,
  hash: string,
  bytesMax: number = 1024,
): Promise<string | null> {
  const bytes = await valueOf<Uint8Array | null>((done) => artefacts.read(hash, bytesMax, done));
  return bytes === null ? null : new TextDecoder().decode(bytes);
}

export function hasArtefact(artefacts: Artefacts, hash: string): Promise<boolean> {
  return valueOf((done) => artefacts.has(hash, done));
}

/** What every artefact store must do. */
export function artefactsCompliance(name: string, open: () => Promise<Artefacts>): void {
  describe(`artefacts: ${name}`, () => {
    const proof = artefact("a proof");

    test("an artefact is named by its SHA-256 and read by its name", async () => {
      const artefacts = await open();
      expect(await writeArtefact(artefacts, proof)).toBe(hashOf(proof));
      expect(await hasArtefact(artefacts, hashOf(proof))).toBe(true);
      expect(await readArtefact(artefacts, hashOf(proof))).toBe("a proof");
    });

    test("an empty artefact is an artefact", async () => {
      const artefacts = await open();
      const hash = await writeArtefact(artefacts, new Uint8Array());
      expect(await readArtefact(artefacts, hash, 0)).toBe("");
    });

    test("what was never written is not there", async () => {
      const artefacts = await open();
      expect(await hasArtefact(artefacts, hashOf(proof))).toBe(false);
      expect(await readArtefact(artefacts, hashOf(proof))).toBeNull();
    });

    test("artefact.too-large", async () => {
      const artefacts = await open();
      const hash = await writeArtefact(artefacts, proof);
      expect(await readArtefact(artefacts, hash, proof.length)).toBe("a proof");
      const fault = await faultOf((done) => artefacts.read(hash, proof.length - 1, done));
      expect(fault.code).toBe("artefact.too-large");
    });

    test("the same bytes written by many at once are one artefact", async () => {
      const artefacts = await open();
      const hashes = await Promise.all(Array.from({ length: 5 }, () => writeArtefact(artefacts, proof)));
      expect(new Set(hashes)).toEqual(new Set([hashOf(proof)]));
      expect(await readArtefact(artefacts, hashOf(proof))).toBe("a proof");
    });

    test("what is only kept is read like any other, and may be made durable later or at once", async () => {
      const artefacts = await open();
      const [later, atOnce] = [artefact("later"), artefact("at once")];
      await valueOf<string>((done) => artefacts.keep(later, done));
      expect(await readArtefact(artefacts, hashOf(later))).toBe("later");
      const both = [
        valueOf<string>((done) => artefacts.keep(atOnce, done)),
        valueOf<string>((done) => artefacts.write(atOnce, done)),
        valueOf<string>((done) => artefacts.write(later, done)),
      ];
      expect(await Promise.all(both)).toEqual([hashOf(atOnce), hashOf(atOnce), hashOf(later)]);
      expect(await readArtefact(artefacts, hashOf(atOnce))).toBe("at once");
    });

    test("forgotten artefacts are gone and may be written again", async () => {
      const artefacts = await open();
      const hashes = await Promise.all(["a", "b", "c"].map((text) => writeArtefact(artefacts, artefact(text))));
      await valueOf((done) => artefacts.forget([...hashes.slice(0, 2), hashOf(proof)], done));
      expect(await Promise.all(hashes.map((hash) => readArtefact(artefacts, hash)))).toEqual([null, null, "c"]);
      await writeArtefact(artefacts, artefact("a"));
      expect(await readArtefact(artefacts, hashOf(artefact("a")))).toBe("a");
    });
  });
}
