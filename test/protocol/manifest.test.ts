import { describe, expect, it } from "vitest";
import { chainIdOf, type ManifestJson, manifestSchema, readManifest } from "../../src/protocol/manifest.ts";
import { describeShapeError } from "../../src/protocol/shape.ts";
import { stagesOf } from "../../src/protocol/workflow.ts";
import { hashOf, manifestJson, manifestOf, signerNamed } from "./fixtures.ts";

const keys = ["a", "b", "c", "d"].map((name) => signerNamed(name).key);
const SMALL_ORDER = "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a";

function linesOf(input: unknown): string[] {
  const read = readManifest(input);
  return read.ok ? [] : read.errors.map((error) => describeShapeError(error, "manifest"));
}

function changed(change: (json: Record<string, never>) => void): unknown {
  const json = structuredClone(manifestJson(keys)) as unknown as Record<string, never>;
  change(json);
  return json;
}

describe("a manifest", () => {
  it("reports five mistakes at once, each with its place, what stands there and what is allowed", () => {
    const json = structuredClone(manifestJson(keys)) as unknown as Record<string, never> & {
      attesters: { key: string; weight: unknown }[];
      timing: { heartbeatMs: unknown };
      chains: { confirmations?: unknown }[];
    };
    json.attesters[1] = { key: "ABC", weight: 1.5 };
    json.timing.heartbeatMs = "500 ms";
    delete json.chains[0]?.confirmations;
    Object.assign(json, { atesters: [] });
    const key = "a public key of 64 lower-case hex digits (canonical, not of small order)";
    expect(linesOf(json).sort()).toEqual(
      [
        `manifest: attesters[1].key is "ABC"; allowed: ${key}`,
        "manifest: attesters[1].weight is 1.5; allowed: a whole number from 1 to 1000",
        "manifest: chains[0].confirmations is missing; allowed: a whole number from 0 to 10000",
        'manifest: timing.heartbeatMs is "500 ms"; allowed: a whole number from 50 to 60000 ms',
        "manifest: atesters is []; allowed: nothing (the key is unknown)",
      ].sort(),
    );
  });

  it("reports names that lead nowhere, duplicates and times that contradict each other together", () => {
    const json = manifestJson(keys);
    const [first, second] = json.workflows["block"]?.stages ?? [];
    const [attester] = json.attesters;
    if (first === undefined || second === undefined || attester === undefined) throw new Error("no stages");
    const wrong: ManifestJson = {
      ...json,
      attesters: [...json.attesters, attester],
      chains: [{ id: 1, start: 1, confirmations: 0, workflow: "blok" }],
      workflows: {
        block: {
          window: 2,
          stages: [
            { ...first, tasks: { takes: "aggregate" } },
            { ...second, key: "other" },
          ],
        },
      },
      timing: { ...json.timing, claimWindowMsMax: 100, leaseMs: 1999 },
      retry: { backoffMsMax: 499 },
    };
    expect(linesOf(wrong)).toEqual([
      `manifest: attesters[4].key is "${attester.key}"; allowed: a key that is not listed before`,
      'manifest: chains[0].workflow is "blok"; allowed: one of the workflows block',
      'manifest: workflows.block.stages[0].tasks.takes is "aggregate"; allowed: nothing: the first stage has no earlier one (shard takes aggregate takes shard is a cycle)',
      'manifest: workflows.block.stages[1].key is "other"; allowed: one of the keys mock',
      "manifest: timing.claimWindowMsMax is 100; allowed: at least claimWindowMs (500)",
      "manifest: timing.leaseMs is 1999; allowed: at least four heartbeats (2000)",
      "manifest: retry.backoffMsMax is 499; allowed: at least backoffMs (500)",
    ]);
  });

  it("proves again only chains that prove for the first time, from a height on", () => {
    const json = manifestJson(keys);
    const chain = (id: number, reproves?: number, start: number | "any" = 1) => {
      return { id, start, confirmations: 0, workflow: "block", ...(reproves === undefined ? {} : { reproves }) };
    };
    const chains = [chain(1), chain(2, 1, 5), chain(3, 3), chain(4, 2), chain(5, 1, "any"), chain(6, 9)];
    expect(linesOf({ ...json, chains })).toEqual([
      "manifest: chains[2].reproves is 3; allowed: a chain that re-proves none itself: 1",
      "manifest: chains[3].reproves is 2; allowed: a chain that re-proves none itself: 1",
      'manifest: chains[4].start is "any"; allowed: the height from which on blocks are proven again',
      "manifest: chains[5].reproves is 9; allowed: a chain that re-proves none itself: 1",
    ]);
  });

  it("bounds what one announcement can cost: the tasks of a block", () => {
    const json = manifestJson(keys);
    const [first] = json.workflows["block"]?.stages ?? [];
    if (first === undefined) throw new Error("no stage");
    const stages = Array.from({ length: 9 }, (_, at) => ({
      ...first,
      name: `s${at}`,
      tasks: { shards: 256, itemsMax: 1 },
    }));
    expect(linesOf({ ...json, workflows: { block: { window: 1, stages } } })).toEqual([
      'manifest: workflows.block.stages is "2304 tasks"; allowed: stages of at most 2048 tasks together',
    ]);
    const manifest = manifestOf(keys);
    expect(stagesOf(manifest, "block", 2047 * 8)?.map(({ count }) => count)).toEqual([2047, 1]);
    expect(stagesOf(manifest, "block", 2047 * 8 + 1)).toBe(null);
    expect(stagesOf(manifest, "block", 2 ** 32 - 1)).toBe(null);
  });

  it("is refused, not thrown at, whatever it is", () => {
    const absurd: unknown[] = [
      null,
      1,
      "x",
      [],
      {},
      { format: 2 },
      changed((json) => Object.assign(json, { keys: [] })),
    ];
    for (const input of absurd) expect(linesOf(input).length, JSON.stringify(input)).toBeGreaterThan(0);
    const polluted = JSON.parse(
      JSON.stringify(manifestJson(keys)).replace('"mock":{"system"', '"__proto__":{},"mock":{"system"'),
    ) as unknown;
    const read = readManifest(polluted);
    expect(read.ok && read.value.network).toBe(manifestOf(keys).network);
  });

  it("takes no key of small order, whose signatures verifiers disagree about", () => {
    expect(linesOf(manifestJson([...keys.slice(0, 3), SMALL_ORDER])).length).toBeGreaterThan(0);
  });

  it("has one id, however the file is laid out", () => {
    const json = manifestJson(keys);
    const reversed = Object.fromEntries(Object.entries(json).reverse());
    const spaced = JSON.parse(JSON.stringify(reversed, null, 4)) as unknown;
    const read = readManifest(spaced);
    expect(read.ok && read.value.network).toBe(manifestOf(keys).network);
    expect(manifestOf(keys, { name: "other" }).network).not.toBe(manifestOf(keys).network);
    expect(manifestOf([...keys].reverse()).network).not.toBe(manifestOf(keys).network);
  });

  it("may be read again from the bytes that are served to nodes that join", () => {
    const manifest = manifestOf(keys);
    const again = readManifest(JSON.parse(new TextDecoder().decode(manifest.bytes)) as unknown);
    expect(again).toEqual({ ok: true, value: manifest });
  });

  it("asks for floor(2n/3)+1 of the weight, so that two quorums share an honest attester", () => {
    const many = Array.from({ length: 100 }, (_, at) => signerNamed(`q${at}`).key);
    for (let count = 1; count <= 100; count++) {
      const { quorum, oneHonest, weight } = manifestOf(many.slice(0, count));
      const faulty = Math.ceil(weight / 3) - 1;
      expect(2 * quorum - weight).toBeGreaterThan(faulty);
      expect(oneHonest).toBe(faulty + 1);
      // Honest attesters alone must reach a quorum, or one silent attester would stop the network.
      expect(weight - faulty).toBeGreaterThanOrEqual(quorum);
    }
  });

  it("retries as it says, and as is usual where it says nothing", () => {
    const backoff = { backoffMs: 500, backoffMsMax: 60_000 };
    const pause = { pauseMs: 30_000, pauseMsMax: 3_600_000 };
    const usual = { attempts: 16, logicalProvers: 16, ...backoff, ...pause, hedgePercentile: null };
    expect(manifestOf(keys).retry).toEqual(usual);
    expect(manifestOf(keys, { retry: { attempts: 3 } }).retry).toEqual({ ...usual, attempts: 3 });
  });

  it("names verifying keys by the hash of their bytes", () => {
    expect(manifestOf(keys).keyHashes).toEqual(new Map([["mock", hashOf("mock")]]));
  });

  it("has a schema that editors can use", () => {
    expect(JSON.parse(JSON.stringify(manifestSchema()))).toMatchObject({ type: "object" });
  });

  it("knows what a chain's own nodes call it, also where the chain proves another's blocks once more", () => {
    const chain = { start: 1, confirmations: 0, workflow: "block" };
    const chains = [
      { id: 1, ...chain },
      { id: 1_000_001, ...chain, reproves: 1 },
    ];
    const read = readManifest(manifestJson(keys, { chains }));
    if (!read.ok) throw new Error("the manifest is refused");
    expect([1, 1_000_001].map((id) => chainIdOf(read.value, id))).toEqual([1, 1]);
  });
});
