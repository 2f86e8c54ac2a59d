/** A network 50,000 batches old, on real disks: an attester that was away comes back, and a newcomer joins. */
import { afterEach, expect, it } from "vitest";
import { readManifestFile } from "../../src/node.ts";
import { CLOCK } from "../../src/node/clock.ts";
import { settled } from "../../src/node/fault.ts";
import type { JournalFloor, StoredGone } from "../../src/ports.ts";
import { type Batch, sealBatch } from "../../src/protocol/batch.ts";
import { openJournal } from "../../src/storage/journal.ts";
import { nodeSigner } from "../../src/storage/keystore.ts";
import { openLevelStore } from "../../src/storage/level.ts";
import path from "node:path";
import { nextBlock, type RpcBlock, submit } from "../node/blocks.ts";
import { flagsOf, makeMembers, type Member } from "../node/members.ts";
import { endAll, startCli, type LogLine, type StartedNode } from "../node/processes.ts";
import { hashOf } from "../protocol/fixtures.ts";
import { temporaryDirectory } from "../storage/directories.ts";
import { pause } from "./nodes.ts";

/** Batches of each of the three attesters that stayed, and how many of them are kept. */
const BATCHES = 16_700;
const KEPT = 300;
/** Batches of each feed when the fourth attester left. */
const LEFT_AT = 1000;
const BLOCK_MS = 500;
const WAIT_MS = 120_000;
/** From when both processes are up until the one votes and the other has proven. */
const TOOK_MS_MAX = 30_000;
const NETWORK = ["--listen", "/ip4/127.0.0.1/tcp/0", "--http", "127.0.0.1:0", "--profile", "local"];

afterEach(endAll);

/** Batches `from` to below `to` of the member's feed. */
function batchesOf(network: string, { seed }: Member, from: number, to: number): Batch[] {
  const signer = nodeSigner(seed);
  const batches: Batch[] = [];
  for (let number = from; number < to; number++) {
    const head = { author: signer.key, number, previous: batches.at(-1)?.hash ?? hashOf(`before ${from}`) };
    batches.push(sealBatch(network, head, [{ kind: "beat", tasks: [] }], (message) => signer.sign(message)));
  }
  return batches;
}

/** A disk on which these batches are left of all feeds. */
async function fill(member: Member, feeds: readonly (readonly Batch[])[]): Promise<void> {
  const own = feeds.flat().filter(({ head }) => head.author === member.key);
  const last = own.at(-1);
  if (last === undefined) throw new Error("a member without a feed");
  const floor: JournalFloor = { next: last.head.number + 1, previous: last.hash, closed: {} };
  const journal = openJournal({ dir: member.data, key: member.key });
  journal.load();
  const records = own.map(({ bytes }) => bytes);
  await settled<void>((done) => journal.compact(floor, records, done));
  await new Promise<void>((resolve) => journal.close(resolve));
  const telemetry = { emit: () => {}, count: () => {} };
  const { store } = await openLevelStore({ dir: path.join(member.data, "level") }, { clock: CLOCK, telemetry });
  const batches = feeds.flat().map(({ head, bytes }) => ({ author: head.author, number: head.number, bytes }));
  const gone = feeds.map(([first]): StoredGone => {
    if (first === undefined) throw new Error("a feed without batches");
    return { author: first.head.author, spans: [{ from: 0, to: first.head.number }] };
  });
  await settled<void>((done) => store.write({ batches, gone, sync: true }, done));
  await store.close();
}

/** Submits blocks one after the other until told to stop. */
function miner(node: StartedNode): { readonly stop: () => Promise<void> } {
  const stopped = new AbortController();
  const run = async () => {
    for (let block: RpcBlock = nextBlock(null); !stopped.signal.aborted; await pause(BLOCK_MS)) {
      // A busy machine may take longer than the request waits. The block is then submitted again.
      const isTaken = await submit(node.http, block).then(
        () => true,
        () => false,
      );
      if (isTaken) block = nextBlock(block);
    }
  };
  const done = run();
  return {
    stop: () => {
      stopped.abort();
      return done;
    },
  };
}

function certifies(key: string, after: number): (line: LogLine) => boolean {
  return ({ event, height, provers }) =>
    event === "block.certified" && Number(height) > after && (key === "" || (provers as string[]).includes(key));
}

it("both have all that is kept, and vote and prove within half a minute", async () => {
  const members = makeMembers(4, { admission: "open" });
  const manifest = readManifestFile(members.manifest);
  const [away, ...present] = members.list.toReversed();
  if (away === undefined) throw new Error("no members");
  const kept = present.map((member) => batchesOf(manifest.network, member, BATCHES - KEPT, BATCHES));
  const old = present.map((member) => batchesOf(manifest.network, member, LEFT_AT - 50, LEFT_AT));
  const own = batchesOf(manifest.network, away, LEFT_AT - 50, LEFT_AT);
  for (const member of present) await fill(member, [...kept, own.slice(-1)]);
  await fill(away, [...old, own]);

  const nodes: StartedNode[] = [];
  for (const member of present) {
    const known = nodes.flatMap(({ address }) => ["--bootstrap", address]);
    nodes.push(await startCli([...flagsOf(members, member, 50), ...known]));
  }
  const [first, second, third] = nodes;
  if (first === undefined || second === undefined || third === undefined) throw new Error("three attesters stayed");
  const mine = miner(first);
  await first.line("the three certify", certifies("", 0), WAIT_MS);

  const beganMs = performance.now();
  const since = () => Math.round(performance.now() - beganMs);
  const joined = path.join(temporaryDirectory(), "newcomer");
  const where = ["--data", joined, "--join", `${members.network}@${first.address}`, "--mock", "50", ...NETWORK];
  const bootstrap = ["--bootstrap", first.address, "--bootstrap", second.address];
  const [back, newcomer] = await Promise.all([
    startCli([...flagsOf(members, away, 50), ...bootstrap], WAIT_MS),
    startCli([...where, "--bootstrap", second.address], WAIT_MS),
  ]);
  const upMs = since();
  await back.line("its own feed is confirmed", ({ event }) => event === "feed.confirmed", WAIT_MS);
  const confirmedMs = since();
  // With three of four attesters each has to vote.
  third.signal("SIGKILL");
  await third.ended;
  const killedAt = Math.max(...first.log.filter(certifies("", 0)).map(({ height }) => Number(height)));
  const [, { height }] = await Promise.all([
    first.line("the attester votes that was away", certifies("", killedAt + 1), WAIT_MS).then(() => since()),
    first.line("the newcomer has proven a part of a block", certifies(newcomer.key, 0), WAIT_MS),
  ]);
  const tookMs = since();
  for (const node of [back, newcomer]) {
    const skipped = node.log.filter(({ event }) => event === "feed.skipped");
    expect(skipped.map(({ author }) => author)).toEqual(expect.arrayContaining(present.map(({ key }) => key)));
  }
  await mine.stop();
  expect(tookMs - upMs).toBeLessThan(TOOK_MS_MAX);
  const figures = { upMs, confirmedMs, tookMs, height: Number(height), killedAt };
  console.log(`50,000 batches, of which ${3 * KEPT} are kept: ${JSON.stringify(figures)}`);
  expect(back.isRunning() && newcomer.isRunning()).toBe(true);
});
