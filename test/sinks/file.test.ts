import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { CertifiedBlock, Result, Sink } from "../../src/ports.ts";
import { certificatePath, fileSink } from "../../src/sinks/file.ts";
import { type PlaceUnderTest, sinkCompliance } from "../compliance/sink.ts";
import { certified } from "./blocks.ts";

let directory: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "proofmesh-sink-"));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

/** Where a certificate comes from is nothing to a file. */
function certificate(height: number, text = `{"height":${height}}\n`): CertifiedBlock {
  return { ...certified(1), height, block: height.toString(16).padStart(64, "a"), bytes: Buffer.from(text) };
}

function deliver(sink: Sink, value: CertifiedBlock): Promise<Result<void>> {
  return new Promise((resolve) => sink.deliver(value, resolve));
}

test("a certificate is a file under its chain, and nothing else is left", async () => {
  const sink = fileSink({ directory: join(directory, "new", "out") });
  expect(await deliver(sink, certificate(7))).toEqual({ ok: true, value: undefined });
  await sink.close();
  const folder = join(directory, "new", "out", "31337");
  expect(readdirSync(folder)).toEqual(["7-aaaaaaaaaaaa.json"]);
  expect(readFileSync(join(folder, "7-aaaaaaaaaaaa.json"), "utf8")).toBe('{"height":7}\n');
});

test("certificates are done in the order they came in", async () => {
  const sink = fileSink({ directory });
  const order: number[] = [];
  for (let height = 0; height < 20; height++) sink.deliver(certificate(height), () => order.push(height));
  await sink.close();
  expect(order).toEqual(Array.from({ length: 20 }, (_, height) => height));
});

test("delivering again changes nothing, and mends a file that is damaged", async () => {
  const sink = fileSink({ directory });
  const path = certificatePath(directory, certificate(1));
  await deliver(sink, certificate(1));
  await deliver(sink, certificate(1));
  writeFileSync(path, "");
  expect((await deliver(sink, certificate(1))).ok).toBe(true);
  expect(readFileSync(path, "utf8")).toBe('{"height":1}\n');
  expect(readdirSync(join(directory, "31337"))).toHaveLength(1);
});

test("sink.write-failed, and well again when the place is", async () => {
  const blocked = join(directory, "blocked");
  writeFileSync(blocked, "a file, not a directory");
  const sink = fileSink({ directory: blocked });
  expect(await deliver(sink, certificate(1))).toMatchObject({ ok: false, fault: { code: "sink.write-failed" } });
  rmSync(blocked);
  expect((await deliver(sink, certificate(1))).ok).toBe(true);
});

test("sink.full and sink.closed", async () => {
  const sink = fileSink({ directory });
  const results: Result<void>[] = [];
  for (let height = 0; height < 1100; height++) sink.deliver(certificate(height % 3), (result) => results.push(result));
  await sink.close();
  const refused = results.filter((result) => !result.ok);
  expect(refused).toHaveLength(1100 - 1024);
  expect(refused[0]).toMatchObject({ fault: { code: "sink.full" } });
  expect(await deliver(sink, certificate(1))).toMatchObject({ fault: { code: "sink.closed" } });
});

sinkCompliance("file", async (): Promise<PlaceUnderTest> => {
  const place = join(directory, "place");
  const folder = join(place, String(certified(1).chain));
  return {
    open: () => fileSink({ directory: place }),
    heights: async () =>
      existsSync(folder)
        ? readdirSync(folder)
            .map((name) => Number(name.split("-")[0]))
            .sort((a, b) => a - b)
        : [],
    down: async (is) => (is ? writeFileSync(place, "a file, not a directory") : rmSync(place)),
  };
});
