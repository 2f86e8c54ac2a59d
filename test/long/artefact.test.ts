/** A file of 300 MiB through a node that is killed twice on the way, with whole nodes and their command line. */
import { createHash, randomBytes } from "node:crypto";
import { createReadStream, statSync } from "node:fs";
import { appendFileSync } from "node:fs";
import path from "node:path";
import { afterEach, expect, test } from "vitest";
import { flagsOf, makeMembers, type Member } from "../node/members.ts";
import { endAll, eventually, runCli, startCli, type StartedNode } from "../node/processes.ts";
import { temporaryDirectory } from "../storage/directories.ts";

const MIB = 1024 * 1024;
const FILE_MIB = 300;

afterEach(endAll);

function randomFile(): string {
  const file = path.join(temporaryDirectory(), "witness.bin");
  for (let at = 0; at < FILE_MIB; at += 20) appendFileSync(file, randomBytes(20 * MIB));
  return file;
}

async function hashOf(file: string): Promise<string> {
  const digest = createHash("sha256");
  for await (const part of createReadStream(file)) digest.update(part as Buffer);
  return digest.digest("hex");
}

test(`${FILE_MIB} MiB reach a node through another that is killed twice, and no byte is lost or sent in vain`, async () => {
  const members = makeMembers(3);
  const [first, second, third] = members.list as [Member, Member, Member];
  const start = (member: Member, ...peers: StartedNode[]): Promise<StartedNode> =>
    startCli([...flagsOf(members, member, 50), ...peers.flatMap(({ address }) => ["--bootstrap", address])]);
  const file = randomFile();
  const hash = await hashOf(file);
  const a = await start(first);
  const put = await runCli(["artefact", "put", file, "--http", a.http], { deadlineMs: 120_000 });
  expect([put.status, put.stdout]).toEqual([0, `${hash}\n`]);

  const partial = path.join(second.data, "artefacts", "incoming", hash);
  const here = (): number => statSync(partial, { throwIfNoEntry: false })?.size ?? 0;
  const kept: number[] = [];
  for (const mib of [60, 160]) {
    const b = await start(second, a);
    await b.line("it hears its peer", ({ event }) => event === "peer.up");
    const asked = fetch(`${b.http}/artefacts/${hash}/fetch`, { method: "POST" }).catch(() => null);
    await eventually(`${mib} MiB are there`, () => (here() >= mib * MIB ? true : null), 120_000);
    b.signal("SIGKILL");
    await Promise.all([b.ended, asked]);
    kept.push(here());
  }
  const [once = 0, twice = 0] = kept;
  expect(once).toBeGreaterThanOrEqual(60 * MIB);
  expect(twice).toBeGreaterThan(once);

  const b = await start(second, a);
  await b.line("it hears its peer", ({ event }) => event === "peer.up");
  const through = path.join(temporaryDirectory(), "through");
  const got = await runCli(["artefact", "get", hash, "--out", through, "--http", b.http], { deadlineMs: 240_000 });
  expect([got.status, got.stderr]).toEqual([0, ""]);
  // The source goes: what the third gets it gets from the node that was killed.
  a.signal("SIGKILL");
  await a.ended;
  const c = await start(third, b);
  await c.line("it hears its peer", ({ event }) => event === "peer.up");
  const out = path.join(temporaryDirectory(), "out");
  const last = await runCli(["artefact", "get", hash, "--out", out, "--http", c.http], { deadlineMs: 240_000 });
  expect([last.status, last.stderr]).toEqual([0, ""]);
  expect(await hashOf(out)).toBe(hash);
});
