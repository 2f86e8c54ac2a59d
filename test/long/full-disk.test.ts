/** A disk without space under a real node. */
import { closeSync, openSync, rmSync, writeSync } from "node:fs";
import path from "node:path";
import { afterEach, expect, test, vi } from "vitest";
import { EXIT } from "../../src/cli/exit.ts";
import { flagsOf, makeMembers, type Member } from "../node/members.ts";
import { endAll, runCli, startCli } from "../node/processes.ts";
import { smallDisk } from "../storage/directories.ts";

vi.setConfig({ testTimeout: 60_000 });
afterEach(endAll);

test("a disk that is full, at the start or later, ends the node with a status that says to try again", async (context) => {
  const disk = smallDisk("3m");
  if (disk === null) return context.skip("this process may not mount a file system");
  const members = makeMembers(1, {}, (json) => json, disk);
  const [member] = members.list as [Member];
  const flags = flagsOf(members, member, 50);
  const stderr = expect.stringMatching(/^proofmesh: .*space left.* {2}\[disk\.full\]\n$/) as string;
  const full = { status: EXIT.temporary, signal: null, stderr };
  const ballast = path.join(disk, "ballast");
  fillUp(ballast);
  expect(await runCli(["start", ...flags])).toMatchObject(full);
  rmSync(ballast);
  const node = await startCli(flags);
  fillUp(ballast);
  // The next sign of life cannot be written, so nothing may be said any more.
  const ended = await node.ended;
  expect(ended).toMatchObject(full);
  rmSync(ballast);
  const again = await startCli(flags);
  expect(again.key).toBe(node.key);
});

/** Takes all the space that the file system has left. */
function fillUp(file: string): void {
  const fd = openSync(file, "w");
  try {
    for (;;) writeSync(fd, Buffer.alloc(4096));
  } catch (error) {
    expect(error).toMatchObject({ code: "ENOSPC" });
  } finally {
    closeSync(fd);
  }
}
