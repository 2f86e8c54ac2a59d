/**
 * Hostile peers against a real node with honest peers beside it, one attack after another: strangers, and members of the
 * manifest that sign what they send.
 *
 * PROOFMESH_HOSTILE_SECONDS sets how long each lasts (5), PROOFMESH_HOSTILE names some of them. Figures are printed. What
 * is asserted: the node lives, its heap and CPU stay in the bounds of the attackers' class, and it goes on certifying.
 */
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ALL } from "../hostile/all.ts";
import type { Class } from "../hostile/keys.ts";
import { attack, type Observed, Rig } from "../hostile/rig.ts";
import { endAll } from "../node/processes.ts";
import { inTurn } from "./turns.ts";

const SECONDS = Number(process.env["PROOFMESH_HOSTILE_SECONDS"] ?? 5);
const WARM_MS = 5_000;
const IDLE_MS = 3_000;
const CALM_MS = 5_000;
/** On a machine with other work the latency says nothing about attackers, and the same work takes more CPU. */
const WAITED_PERCENT_MAX = 25;
const BUSY_FACTOR = 2;
const NAMES = process.env["PROOFMESH_HOSTILE"]?.split(",") ?? inTurn(Object.keys(ALL), 3);
const LINES_MAX = 32;

/** What attackers of a class may cost the target, all together: MiB of heap, percent of a core. */
const BOUNDS: Readonly<Record<Class, { readonly mib: number; readonly percent: number }>> = {
  strangers: { mib: 64, percent: 40 },
  prover: { mib: 64, percent: 20 },
  provers: { mib: 256, percent: 40 },
  attester: { mib: 64, percent: 20 },
  source: { mib: 64, percent: 20 },
};

/**
 * All strangers may cost 10 %. Floods cost more until the peer is cut off; docs/known-limits.md has the figures. These
 * attacks keep the bound.
 */
const PERCENT_MAX: Readonly<Record<string, number>> = { askers: 10, connections: 10, slowread: 10, identify: 10 };

const directory = fs.mkdtempSync(path.join(os.tmpdir(), "proofmesh-hostile-"));
let rig: Rig;
let idle: Observed;
let before: Observed;

beforeAll(async () => {
  rig = await Rig.start(directory, 3, NAMES);
  await rig.observe(calm(WARM_MS));
  idle = await rig.observe(calm(IDLE_MS), false);
  before = await rig.observe(calm(CALM_MS));
  show("(idle)", "", idle);
  show("(calm)", "", before);
}, 180_000);

afterAll(async () => {
  await rig.stop();
  await endAll();
  fs.rmSync(directory, { recursive: true, force: true });
}, 60_000);

function calm(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Percent of a core for what is no attack: nothing but peers, and so many blocks. */
function honestPercent({ blocks, tookMs }: Observed): number {
  const rate = (seen: Observed): number => seen.blocks.count / seen.tookMs;
  const ofBlocks = Math.max(0, before.cpuPercent - idle.cpuPercent);
  return idle.cpuPercent + ofBlocks * Math.min(1, blocks.count / tookMs / rate(before));
}

function show(
  name: string,
  sent: string,
  { answers, blocks, heapMibMax, cpuPercent, waitedPercent, rssMibMax, lines }: Observed,
): void {
  const counted = new Map<string, number>();
  for (const { event, code } of lines) {
    const line = typeof code === "string" ? `${event} ${code}` : event;
    counted.set(line, (counted.get(line) ?? 0) + 1);
  }
  const shown = [...counted].map(([line, count]) => `${count} ${line}`).join(", ");
  process.stdout.write(
    `${name.padEnd(12)} ${sent.padEnd(26)} cpu ${Math.round(cpuPercent)} %, waited ${Math.round(waitedPercent)} %  heap ${Math.round(heapMibMax)} MiB  rss ${Math.round(rssMibMax)} MiB` +
      `  answers ${answers.medianMs}/${answers.worstMs} ms, ${answers.lost} lost  blocks ${blocks.count}: ${blocks.medianMs}/${blocks.worstMs} ms` +
      `  ${lines.length} lines: ${shown}\n`,
  );
}

describe("a node under attack lives, answers its other peers and certifies blocks", () => {
  for (const name of NAMES) {
    const { what = "", by = "strangers" } = ALL[name] ?? {};
    it(`${name}: ${what}`, async () => {
      const heapMib = await rig.heapMib();
      const attacking = attack(rig, [name], SECONDS);
      const [sent, seen] = await Promise.all([attacking, rig.observe(attacking)]);
      const { count = 0, refused = 0 } = sent[name] ?? {};
      const [percent, mib] = [seen.cpuPercent - honestPercent(seen), seen.heapMibMax - heapMib];
      show(name, `${by} +${Math.round(percent)} % +${Math.round(mib)} MiB ${count} sent, ${refused} refused`, seen);
      expect(count).toBeGreaterThan(0);
      expect(rig.target.isRunning()).toBe(true);
      expect(seen.blocks.count).toBeGreaterThan(0);
      expect(seen.lines.length).toBeLessThan(LINES_MAX);
      expect(mib).toBeLessThan(BOUNDS[by].mib);
      const isBusy = Math.max(seen.waitedPercent, before.waitedPercent) > WAITED_PERCENT_MAX;
      const percentMax = PERCENT_MAX[name] ?? BOUNDS[by].percent;
      expect(percent).toBeLessThan(isBusy ? BUSY_FACTOR * percentMax : percentMax);
      if (!isBusy) expect(seen.blocks.medianMs).toBeLessThan(2 * before.blocks.medianMs);
    });
  }
});
