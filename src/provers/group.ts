/**
 * A child process in a process group of its own, killed whole.
 *
 * Killing a process alone leaves what it started: a prover's worker would go on computing with nobody to hear of it.
 * The whole group ends on cancel, on timeout and when this process exits. `stop` asks it first (SIGTERM), because zkVMs
 * that are killed leave gigabytes of shared memory behind. The time that `stop` gives is for every process of the group:
 * a script around a zkVM dies of the signal at once, and the zkVM still cleans up. A shell leads the group and keeps a
 * guard, which reads a pipe that ends when this process dies by whatever death: what was started here does not outlive
 * the node. The guard ends with the program, so what `stop` still waits for then is left to this process.
 *
 * A program may start helpers in sessions of their own (`setsid`), which leave the group. Each group's processes carry a
 * mark in their environment, and on Linux those that carry it are killed with the group (`marks.ts`). A helper that drops
 * its environment, and every such helper on another system, is not found.
 *
 * It runs at a lower priority than the node: a proof that is late costs a little, but a node whose beats, votes and
 * verdicts are late loses its leases and holds up everybody. The shell sets it before it starts the program, for later
 * it would miss what has been started already, and a group of its own is a scheduling group of its own where Linux
 * groups tasks by session.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { rmSync } from "node:fs";
import { lastWords, secretsOf, WORDS_BYTES_MAX } from "../protocol/words.ts";
import { askMarked, createMark, createWatch, killMarked, SWEEP } from "./marks.ts";

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
  /** The last of what it wrote to standard error, as it may be shown: without what its environment was configured with. */
  complaint(): string;
  /**
   * Calls `done` once, when the program has ended and its output has been read. Another process may hold the pipes for
   * longer; they are not waited for.
   */
  ended(done: (status: number | null, signal: NodeJS.Signals | null) => void): void;
  /**
   * Sends SIGTERM to every process of the group and to those that carry its mark, and kills what is left after `graceMs`.
   * Calls `done` once, when nothing is left, or when what was killed is still there after `GONE_MS`.
   */
  stop(graceMs: number, done: () => void): void;
  /** Kills every process of the group, and on Linux every one that carries its mark. Harmless when none is left. */
  kill(): void;
}

/** A third of the weight that the node has; a machine with nothing else to do gives it everything all the same. */
const NICENESS = 5;

/**
 * "$1" is a directory to remove, "$2" the mark, "$3" finds what carries it; the rest is the program, whose status is
 * passed on. The shell outlives SIGTERM, and so does the guard: they wait for what they watch. Descriptor 3 is the guard's pipe, to which nobody ever writes. Signals reach the group, whose number is the
 * shell's own. At an orderly end the guard goes first, or it would take the program's output with it. The shell waits for
 * both of its children, for whoever else adopted them might never (process 1 of a container is often the node).
 */
const GUARD = `exec 4<&0
directory=$1
mark=$2
sweep=$3
shift 3
nice -n ${NICENESS} "$@" <&4 4<&- 3<&- &
program=$!
# A child of a shell with a trap loses a signal that it gets before it is a program. So the trap comes after the child.
trap : TERM
(
  trap "" TERM
  # Linux takes one such write in a tenth of a second from those without privileges.
  for try in 1 2 3 4 5; do
    [ ! -w /proc/$$/autogroup ] || echo ${NICENESS} >/proc/$$/autogroup && break
    sleep 0.2
  done
  read -r line <&3
  [ -z "$directory" ] || rm -rf "$directory"
  # The search must not find itself.
  unset "$mark"
  exec /bin/sh -c "$sweep" sh "$mark" $$
) >/dev/null 2>&1 4<&- &
guard=$!
exec 3<&- 4<&-
while :; do
  wait $program
  status=$?
  # A signal ends the wait of a shell as well.
  kill -0 $program 2>/dev/null || break
done
exec 2>/dev/null
kill -s KILL $guard
wait $guard
exit $status`;

/** For what is in the pipes when the program ends, where another process holds them open. */
const DRAIN_MS = 250;

/** How often a group that is stopped is looked at. */
const LOOK_MS = 50;

/** A killed process gives back its memory and its devices before it is gone. One that hangs in a driver is never gone. */
const GONE_MS = 2000;

/**
 * Groups that live, so that they die with this process. One set for the process, as its exit is one: a listener for
 * each group would be a leak in the eyes of Node.
 */
const living = new Map<() => void, string | null>();

/** The guards die with their groups, so what they would have removed is removed here. */
function onExit(): void {
  for (const [kill, directory] of living) {
    kill();
    if (directory !== null) rmSync(directory, { recursive: true, force: true });
  }
}

/** Starts a group. Standard input and output are pipes; a command that cannot be started ends with status 126 or 127. */
export function startGroup(options: GroupOptions): Group {
  const mark = createMark();
  const given = [options.remove ?? "", mark, SWEEP, options.command, ...options.args];
  const child = spawn("/bin/sh", ["-c", GUARD, "sh", ...given], {
    detached: true,
    stdio: ["pipe", "pipe", "pipe", "pipe"],
    ...(options.directory === undefined ? {} : { cwd: options.directory }),
    env: { ...process.env, ...options.environment, [mark]: "1" },
  });
  let [hasExited, isSwept, hasGrace] = [false, false, false];
  const kill = (): void => {
    hasGrace = false;
    living.delete(kill);
    if (living.size === 0) process.off("exit", onExit);
    if (child.pid === undefined || isSwept) return;
    send(-child.pid, "SIGKILL");
    killMarked(mark);
    isSwept = hasExited;
  };
  const stop = (graceMs: number, done: () => void): void => {
    const { pid } = child;
    if (pid === undefined) {
      kill();
      return done();
    }
    const isLeft = createWatch(pid, mark);
    if (!hasExited) {
      // What is dying no longer shows its mark, so the search comes first.
      isLeft();
      hasGrace = true;
      send(-pid, "SIGTERM");
      askMarked(mark, pid);
    }
    const watch = () => createWatch(pid, mark);
    awaitEnd({ child, isLeft, watch, graceMs: hasExited ? 0 : graceMs, hasExited: () => hasExited, kill, done });
  };
  if (living.size === 0) process.on("exit", onExit);
  living.set(kill, options.remove ?? null);
  // The group outlives its leader when the leader left children behind.
  child.on("exit", () => {
    hasExited = true;
    if (!hasGrace) kill();
  });
  child.on("error", kill);
  // Writing to a child that has died is reported by its exit.
  child.stdin?.on("error", () => {});
  return { child, complaint: readComplaint(child, options), ended: (done) => waitFor(child, done), stop, kill };
}

interface Ending {
  readonly child: ChildProcess;
  readonly isLeft: () => boolean;
  /** The same with a search anew. */
  readonly watch: () => () => boolean;
  readonly graceMs: number;
  readonly hasExited: () => boolean;
  readonly kill: () => void;
  readonly done: () => void;
}

/** Kills what is left of a group after its grace, and calls `done` when nothing is left. */
function awaitEnd({ child, isLeft: isLeftAtFirst, watch, graceMs, hasExited, kill, done }: Ending): void {
  let deadline = performance.now() + graceMs;
  let isLeft = isLeftAtFirst;
  let [isKilled, isOver] = [false, false];
  let timer: NodeJS.Timeout | null = null;
  const look = (): void => {
    if (isOver) return;
    const isPast = performance.now() >= deadline;
    // The guard lives as long as the shell, so before that the search says nothing.
    if ((hasExited() && !isLeft()) || (isPast && isKilled)) {
      isOver = true;
      if (timer !== null) clearInterval(timer);
      // For what was started during the search.
      kill();
      return done();
    }
    if (!isPast) return;
    isKilled = true;
    deadline = performance.now() + GONE_MS;
    // Found before they die, as above.
    isLeft = watch();
    isLeft();
    kill();
  };
  child.once("exit", look);
  look();
  if (!isOver) timer = setInterval(look, LOOK_MS);
}

function send(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // ESRCH: the whole group is gone, which is what was wanted.
  }
}

/** Twice of what is shown, so that a secret which is cut in two at its start is not. */
const TAIL_CHARS_MAX = 2 * WORDS_BYTES_MAX;

function readComplaint(child: ChildProcess, { environment = {} }: GroupOptions): () => string {
  let [tail, isCut] = ["", false];
  child.stderr?.setEncoding("utf8").on("data", (text: string) => {
    isCut ||= tail.length + text.length > TAIL_CHARS_MAX;
    tail = (tail + text).slice(-TAIL_CHARS_MAX);
  });
  return () => lastWords(tail, secretsOf(process.env, environment), isCut);
}

function waitFor(child: ChildProcess, done: Parameters<Group["ended"]>[0]): void {
  let timer: NodeJS.Timeout | null = null;
  let isOver = false;
  const end = (status: number | null, signal: NodeJS.Signals | null): void => {
    if (isOver) return;
    isOver = true;
    if (timer !== null) clearTimeout(timer);
    for (const pipe of [child.stdout, child.stderr]) pipe?.destroy();
    done(status, signal);
  };
  child.once("close", end);
  child.once("exit", (status, signal) => {
    if (!isOver) timer = setTimeout(() => end(status, signal), DRAIN_MS);
  });
}
