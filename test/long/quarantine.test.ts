import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { afterEach, expect, test, vi } from "vitest";
import { EXIT } from "../../src/cli/exit.ts";
import type { OpenTask, ReplayBundle } from "../../src/node.ts";
import { temporaryDirectory } from "../storage/directories.ts";
import { CHAIN, nextBlock, submit } from "../node/blocks.ts";
import { makeMembers } from "../node/members.ts";
import { type Ended, endAll, eventually, runCli, startCli, type StartedNode } from "../node/processes.ts";

vi.setConfig({ testTimeout: 120_000 });

afterEach(endAll);

const NETWORK = ["--listen", "/ip4/127.0.0.1/tcp/0", "--http", "127.0.0.1:0", "--profile", "local"];

test("a task that no prover can prove is quarantined, exported, replayed, and proven at once after a requeue", async () => {
  const members = makeMembers(1, { shards: 1 });
  const { dir, manifest, list } = members;
  const [member] = list;
  const configOf = (name: string, prover: object) => {
    const file = path.join(dir, name);
    const provers = [{ kind: "mock", provingMs: 20, ...prover }];
    writeFileSync(file, JSON.stringify({ data: member?.data, manifest, provers }));
    return file;
  };
  const broken = configOf("broken.json", { logical: 1 });
  const sound = configOf("sound.json", {});
  const first = await startCli(["--config", broken, ...NETWORK]);
  const block = nextBlock(null);
  await submit(first.http, block);
  const quarantined = await first.line("it is quarantined", ({ event }) => event === "task.quarantined");
  expect(quarantined).toMatchObject({ height: 1, stage: "shard", index: 0, logical: 1, since: 0, pauseMs: 30_000 });
  // The next block of the chain is announced and proven as far as it goes.
  await submit(first.http, nextBlock(block));
  const name = `${CHAIN}/1/shard/0`;

  const tasks = await tasksOf(first);
  expect(tasks[0]).toMatchObject({ chain: CHAIN, height: 1, stage: "shard", index: 0, state: "quarantined" });
  expect(tasks[0]?.why).toContain(`proofmesh tasks requeue ${name}`);
  expect(tasks[0]?.failures.logical).toBeGreaterThan(0);
  const ask = (command: string) => runCli([command, "--http", first.http]);
  const [shown, status] = await Promise.all([ask("tasks"), ask("status")]);
  expect(shown.stdout).toContain(name);
  expect(shown.stdout).toContain("quarantined");
  expect(status.stdout).toContain("tried again after growing pauses");

  const out = path.join(temporaryDirectory(), "bundle");
  const exported = await runCli(["tasks", "export", name, "--out", out, "--http", first.http]);
  expect(exported).toMatchObject({ status: EXIT.ok, stderr: "" });
  const bundle = JSON.parse(readFileSync(path.join(out, "bundle.json"), "utf8")) as ReplayBundle;
  expect(bundle.failures[0]).toMatchObject({ attempt: 0, prover: member?.key, kind: "logical" });
  // The prover's failure, and the attester's timeout.
  expect(bundle.quarantine?.votes).toHaveLength(2);
  expect(readdirSync(out).sort()).toEqual([bundle.payload.artefact, "bundle.json"].sort());
  const replay = (config: string) =>
    runCli(["tasks", "replay", out, "--network", manifest, "--config", config, "--json"]);
  const [failed, proven] = await Promise.all([replay(broken), replay(sound)]);
  expect(failed.status).toBe(EXIT.refused);
  expect(failed.stderr).toMatch(/the input fails with .*\[replay\.failed\]/);
  expect(proven).toMatchObject({ status: EXIT.ok, stderr: "" });
  expect(JSON.parse(proven.stdout)).toMatchObject({ system: "mock" });

  const wrong = [
    { args: ["requeue", `${CHAIN}/1/shard/9`], code: "tasks.unknown" },
    { args: ["requeue", `${CHAIN}/1/aggregate/0`], code: "tasks.not-quarantined" },
    { args: ["export", "one", "--out", out], code: "usage.task" },
  ];
  await Promise.all(
    wrong.map(async ({ args, code }) => {
      const ended = await runCli(["tasks", ...args, "--http", first.http]);
      expect(ended).toMatchObject({ status: EXIT.usage, stdout: "" });
      expect(ended.stderr).toMatch(new RegExp(`^proofmesh: .+ {2}\\[${code.replace(".", "\\.")}\\]\\n$`));
    }),
  );
  await stop(first);

  // A prover that works proves the task once the pause is over, which begins anew with the restart. An operator ends it.
  const second = await startCli(["--config", sound, ...NETWORK]);
  expect((await tasksOf(second))[0]).toMatchObject({ state: "quarantined", height: 1, index: 0 });
  const requeued = await runCli(["tasks", "requeue", name, "--http", second.http, "--json"]);
  expect(requeued).toMatchObject({ status: EXIT.ok, stderr: "" });
  expect(JSON.parse(requeued.stdout)).toMatchObject({ state: "requeued", weight: 1 });
  const stored = ({ event, height }: { readonly event: string; readonly height?: unknown }) =>
    event === "certificate.stored" && height === 1;
  await second.line("the block has its certificate", stored, 60_000);
  const numbers = second.log.filter(({ event }) => event === "task.claimed").map(({ attempt }) => attempt);
  expect(numbers[0]).toBeGreaterThan(0);
  await stop(second);
});

async function tasksOf(node: StartedNode): Promise<OpenTask[]> {
  return eventually("there are tasks", async () => {
    const { stdout } = await runCli(["tasks", "--json", "--http", node.http]);
    const tasks = JSON.parse(stdout) as OpenTask[];
    return tasks.some(({ state }) => state === "quarantined") ? tasks : null;
  });
}

async function stop(node: StartedNode): Promise<void> {
  node.signal("SIGINT");
  const ended: Ended = await node.ended;
  expect(ended).toMatchObject({ status: EXIT.ok, stderr: "" });
}
