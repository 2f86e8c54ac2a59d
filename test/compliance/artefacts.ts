import { createHash } from "node:crypto";
import { describe, expect, test, vi } from "vitest";
import type { Artefacts, Incoming } from "../../src/ports.ts";
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

    test("its length and any part of it can be had", async () => {
      const artefacts = await open();
      const hash = await writeArtefact(artefacts, proof);
      const size = (of: string) => valueOf<number | null>((done) => artefacts.size(of, done));
      const part = async (offset: number, bytesMax: number): Promise<string | null> => {
        const bytes = await valueOf<Uint8Array | null>((done) => artefacts.readPart(hash, offset, bytesMax, done));
        return bytes === null ? null : new TextDecoder().decode(bytes);
      };
      expect([await size(hash), await size(hashOf(artefact("no")))]).toEqual([proof.length, null]);
      expect([await part(0, 100), await part(2, 3), await part(5, 100), await part(7, 1)]).toEqual([
        "a proof",
        "pro",
        "of",
        "",
      ]);
    });

    test("what comes in pieces is an artefact once it is whole, and goes on where an earlier try ended", async () => {
      const artefacts = await open();
      const hash = hashOf(proof);
      const first = await receive(artefacts, hash, proof.length);
      await valueOf<void>((done) => first.append(proof.slice(0, 3), done));
      expect(await hasArtefact(artefacts, hash)).toBe(false);
      first.pause();
      const second = await vi.waitFor(() => receive(artefacts, hash, proof.length));
      expect(second.bytes).toBe(3);
      await valueOf<void>((done) => second.append(proof.slice(3), done));
      expect(await valueOf<boolean>((done) => second.finish(done))).toBe(true);
      expect(await readArtefact(artefacts, hash)).toBe("a proof");
    });

    test("what is of another hash or length in the end leaves nothing", async () => {
      const artefacts = await open();
      for (const sent of ["a prooF", "a pro"]) {
        const incoming = await receive(artefacts, hashOf(proof), proof.length);
        expect(incoming.bytes).toBe(0);
        await valueOf<void>((done) => incoming.append(artefact(sent), done));
        expect(await valueOf<boolean>((done) => incoming.finish(done))).toBe(false);
        expect(await hasArtefact(artefacts, hashOf(proof))).toBe(false);
      }
    });

    test("no more comes in than was announced", async () => {
      const artefacts = await open();
      const incoming = await receive(artefacts, hashOf(proof), proof.length);
      const fault = await faultOf((done) => incoming.append(artefact("a proof and more"), done));
      expect(fault.code).toBe("artefact.too-large");
      incoming.pause();
    });
  });
}

export function receive(artefacts: Artefacts, hash: string, length: number): Promise<Incoming> {
  return valueOf<Incoming>((done) => artefacts.receive(hash, length, done));
}
