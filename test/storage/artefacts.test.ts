import fs from "node:fs";
import type { Result } from "../../src/ports.ts";
import path from "node:path";
import { expect, test, vi } from "vitest";
import type { Artefacts } from "../../src/ports.ts";
import { openArtefacts } from "../../src/storage/artefacts.ts";
import {
  artefact,
  artefactsCompliance,
  hasArtefact,
  hashOf,
  readArtefact,
  receive,
  writeArtefact,
} from "../compliance/artefacts.ts";
import { faultOf, valueOf } from "../compliance/completion.ts";
import { smallDisk, temporaryDirectory } from "./directories.ts";
import { recordingTelemetry } from "./world.ts";

function open(dir: string, bytesMax: number = 1024 * 1024, pinned: readonly string[] = []): Artefacts {
  return openArtefacts({ dir, bytesMax }, { telemetry: recordingTelemetry(), needed: () => new Set(pinned) });
}

function fileOf(dir: string, hash: string): string {
  return path.join(dir, hash.slice(0, 2), hash);
}

artefactsCompliance("files", () => Promise.resolve(open(temporaryDirectory())));

test("artefacts are there after opening again, and what was half written is not", async () => {
  const dir = temporaryDirectory();
  const hash = await writeArtefact(open(dir), artefact("a proof"));
  fs.writeFileSync(path.join(dir, "tmp", "7"), "half a pro");
  const again = open(dir);
  expect(fs.readdirSync(path.join(dir, "tmp"))).toEqual([]);
  expect(await readArtefact(again, hash)).toBe("a proof");
});

test("a damaged file is deleted, reads as nothing, and may be written again", async () => {
  const dir = temporaryDirectory();
  const telemetry = recordingTelemetry();
  const artefacts = openArtefacts({ dir, bytesMax: 1024 }, { telemetry, needed: () => new Set() });
  const hash = await writeArtefact(artefacts, artefact("a proof"));
  fs.writeFileSync(fileOf(dir, hash), "a prooF");
  expect(await readArtefact(artefacts, hash)).toBeNull();
  expect(fs.existsSync(fileOf(dir, hash))).toBe(false);
  expect(await hasArtefact(artefacts, hash)).toBe(false);
  await writeArtefact(artefacts, artefact("a proof"));
  expect(await readArtefact(artefacts, hash)).toBe("a proof");
  fs.rmSync(fileOf(dir, hash));
  expect(await readArtefact(artefacts, hash)).toBeNull();
  expect([...telemetry.counts]).toEqual([
    ["artefact.damaged changed", 1],
    ["artefact.damaged gone", 1],
  ]);
});

test("what is kept and then written counts once", async () => {
  const artefacts = open(temporaryDirectory(), 10);
  const bytes = artefact("12345");
  await valueOf<string>((done) => artefacts.keep(bytes, done));
  await writeArtefact(artefacts, bytes);
  const hash = await writeArtefact(artefacts, artefact("67890"));
  expect(await Promise.all([hashOf(bytes), hash].map((each) => readArtefact(artefacts, each)))).toEqual([
    "12345",
    "67890",
  ]);
});

test("the oldest that are not pinned make room", async () => {
  const dir = temporaryDirectory();
  const texts = ["aaaa", "bbbb", "cccc", "dddd"];
  const hashes = texts.map((text) => hashOf(artefact(text)));
  const artefacts = open(dir, 12, hashes.slice(0, 1));
  for (const text of texts) await writeArtefact(artefacts, artefact(text));
  expect(await Promise.all(hashes.map((hash) => readArtefact(artefacts, hash)))).toEqual([
    "aaaa",
    null,
    "cccc",
    "dddd",
  ]);
  // The age is that of the files, so it outlives the process.
  for (const [index, hash] of hashes.entries()) {
    if (fs.existsSync(fileOf(dir, hash))) fs.utimesSync(fileOf(dir, hash), 1000 - index, 1000 - index);
  }
  const again = open(dir, 12);
  await writeArtefact(again, artefact("eeee"));
  expect(await Promise.all(hashes.map((hash) => hasArtefact(again, hash)))).toEqual([true, false, true, false]);
});

test("artefact.quota", async () => {
  const first = artefact("12345678");
  const artefacts = open(temporaryDirectory(), 12, [hashOf(first)]);
  await writeArtefact(artefacts, first);
  expect((await faultOf((done) => artefacts.write(artefact("12345"), done))).code).toBe("artefact.quota");
  await writeArtefact(artefacts, artefact("1234"));
  expect(await readArtefact(artefacts, hashOf(first))).toBe("12345678");
});

test("many writes at once never exceed the quota", async () => {
  const dir = temporaryDirectory();
  const artefacts = open(dir, 100);
  const texts = Array.from({ length: 60 }, (_, index) => `artefact ${String(index).padStart(3, "0")}`);
  await Promise.all(texts.map((text) => writeArtefact(artefacts, artefact(text))));
  const files = fs.readdirSync(dir, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  expect(files.length).toBe(Math.floor(100 / 12));
});

test("artefact.busy", async () => {
  const artefacts = open(temporaryDirectory());
  const codes = await Promise.all(
    Array.from({ length: 300 }, (_, index) => {
      return new Promise<string>((resolve) => {
        artefacts.write(artefact(`${index}`), (result) => resolve(result.ok ? "ok" : result.fault.code));
      });
    }),
  );
  expect(codes.filter((code) => code === "artefact.busy").length).toBe(300 - 256 - 2);
});

test("what is only kept takes no room from what must be durable", async () => {
  const artefacts = open(temporaryDirectory());
  const codeOf = (add: (done: (result: Result<string>) => void) => void) =>
    new Promise<string>((resolve) => add((result) => resolve(result.ok ? "ok" : result.fault.code)));
  const kept = Array.from({ length: 300 }, (_, index) =>
    codeOf((done) => artefacts.keep(artefact(`kept ${index}`), done)),
  );
  const written = codeOf((done) => artefacts.write(artefact("written"), done));
  expect(await written).toBe("ok");
  expect((await Promise.all(kept)).filter((code) => code === "artefact.busy").length).toBe(300 - 256 - 2);
});

test("disk.full: the artefact is not there and the next one that fits is", async ({ skip }) => {
  const dir = smallDisk("1m") ?? skip("this process has no right to mount a small file system");
  const artefacts = open(dir, 100 * 1024 * 1024);
  const large = new Uint8Array(2 * 1024 * 1024);
  expect((await faultOf((done) => artefacts.write(large, done))).code).toBe("disk.full");
  expect(await hasArtefact(artefacts, hashOf(large))).toBe(false);
  const hash = await writeArtefact(artefacts, artefact("small"));
  expect(await readArtefact(artefacts, hash)).toBe("small");
});

test("what is not a hash never becomes a path", async () => {
  const artefacts = open(temporaryDirectory());
  expect(await readArtefact(artefacts, "../../etc/passwd")).toBeNull();
  expect(await hasArtefact(artefacts, "../x")).toBe(false);
});

test("what has come in before a process died is gone on with, and its room is given back once it is in the way", async () => {
  const dir = temporaryDirectory();
  const bytes = new Uint8Array(600).fill(7);
  const before = await receive(open(dir, 1000), hashOf(bytes), bytes.length);
  await valueOf<void>((done) => before.append(bytes.slice(0, 400), done));
  const after = open(dir, 1000);
  const incoming = await receive(after, hashOf(bytes), bytes.length);
  expect(incoming.bytes).toBe(400);
  const fault = await faultOf((done) => after.write(new Uint8Array(700), done));
  expect(fault.code).toBe("artefact.quota");
  incoming.pause();
  const other = new Uint8Array(700).fill(1);
  await vi.waitFor(() => writeArtefact(after, other));
  const again = await receive(open(dir, 2000), hashOf(bytes), bytes.length);
  expect(again.bytes).toBe(0);
});

test("artefact.busy: one artefact comes in once at a time", async () => {
  const artefacts = open(temporaryDirectory());
  const hash = hashOf(artefact("a proof"));
  const incoming = await receive(artefacts, hash, 7);
  const fault = await faultOf((done) => artefacts.receive(hash, 7, done));
  expect(fault.code).toBe("artefact.busy");
  incoming.pause();
});

test("a part of a file that was damaged is not there", async () => {
  const dir = temporaryDirectory();
  const hash = await writeArtefact(open(dir), artefact("a proof"));
  fs.writeFileSync(fileOf(dir, hash), "a prooF");
  const artefacts = open(dir);
  expect(await valueOf<Uint8Array | null>((done) => artefacts.readPart(hash, 1, 2, done))).toBeNull();
  expect(await hasArtefact(artefacts, hash)).toBe(false);
});
