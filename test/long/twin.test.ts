import { cpSync } from "node:fs";
import path from "node:path";
import { afterEach, expect, test } from "vitest";
import type { NodeStatus } from "../../src/node.ts";
import { flagsOf, makeMembers } from "../node/members.ts";
import { endAll, eventually, startCli, type StartedNode } from "../node/processes.ts";

afterEach(endAll);

async function muteOf(node: StartedNode): Promise<string | null> {
  const status = (await (await fetch(`${node.http}/status`)).json()) as NodeStatus;
  return status.mute;
}

async function speaks(node: StartedNode, deadlineMs: number): Promise<void> {
  await eventually("the node signs", async () => ((await muteOf(node)) === null ? true : null), deadlineMs);
}

test("a copy of a node's directory that is started beside it ends with one clear line, and a restart after kill -9 does not", {
  timeout: 180_000,
}, async () => {
  const members = makeMembers(4);
  const [own, hub, ...others] = members.list;
  if (own === undefined || hub === undefined) throw new Error("no members");
  const first = await startCli(flagsOf(members, hub, 50));
  const known = (member: typeof own) => [...flagsOf(members, member, 50), "--bootstrap", first.address];
  const rest = await Promise.all([own, ...others].map((member) => startCli(known(member))));
  for (const node of [first, ...rest]) await speaks(node, 40_000);
  const [original] = rest;
  if (original === undefined) throw new Error("no node");

  const copy = path.join(members.dir, "copy");
  cpSync(own.data, copy, { recursive: true });
  const twin = await startCli(known({ ...own, data: copy }));
  expect(twin.key).toBe(original.key);
  const late = setTimeout(() => twin.signal("SIGKILL"), 60_000);
  const ended = await twin.ended;
  clearTimeout(late);
  expect(ended).toMatchObject({ status: 4, signal: null });
  expect(ended.stderr.trim().split("\n")).toEqual([
    `proofmesh: another process signs with this node's key ${own.key}; run one of them, with one data directory  [key.in-use]`,
  ]);
  // It has said nothing in between, so nobody holds anything against the key.
  expect(twin.log.filter(({ event }) => event === "feed.confirmed")).toEqual([]);
  expect(await muteOf(original)).toBe(null);
  const out = await Promise.all([first, ...rest].map(async (node) => (await fetch(`${node.http}/status`)).json()));
  expect(out.map((status) => (status as NodeStatus).out)).toEqual([[], [], [], []]);

  original.signal("SIGKILL");
  await original.ended;
  const again = await startCli(known(own));
  await speaks(again, 30_000);
});
