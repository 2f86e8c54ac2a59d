/** Several attacks on a real node at the same time; `hostile.test.ts` has every attack on its own. */
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { attack, Rig } from "../hostile/rig.ts";
import { endAll, eventually } from "../node/processes.ts";

/** Random frames and messages, sound batches of invented authors, and a thousand raw connections. */
const ATTACKS = ["frames", "garbage", "strangers", "tcp"];
const SECONDS = 5;
const GROWTH_MIB_MAX = 300;

const directory = fs.mkdtempSync(path.join(os.tmpdir(), "proofmesh-hostile-"));
let rig: Rig;

beforeAll(async () => {
  rig = await Rig.start(directory, 1);
}, 60_000);

afterAll(async () => {
  await rig.stop();
  await endAll();
  fs.rmSync(directory, { recursive: true, force: true });
}, 30_000);

test("a node under attack answers its honest peers, certifies, bans who deserves it and says why in a line", async () => {
  const before = rig.rssMib;
  const attacking = attack(rig, ATTACKS, SECONDS);
  const [sent, seen] = await Promise.all([attacking, rig.observe(attacking)]);
  // All strangers together begin three handshakes a second, so an attack may have been kept out as a whole.
  for (const name of ATTACKS) expect((sent[name]?.count ?? 0) + (sent[name]?.refused ?? 0), name).toBeGreaterThan(0);
  await eventually("somebody is banned", () => rig.target.log.some(({ event }) => event === "network.banned") || null);
  const banned = rig.target.log.filter(({ event }) => event === "network.banned");
  expect(banned.map(({ code }) => code)).toContain("frame.malformed");
  expect(new Set(banned.map(({ peer }) => peer)).size).toBe(banned.length);
  expect(rig.target.isRunning()).toBe(true);
  expect(seen.rssMibMax).toBeLessThan(before + GROWTH_MIB_MAX);
  expect(seen.lines.length).toBeLessThan(60);
  expect(seen.answers.count).toBeGreaterThan(0);
  expect(await rig.block()).toBeGreaterThan(0);
}, 60_000);
