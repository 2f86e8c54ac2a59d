/** What a batch costs the node that keeps it: an upper estimate, so that an account bounds the heap. */
import type { Batch } from "../protocol/batch.ts";
import type { Entry, Kind } from "../protocol/messages.ts";

/** A batch keeps its bytes and views into them. Measured: 1.1 KiB beside the bytes. */
const BATCH_BYTES = 1_536;

/** Bytes of heap that an entry of the kind makes a node keep beside its own bytes, tasks' and attempts' records included. */
const ENTRY_BYTES: Readonly<Record<Kind, number>> = {
  announce: 6_144,
  retract: 512,
  cancel: 768,
  join: 768,
  admit: 2_048,
  bench: 1_536,
  // Each makes an attempt where it is the first about it: eleven maps.
  claim: 4_096,
  grant: 4_096,
  timeout: 4_096,
  release: 4_096,
  fail: 4_096,
  beat: 512,
  // Each makes a proof where it is the first about it.
  receipt: 3_072,
  commit: 4_096,
  seal: 4_096,
  attest: 4_096,
  complete: 2_048,
  reject: 2_048,
  requeue: 1_024,
  barrier: 1_024,
  evidence: 2_048,
};
/** A vote that a claim or an evidence carries becomes a fact of its own. */
const SHOWN_BYTES = 1_024;
const BEAT_TASK_BYTES = 256;

/** Each batch is asked about before its signature check, when it is charged, and when it enters and leaves its feed. */
const known = new WeakMap<Batch, number>();

/** Bytes of heap, at most. */
export function costOf(batch: Batch): number {
  const before = known.get(batch);
  if (before !== undefined) return before;
  const { bytes, entries } = batch;
  // Entries and their fields are copies of what the bytes say.
  const ofBytes = BATCH_BYTES + 3 * bytes.length;
  const cost = entries.reduce((sum, entry) => sum + ENTRY_BYTES[entry.kind] + partsOf(entry), ofBytes);
  known.set(batch, cost);
  return cost;
}

function partsOf(entry: Entry): number {
  if (entry.kind === "beat") return entry.tasks.length * BEAT_TASK_BYTES;
  return shownBy(entry) * SHOWN_BYTES;
}

function shownBy(entry: Entry): number {
  if (entry.kind === "claim") return entry.timeouts.length;
  return entry.kind === "evidence" ? entry.shown.length : 0;
}

/** Signature checks that a node makes for the batch, at most: its own and those of the votes that it carries. */
export function checksOf({ entries }: Batch): number {
  return entries.reduce((sum, entry) => sum + shownBy(entry), 1);
}
