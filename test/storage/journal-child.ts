/**
 * Appends numbered records for as long as it lives and prints a number once its record is acknowledged.
 *
 * Eight appends are always under way, and now and then everything but the last records is compacted away, so that a
 * kill lands in every part of a group commit and of a compaction.
 */
import fs from "node:fs";
import { openJournal } from "../../src/storage/journal.ts";
import { journalKey, numbered, numberOf } from "./fixtures.ts";

const [dir] = process.argv.slice(2);
if (dir === undefined) throw new Error("usage: journal-child <dir>");

const journal = openJournal({ dir, key: journalKey });
const { floor, records } = journal.load();
const kept = records.map(numberOf);
let next = (floor?.next ?? 0) + kept.length;
let acknowledged = next;

function append(): void {
  const number = next++;
  journal.append([numbered(number)], (result) => {
    if (!result.ok) throw new Error(result.fault.code);
    fs.writeSync(1, `${number}\n`);
    acknowledged = number + 1;
    kept.push(number);
    if (acknowledged % 40 === 0) compact();
    append();
  });
}

function compact(): void {
  const first = Math.max(0, next - 10);
  // What is still under way was appended before the compaction, so it has to be among what remains.
  const remaining = Array.from({ length: next - first }, (_, index) => numbered(first + index));
  journal.compact({ next: first, previous: "0".repeat(64), closed: {} }, remaining, (result) => {
    if (!result.ok) throw new Error(result.fault.code);
  });
}

for (let index = 0; index < 8; index++) append();
