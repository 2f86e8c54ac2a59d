/**
 * Three node processes that record on one contract, compete for it, and are killed at random moments, each by itself: set
 * up with the commands that an operator has. A fourth node records nothing and is never killed.
 */
import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { afterEach, expect, onTestFinished, test } from "vitest";
import { LOSSES } from "../../simnet/checkers/durability.ts";
import { EXIT } from "../../src/cli/exit.ts";
import type { NodeStatus } from "../../src/node.ts";
import { contentHash, type BarrierContent } from "../../src/protocol/certificate.ts";
import { type DevChain, startDevChain } from "../../src/sources/devchain.ts";
import { nextBlock, type RpcBlock, submit } from "../node/blocks.ts";
import { flagsOf, makeMembers, type Member, type Members } from "../node/members.ts";
import { endAll, eventually, type LogLine, runCli, type StartedNode, startCli } from "../node/processes.ts";
import { keyOf, Registry } from "../sinks/evm.ts";
import { certificatesOf, certifiedBy, pause, seeded } from "./nodes.ts";

const BLOCKS = 50;
const SEED = 1;
const RECORDERS = 3;
/** Blocks that may be submitted and not certified. */
const AHEAD_MAX = 8;
/** A quorum by itself: it is about recording, and blocks go on to be certified however many recorders are away. */
const ANCHOR_WEIGHT = 7;
const PROVING_MS = 20;
const START_MS = 60_000;
const END_MS = 300_000;

afterEach(endAll);

/** Mines by itself, so that what a kill leaves in the pool waits there for a while. */
async function openChain(): Promise<DevChain> {
  const started = await startDevChain({ blockTimeS: 0.3 });
  if (!started.ok) throw new Error(started.fault.message);
  onTestFinished(() => started.value.close());
  return started.value;
}

async function asked<T>(...args: readonly string[]): Promise<T> {
  const ended = await runCli([...args, "--json"]);
  expect(ended).toMatchObject({ status: EXIT.ok, stderr: "" });
  return JSON.parse(ended.stdout) as T;
}

/** Accounts with money, the contract, and a configuration for each recorder. */
async function setUp(chain: DevChain, members: Members): Promise<{ registry: Registry; configs: readonly string[] }> {
  const recorders = members.list.slice(0, RECORDERS);
  const accounts = recorders.map(({ data }) => path.join(data, "registry.account"));
  const addresses: string[] = [];
  for (const account of accounts) {
    const { address } = await asked<{ readonly address: string }>("registry", "account", account);
    await chain.call("anvil_setBalance", [address, `0x${(10n ** 18n).toString(16)}`]);
    addresses.push(address);
  }
  const owner = path.join(members.dir, "owner.account");
  writeFileSync(owner, keyOf(0));
  const where = ["--network", members.manifest, "--rpc", chain.url, "--key-file", owner];
  const allowed = addresses.flatMap((address) => ["--recorder", address]);
  const { address, evmChain } = await asked<{ readonly address: `0x${string}`; readonly evmChain: number }>(
    "registry",
    "deploy",
    ...where,
    ...allowed,
  );
  const nodes = recorders.map(({ key }) => key);
  const configs = recorders.map(({ data }, index) => {
    const account = { file: accounts[index] };
    const turns = { nodes, takeoverMs: 700, stuckMs: 2000 };
    const sink = { kind: "contract", name: "registry", rpc: chain.url, evmChain, address, account, ...turns };
    const file = path.join(data, "config.json");
    writeFileSync(file, JSON.stringify({ sinks: [sink] }));
    return file;
  });
  return { registry: Registry.at(chain, address), configs };
}

/** A node that is killed and comes back until it is told to stay. */
class Mortal {
  kills = 0;
  node: StartedNode | null = null;
  readonly log: LogLine[] = [];
  readonly #start: () => Promise<StartedNode>;
  #last: LogLine[] = [];

  constructor(start: () => Promise<StartedNode>) {
    this.#start = start;
  }

  async start(): Promise<StartedNode> {
    const node = await this.#start();
    this.#last = node.log as LogLine[];
    this.node = node;
    return node;
  }

  /** Killed at a moment of its choice, away for up to as long, until `isOver`. */
  async live(random: () => number, isOver: () => boolean): Promise<void> {
    for (;;) {
      await pause(500 + random() * 4000);
      if (isOver()) return;
      const { node } = this;
      if (node === null) throw new Error("it was not started");
      expect(node.isRunning(), "a node ended by itself").toBe(true);
      this.node = null;
      node.signal("SIGKILL");
      await node.ended;
      this.kills++;
      this.log.push(...this.#last);
      await pause(random() * 1500);
      await this.start();
    }
  }

  /** All that it has said in all its lives. */
  said(): readonly LogLine[] {
    return [...this.log, ...this.#last];
  }
}

test("fifty blocks are recorded in order, each once, by three processes that are killed and come back", async () => {
  const beganMs = performance.now();
  const chain = await openChain();
  const members = makeMembers(RECORDERS + 1, {}, (json) => {
    const attesters = json.attesters.map(({ key }, index) => ({
      key,
      weight: index === RECORDERS ? ANCHOR_WEIGHT : 1,
    }));
    return { ...json, attesters, sources: json.sources.slice(-1) };
  });
  const { registry, configs } = await setUp(chain, members);
  const anchor = await startCli(flagsOf(members, members.list[RECORDERS] as Member, PROVING_MS), START_MS);
  const mortals = configs.map((config, index) => {
    const flags = flagsOf(members, members.list[index] as Member, PROVING_MS);
    return new Mortal(() => startCli([...flags, "--config", config, "--bootstrap", anchor.address], START_MS));
  });
  await Promise.all(mortals.map((mortal) => mortal.start()));

  let isOver = false;
  const lives = mortals.map((mortal, index) => mortal.live(seeded(SEED * RECORDERS + index), () => isOver));
  const blocks: RpcBlock[] = [];
  const fed = (async () => {
    while (blocks.length < BLOCKS) {
      const block = nextBlock(blocks.at(-1) ?? null);
      await submit(anchor.http, block);
      blocks.push(block);
      while (blocks.length - (await certifiedBy(anchor)) > AHEAD_MAX) await pause(100);
    }
  })();
  const recordedAll = eventually(
    `${BLOCKS} blocks are recorded`,
    async () => ((await registry.heights()).length >= BLOCKS ? true : null),
    END_MS,
  );
  await Promise.race([Promise.all([fed, recordedAll]), Promise.all(lives)]);
  isOver = true;
  await Promise.all(lives);

  // Whoever was killed last learns from the contract what the others have recorded.
  await eventually(
    "every recorder knows that all are there",
    async () => {
      const all = await Promise.all(
        mortals.map(async ({ node }) => (await (await fetch(`${node?.http}/status`)).json()) as NodeStatus),
      );
      const lines = all.map(({ sinks }) => sinks.find(({ sink }) => sink === "registry"));
      return lines.every((line) => line?.delivered === BLOCKS) ? true : null;
    },
    60_000,
  );
  const recorded = await registry.recorded();
  expect(recorded.map(({ height }) => height)).toEqual(Array.from({ length: BLOCKS }, (_, index) => index + 1));
  expect(recorded.map(({ hash }) => `0x${hash}`)).toEqual(blocks.map(({ hash }) => hash));
  const contents = (await certificatesOf(anchor, BLOCKS)).map(
    ({ certificate }) => (JSON.parse(certificate) as { readonly content: BarrierContent }).content,
  );
  expect(recorded.map(({ content }) => content)).toEqual(contents.map(contentHash));

  const said = mortals.map((mortal) => mortal.said());
  expect(said.flat().filter(({ event }) => LOSSES.has(event) || event === "sink.passed")).toEqual([]);
  const count = (event: string): number[] =>
    said.map((log) => log.filter((line) => line.event === event && line["sink"] === "registry").length);
  const kills = mortals.map((mortal) => mortal.kills);
  const by = (recorder: string): number => recorded.filter((each) => each.recorder === recorder).length;
  const shares = [...new Set(recorded.map(({ recorder }) => recorder))].map(by);
  process.stdout.write(
    `${BLOCKS} blocks in ${Math.round((performance.now() - beganMs) / 1000)} s; kills ${kills.join(", ")}; ` +
      `recorded ${shares.join(", ")}; delivered ${count("sink.delivered").join(", ")}; ` +
      `found there ${count("sink.skipped").join(", ")}; failed ${count("sink.failed").join(", ")}\n`,
  );
  expect(kills.every((each) => each > 2)).toBe(true);
  expect(shares).toHaveLength(RECORDERS);
  const cursor = path.join(members.list[0]?.data ?? "", "sinks", "registry.json");
  expect(readFileSync(cursor, "utf8")).toContain(`"height":${BLOCKS}`);
});
