import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";

const CHILD = fileURLToPath(new URL("heap-child.ts", import.meta.url));
/** What the simulation keeps of every block: hashes in the index of two disks. */
const GROWTH_BYTES_MAX = 16 * 1024 * 1024;

interface Sample {
  readonly heapUsed: number;
  readonly arrayBuffers: number;
  readonly sizes: readonly { readonly certified: number; readonly blocks: number; readonly kept: readonly number[] }[];
}

it("a node that runs 10,000 blocks ends with the same heap as after 1,000", () => {
  const child = spawnSync(process.execPath, [CHILD, "1000", "10000"], { encoding: "utf8" });
  if (child.status !== 0) throw new Error(child.stderr);
  const lines = child.stdout.trim().split("\n");
  const [before, after] = lines.map((line) => JSON.parse(line) as Sample);
  if (before === undefined || after === undefined) throw new Error(child.stdout);
  for (const { certified, blocks } of after.sizes) {
    expect(certified).toBeGreaterThan(9_990);
    expect(blocks).toBeLessThan(32);
  }
  expect(after.heapUsed + after.arrayBuffers).toBeLessThan(before.heapUsed + before.arrayBuffers + GROWTH_BYTES_MAX);
});
