/**
 * Runs the node below a shell where it would be process 1 of a container.
 *
 * Process 1 adopts every process whose parent has died, and it has to wait for each, or the dead stay in the table as
 * zombies. Node waits for its own children only: after 62 proofs there were 72 zombies. A shell that waits for one child
 * waits for all, so this process becomes a shell, which starts the same command as its child, passes signals on to it and
 * ends with its status.
 */
import { accessSync, constants } from "node:fs";

const SHELL = "/bin/sh";

/**
 * "$@" is the command. Without a descriptor of its own a command in the background would lose its standard input. A
 * terminal sends its own interrupts to the command already, and a second one would end a node that stops in order.
 */
const REAPER = `child=
for signal in HUP TERM USR1 USR2; do trap "kill -s $signal \\$child" $signal; done
for signal in INT QUIT; do if [ -t 0 ]; then trap : $signal; else trap "kill -s $signal \\$child" $signal; fi; done
exec 3<&0
"$@" <&3 3<&- &
child=$!
exec 3<&-
while :; do
  wait $child
  status=$?
  kill -0 $child 2>/dev/null || exit $status
done`;

/** Returns where this is not process 1, or where no shell can be had. Otherwise this program begins anew, as its child. */
export function liveBelowReaper(): void {
  if (process.pid !== 1 || typeof process.execve !== "function") return;
  try {
    accessSync(SHELL, constants.X_OK);
  } catch {
    return;
  }
  // Of an interface that Node calls experimental it warns on standard error, where only the node's own text belongs.
  process.emitWarning = () => {};
  const command = [process.execPath, ...process.execArgv, ...process.argv.slice(1)];
  process.execve(SHELL, ["sh", "-c", REAPER, "sh", ...command], process.env);
}
