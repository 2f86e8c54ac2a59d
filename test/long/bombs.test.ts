/**
 * Heap is the bound, not time: a decoder that makes a gigabyte of a megabyte kills its thread and fails the test. The
 * same bombs cost seconds apiece where the work is not bounded, which the time limit of a test would notice.
 */
import { Worker } from "node:worker_threads";
import { describe, expect, it } from "vitest";

/** Above the largest document that is read at all (11 MiB, as text twice that) and what is made of it. */
const HEAP_MIB_MAX = 160;

function run(name: string): Promise<unknown> {
  const worker = new Worker(new URL("../fuzz/bombs.ts", import.meta.url), {
    workerData: { name },
    resourceLimits: { maxOldGenerationSizeMb: HEAP_MIB_MAX, maxYoungGenerationSizeMb: 32 },
  });
  return new Promise((resolve, reject) => {
    worker.once("message", resolve);
    worker.once("error", reject);
    worker.once("exit", (status) => reject(new Error(`the thread ended with ${status}`)));
  });
}

const names = (await run("")) as readonly string[];

describe("bytes that are made to cost much", () => {
  for (const name of names) {
    it(`cost little, read as: ${name}`, async () => {
      expect(await run(name)).toBeGreaterThan(25);
    });
  }
});
