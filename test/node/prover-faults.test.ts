/** What becomes of a node whose prover, or the folder that it works in, fails. */
import { chmodSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { expect, it, onTestFinished, vi } from "vitest";
import { readConfig } from "../../src/config.ts";
import { openNode, type ReplayBundle } from "../../src/node.ts";
import { temporaryDirectory } from "../storage/directories.ts";
import { CHAIN, nextBlock, submit } from "./blocks.ts";
import { makeMembers } from "./members.ts";
import { eventually, type LogLine } from "./processes.ts";

/** A network of one, whose prover runs this after the mock system's proof is written. $4 is the height. */
async function open(then: string, temporary: string | null = null) {
  const { manifest, list } = makeMembers(1);
  const data = list[0]?.data ?? "";
  const command = path.join(data, "prover.sh");
  const hash = `require("crypto").createHash("sha256").update("proofmesh/mock-proof/1\\0").update(fs.readFileSync(process.argv[1]))`;
  const write = `const fs = require("fs"); fs.writeFileSync(process.argv[2], ${hash}.digest())`;
  writeFileSync(command, `#!/bin/sh\ncd ${data}\n${process.execPath} -e '${write}' "$1" "$2"\n${then}\n`);
  chmodSync(command, 0o755);
  const args = ["{values}", "{output}", "{stage}", "{height}"];
  const provers = [{ kind: "process", system: "mock", command, form: "raw", args, timeoutMs: 20_000 }];
  const rest = { listen: ["/ip4/127.0.0.1/tcp/0"], http: "127.0.0.1:0", profile: "local", log: "json" };
  const file = path.join(data, "config.json");
  writeFileSync(file, JSON.stringify({ ...rest, data, manifest, provers }));
  if (temporary !== null) {
    vi.stubEnv("TMPDIR", temporary);
    onTestFinished(() => void vi.unstubAllEnvs());
  }
  const log: LogLine[] = [];
  const node = await openNode(readConfig(file, {}, {}), (line) => log.push(JSON.parse(line) as LogLine));
  onTestFinished(() => node.close());
  const events = (name: string) => log.filter(({ event }) => event === name);
  const until = (what: string, name: string) => eventually(what, () => (events(name).length > 0 ? true : null));
  return { node, events, until };
}

it("a sole prover that panics once tries again, and its last words are in the log and in the task", async () => {
  const once = `if [ "$4" = 1 ] && mkdir panicked 2>/dev/null; then echo "out of memory" >&2; exit 101; fi`;
  const { node, events, until } = await open(once);
  await until("the trial has worked", "prover.able");
  const block = nextBlock(null);
  await submit(node.http ?? "", block);
  await until("a task has failed", "task.failed");
  const [failed] = events("task.failed");
  const message = "the program ended with status 101: out of memory";
  expect(failed).toMatchObject({ code: "process.failed", logical: false, message });
  await until("the block is certified", "certificate.stored");
  expect(events("task.quarantined")).toEqual([]);
  const name = `${CHAIN}/1/${String(failed?.["stage"])}/${String(failed?.["index"])}`;
  const bundle = (await (await fetch(`${node.http}/tasks/${name}`)).json()) as ReplayBundle;
  expect(bundle.ownFailure).toEqual({ attempt: 0, code: "process.failed", logical: false, message });
}, 60_000);

it("a folder for temporary files that is gone costs a task and the prover its use, and not the node", async () => {
  const folder = temporaryDirectory();
  const { node, events, until } = await open("true", folder);
  await until("the trial has worked", "prover.able");
  rmSync(folder, { recursive: true });
  await submit(node.http ?? "", nextBlock(null));
  await until("a task has failed", "task.failed");
  expect(events("task.failed")[0]).toMatchObject({ code: "process.start", logical: false });
  await until("the prover is out of use", "prover.unable");
  expect(node.status().abilities).toMatchObject([
    { prover: "mock", state: "unable", fault: { code: "process.start" }, failures: 1 },
  ]);
}, 60_000);
