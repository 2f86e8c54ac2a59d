/** The local simulator as a program: what it finds, how it ends, and that it leaves nothing behind. */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { Fleet, type LocalNode } from "../../simnet/local/nodes.ts";
import type { LocalReport } from "../../simnet/local/report.ts";
import { Watch } from "../../simnet/local/watch.ts";
import { EXIT } from "../../simnet/outcome.ts";
import { temporaryDirectory } from "../storage/directories.ts";

const PROGRAM = path.join(import.meta.dirname, "../../simnet/main.ts");
const MOCK = ["--mock", "200", "--interval", "2000", "--shards", "2", "--json"];

const running = new Set<ChildProcess>();
afterEach(() => {
  for (const child of running) child.kill("SIGKILL");
});

function simulate(...args: string[]) {
  const child = spawn(process.execPath, [PROGRAM, "local", ...args], { stdio: ["ignore", "pipe", "pipe"] });
  running.add(child);
  let output = "";
  let said = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (output += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (said += text));
  const ended = new Promise<number | null>((resolve) => child.once("close", resolve)).then((status) => {
    running.delete(child);
    return { status, said, report: JSON.parse(output === "" ? "null" : output) as LocalReport | null };
  });
  const says = async (text: string): Promise<void> => {
    while (!said.includes(text)) {
      if (child.exitCode !== null) throw new Error(`it ended before it said "${text}":\n${said}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  };
  return { child, ended, says };
}

/** Processes whose command line names the text, as pid and line. */
function processesOf(text: string): (readonly [number, string])[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      const file = `/proc/${name}/cmdline`;
      const line = existsSync(file) ? readFileSync(file, "utf8").replaceAll("\0", " ") : "";
      return line.includes(text) ? [[Number(name), line] as const] : [];
    });
}

/** Where the run that this process has started keeps its nodes. */
function directoryOf(child: ChildProcess): string {
  const [, line = ""] = processesOf("src/cli/main.ts start").find(([pid]) => parentOf(pid) === child.pid) ?? [];
  return /--data (\S+)\/node-\d/.exec(line)?.[1] ?? "nowhere";
}

function parentOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
}

describe("simnet local", () => {
  test("ends green after a minute of faults of all kinds", async () => {
    const { ended } = simulate("--nodes", "4", "--minutes", "1", "--chaos", "--seed", "5", "--limit", "120", ...MOCK);
    const { status, said, report } = await ended;
    expect([status, report?.violations], said).toEqual([EXIT.green, []]);
    expect(report?.barriers).toBe(report?.blocks);
    expect(report?.blocks).toBeGreaterThan(10);
    expect(Object.keys(report?.faults ?? {}).length).toBeGreaterThan(2);
    expect(report?.checked?.credits).toBeGreaterThan(20);
    expect(report?.tampered).toBe(3);
  });

  test("leaves within seconds on Ctrl-C, and nothing stays: no process, no file", async () => {
    const { child, ended, says } = simulate("--nodes", "3", "--pause", "1", "--seed", "1", ...MOCK);
    // The hardest moment: one of the nodes cannot hear a signal.
    await says("pause node-");
    const directory = directoryOf(child);
    expect(processesOf(directory).length).toBeGreaterThanOrEqual(3);
    const since = performance.now();
    child.kill("SIGINT");
    const { status, report } = await ended;
    expect([status, report?.verdict]).toEqual([EXIT.interrupted, "interrupted"]);
    expect(performance.now() - since).toBeLessThan(15_000);
    expect(processesOf(directory)).toEqual([]);
    expect(existsSync(directory)).toBe(false);
  });

  test("tells a node that ends by itself from one that never comes to an end", async () => {
    const crashed = simulate("--nodes", "3", "--blocks", "50", ...MOCK);
    await crashed.says("block 1 certified");
    const [first] = processesOf(`${directoryOf(crashed.child)}/node-0`);
    process.kill(first?.[0] ?? 0, "SIGKILL");
    const { status, report } = await crashed.ended;
    expect([status, report?.verdict]).toEqual([EXIT.crash, "crash"]);
    expect(report?.violations).toEqual([expect.stringContaining("node-0 ended by itself")]);

    // Three of three are needed, so without one nothing is certified.
    const stuck = simulate("--nodes", "3", "--blocks", "5", "--limit", "10", ...MOCK);
    await stuck.says("block 1 certified");
    const [node] = processesOf(`${directoryOf(stuck.child)}/node-0`);
    process.kill(node?.[0] ?? 0, "SIGSTOP");
    const end = await stuck.ended;
    expect([end.status, end.report?.verdict]).toEqual([EXIT.liveness, "liveness"]);
    expect(end.report?.violations).toEqual([expect.stringMatching(/^L1: nothing moved for 10 s/)]);
  });
});

describe("the links", () => {
  test("are the only way between the nodes", async () => {
    const watch = new Watch(60_000, new AbortController().signal, () => {});
    const fleet = await Fleet.create(
      {
        directory: temporaryDirectory(),
        duties: ["attests", "attests", "attests"],
        shards: 1,
        window: 1,
        mockMs: 100,
        fragment: null,
        oneSystem: false,
        // Nobody answers there: what the nodes say to each other is not about blocks.
        chain: { id: 31_337, url: "http://127.0.0.1:1" },
        links: { delayMs: 0, jitterMs: 0, loss: 0 },
        seed: 1,
      },
      (node, line) => watch.take(node, line),
    );
    try {
      await Promise.all(fleet.nodes.map((node) => fleet.start(node)));
      const { nodes, links } = fleet;
      const see = (node: LocalNode, count: number) => watch.peersOf(node).size === count;
      await watch.until(() => nodes.every((node) => see(node, 2)), "all see each other");
      for (const other of [0, 1]) {
        links?.block(2, other);
        links?.block(other, 2);
      }
      await watch.until(() => nodes.every((node, index) => see(node, index === 2 ? 0 : 1)), "one is alone");
      links?.heal();
      await watch.until(() => nodes.every((node) => see(node, 2)), "all see each other again");
    } finally {
      for (const node of fleet.nodes) watch.expectExit(node);
      await fleet.close(10_000);
    }
  });
});
