import { execFileSync } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { onTestFinished } from "vitest";

/** A directory that is gone after the test. */
export function temporaryDirectory(): string {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), "proofmesh-"));
  onTestFinished(() => fs.rmSync(dir, { recursive: true, force: true, maxRetries: 3 }));
  return dir;
}

/** A file system of its own of that size (`10m`), or `null` where this process may not mount one. */
export function smallDisk(size: string): string | null {
  const dir = temporaryDirectory();
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", `size=${size}`, "none", dir], { stdio: "ignore" });
  } catch {
    return null;
  }
  onTestFinished(() => void execFileSync("umount", ["-l", dir]));
  return dir;
}
