/**
 * Blocks of a real chain, each shard proven for real with systems of three families of which two are enough, on six node
 * processes of which each has one: one family is slow, dies in the middle of its work, and comes back.
 */
import path from "node:path";
import { afterEach, expect, onTestFinished, test } from "vitest";
import { Judge } from "../../simnet/local/judge.ts";
import { exportAll, verifyAll } from "../../simnet/local/check.ts";
import { type Duty, Fleet, type LocalNode, type LogLine } from "../../simnet/local/nodes.ts";
import { Watch } from "../../simnet/local/watch.ts";
import { EXIT } from "../../src/cli/exit.ts";
import { type OpenTask, readFragmentFile, readManifestFile } from "../../src/node.ts";
import type { BarrierContent } from "../../src/protocol/certificate.ts";
import { familyOf } from "../../src/protocol/systems.ts";
import { type DevChain, startDevChain } from "../../src/sources/devchain.ts";
import { endAll, eventually, runCli } from "../node/processes.ts";
import { temporaryDirectory } from "../storage/directories.ts";

afterEach(endAll);

/** The file has four, which would only make it last longer. */
const SHARDS = 2;
const SYSTEMS = ["groth16-shard", "ultrahonk-shard", "stark-shard"];
/** Dealt in turn, so each system is proven by two nodes, and no system's two nodes are more than one attester in four. */
const DUTIES: readonly Duty[] = [...Array<Duty>(4).fill("attests-and-proves"), ...Array<Duty>(2).fill("proves")];
/** The slowest of them anyway. */
const THIRD = "ultrahonk-shard";
/** Of each second, for provers that are to be slow; less would not do within a task's limit on a busy machine. */
const SLOW = 0.2;
/** How long nothing may move; a proof takes seconds on a core of its own. */
const WAIT_MS = 180_000;

class Run {
  readonly chain: DevChain;
  readonly fleet: Fleet;
  readonly watch: Watch;
  readonly judge: Judge;
  readonly lines: { readonly node: LocalNode; readonly line: LogLine }[];
  mined = 0;

  private constructor(chain: DevChain, fleet: Fleet, watch: Watch, lines: Run["lines"]) {
    this.chain = chain;
    this.fleet = fleet;
    this.watch = watch;
    this.lines = lines;
    const { attesters, limits } = fleet.manifest;
    const { network } = readManifestFile(fleet.manifestFile);
    const { retentionBlocks } = limits;
    this.judge = new Judge(
      { network, attesters: attesters.map(({ key }) => key), retentionBlocks, chain: chain.chain },
      watch,
    );
  }

  static async begin(): Promise<Run> {
    const started = await startDevChain({ blockTimeS: null, slotsInEpoch: 1 });
    if (!started.ok) throw new Error(started.fault.message);
    const chain = started.value;
    onTestFinished(() => chain.close());
    const lines: Run["lines"] = [];
    const watch = new Watch(WAIT_MS, new AbortController().signal, (node, line) => void lines.push({ node, line }));
    const fragment = readFragmentFile("config/workflows/two-of-three.json");
    const workflows = JSON.parse(
      JSON.stringify(fragment.workflows).replace('"shards":4', `"shards":${SHARDS}`),
    ) as typeof fragment.workflows;
    const fleet = await Fleet.create(
      {
        directory: temporaryDirectory(),
        duties: DUTIES,
        shards: SHARDS,
        window: 4,
        mockMs: null,
        fragment: { ...fragment, workflows },
        oneSystem: true,
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
    return new Run(chain, fleet, watch, lines);
  }

  async mine(count: number): Promise<void> {
    for (let block = 0; block < count; block++) {
      await this.chain.send(4);
      await this.chain.mine(1);
      this.mined++;
    }
  }

  of(system: string): readonly LocalNode[] {
    return this.fleet.nodes.filter((node) => node.system === system);
  }

  async certified(nodes: readonly LocalNode[]): Promise<void> {
    await this.watch.until(
      () => nodes.every((node) => this.watch.heldBy(node).size >= this.mined),
      `all have ${this.mined} certificates`,
    );
  }

  /**
   * What a node says of the third family's results for blocks from a height on, in time or late, once there are any. Not
   * of each block: what it has not begun when the barrier closes it does not begin any more.
   */
  async results(node: LocalNode, from: number): Promise<readonly LogLine[]> {
    const found = (): readonly LogLine[] =>
      this.lines.flatMap(({ node: by, line }) => {
        const isDone = line.event === "task.complete" || line.event === "task.late";
        const isWanted = Number(line["height"]) >= from && systemOf(Number(line["index"])) === THIRD;
        return by === node && isDone && isWanted ? [line] : [];
      });
    await this.watch.until(() => found().length > 0, `${node.name} has a result of ${THIRD} from block ${from} on`);
    return found();
  }

  async contents(node: LocalNode): Promise<ReadonlyMap<number, BarrierContent>> {
    const held = await this.judge.certificatesOf(node);
    return new Map(
      held.map(({ height, certificate }) => [
        height,
        (JSON.parse(certificate) as { readonly content: BarrierContent }).content,
      ]),
    );
  }
}

/** What each shard's proofs are of in a barrier without the third family. */
const TWO = Array.from({ length: SHARDS }, () => ["groth16", "stark"]);

function systemOf(index: number): string | undefined {
  return SYSTEMS[index % SYSTEMS.length];
}

/** Exports what shows that a result was paid; its votes may still be on their way. */
async function creditOf(run: Run, node: LocalNode, line: LogLine): Promise<string> {
  const name = `${run.chain.chain}/${Number(line["height"])}/shard/${Number(line["index"])}`;
  const out = temporaryDirectory();
  return eventually(`the credit of ${name}`, async () => {
    const ended = await runCli(["certificate", name, "--kind", "credit", "--out", out, "--http", node.http ?? ""]);
    return ended.status === EXIT.ok ? path.join(out, "credit.json") : null;
  });
}

/** The families of a shard's proofs in a barrier, by shard. */
function familiesOf(content: BarrierContent | undefined): readonly (readonly string[])[] {
  return Array.from({ length: SHARDS }, (_, shard) =>
    (content?.tasks ?? [])
      .filter(({ index }) => Math.floor(index / SYSTEMS.length) === shard)
      .map(({ system }) => familyOf(system))
      .sort(),
  );
}

test("a family of three that is slow comes late and is paid; where it dies half-way, two go on without it", async () => {
  const beganMs = performance.now();
  const run = await Run.begin();
  const { fleet, watch } = run;
  const family = run.of(THIRD);
  const others = fleet.nodes.filter((node) => !family.includes(node));
  const makers = new Set(family.map(({ key }) => key));
  const [observer] = others;
  if (observer === undefined) throw new Error("no node");
  expect(family).toHaveLength(2);

  // Slow: two families close the barrier, an operator sees that nothing waits for the third, and it comes late.
  const full = family.map((node) => fleet.throttle(node, SLOW));
  await run.mine(1);
  await run.certified(fleet.nodes);
  const slow = (await run.contents(observer)).get(1);
  expect(familiesOf(slow)).toEqual(TWO);
  const { stdout } = await runCli(["tasks", "--json", "--http", observer.http ?? ""]);
  const owed = (JSON.parse(stdout) as OpenTask[]).filter(
    ({ height, index }) => height === 1 && systemOf(index) === THIRD,
  );
  expect(owed.length).toBeGreaterThan(0);
  for (const { state } of owed) expect(state).toBe("optional");
  const late = await run.results(observer, 1);
  for (const { event } of late) expect(event).toBe("task.late");
  for (const stop of full) stop();
  for (const line of late) {
    expect(makers).toContain(line["prover"]);
    const credit = await creditOf(run, observer, line);
    const verified = await runCli(["verify", credit, "--network", fleet.manifestFile, "--json"]);
    expect(verified).toMatchObject({ status: EXIT.ok, stderr: "" });
    expect(JSON.parse(verified.stdout)).toMatchObject({ kind: "credit", prover: line["prover"] });
  }

  // Dead: killed in the middle of a proof, and away.
  await run.mine(1);
  await watch.until(() => family.some((node) => watch.provedBy(node).size > 0), "the third family is at work");
  for (const node of family) watch.expectExit(node);
  await Promise.all(family.map((node) => fleet.kill(node)));
  await run.mine(2);
  await run.certified(others);
  const without = await run.contents(observer);
  for (const height of [3, 4]) expect(familiesOf(without.get(height))).toEqual(TWO);

  // Back: it takes part again, and what was certified without it stays as it was.
  for (const node of family) watch.expectNoExit(node);
  await Promise.all(family.map((node) => fleet.start(node)));
  await run.certified(fleet.nodes);
  for (let block = 0; block < 3; block++) {
    await run.mine(1);
    await run.certified(fleet.nodes);
  }
  const again = await run.results(observer, 5);
  for (const line of again) expect(makers).toContain(line["prover"]);
  await run.judge.collect(fleet.nodes);
  for (const node of fleet.nodes) expect((await run.contents(node)).get(4)).toEqual(without.get(4));

  // For an outsider all certificates hold with their proofs, and the log shows that the rules were kept.
  const proofs = path.join(temporaryDirectory(), "proofs");
  const exported = await exportAll(fleet.nodes, await run.judge.certificatesOf(observer), proofs);
  await verifyAll(exported, fleet.manifestFile, proofs);
  expect([...watch.violations, ...run.judge.finish(true).violations]).toEqual([]);
  const used = exported.flatMap(({ content }) => content.tasks.map(({ system }) => system));
  const counts = SYSTEMS.map((system) => `${used.filter((each) => each === system).length} ${system}`);
  process.stdout.write(
    `${run.mined} blocks in ${Math.round((performance.now() - beganMs) / 1000)} s; in barriers ${counts.join(", ")}; ` +
      `late ${run.lines.filter(({ node, line }) => node === observer && line.event === "task.late").length}\n`,
  );
});
