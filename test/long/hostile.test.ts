/**
 * Hostile peers against a real node with honest peers beside it, one attack after another.
 *
 * PROOFMESH_HOSTILE_SECONDS sets how long each lasts (10), PROOFMESH_HOSTILE names some of them. Figures are printed; what
 * is asserted is that the node lives, that its memory and its log stay bounded and that it goes on certifying.
 */
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ATTACKS } from "../hostile/attacks.ts";
import { attack, type Observed, Rig } from "../hostile/rig.ts";
import { endAll } from "../node/processes.ts";
import { inTurn } from "./turns.ts";

const SECONDS = Number(process.env["PROOFMESH_HOSTILE_SECONDS"] ?? 10);
const CALM_MS = 3_000;
const NAMES = process.env["PROOFMESH_HOSTILE"]?.split(",") ?? inTurn(Object.keys(ATTACKS), 3);
/** Of memory, beyond what the node had before. */
const GROWTH_MIB_MAX = 400;
const LINES_MAX = 24;

const directory = fs.mkdtempSync(path.join(os.tmpdir(), "proofmesh-hostile-"));
let rig: Rig;
let before = 0;

beforeAll(async () => {
  rig = await Rig.start(directory, 3);
  await rig.observe(calm());
  before = rig.rssMib;
}, 180_000);

afterAll(async () => {
  await rig.stop();
  await endAll();
  fs.rmSync(directory, { recursive: true, force: true });
}, 60_000);

function calm(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, CALM_MS));
}

function show(name: string, sent: string, { answers, blocks, rssMibMax, lines }: Observed): void {
  const counted = new Map<string, number>();
  for (const { event, code } of lines) {
    const line = typeof code === "string" ? `${event} ${code}` : event;
    counted.set(line, (counted.get(line) ?? 0) + 1);
  }
  const shown = [...counted].map(([line, count]) => `${count} ${line}`).join(", ");
  process.stdout.write(
    `${name.padEnd(12)} ${sent.padEnd(26)} answers ${answers.medianMs}/${answers.worstMs} ms, ${answers.lost} lost  blocks ${blocks.medianMs}/${blocks.worstMs} ms` +
      `  rss ${Math.round(rssMibMax)} MiB  ${lines.length} lines: ${shown}\n`,
  );
}

describe("a node under attack lives, answers its other peers and certifies blocks", () => {
  for (const name of NAMES) {
    it(`${name}: ${ATTACKS[name]?.what ?? ""}`, async () => {
      // Just before, for other work on the machine comes and goes.
      show("(calm)", "", await rig.observe(calm()));
      const attacking = attack(rig, [name], SECONDS);
      const [sent, seen] = await Promise.all([attacking, rig.observe(attacking)]);
      const { count = 0, refused = 0 } = sent[name] ?? {};
      show(name, `${count} sent, ${refused} refused`, seen);
      expect(count).toBeGreaterThan(0);
      expect(rig.target.isRunning()).toBe(true);
      expect(seen.rssMibMax).toBeLessThan(before + GROWTH_MIB_MAX);
      expect(seen.lines.length).toBeLessThan(LINES_MAX);
      expect(seen.blocks.count).toBeGreaterThan(0);
    });
  }
});
