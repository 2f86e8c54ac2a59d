/** What an ordinary machine does to a node: log readers that end, files that a power cut has emptied. */
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { afterEach, expect, test, vi } from "vitest";
import { EXIT } from "../../src/cli/exit.ts";
import { certifiedBy } from "../long/nodes.ts";
import { nextBlock, submit } from "./blocks.ts";
import { flagsOf, type Member, makeMembers } from "./members.ts";
import { endAll, eventually, runCli, startCli } from "./processes.ts";

vi.setConfig({ testTimeout: 60_000 });
afterEach(endAll);

test("a node whose log reader ends goes on without its log, and drains when it is told to stop", async () => {
  const members = makeMembers(1);
  const [member] = members.list as [Member];
  const node = await startCli(flagsOf(members, member, 10));
  node.hangUp();
  const first = nextBlock(null);
  await submit(node.http, first);
  await submit(node.http, nextBlock(first));
  await eventually("both blocks are certified", async () => ((await certifiedBy(node)) === 2 ? true : null));
  node.signal("SIGTERM");
  const ended = await node.ended;
  expect(ended).toMatchObject({ status: EXIT.ok, signal: null });
  expect(ended.stderr).toBe("proofmesh: cannot write the log: write EPIPE; the node goes on without it  [log.lost]\n");
  expect(existsSync(path.join(member.data, "node.json"))).toBe(false);
});

test("a file that is only a convenience never stops a node", async () => {
  const members = makeMembers(1);
  const [member] = members.list as [Member];
  const note = path.join(member.data, "node.json");
  writeFileSync(path.join(member.data, "bans.json"), "");
  writeFileSync(note, "");
  const status = await runCli(["status", "--data", member.data]);
  expect(status).toMatchObject({ status: EXIT.unreachable });
  expect(status.stderr).toContain(`${note} cannot be read`);

  const node = await startCli(flagsOf(members, member, 10));
  expect(node.log.map(({ event }) => event)).toContain("network.bans-damaged");
  expect(await runCli(["status", "--data", member.data])).toMatchObject({ status: EXIT.ok });
  node.signal("SIGTERM");
  expect(await node.ended).toMatchObject({ status: EXIT.ok });

  mkdirSync(path.join(note, "in the way"), { recursive: true });
  const again = await startCli(flagsOf(members, member, 10));
  expect(again.log.map(({ event }) => event)).toContain("node.note-failed");
  again.signal("SIGTERM");
  expect(await again.ended).toMatchObject({ status: EXIT.ok });
});
