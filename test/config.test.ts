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
      { kind: "ere", system: "zisk", url: "http://here", input: "file", timeoutMs: 5000 },
    ] as never;
    expect(() => readConfig(undefined, {}, { provers })).toThrow(
      /provers\[0\]\.url.*http:\/\/[\s\S]*provers\[0\]\.timeoutMs[\s\S]*provers\[1\]\.input.*"payload" or "json"/,
    );
  });
});

describe("a configuration of sinks", () => {
  const account = { env: "REGISTRY_KEY" };
  const contract = { kind: "contract", rpc: { env: "RPC" }, evmChain: 1, address: `0x${"0a".repeat(20)}`, account };
  const wrong = (sinks: readonly object[]): string => {
    try {
      readConfig(undefined, {}, { sinks: sinks as never });
      return "";
    } catch (error) {
      return String(error);
    }
  };

  it("may name each kind, with its secrets elsewhere", () => {
    const sinks = [
      { kind: "file", path: "out" },
      { kind: "webhook", url: "https://here/", lookup: "https://here/{height}", secret: { file: "secret" } },
      contract,
      { kind: "ethproofs", chain: 1, cluster: 3, apiKey: { env: "ETHPROOFS_KEY" } },
    ];
    expect(wrong(sinks)).toBe("");
  });

  it("names every field that is wrong, with what is allowed", () => {
    const sinks = [
      { kind: "webhook", url: "ftp://here", lookup: "https://here/", takeoverMs: 1, name: "A Name" },
      { ...contract, address: "0x1", confirmations: 0, nodes: ["me"] },
      { kind: "ethproofs", chain: 1, cluster: 3, apiKey: { env: "PROOFMESH_KEY" } },
    ];
    const message = wrong(sinks);
    for (const place of ["url", "lookup", "takeoverMs", "name"]) expect(message).toContain(`sinks[0].${place} is`);
    for (const place of ["address", "confirmations", "nodes[0]"]) expect(message).toContain(`sinks[1].${place} is`);
    expect(message).toContain("does not start with PROOFMESH_");
  });

  it("does not show what was written where a secret is named", () => {
    const secret = `0x${"5e".repeat(32)}`;
    const message = wrong([
      { ...contract, account: secret, rpc: "wss://provider/my-key" },
      { kind: "webhook", url: "https://here/", secret },
    ]);
    expect(message).toContain("sinks[0].account is");
    expect(message).not.toMatch(/5e5e|my-key/);
  });
});
