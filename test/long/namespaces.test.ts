/** A second container on one volume, as `restart: always` makes it: another pid namespace, the same data directory. */
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, statSync } from "node:fs";
import path from "node:path";
import { afterEach, expect, test } from "vitest";
import { nextBlock, type RpcBlock, submit } from "../node/blocks.ts";
import { flagsOf, makeMembers } from "../node/members.ts";
import { endAll, startCli } from "../node/processes.ts";

const MAIN = path.join(import.meta.dirname, "../../src/cli/main.ts");
const UNSHARE = ["unshare", "--pid", "--fork", "--mount-proc"];
const BLOCKS = 12;

afterEach(endAll);

/** Which file is behind each name: a file that was replaced has another number. */
function inodesOf(data: string): Record<string, number> {
  const names = readdirSync(data).filter((name) => name.startsWith("journal-") || name === "artefacts");
  const all = [...names, "artefacts/tmp", "lock/LOCK", "lock/holder", "node.json"].map((name) => path.join(data, name));
  return Object.fromEntries(all.filter((file) => existsSync(file)).map((file) => [file, statSync(file).ino]));
}

test("a second node of another pid namespace is refused each time, and the first goes on certifying", {
  timeout: 120_000,
}, async () => {
  const permitted = spawnSync("unshare", [...UNSHARE.slice(1), "true"]).status === 0;
  const members = makeMembers(1);
  const [member] = members.list;
  if (member === undefined) throw new Error("no member");
  const flags = flagsOf(members, member, 10);
  const node = await startCli(flags);
  const before = inodesOf(member.data);
  let parent: RpcBlock | null = null;
  for (let height = 1; height <= BLOCKS; height++) {
    parent = nextBlock(parent);
    await submit(node.http, parent);
    // Where this process may not make a namespace, the kernel's lock is still what refuses the second node.
    const [program = "", ...args] = [...(permitted ? UNSHARE : []), process.execPath, MAIN, "start", ...flags];
    const second = spawnSync(program, args, { encoding: "utf8", timeout: 30_000 });
    expect(second.stderr).toContain("[data.locked]");
    expect(second.stderr).toContain(permitted ? "another pid namespace" : `process `);
    expect(second.status).toBe(4);
    expect(inodesOf(member.data)).toMatchObject(before);
  }
  const last = ({ event, height }: { readonly event: string; readonly height?: unknown }): boolean =>
    event === "certificate.stored" && height === BLOCKS;
  await node.line("the last block is certified", last);
  expect(node.log.filter(({ event }) => event === "journal.repaired")).toEqual([]);
  node.signal("SIGTERM");
  expect(await node.ended).toMatchObject({ status: 0 });
});
