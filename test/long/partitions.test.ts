/** Two partitions of four attesters, of which two nodes are in both, as six processes: one partition loses its quorum. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { EXIT } from "../../src/cli/exit.ts";
import { defaultKeys } from "../../src/config.ts";
import { createKeys, type NodeStatus } from "../../src/node.ts";
import { nextBlock, type RpcBlock, submit } from "../node/blocks.ts";
import { endAll, eventually, runCli, type StartedNode, startCli } from "../node/processes.ts";

const [WEST, EAST] = [1, 10];
const WAIT_MS = 60_000;
const BLOCKS = 9;
/** What a busy machine adds to a median of nine. */
const NOISE_MS = 500;

const dir = mkdtempSync(path.join(os.tmpdir(), "proofmesh-"));
const manifest = path.join(dir, "manifest.json");
const datas = Array.from({ length: 6 }, (_, index) => path.join(dir, `node-${index}`));
const nodes: StartedNode[] = [];
const tips = new Map<number, RpcBlock>();

beforeAll(async () => {
  const keys = datas.map((data) => {
    mkdirSync(data, { mode: 0o700 });
    return createKeys(defaultKeys(data)).key;
  });
  const attesters = keys.flatMap((key) => ["--attester", key]);
  const chains = ["--chain", `${WEST}:1`, "--chain", `${EAST}:1`];
  const partitions = [
    "--partition",
    `west:${WEST}:${keys.slice(0, 4).join(",")}`,
    "--partition",
    `east:${EAST}:${keys.slice(2).join(",")}`,
  ];
  const network = ["--network", "divided", "--manifest", manifest, "--mock", "--shards", "2"];
  const made = await runCli(["init", "--data", datas[0] ?? "", ...network, ...attesters, ...chains, ...partitions]);
  expect(made).toMatchObject({ status: EXIT.ok, stderr: "" });
  nodes.push(await start(0, null));
  for (const index of [1, 2, 3, 4, 5]) nodes.push(await start(index, nodes[0] ?? null));
  await Promise.all(nodes.map((node) => healthy(node)));
}, 240_000);

afterAll(async () => {
  await endAll();
  rmSync(dir, { recursive: true, force: true });
});

/** Nodes 0 and 1 prove in the west only, 4 and 5 in the east, those of both for both with one slot. */
function start(index: number, first: StartedNode | null): Promise<StartedNode> {
  const where = ["--data", datas[index] ?? "", "--manifest", manifest, "--mock", "50"];
  const local = ["--listen", "/ip4/127.0.0.1/tcp/0", "--http", "127.0.0.1:0", "--profile", "local"];
  const partition = index < 2 ? ["--partition", "west"] : index > 3 ? ["--partition", "east"] : [];
  const bootstrap = first === null ? [] : ["--bootstrap", first.address];
  return startCli([...where, ...local, ...partition, ...bootstrap], WAIT_MS);
}

async function statusOf(node: StartedNode): Promise<NodeStatus> {
  return (await (await fetch(`${node.http}/status`)).json()) as NodeStatus;
}

function healthy(node: StartedNode): Promise<true> {
  return eventually(
    `node ${node.key.slice(0, 12)} hears all attesters of its partitions, and signs`,
    async () => {
      const { partitions } = await statusOf(node);
      const isWhole = partitions.every(
        ({ mute, attesters }) => mute === null && (attesters?.missing ?? []).length === 0,
      );
      return isWhole ? true : null;
    },
    WAIT_MS,
  );
}

function at(index: number): StartedNode {
  const node = nodes[index];
  if (node === undefined) throw new Error(`no node ${index}`);
  return node;
}

async function announce(index: number, chain: number): Promise<number> {
  const block = nextBlock(tips.get(chain) ?? null);
  tips.set(chain, block);
  await submit(at(index).http, block, chain);
  // More than a third of the six sources; nodes 2 and 3 take part in both partitions.
  await submit(at(index === 3 ? 2 : 3).http, block, chain);
  return Number(block.number);
}

const certified = (index: number, chain: number, height: number): Promise<true> =>
  eventually(
    `node ${index} has the certificate of ${chain}/${height}`,
    async () => ((await fetch(`${at(index).http}/certificates/${chain}/${height}`)).ok ? true : null),
    WAIT_MS,
  );

/** From a block's announcement to its certificate. */
async function medianMs(index: number, chain: number): Promise<number> {
  const delays: number[] = [];
  for (let block = 0; block < BLOCKS; block++) {
    const beganMs = performance.now();
    await certified(index, chain, await announce(index, chain));
    delays.push(performance.now() - beganMs);
  }
  return delays.sort((a, b) => a - b)[Math.floor(BLOCKS / 2)] ?? 0;
}

test("the one without a quorum stalls and says why, the other notices nothing, and what is back catches up", async () => {
  // Both at once, as they will be needed later.
  await Promise.all([medianMs(5, EAST), medianMs(1, WEST)]);
  const beforeMs = await medianMs(0, WEST);
  const gone = [4, 5].map(at);
  for (const node of gone) node.signal("SIGKILL");
  await Promise.all(gone.map(({ ended }) => ended));
  const stalled = await announce(2, EAST);
  const { stdout } = await eventually("the command line says why the east waits", async () => {
    const status = await runCli(["status", "--http", at(2).http]);
    return status.stdout.includes("WAITS") ? status : null;
  });
  expect(stdout).toMatch(
    /partition east {2}chains 10 {2}.*attester.*\n {12}WAITS: attesters of weight 2 are connected, a quorum is 3/,
  );
  const afterMs = await medianMs(0, WEST);
  const figures = `median of ${BLOCKS} blocks in the west: ${beforeMs.toFixed(0)} ms before, ${afterMs.toFixed(0)} ms while the east stalls`;
  if (process.env["REPORT"] !== undefined) console.log(figures);
  expect(afterMs, figures).toBeLessThan(beforeMs + NOISE_MS);
  expect((await fetch(`${at(2).http}/certificates/${EAST}/${stalled}`)).status).toBe(404);

  for (const index of [4, 5]) nodes[index] = await start(index, at(0));
  for (const index of nodes.keys()) await certified(index, EAST, stalled);
}, 300_000);

test("the certificates of the partition that a node takes no part in are exported and checked like its own", async () => {
  const { counters } = await statusOf(at(0));
  expect(Object.keys(counters["network.channel"] ?? {}).sort()).toEqual(["certificates", "west"]);
  const file = path.join(dir, "east.json");
  const [latest, listed] = await Promise.all([
    runCli(["certificate", "latest", "--chain", String(EAST), "--http", at(0).http]),
    runCli(["status", "--http", at(0).http]),
  ]);
  expect(listed.stdout).toContain(`partition east  chains ${EAST}  not here, only its certificates`);
  expect(latest).toMatchObject({ status: EXIT.ok, stderr: "" });
  writeFileSync(file, latest.stdout);
  const holds = await runCli(["verify", file, "--network", manifest]);
  expect(holds).toMatchObject({ status: EXIT.ok, stderr: "" });
  expect(holds.stdout).toContain(`holds  ${EAST}/${Number(tips.get(EAST)?.number)}  `);
}, 60_000);

test("a stopped node's files have the logs of its partitions, and the certificates of all", async () => {
  const stopped = at(2);
  stopped.signal("SIGINT");
  await stopped.ended;
  const data = datas[2] ?? "";
  const [log, certificate] = await Promise.all([
    runCli(["log", "--data", data]),
    runCli(["certificate", "1", "--chain", String(EAST), "--data", datas[0] ?? ""]),
  ]);
  expect(log.status).toBe(EXIT.ok);
  const lines = log.stdout.trim().split("\n");
  const partitions = lines.map((line) => (JSON.parse(line) as { readonly partition: string }).partition);
  expect(new Set(partitions)).toEqual(new Set(["east", "west"]));
  // Node 0 still runs, so its endpoint answers.
  expect(certificate.status).toBe(EXIT.ok);
  at(0).signal("SIGINT");
  await at(0).ended;
  const offline = await runCli(["certificate", "1", "--chain", String(EAST), "--data", datas[0] ?? ""]);
  expect(offline.stdout).toBe(certificate.stdout);
}, 120_000);
