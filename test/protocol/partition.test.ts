import { describe, expect, it } from "vitest";
import { checkCertificate, encodeCertificate } from "../../src/protocol/certificate.ts";
import type { ManifestJson } from "../../src/protocol/manifest.ts";
import { readManifest } from "../../src/protocol/manifest.ts";
import { partitionOfChain, partitionsOf } from "../../src/protocol/partition.ts";
import { describeShapeError } from "../../src/protocol/shape.ts";
import { hashOf, manifestJson, manifestOf, signerNamed } from "./fixtures.ts";

const keys = ["a", "b", "c", "d", "e", "f"].map((name) => signerNamed(name).key);
const chains = [1, 2, 3].map((id) => ({ id, start: 1, confirmations: 0, workflow: "block" }));
const west = { name: "west", chains: [1, 3], attesters: keys.slice(0, 4) };
const east = { name: "east", chains: [2], attesters: keys.slice(3) };

function linesOf(partitions: ManifestJson["partitions"]): string[] {
  const read = readManifest(manifestJson(keys, { chains, partitions }));
  return read.ok ? [] : read.errors.map((error) => describeShapeError(error, "manifest"));
}

describe("partitions", () => {
  it("are the network itself, unchanged, where the manifest names none", () => {
    const manifest = manifestOf(keys, { chains });
    expect(partitionsOf(manifest)).toEqual([{ name: null, manifest }]);
    expect(partitionOfChain(manifest, 3)?.manifest).toBe(manifest);
  });

  it("have their own chains, attesters, quorum and network id", () => {
    const manifest = manifestOf(keys, { chains, partitions: [west, east] });
    const [one, two] = partitionsOf(manifest).map((partition) => partition.manifest);
    expect(one?.json.chains.map(({ id }) => id)).toEqual([1, 3]);
    expect([...(two?.weights.keys() ?? [])]).toEqual(keys.slice(3));
    expect([manifest, one, two].map((each) => [each?.weight, each?.quorum, each?.oneHonest])).toEqual([
      [6, 5, 2],
      [4, 3, 2],
      [3, 3, 1],
    ]);
    expect(new Set([manifest, one, two].map((each) => each?.network)).size).toBe(3);
    expect(partitionOfChain(manifest, 2)?.name).toBe("east");
    expect(partitionOfChain(manifest, 4)).toBeNull();
  });

  it("weigh their attesters as the manifest does", () => {
    const attesters = keys.map((key, at) => ({ key, weight: at + 1 }));
    const manifest = manifestOf(keys, { chains, attesters, partitions: [west, east] });
    expect(partitionsOf(manifest).map((partition) => partition.manifest.weight)).toEqual([1 + 2 + 3 + 4, 4 + 5 + 6]);
  });

  it("have of the listed provers those that they name, or all", () => {
    const manifest = manifestOf(keys, { chains, partitions: [{ ...west, provers: keys.slice(0, 2) }, east] });
    const provers = partitionsOf(manifest).map((each) => each.manifest.json.provers.list.map(({ key }) => key));
    expect(provers).toEqual([keys.slice(0, 2), keys]);
  });

  it("report every mistake at once, each with its place", () => {
    const stranger = signerNamed("z").key;
    const lines = linesOf([
      { name: "west", chains: [1, 9], attesters: [keys[0] ?? "", keys[0] ?? "", stranger] },
      { name: "west", chains: [1], attesters: keys.slice(3), provers: [stranger] },
    ]);
    expect(lines.sort()).toEqual(
      [
        "manifest: partitions[0].chains[1] is 9; allowed: one of the chains 1, 2, 3",
        `manifest: partitions[0].attesters[1] is "${keys[0]}"; allowed: a key that is not listed before`,
        `manifest: partitions[0].attesters[2] is "${stranger}"; allowed: the key of one of the manifest's attesters`,
        'manifest: partitions[1].name is "west"; allowed: a name that no earlier partition has',
        "manifest: partitions[1].chains[0] is 1; allowed: a chain that is not in partitions[0].chains[0]",
        `manifest: partitions[1].provers[0] is "${stranger}"; allowed: the key of one of the manifest's provers`,
        "manifest: chains[1].id is 2; allowed: a chain that a partition names",
        "manifest: chains[2].id is 3; allowed: a chain that a partition names",
      ].sort(),
    );
  });

  it("need chains and attesters", () => {
    expect(linesOf([{ name: "none", chains: [], attesters: [] }])).toEqual([
      "manifest: partitions[0].chains is []; allowed: 1 to 100 chain ids",
      "manifest: partitions[0].attesters is []; allowed: 1 to 100 keys",
    ]);
    expect(linesOf([])).toEqual(["manifest: partitions is []; allowed: 1 to 16 partitions"]);
  });

  it("certify no chain of another", () => {
    const [one] = partitionsOf(manifestOf(keys, { chains, partitions: [west, east] }));
    if (one === undefined) throw new Error("no partition");
    const content = {
      network: one.manifest.network,
      chain: 2,
      height: 1,
      hash: hashOf("block"),
      parent: hashOf("parent"),
      start: true,
      workflow: "block",
      items: 1,
      payload: hashOf("payload"),
      before: "",
      after: "",
      tasks: [],
      format: 1 as const,
      lost: [],
    };
    expect(checkCertificate(one.manifest, encodeCertificate(content, []), () => true)).toMatchObject({
      code: "certificate.tasks",
      message: "it is of chain 2; its attesters' chains are 1, 3",
    });
  });
});
