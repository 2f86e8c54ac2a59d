/** Two partitions that share one node: what each hears, and what trouble in one does to the other. Over real sockets. */
import { mkdtempSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { readConfig } from "../../src/config.ts";
import { nativeEquation, type NodeStatus, openNode, type ProofmeshNode } from "../../src/node.ts";
import { checkCertificate, manifestFor } from "../../src/protocol/certificate.ts";
import type { ManifestJson } from "../../src/protocol/manifest.ts";
import { nextBlock, type RpcBlock, submit } from "./blocks.ts";
import { makeMembers, type Members } from "./members.ts";
import { eventually, type LogLine } from "./processes.ts";

const WEST = 1;
const EAST = 2;
const WAIT_MS = 30_000;

interface Running {
  readonly node: ProofmeshNode;
  readonly http: string;
  readonly log: LogLine[];
}

const dir: string = mkdtempSync(path.join(os.tmpdir(), "proofmesh-"));
const running: (Running | null)[] = [];
const tips = new Map<number, RpcBlock>();
let members: Members;

/** Node 0 is in the west, node 2 in the east, node 1 in both; each partition needs both of its attesters. */
beforeAll(async () => {
  members = makeMembers(3, {}, divided, dir);
  running.push(await start(0, []));
  const bootstrap = at(0).node.addresses;
  running.push(...(await Promise.all([1, 2].map((index) => start(index, bootstrap)))));
  await Promise.all([0, 1, 2].map((index) => connected(index)));
}, 60_000);

afterAll(async () => {
  for (const each of running) await each?.node.close();
  rmSync(dir, { recursive: true, force: true });
});

function divided(json: ManifestJson): ManifestJson {
  const keys = json.attesters.map(({ key }) => key);
  const chain = { start: 1, confirmations: 0, workflow: "block" };
  return {
    ...json,
    chains: [
      { id: WEST, ...chain },
      { id: EAST, ...chain },
    ],
    partitions: [
      { name: "west", chains: [WEST], attesters: keys.slice(0, 2), provers: keys.slice(0, 2) },
      { name: "east", chains: [EAST], attesters: keys.slice(1), provers: keys.slice(1) },
    ],
  };
}

async function start(index: number, bootstrap: readonly string[]): Promise<Running> {
  const log: LogLine[] = [];
  const config = readConfig(
    undefined,
    {},
    {
      data: members.list[index]?.data,
      manifest: members.manifest,
      listen: ["/ip4/127.0.0.1/tcp/0"],
      bootstrap: [...bootstrap],
      http: "127.0.0.1:0",
      provers: [{ kind: "mock", provingMs: 20 }],
      profile: "local",
      log: "json",
    },
  );
  const node = await openNode(config, (line) => log.push(JSON.parse(line) as LogLine));
  return { node, http: node.http ?? "", log };
}

function at(index: number): Running {
  const found = running[index];
  if (found === null || found === undefined) throw new Error(`node ${index} does not run`);
  return found;
}

async function statusOf({ http }: Running): Promise<NodeStatus> {
  return (await (await fetch(`${http}/status`)).json()) as NodeStatus;
}

function connected(index: number): Promise<true> {
  return eventually(
    `node ${index} is connected to the attesters of its partitions, and signs`,
    async () => {
      const { partitions } = await statusOf(at(index));
      return partitions.every(({ mute, why }) => mute === null && why === null) ? true : null;
    },
    WAIT_MS,
  );
}

/** The next block of a chain; resolves with its height. */
async function announce(index: number, chain: number): Promise<number> {
  const block = nextBlock(tips.get(chain) ?? null);
  tips.set(chain, block);
  await submit(at(index).http, block, chain);
  return Number(block.number);
}

async function certificate({ http }: Running, chain: number, height: number): Promise<Uint8Array | null> {
  const response = await fetch(`${http}/certificates/${chain}/${height}`);
  return response.ok ? new Uint8Array(await response.arrayBuffer()) : null;
}

const certified = (index: number, chain: number, height: number): Promise<Uint8Array> =>
  eventually(`node ${index} has ${chain}/${height}`, () => certificate(at(index), chain, height), WAIT_MS);

test("both partitions certify, and everybody gets the certificates of both and can check them", async () => {
  const heights = await Promise.all([announce(0, WEST), announce(2, EAST)]);
  for (const index of running.keys()) {
    for (const [position, chain] of [WEST, EAST].entries()) {
      const bytes = await certified(index, chain, heights[position] ?? 0);
      const { manifest } = at(index).node;
      expect(checkCertificate(manifestFor(manifest, bytes), bytes, nativeEquation)).toMatchObject({ ok: true });
    }
  }
}, 60_000);

test("a node of one partition hears no task, claim, receipt or vote of the other, only certificates", async () => {
  await certified(0, EAST, await announce(2, EAST));
  const { counters, partitions, chains } = await statusOf(at(0));
  const heard = counters["network.channel"] ?? {};
  expect(Object.keys(heard).sort()).toEqual(["certificates", "west"]);
  expect(partitions.map(({ name, roles }) => [name, roles === null])).toEqual([
    ["west", false],
    ["east", true],
  ]);
  expect(chains.find(({ id }) => id === EAST)?.certified).toBe(Number(tips.get(EAST)?.number));
  const lines = (await (await fetch(`${at(0).http}/log`)).text()).trim().split("\n");
  const logged = lines.map((line) => JSON.parse(line) as { readonly partition: string });
  expect(new Set(logged.map(({ partition }) => partition))).toEqual(new Set(["west"]));
}, 60_000);

test("a partition without a quorum says why it waits, the other goes on, and it catches up", async () => {
  await at(2).node.close();
  running[2] = null;
  const stalled = await announce(1, EAST);
  const why = await eventually("the east says why it waits", async () => {
    const { partitions } = await statusOf(at(1));
    return partitions.find(({ name }) => name === "east")?.why ?? null;
  });
  expect(why).toBe(`attesters of weight 1 are connected, a quorum is 2; missing: ${members.list[2]?.key.slice(0, 12)}`);
  await certified(0, WEST, await announce(1, WEST));
  expect(await certificate(at(1), EAST, stalled)).toBeNull();
  expect((await statusOf(at(1))).mute).toBeNull();
  running[2] = await start(2, at(0).node.addresses);
  for (const index of running.keys()) await certified(index, EAST, stalled);
}, 90_000);
