/**
 * Ranges of a real chain's blocks, proven for real on four node processes of which one is killed: whole where the circuit has
 * room for all their transactions, else in two or four pieces, and aggregated.
 */
import path from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { exportAll, verifyAll, verifyTampered } from "../../simnet/local/check.ts";
import { Judge } from "../../simnet/local/judge.ts";
import { type Duty, Fleet } from "../../simnet/local/nodes.ts";
import { Watch } from "../../simnet/local/watch.ts";
import { readManifestFile } from "../../src/node.ts";
import type { BarrierContent } from "../../src/protocol/certificate.ts";
import type { StageJson } from "../../src/protocol/stages.ts";
import { startDevChain } from "../../src/sources/devchain.ts";
import { temporaryDirectory } from "../storage/directories.ts";

const SIZE = 3;
const DUTIES: readonly Duty[] = Array<Duty>(4).fill("attests-and-proves");
const WAIT_MS = 120_000;
/** Transactions in each block of a range, and in how many pieces a circuit with room for eight takes the range. */
const RANGES = [
  { transactions: 2, pieces: 1 },
  { transactions: 4, pieces: 2 },
  { transactions: 8, pieces: 4 },
  { transactions: 1, pieces: 1 },
];

test("a range too large for one proof is proven in two or four pieces, and no certificate is missing", async () => {
  const started = await startDevChain({ blockTimeS: null, slotsInEpoch: 1 });
  if (!started.ok) throw new Error(started.fault.message);
  const chain = started.value;
  onTestFinished(() => chain.close());
  const stages: StageJson[] = [
    { name: "range", system: "groth16-shard", key: "shard", tasks: { split: [1, 2, 4] }, limitMs: 120_000 },
    { name: "aggregate", system: "groth16-batch", key: "batch", tasks: { takes: "range" }, limitMs: 120_000 },
  ];
  const watch = new Watch(WAIT_MS, new AbortController().signal, () => {});
  const fleet = await Fleet.create(
    {
      directory: temporaryDirectory(),
      duties: DUTIES,
      shards: 1,
      window: 4,
      mockMs: null,
      fragment: { workflows: { block: { window: 4, range: SIZE, stages } }, keys: {} },
      oneSystem: false,
      chain: { id: chain.chain, url: chain.url },
      links: null,
      seed: 1,
    },
    (node, line) => watch.take(node, line),
  );
  onTestFinished(async () => {
    for (const node of fleet.nodes) watch.expectExit(node);
    await fleet.close(10_000);
  });
  await Promise.all(fleet.nodes.map((node) => fleet.start(node)));
  await watch.until(
    () => fleet.nodes.every((node) => watch.peersOf(node).size === fleet.nodes.length - 1),
    "all nodes see each other",
  );

  // Blocks 1 and 2 are of a range that nobody follows from its beginning.
  await chain.mine(2);
  const [victim, ...others] = fleet.nodes;
  const [observer] = others;
  if (victim === undefined || observer === undefined) throw new Error("no nodes");
  for (const [at, { transactions }] of RANGES.entries()) {
    if (at === 1) {
      watch.expectExit(victim);
      await fleet.kill(victim);
    }
    for (let block = 0; block < SIZE; block++) {
      await chain.send(transactions);
      await chain.mine(1);
    }
    await watch.until(() => others.every((node) => watch.heldBy(node).size > at), `range ${at + 1} is certified`);
  }
  watch.expectNoExit(victim);
  await fleet.start(victim);
  const wanted = RANGES.map((_, at) => at + 1);
  await watch.until(
    () => fleet.nodes.every((node) => wanted.every((height) => watch.heldBy(node).has(height))),
    "all nodes hold all certificates",
  );

  const { attesters, limits } = fleet.manifest;
  const { network } = readManifestFile(fleet.manifestFile);
  const keys = attesters.map(({ key }) => key);
  const { retentionBlocks } = limits;
  const judge = new Judge({ network, attesters: keys, retentionBlocks, chain: chain.chain }, watch);
  const held = await judge.certificatesOf(observer);
  const contents = held.map(
    ({ certificate }) => (JSON.parse(certificate) as { readonly content: BarrierContent }).content,
  );
  expect(contents.map(({ height, items }) => ({ height, items }))).toEqual(
    RANGES.map(({ transactions }, at) => ({ height: at + 1, items: SIZE * transactions })),
  );
  const pieces = contents.map(({ tasks }) => tasks.filter(({ stage }) => stage === "range").length);
  expect(pieces).toEqual(RANGES.map((range) => range.pieces));
  for (const [at, { parent }] of contents.slice(1).entries()) expect(parent).toBe(contents[at]?.hash);

  const proofs = path.join(temporaryDirectory(), "proofs");
  const exported = await exportAll(fleet.nodes, held, proofs);
  await verifyAll(exported, fleet.manifestFile, proofs);
  expect(await verifyTampered(exported, fleet.manifestFile, proofs)).toBe(3);
  await judge.collect(fleet.nodes);
  expect([...watch.violations, ...judge.finish(true).violations]).toEqual([]);
}, 600_000);
