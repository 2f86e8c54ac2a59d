/** What the scripts share that make keys: lines that show that they live, hashes, versions. */
import { createHash, randomBytes } from "node:crypto";
import { readFileSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import type { SnarkjsLogger } from "../src/proofs/groth16/snarkjs.ts";

export const ROOT: string = resolve(import.meta.dirname, "..");

const started = performance.now();

export function say(line: string): void {
  console.log(`${((performance.now() - started) / 1000).toFixed(1).padStart(7)} s  ${line}`);
}

/** snarkjs logs every step of every section; one line a second shows that it lives. */
export function progress(): SnarkjsLogger {
  let last = 0;
  const line = (text: string): void => {
    if (performance.now() - last < 1000) return;
    last = performance.now();
    say(`  ${text.split("\n")[0]}`);
  };
  return { debug: line, info: line, warn: line, error: say };
}

/** From the system's random source, forgotten with the process. */
export function secret(): string {
  return randomBytes(64).toString("hex");
}

export interface FileEntry {
  readonly sha256: string;
  readonly bytes: number;
}

/** Hashes and sizes of files, which it also says. */
export function describeFiles(directory: string, names: readonly string[]): Readonly<Record<string, FileEntry>> {
  const entries = names.map((name) => {
    const file = join(directory, name);
    const sha256 = createHash("sha256").update(readFileSync(file)).digest("hex");
    return [name, { sha256, bytes: statSync(file).size }] as const;
  });
  for (const [name, { sha256, bytes }] of entries) say(`${name}  ${bytes} B  ${sha256}`);
  return Object.fromEntries(entries);
}

/** The version of a package as package.json pins it. */
export function version(name: string): string {
  const { dependencies, optionalDependencies, devDependencies } = JSON.parse(
    readFileSync(join(ROOT, "package.json"), "utf8"),
  ) as Record<string, Record<string, string>>;
  return { ...dependencies, ...optionalDependencies, ...devDependencies }[name] ?? "unknown";
}
