/** A node's exports from its data directory, while it does not run. */
import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { afterEach, describe, expect, test, vi } from "vitest";
import { EXIT } from "../../src/cli/exit.ts";
import { CHAIN, nextBlock, type RpcBlock, submit } from "../node/blocks.ts";
import { flagsOf, makeMembers, type Member, type Members } from "../node/members.ts";
import { endAll, runCli, type StartedNode, startCli } from "../node/processes.ts";

vi.setConfig({ testTimeout: 90_000 });

afterEach(endAll);

const BLOCKS = 3;

async function certifiedBlocks(members: Members, member: Member): Promise<StartedNode> {
  const node = await startCli(flagsOf(members, member, 10));
  let parent: RpcBlock | null = null;
  for (let height = 1; height <= BLOCKS; height++) {
    parent = nextBlock(parent);
    await submit(node.http, parent);
  }
  const last = ({ event, height }: { readonly event: string; readonly height?: unknown }) =>
    event === "certificate.stored" && height === BLOCKS;
  await node.line("the last block is certified", last);
  return node;
}

/** Everything below a directory, to show that nothing in it was touched; the lock comes and goes. */
function filesOf(directory: string): Record<string, string> {
  const names = readdirSync(directory, { recursive: true, withFileTypes: true });
  const files = names.filter((entry) => entry.isFile() && path.basename(entry.parentPath) !== "lock");
  return Object.fromEntries(
    files.map(({ parentPath, name }) => {
      const file = path.join(parentPath, name);
      return [file, readFileSync(file, "hex")];
    }),
  );
}

const lines = (text: string): string[] => text.split("\n").toSorted();

describe("proofmesh log and proofmesh certificate of a node that does not run", () => {
  test("say what it said itself, and touch nothing", async () => {
    const members = makeMembers(1);
    const [member] = members.list as [Member];
    const node = await certifiedBlocks(members, member);
    const where = ["--data", member.data];
    const live = await runCli(["log", ...where]);
    const certificate = await runCli(["certificate", "2", "--chain", String(CHAIN), ...where]);
    expect([live.status, certificate.status]).toEqual([EXIT.ok, EXIT.ok]);
    node.signal("SIGKILL");
    await node.ended;
    const before = filesOf(member.data);

    const stopped = await runCli(["log", ...where]);
    expect(stopped).toMatchObject({ status: EXIT.ok, stderr: "" });
    const told = new Set(lines(stopped.stdout));
    expect(lines(live.stdout).filter((line) => !told.has(line))).toEqual([]);
    expect(lines(live.stdout).length).toBeGreaterThan(BLOCKS);
    expect(await runCli(["certificate", "2", "--chain", String(CHAIN), ...where])).toMatchObject({
      status: EXIT.ok,
      stdout: certificate.stdout,
      stderr: "",
    });
    const proofs = path.join(members.dir, "proofs");
    expect(await runCli(["certificate", "latest", ...where, "--out", proofs])).toMatchObject({ status: EXIT.ok });
    const verify = ["verify", path.join(proofs, "certificate.json"), "--network", members.manifest, "--proofs", proofs];
    expect(await runCli(verify)).toMatchObject({ status: EXIT.ok, stderr: "" });
    expect(filesOf(member.data)).toEqual(before);

    // The lock is given back.
    const again = await startCli(flagsOf(members, member, 10));
    expect(again.key).toBe(node.key);
    again.signal("SIGINT");
    await again.ended;
    const closed = new Set(lines((await runCli(["log", ...where])).stdout));
    expect(lines(live.stdout).filter((line) => !closed.has(line))).toEqual([]);
  });

  test("are refused with the reason where the files cannot be told whole", async () => {
    const members = makeMembers(1);
    const [member] = members.list as [Member];
    const node = await certifiedBlocks(members, member);
    node.signal("SIGKILL");
    await node.ended;
    const log = ["log", "--data", member.data];
    expect(await runCli(["certificate", "9", "--chain", String(CHAIN), "--data", member.data])).toMatchObject({
      status: EXIT.unreachable,
      stderr: expect.stringMatching(/height 9 .*\[certificate\.missing\]\n$/s) as string,
    });
    const journals = ["journal-a", "journal-b"].map((name) => path.join(member.data, name));
    const whole = journals.map((file) => readFileSync(file));
    for (const file of journals) writeFileSync(file, "nothing of a journal");
    expect(await runCli(log)).toMatchObject({
      status: EXIT.data,
      stdout: "",
      stderr: expect.stringMatching(/^proofmesh: .*journal-a.*\[journal\.damaged\]\n$/) as string,
    });
    for (const [index, file] of journals.entries()) writeFileSync(file, whole[index] ?? "");
    const level = path.join(member.data, "level");
    for (const name of readdirSync(level).filter((file) => file.startsWith("MANIFEST"))) rmSync(path.join(level, name));
    expect(await runCli(log)).toMatchObject({
      status: EXIT.data,
      stderr: expect.stringMatching(/^proofmesh: .*level.*\[store\.damaged\]\n$/) as string,
    });
  });

  test("are refused while the node runs without an endpoint, and where there is no node at all", async () => {
    const members = makeMembers(1);
    const [member] = members.list as [Member];
    // The last one of a flag counts.
    const node = await startCli([...flagsOf(members, member, 10), "--http", "off"]);
    expect(await runCli(["log", "--data", member.data])).toMatchObject({
      status: EXIT.unreachable,
      stderr: expect.stringMatching(
        new RegExp(`^proofmesh: .*--http off.*in use by process ${node.pid}.*\\[node\\.unreachable\\]\\n$`),
      ) as string,
    });
    const nowhere = path.join(members.dir, "nowhere");
    expect(await runCli(["certificate", "latest", "--data", nowhere])).toMatchObject({
      status: EXIT.unreachable,
      stderr: expect.stringMatching(/no node\.json there.*\[node\.unreachable\]\n$/) as string,
    });
  });
});
