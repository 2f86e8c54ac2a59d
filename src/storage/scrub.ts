/**
 * Reads a whole LevelDB directory once, in a process of its own.
 *
 * A table with a zeroed page ends the process that reads it (an assertion in LevelDB), so the node lets this program
 * read first. Run as `node scrub.ts <dir>`; prints a `ScrubCount` and ends with one of the codes below, or is aborted.
 */
import { Level } from "level";
import { codeOf, isDamage, messageOf } from "./fault.ts";
import { unwrap } from "./keyspace.ts";
import { CORRUPT_EXIT, FAILED_EXIT, type ScrubCount } from "./level-scrub.ts";

const [dir] = process.argv.slice(2);
if (dir === undefined) throw new Error("usage: scrub <dir>");

try {
  const count = await scrub(dir);
  process.stdout.write(JSON.stringify(count));
} catch (error) {
  process.stderr.write(`${codeOf(error)} ${messageOf(error)} ${error instanceof Error ? messageOf(error.cause) : ""}`);
  process.exitCode = isDamage(error) ? CORRUPT_EXIT : FAILED_EXIT;
}

async function scrub(location: string): Promise<ScrubCount> {
  const db = new Level<Buffer, Buffer>(location, { keyEncoding: "buffer", valueEncoding: "buffer" });
  await db.open({ createIfMissing: false });
  let values = 0;
  let damaged = 0;
  let disordered = 0;
  let last: Buffer | null = null;
  const iterator = db.iterator({ fillCache: false });
  for (let part = await iterator.nextv(1000); part.length > 0; part = await iterator.nextv(1000)) {
    for (const [key, value] of part) {
      values++;
      if (unwrap(key, value) === null) damaged++;
      // LevelDB asserts the order when it merges tables, later and in the node itself.
      if (last !== null && last.compare(key) >= 0) disordered++;
      last = key;
    }
  }
  await iterator.close();
  await db.close();
  return { values, damaged, disordered };
}
