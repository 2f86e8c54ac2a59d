/**
 * The command line as real processes.
 *
 * No child outlives the test: beside each one a subshell reads our end of a pipe that nobody writes. It ends when we do,
 * even by SIGKILL, and then the child is ended too. What a test leaves running is ended by `endAll`.
 */
import { type ChildProcess, spawn } from "node:child_process";
import os from "node:os";
import path from "node:path";

const MAIN = path.join(import.meta.dirname, "../../src/cli/main.ts");

/** Reading the sources is most of what a short command does; from the second one on it is read from here. */
const COMPILED = path.join(os.tmpdir(), "proofmesh-test-compiled");

const KEEPER = `exec 3<&0
(cat <&3; kill -KILL $$) >/dev/null 2>&1 &
exec "$@" 3<&- </dev/null`;

export interface Ended {
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

const running = new Set<ChildProcess>();

function spawnCli(args: readonly string[], environment: NodeJS.ProcessEnv): ChildProcess {
  const clean = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("PROOFMESH_")));
  // Its output is compared, so nothing that colours or instruments it may come from the test runner.
  delete clean["NODE_OPTIONS"];
  const child = spawn("sh", ["-c", KEEPER, "sh", process.execPath, MAIN, ...args], {
    stdio: ["pipe", "pipe", "pipe"],
    env: { NODE_COMPILE_CACHE: COMPILED, ...clean, ...environment },
  });
  running.add(child);
  child.stdin?.on("error", () => {});
  child.once("exit", () => {
    running.delete(child);
    child.stdin?.end();
  });
  return child;
}

function collected(child: ChildProcess, each: (line: string) => void = () => {}): () => Ended {
  const output = { stdout: "", stderr: "" };
  let rest = "";
  child.stdout?.setEncoding("utf8").on("data", (text: string) => {
    output.stdout += text;
    const lines = (rest + text).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) each(line);
  });
  child.stderr?.setEncoding("utf8").on("data", (text: string) => {
    output.stderr += text;
  });
  return () => ({ status: child.exitCode, signal: child.signalCode, ...output });
}

export interface RunOptions {
  /** What has not ended by then is killed, which its `signal` shows. */
  readonly deadlineMs?: number;
  readonly environment?: NodeJS.ProcessEnv;
  /** Ctrl-C comes when this resolves. */
  readonly interrupt?: Promise<unknown>;
}

/** Runs a command to its end. */
export function runCli(args: readonly string[], options: RunOptions = {}): Promise<Ended> {
  const child = spawnCli(args, options.environment ?? {});
  const ended = collected(child);
  void options.interrupt?.then(() => child.kill("SIGINT"));
  const late = setTimeout(() => child.kill("SIGKILL"), options.deadlineMs ?? 30_000);
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", () => {
      clearTimeout(late);
      resolve(ended());
    });
  });
}

/** A line of the node's JSON log. */
export interface LogLine {
  readonly event: string;
  readonly [field: string]: unknown;
}

export interface StartedNode {
  readonly key: string;
  readonly network: string;
  readonly http: string;
  readonly pid: number;
  /** The address on loopback, with the peer id. */
  readonly address: string;
  readonly log: readonly LogLine[];
  /** The first line of the log that fits, now or within the deadline. */
  line(what: string, fits: (line: LogLine) => boolean, deadlineMs?: number): Promise<LogLine>;
  signal(name: NodeJS.Signals): void;
  /** Closes our end of its standard output, as a log reader that ends does. */
  hangUp(): void;
  readonly ended: Promise<Ended>;
  isRunning(): boolean;
}

/** Starts a node and resolves once it is up; rejects with what it said if it ends before. */
export async function startCli(
  args: readonly string[],
  deadlineMs: number = 30_000,
  environment: NodeJS.ProcessEnv = {},
): Promise<StartedNode> {
  const child = spawnCli(["start", "--log", "json", ...args], environment);
  const log: LogLine[] = [];
  const waiting = new Set<() => void>();
  const read = collected(child, (text) => {
    if (text.startsWith("{")) log.push(JSON.parse(text) as LogLine);
    for (const look of waiting) look();
  });
  const ended = new Promise<Ended>((resolve) => {
    child.once("close", () => {
      resolve(read());
      for (const look of waiting) look();
    });
  });
  const isRunning = (): boolean => child.exitCode === null && child.signalCode === null;
  const line: StartedNode["line"] = (what, fits, lineMs = 20_000) => {
    let from = 0;
    return new Promise((resolve, reject) => {
      const end = (): void => {
        waiting.delete(look);
        clearTimeout(late);
      };
      const look = (): void => {
        for (; from < log.length; from++) {
          const at = log[from];
          if (at === undefined || !fits(at)) continue;
          end();
          return resolve(at);
        }
        if (isRunning()) return;
        end();
        const { status, signal, stderr } = read();
        reject(new Error(`the node ended (${status ?? signal}) before: ${what}\n${stderr}`));
      };
      const late = setTimeout(() => {
        end();
        const tail = log.slice(-5).map((each) => JSON.stringify(each));
        reject(new Error(`not within ${lineMs} ms: ${what}\n${tail.join("\n")}\n${read().stderr}`));
      }, lineMs);
      waiting.add(look);
      look();
    });
  };
  const started = await line("it starts", ({ event }) => event === "node.started", deadlineMs);
  const addresses = started["addresses"] as string[];
  return {
    key: String(started["key"]),
    network: String(started["network"]),
    http: String(started["http"]),
    pid: child.pid ?? 0,
    address: addresses.find((text) => text.includes("/127.0.0.1/")) ?? "",
    log,
    line,
    signal: (name) => void child.kill(name),
    hangUp: () => void child.stdout?.destroy(),
    ended,
    isRunning,
  };
}

/** Ends what a test has left running; for `afterEach`, so that a failed test leaves nothing either. */
export async function endAll(): Promise<void> {
  const all = [...running];
  for (const child of all) child.kill("SIGKILL");
  const alive = all.filter((child) => child.exitCode === null && child.signalCode === null);
  await Promise.all(alive.map((child) => new Promise((resolve) => child.once("exit", resolve))));
}

/** Polls a condition over HTTP or the disk; fails with the sentence when it does not hold within the deadline. */
export async function eventually<T>(
  what: string,
  look: () => Promise<T | null> | T | null,
  deadlineMs: number = 15_000,
): Promise<T> {
  const end = performance.now() + deadlineMs;
  for (;;) {
    const found = await look();
    if (found !== null) return found;
    if (performance.now() > end) throw new Error(`not within ${deadlineMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}
