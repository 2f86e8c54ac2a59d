import { readdirSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { readConfig } from "../src/config.ts";
import { unknownPlaceholder } from "../src/provers/process.ts";

const EXAMPLES = join(import.meta.dirname, "../config/provers");

describe("the example configurations for provers", () => {
  it.each(readdirSync(EXAMPLES))("%s is read without a mistake", (name) => {
    const { provers } = readConfig(join(EXAMPLES, name), {}, {});
    expect(provers.length).toBeGreaterThan(0);
    for (const prover of provers)
      if (prover.kind === "process")
        expect(prover.args?.map(unknownPlaceholder).filter((each) => each !== null)).toEqual([]);
  });
});

describe("a configuration for servers that prove", () => {
  it("names every field that is wrong, with what is allowed", () => {
    const provers = [
      { kind: "ere", system: "sp1", url: "ftp://here", timeoutMs: 1 },
      { kind: "zkboost", system: "zisk", url: "http://here", proofType: "Reth Zisk", timeoutMs: 5000 },
    ] as never;
    expect(() => readConfig(undefined, {}, { provers })).toThrow(
      /provers\[0\]\.url.*http:\/\/[\s\S]*provers\[0\]\.timeoutMs[\s\S]*provers\[1\]\.proofType.*reth-zisk/,
    );
  });
});
