/** What is opt-in, installed once. CI does it beforehand, with the npm of the machine that it runs on. */
import { execFileSync } from "node:child_process";
import { statSync } from "node:fs";
import { join } from "node:path";

export function install(name: string): void {
  const directory = join(import.meta.dirname, "../../config", name);
  const writtenMs = (file: string): number => statSync(join(directory, file), { throwIfNoEntry: false })?.mtimeMs ?? 0;
  // npm writes this file last.
  if (writtenMs("node_modules/.package-lock.json") > writtenMs("package-lock.json")) return;
  execFileSync("npm", ["ci", "--no-audit", "--no-fund"], { cwd: directory });
}
