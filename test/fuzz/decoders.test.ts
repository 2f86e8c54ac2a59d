/** Every decoder over a few hundred mutants; the long suite does millions. */
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { fuzz } from "./check.ts";
import { fileTargets, TARGETS } from "./targets.ts";

const CASES = 400;
const SEED = 20_261_122;

const directory = fs.mkdtempSync(path.join(os.tmpdir(), "proofmesh-fuzz-"));
afterAll(() => fs.rmSync(directory, { recursive: true, force: true }));

describe("whatever the bytes, the answer is a code or the same bytes again", () => {
  for (const target of [...TARGETS, ...fileTargets(directory)]) {
    it(`read as: ${target.name}`, () => {
      const tally = fuzz(target, CASES, SEED);
      // Not all of what it was given to start from is legal bytes, but some is, and mutants of it are not.
      expect(tally.accepted).toBeGreaterThan(0);
      expect(tally.codes.size).toBeGreaterThan(0);
    });
  }
});
