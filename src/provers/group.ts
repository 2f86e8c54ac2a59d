/**
 * A child process in a process group of its own, killed whole.
 *
 * Killing a process alone leaves what it started: a prover's worker would go on computing with nobody to hear of it.
 * The child leads a group, and the group dies on cancel, on timeout, when this process exits, and, by the child's own
 * watch over its standard input, when this process is killed.
 */
import { type ChildProcess, spawn } from "node:child_process";

export interface GroupOptions {
  readonly command: string;
  readonly args: readonly string[];
  readonly directory?: string;
  readonly environment?: Readonly<Record<string, string>>;
}

export interface Group {
  readonly child: ChildProcess;
  /** The last of what it wrote to standard error. */
  complaint(): string;
  /** Kills every process of the group at once. Harmless when none is left. */
  kill(): void;
}

/** Enough for a stack trace and what came before it. */
const COMPLAINT_BYTES_MAX = 4096;

/**
 * Groups that live, so that they die with this process. One set for the process, as its exit is one: a listener for
 * each group would be a leak in the eyes of Node.
 */
const living = new Set<() => void>();

function onExit(): void {
  for (const kill of living) kill();
}

/** Starts a group. Standard input and output are pipes; a command that does not exist is an `error` event. */
export function startGroup(options: GroupOptions): Group {
  const child = spawn(options.command, options.args, {
    detached: true,
    stdio: ["pipe", "pipe", "pipe"],
    windowsHide: true,
    ...(options.directory === undefined ? {} : { cwd: options.directory }),
    ...(options.environment === undefined ? {} : { env: { ...process.env, ...options.environment } }),
  });
  const kill = (): void => {
    living.delete(kill);
    if (living.size === 0) process.off("exit", onExit);
    if (child.pid === undefined) return;
    try {
      process.kill(-child.pid, "SIGKILL");
    } catch {
      // ESRCH: the whole group is gone, which is what was wanted.
    }
  };
  if (living.size === 0) process.on("exit", onExit);
  living.add(kill);
  let tail = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    tail = (tail + text).slice(-COMPLAINT_BYTES_MAX);
  });
  // Writing to a child that has died is reported by its exit.
  child.stdin.on("error", () => {});
  // The group outlives its leader when the leader left children behind.
  child.on("exit", kill);
  child.on("error", kill);
  return { child, complaint: () => tail.trim(), kill };
}
