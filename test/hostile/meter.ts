/**
 * Loaded into the target before its program: writes the size of the heap to a file after a garbage collection.
 *
 * The rig asks with SIGUSR2. METER_FILE names the file.
 */
import { renameSync, writeFileSync } from "node:fs";
import { isMainThread } from "node:worker_threads";

const file = process.env["METER_FILE"];
if (isMainThread && file !== undefined) {
  process.on("SIGUSR2", () => {
    globalThis.gc?.();
    const { heapUsed, external } = process.memoryUsage();
    writeFileSync(`${file}.new`, String(heapUsed + external));
    renameSync(`${file}.new`, file);
  });
}
