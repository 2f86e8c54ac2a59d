import { spawn } from "node:child_process";
import path from "node:path";
import { expect, test } from "vitest";
import { openJournal } from "../../src/storage/journal.ts";
import { temporaryDirectory } from "./directories.ts";
import { journalKey, numbered, numberOf } from "./fixtures.ts";

const CHILD = path.join(import.meta.dirname, "journal-child.ts");

test("nothing acknowledged is lost by a kill at any moment", { timeout: 30_000 }, async () => {
  const dir = temporaryDirectory();
  let acknowledged = -1;
  for (let kill = 0; kill < 21; kill++) {
    // The moment of the kill moves through the compaction that follows every fortieth record.
    acknowledged = Math.max(acknowledged, await killAfter(dir, 1 + ((kill * 17) % 83)));
    const journal = openJournal({ dir, key: journalKey });
    const { floor, records } = journal.load();
    const first = floor?.next ?? 0;
    expect(records.map(numberOf)).toEqual(records.map((_, index) => first + index));
    expect(records.every((record) => Buffer.from(record).equals(numbered(numberOf(record))))).toBe(true);
    expect(first + records.length).toBeGreaterThan(acknowledged);
    await new Promise<void>((resolve) => journal.close(resolve));
  }
  expect(acknowledged).toBeGreaterThan(500);
});

/** Kills the child once it has acknowledged that many records; returns the last number it had printed. */
function killAfter(dir: string, lines: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [CHILD, dir], { stdio: ["ignore", "pipe", "inherit"] });
    let printed = "";
    child.stdout.setEncoding("utf8");
    child.stdout.on("data", (text: string) => {
      printed += text;
      if (printed.split("\n").length > lines) child.kill("SIGKILL");
    });
    child.on("error", reject);
    child.on("close", (code, signal) => {
      if (signal !== "SIGKILL") reject(new Error(`the child ended by itself with ${code}`));
      else resolve(Number(printed.trim().split("\n").at(-1)));
    });
  });
}
