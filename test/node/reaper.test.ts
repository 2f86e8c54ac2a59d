/** A process that is the first of its namespace, as a node in a container is. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, describe, expect, it } from "vitest";

const UNSHARE = ["--pid", "--fork", "--mount-proc", "--kill-child"];
const canUnshare = process.platform === "linux" && spawnSync("unshare", [...UNSHARE, "true"]).status === 0;
const directory = mkdtempSync(join(tmpdir(), "proofmesh-test-"));
afterAll(() => rmSync(directory, { recursive: true }));

const source = (path: string): string => pathToFileURL(join(import.meta.dirname, "../../src", path)).href;

/** A program of ours as process 1. */
function start(name: string, text: string): ChildProcess {
  const file = join(directory, name);
  writeFileSync(file, `import { liveBelowReaper } from "${source("cli/reaper.ts")}";\nliveBelowReaper();\n${text}`);
  return spawn("unshare", [...UNSHARE, process.execPath, file, "word"], { stdio: ["pipe", "pipe", "inherit"] });
}

function output(child: ChildProcess): Promise<{ readonly text: string; readonly status: number | null }> {
  return new Promise((resolve) => {
    let text = "";
    child.stdout?.setEncoding("utf8").on("data", (part: string) => (text += part));
    child.once("close", (status) => resolve({ text, status }));
  });
}

/** Proves 200 tasks, every tenth of which is cancelled, and says how many zombies there are. */
const TASKS = `
import { readdirSync, readFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { createProcessProver } from "${source("provers/process.ts")}";
const prover = createProcessProver({ system: "mock", slots: 4, form: "raw", command: process.env.PROVER, args: ["{output}"], timeoutMs: 60000 });
const none = new Uint8Array();
const id = { chain: 1, height: 1, block: "", hash: "", stage: "shard", index: 0 };
const job = { id, attempt: 0, system: "mock", key: "", payload: none, before: none, values: none, group: 0, shards: 0, inputs: [] };
const prove = (at) => new Promise((resolve) => {
  const cancel = prover.prove(job, (event) => event.kind === "progress" || resolve(event.kind));
  if (at % 10 === 0) setTimeout(() => { cancel(); resolve("cancelled"); }, 20);
});
const ends = {};
for (let at = 0; at < 200; at += 4)
  for (const kind of await Promise.all([0, 1, 2, 3].map((next) => prove(at + next)))) ends[kind] = (ends[kind] ?? 0) + 1;
const zombies = () => readdirSync("/proc").filter((name) => {
  try { return /^\\d+$/.test(name) && /^State:\\s+Z/m.test(readFileSync("/proc/" + name + "/status", "latin1")); } catch { return false; }
});
for (let look = 0; look < 50 && zombies().length > 0; look++) await delay(100);
console.log(JSON.stringify({ pid: process.pid, ends, zombies: zombies().length }));
await prover.close();
`;

describe.runIf(canUnshare)("a node that would be process 1", () => {
  it("leaves no zombie after 200 tasks, with helpers, cancels and programs that leave children behind", async () => {
    const prover = join(directory, "prover");
    writeFileSync(prover, "#!/bin/sh\nsleep 30 &\nsetsid sleep 30 &\n(sleep 0.01 &)\nprintf proof > $1\n");
    chmodSync(prover, 0o755);
    process.env["PROVER"] = prover;
    const { text, status } = await output(start("tasks.ts", TASKS));
    const { pid, ends, zombies } = JSON.parse(text) as {
      readonly pid: number;
      readonly ends: Readonly<Record<string, number>>;
      readonly zombies: number;
    };
    expect([status, zombies]).toEqual([0, 0]);
    expect(pid).toBeGreaterThan(1);
    expect(ends["proved"]).toBeGreaterThanOrEqual(180);
  }, 120_000);

  it("gets its arguments, its standard input and its signals, and ends with its status", async () => {
    const text = `
      process.stdin.setEncoding("utf8").once("data", (text) => console.log(process.argv[2], text.trim()));
      process.on("SIGTERM", () => process.exit(7));
      setInterval(() => {}, 1000);`;
    const child = start("signals.ts", text);
    const ended = output(child);
    child.stdout?.once("data", () => {
      // unshare passes no signal on: process 1 of the namespace is its only child.
      const [first = ""] = spawnSync("pgrep", ["-P", String(child.pid)], { encoding: "utf8" }).stdout.split("\n");
      process.kill(Number(first), "SIGTERM");
    });
    child.stdin?.write("hello\n");
    expect(await ended).toEqual({ text: "word hello\n", status: 7 });
  }, 30_000);
});
