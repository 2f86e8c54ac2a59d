import { describe, expect, it } from "vitest";
import { createState, type State } from "../../src/core/state.ts";
import type { Fault, Journal, JournalFloor, StoredBatch, StoredGone } from "../../src/ports.ts";
import type { Batch } from "../../src/protocol/batch.ts";
import { type Hash, ZERO_HASH } from "../../src/protocol/ids.ts";
import type { Entry } from "../../src/protocol/messages.ts";
import { recover } from "../../src/runtime/recovery.ts";
import { openJournal } from "../../src/storage/journal.ts";
import { memoryStore } from "../../src/storage/memory.ts";
import { temporaryDirectory } from "../storage/directories.ts";
import { announceOf, blockAt, equation, Feed, keyOf, network } from "../core/harness.ts";

const ALONE = { attesters: ["a"], provers: ["a"], sources: ["a"] };
const BATCHES = 6000;

function journalOf(records: readonly Uint8Array[], floor: JournalFloor | null = null): Journal {
  return { load: () => ({ floor, records }), append: () => {}, compact: () => {}, size: () => 0 };
}

/** A feed in which every 20th batch announces the next block. */
function feedOf(name: string, count: number): readonly Batch[] {
  const feed = new Feed(name);
  const manifest = network(ALONE);
  for (let at = 0; at < count; at++) {
    const announce: Entry = announceOf(blockAt(1 + Math.floor(at / 20)));
    feed.seal(manifest, [at % 20 === 0 ? announce : { kind: "beat", tasks: [] }]);
  }
  return feed.batches;
}

interface Recovered {
  readonly state: State;
  readonly refused: readonly string[];
  readonly value: { readonly next: number; readonly head: Hash } | Fault;
}

function recovered(
  journal: Journal,
  stored: { readonly batches?: readonly Batch[]; readonly gone?: readonly StoredGone[] } = {},
  limits = {},
): Recovered {
  const state = createState(network(ALONE), {
    self: keyOf("a"),
    roles: { source: true, attester: true, prover: true },
    slots: 1,
    systems: ["mock"],
    seed: 0,
    limits,
  });
  const store = memoryStore({ defer: (run) => run() });
  const batches = (stored.batches ?? []).map(
    ({ head, bytes }): StoredBatch => ({ author: head.author, number: head.number, bytes }),
  );
  store.write({ batches, gone: stored.gone ?? [] }, () => {});
  const refused: string[] = [];
  const telemetry = { emit: () => {}, count: (name: string, label: string) => void refused.push(`${name} ${label}`) };
  let value: Recovered["value"] | null = null;
  recover(state, { journal, store, equation, telemetry }, (result) => {
    if (!result.ok) value = result.fault;
    else value = { next: result.value.journal.next, head: result.value.journal.head };
  });
  if (value === null) throw new Error("recovery did not end");
  return { state, refused, value };
}

function bytesOf(batches: readonly Batch[]): readonly Uint8Array[] {
  return batches.map(({ bytes }) => bytes);
}

describe("a recovery", () => {
  const own = feedOf("a", BATCHES);
  const goesOn = { next: BATCHES, head: own.at(-1)?.hash };

  it("continues behind the last of 6,000 own batches, of which every 20th announces a block", () => {
    const { state, refused, value } = recovered(journalOf(bytesOf(own)));
    expect(value).toEqual(goesOn);
    expect(refused).toEqual([]);
    expect(state.log.feed(keyOf("a"))).toMatchObject({ next: BATCHES, highest: BATCHES - 1 });
    expect(state.blocks.size).toBe(BATCHES / 20);
    expect(state.mute).toBe(null);
  });

  it("continues so from a journal on disk, and refuses one on disk that misses a batch", async () => {
    const written = async (records: readonly Uint8Array[]) => {
      const options = { dir: temporaryDirectory(), key: keyOf("a") };
      const journal = openJournal(options);
      journal.load();
      for (let from = 0; from < records.length; from += 500)
        await new Promise<void>((resolve) => journal.append(records.slice(from, from + 500), () => resolve()));
      await new Promise<void>((resolve) => journal.close(resolve));
      return openJournal(options);
    };
    expect(recovered(await written(bytesOf(own))).value).toEqual(goesOn);
    const gap = await written(bytesOf(own.filter((_, number) => number !== 5000)));
    expect(recovered(gap).value).toMatchObject({ code: "journal.gap" });
  });

  it("takes in own announcements that are far above the certified block, which its store has lost", () => {
    const { value } = recovered(journalOf(bytesOf(own)), {}, { blockAheadMax: 64 });
    expect(value).toEqual(goesOn);
  });

  it("replays another author's batches in the order of that author's feed", () => {
    const { state } = recovered(journalOf([]), { batches: feedOf("s", BATCHES) });
    expect(state.log.feed(keyOf("s"))).toMatchObject({ next: BATCHES, highest: BATCHES - 1 });
  });

  it("continues behind a compacted journal, which keeps some batches below its floor", () => {
    const last = own[4999];
    if (last === undefined) throw new Error("no batch 4999");
    const floor = { next: 5000, previous: last.hash, closed: {} };
    const kept = [...own.filter((_, number) => number < 5000 && number % 100 === 99), ...own.slice(5000)];
    const { state, value } = recovered(journalOf(bytesOf(kept), floor));
    expect(value).toEqual(goesOn);
    expect(state.log.feed(keyOf("a"))?.gone()[0]).toEqual({ from: 0, to: 99 });
  });

  it("accepts a record that the journal holds twice", () => {
    const { value } = recovered(journalOf(bytesOf([...own.slice(0, 5), ...own.slice(3, 8)])));
    expect(value).toEqual({ next: 8, head: own[7]?.hash });
  });

  it("stops at an own number that the journal does not continue", () => {
    const { value } = recovered(journalOf(bytesOf([...own.slice(0, 40), ...own.slice(41, 50)])));
    expect(value).toMatchObject({ code: "journal.gap" });
    expect("message" in value ? value.message : "").toContain("batch 40");
  });

  it("stops at an own number far above the gap", () => {
    const { value } = recovered(journalOf(bytesOf([...own.slice(0, 4), ...own.slice(5500)])));
    expect(value).toMatchObject({ code: "journal.gap" });
  });

  it("stops at two own batches of one number, and at a batch that names another one before it", () => {
    const other = new Feed("a", own.slice(0, 10)).seal(network(ALONE), [announceOf(blockAt(9))]);
    const fork = recovered(journalOf(bytesOf([...own.slice(0, 12), other])));
    expect(fork.value).toMatchObject({ code: "journal.refused" });
    const broken = recovered(journalOf(bytesOf([...own.slice(0, 10), other, ...own.slice(11, 12)])));
    expect(broken.value).toMatchObject({ code: "journal.refused" });
  });

  it("stops at a record that is no batch, and at one of another author", () => {
    const records = bytesOf(own.slice(0, 3));
    expect(recovered(journalOf([...records, new Uint8Array(9)])).value).toMatchObject({ code: "journal.refused" });
    const foreign = bytesOf(feedOf("b", 1));
    expect(recovered(journalOf([...records, ...foreign])).value).toMatchObject({ code: "journal.refused" });
  });

  it("begins at number 0 with an empty journal", () => {
    expect(recovered(journalOf([])).value).toEqual({ next: 0, head: ZERO_HASH });
  });
});
