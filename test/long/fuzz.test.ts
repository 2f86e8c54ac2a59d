/**
 * Millions of mutants through every decoder and through the gossip validator.
 *
 * FUZZ_CASES sets the cases a decoder (100,000), FUZZ_SEED repeats a run; the seed is printed.
 */
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { fuzz, type Tally } from "../fuzz/check.ts";
import { fuzzFrames } from "../fuzz/frames.ts";
import { fuzzGossip } from "../fuzz/gossip.ts";
import { fileTargets, TARGETS } from "../fuzz/targets.ts";

const CASES = Number(process.env["FUZZ_CASES"] ?? 100_000);
const SEED = Number(process.env["FUZZ_SEED"] ?? Math.floor(Math.random() * 2 ** 31));

const directory = fs.mkdtempSync(path.join(os.tmpdir(), "proofmesh-fuzz-"));
const tallies: Tally[] = [];

afterAll(() => {
  fs.rmSync(directory, { recursive: true, force: true });
  const cases = tallies.reduce((sum, tally) => sum + tally.cases, 0);
  process.stdout.write(
    `fuzz: seed ${SEED}, ${cases} cases, ${tallies.reduce((sum, { accepted }) => sum + accepted, 0)} accepted\n`,
  );
});

/** What is kept after so many cases is what a decoder remembers of strangers: nothing. */
const KEPT_BYTES_MAX: number = 64 * 1024 * 1024;

describe(`whatever the bytes, the answer is a code or the same bytes again (seed ${SEED})`, () => {
  for (const target of [...TARGETS, ...fileTargets(directory)]) {
    it(`read as: ${target.name}`, () => {
      fuzz(target, Math.min(CASES, 1_000), SEED);
      globalThis.gc?.();
      const before = process.memoryUsage().heapUsed;
      tallies.push(fuzz(target, CASES, SEED));
      globalThis.gc?.();
      if (globalThis.gc !== undefined) expect(process.memoryUsage().heapUsed - before).toBeLessThan(KEPT_BYTES_MAX);
    });
  }
});

it(`whatever comes on a stream, it is what was asked for or a code (seed ${SEED})`, async () => {
  const { refused, received } = await fuzzFrames(CASES, SEED);
  expect(refused + received).toBe(CASES);
});

it(`whatever members and strangers say, each message gets a verdict and the node goes on (seed ${SEED})`, () => {
  const { messages, verdicts } = fuzzGossip(Math.ceil(CASES / 10), SEED);
  const shown = [...verdicts].sort(([, a], [, b]) => b - a).map(([verdict, count]) => `${count} ${verdict}`);
  process.stdout.write(`fuzz: ${messages} messages to the gossip validator: ${shown.join(", ")}\n`);
  expect(messages).toBeGreaterThan(CASES / 4);
});
