/** What an ordinary machine does to a node: log readers that end. */
import { existsSync } from "node:fs";
import path from "node:path";
import { afterEach, expect, test, vi } from "vitest";
import { EXIT } from "../../src/cli/exit.ts";
import { certifiedBy } from "../long/nodes.ts";
import { nextBlock, submit } from "./blocks.ts";
import { flagsOf, type Member, makeMembers } from "./members.ts";
import { endAll, eventually, startCli } from "./processes.ts";

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
