/**
 * A child process in a process group of its own, killed whole.
 *
 * Killing a process alone leaves what it started: a prover's worker would go on computing with nobody to hear of it.
 * The whole group dies on cancel, on timeout and when this process exits. A shell leads it and keeps a guard, which
 * reads a pipe that ends when this process dies by whatever death: nothing started here outlives the node.
 *
 * It runs at a lower priority than the node: a proof that is late costs a little, but a node whose beats, votes and
 * verdicts are late loses its leases and holds up everybody. The shell sets it before it starts the program, for later
 * it would miss what has been started already, and a group of its own is a scheduling group of its own where Linux
 * groups tasks by session.
 */
import { type ChildProcess, spawn } from "node:child_process";

export interface GroupOptions {
  readonly command: string;
  readonly args: readonly string[];
  readonly directory?: string;
  /** On top of the node's own; `undefined` takes a variable away. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
  /** A directory for the guard to remove when this process dies. */
  readonly remove?: string;
}

export interface Group {
  readonly child: ChildProcess;
  /** The last of what it wrote to standard error. */
  complaint(): string;
  /** Kills every process of the group at once. Harmless when none is left. */
  kill(): void;
}

/** A third of the weight that the node has; a machine with nothing else to do gives it everything all the same. */
const NICENESS = 5;

/**
 * "$1" is a directory to remove, the rest is the program; its status is passed on. Descriptor 3 is the guard's pipe.
 * Signals reach the group, whose number is the shell's own. At an orderly end the guard goes first, or it would take
 * the program's output with it.
 */
const GUARD = `exec 4<&0
directory=$1
shift
nice -n ${NICENESS} "$@" <&4 4<&- 3<&- &
program=$!
(
  # Linux takes one such write in a tenth of a second from those without privileges.
  for try in 1 2 3 4 5; do
    [ ! -w /proc/$$/autogroup ] || echo ${NICENESS} >/proc/$$/autogroup && break
    sleep 0.2
  done
  cat <&3 >/dev/null; [ -z "$directory" ] || rm -rf "$directory"; kill -s KILL -- -$$
) >/dev/null 2>&1 4<&- &
guard=$!
exec 3<&- 4<&-
wait $program
status=$?
kill -s KILL $guard
exit $status`;

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

/** Starts a group. Standard input and output are pipes; a command that cannot be started ends with status 126 or 127. */
export function startGroup(options: GroupOptions): Group {
  const child = spawn("/bin/sh", ["-c", GUARD, "sh", options.remove ?? "", options.command, ...options.args], {
    detached: true,
    stdio: ["pipe", "pipe", "pipe", "pipe"],
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
  child.stderr?.setEncoding("utf8").on("data", (text: string) => {
    tail = (tail + text).slice(-COMPLAINT_BYTES_MAX);
  });
  // Writing to a child that has died is reported by its exit.
  child.stdin?.on("error", () => {});
  // The group outlives its leader when the leader left children behind.
  child.on("exit", kill);
  child.on("error", kill);
  return { child, complaint: () => tail.trim(), kill };
}
