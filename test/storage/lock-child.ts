/** Tries for the lock on a directory, prints `locked` or the fault, and stays until its input ends. */
import { StorageFault } from "../../src/storage/fault.ts";
import { lockDirectory } from "../../src/storage/lock.ts";

const [dir] = process.argv.slice(2);
if (dir === undefined) throw new Error("usage: lock-child <dir>");
try {
  await lockDirectory(dir);
  process.stdout.write("locked\n");
} catch (error) {
  process.stdout.write(error instanceof StorageFault ? `${error.code} ${error.message}\n` : `${String(error)}\n`);
}
process.stdin.resume();
