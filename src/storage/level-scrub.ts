/**
 * What to do with a LevelDB directory before it is trusted: have a child process read it, and move it aside if need be.
 */
import { spawn } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { StorageFault, systemFault } from "./fault.ts";
import { syncDirectory } from "./files.ts";

/** Exit codes of the child. */
export const CORRUPT_EXIT = 65;
export const FAILED_EXIT = 74;

export interface ScrubCount {
  readonly values: number;
  /** Values that are not what was written. */
  readonly damaged: number;
  /** Keys out of order. */
  readonly disordered: number;
}

export type Scrub =
  | { readonly kind: "readable"; readonly count: ScrubCount }
  /** The directory ends or stops who reads it. */
  | { readonly kind: "unreadable"; readonly reason: string };

/** Reading a gigabyte takes about ten seconds; a read that hangs must not keep the node down. */
const SCRUB_MS_MAX = 120_000;
const OUTPUT_CHARS_MAX = 4096;
/** Kept for who wants to know what happened; one damaged directory can be as large as the store. */
const DAMAGED_DIRECTORIES_MAX = 2;

/** Rejects with `store.locked` or `store.failed` when the reading says nothing about the data. */
export function scrubInChild(dir: string): Promise<Scrub> {
  // The program beside this one: a .ts file in the sources, a .js file in the package.
  const self = fileURLToPath(import.meta.url);
  const program = path.join(path.dirname(self), `scrub${path.extname(self)}`);
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [program, dir], {
      stdio: ["ignore", "pipe", "pipe"],
      timeout: SCRUB_MS_MAX,
      killSignal: "SIGKILL",
    });
    let output = "";
    let complaint = "";
    child.stdout
      .setEncoding("utf8")
      .on("data", (text: string) => (output = (output + text).slice(0, OUTPUT_CHARS_MAX)));
    child.stderr
      .setEncoding("utf8")
      .on("data", (text: string) => (complaint = (complaint + text).slice(0, OUTPUT_CHARS_MAX)));
    child.on("error", (error) => reject(systemFault(error, "store.failed", `cannot check ${dir}`)));
    child.on("close", (code, signal) => {
      if (code === 0) {
        // What our own program has printed.
        resolve({ kind: "readable", count: JSON.parse(output) as ScrubCount });
      } else if (code === CORRUPT_EXIT || signal === "SIGABRT" || signal === "SIGSEGV" || signal === "SIGBUS") {
        resolve({ kind: "unreadable", reason: signal ?? "corrupt" });
      } else if (signal === "SIGKILL" && child.killed) {
        resolve({ kind: "unreadable", reason: "timeout" });
      } else {
        const why = complaint.trim().split("\n").at(-1) ?? "";
        const fault = complaint.startsWith("LEVEL_LOCKED") ? "store.locked" : "store.failed";
        reject(new StorageFault(fault, `the check of ${dir} ended with ${code ?? signal}: ${why}`));
      }
    });
  });
}

/** Renames the directory to `<dir>.damaged-<n>`, keeps the youngest few of those, and returns the new name. */
export function moveAside(dir: string): string {
  const parent = path.dirname(dir);
  const prefix = `${path.basename(dir)}.damaged-`;
  const numbers = fs
    .readdirSync(parent)
    .filter((name) => name.startsWith(prefix))
    .map((name) => Number(name.slice(prefix.length)))
    .filter((number) => Number.isSafeInteger(number))
    .sort((a, b) => a - b);
  const target = path.join(parent, `${prefix}${(numbers.at(-1) ?? 0) + 1}`);
  fs.renameSync(dir, target);
  syncDirectory(parent);
  for (const number of numbers.slice(0, Math.max(0, numbers.length + 1 - DAMAGED_DIRECTORIES_MAX))) {
    fs.rmSync(path.join(parent, `${prefix}${number}`), { recursive: true, force: true });
  }
  return target;
}
