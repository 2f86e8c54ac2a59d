import { describe, expect, test } from "vitest";
import type { Artefacts, Journal, Result } from "../../src/ports.ts";
import { artefactHash } from "../../src/protocol/ids.ts";
import type { Entry } from "../../src/protocol/messages.ts";
import { Fetcher } from "../../src/runtime/fetcher.ts";
import { SigningBook } from "../../src/runtime/signing.ts";
import { Sealer } from "../../src/runtime/sealer.ts";
import { createKeyFrom } from "../keys.ts";
import { memoryArtefacts, memorySigningRecord, NEVER_SIGNED } from "../../src/storage/memory.ts";

const NETWORK = "ab".repeat(32);

/** A journal whose writes end when the test says so. */
class SlowJournal implements Journal {
  readonly writes: { readonly count: number; readonly end: () => void }[] = [];

  load(): { readonly floor: null; readonly records: readonly Uint8Array[] } {
    return { floor: null, records: [] };
  }

  append(records: readonly Uint8Array[], done: (result: Result<void>) => void): void {
    this.writes.push({ count: records.length, end: () => done({ ok: true, value: undefined }) });
  }

  compact(_floor: unknown, _records: unknown, done: (result: Result<void>) => void): void {
    done({ ok: true, value: undefined });
  }

  size(): number {
    return 0;
  }
}

function release(attempt: number): Entry {
  return { kind: "release", block: "cd".repeat(32), stage: "shard", index: 0, attempt };
}

const BOOK = new SigningBook(memorySigningRecord({ defer: (run) => run() }), NEVER_SIGNED, () => {});

describe("what is acknowledged", () => {
  test("waits for the write that holds it, not for the one that was under way before", () => {
    const journal = new SlowJournal();
    const signer = createKeyFrom(new Uint8Array(32).fill(1));
    const events: string[] = [];
    const sent = (batch: { readonly head: { readonly number: number } }) => events.push(`sent ${batch.head.number}`);
    const sealer = new Sealer(
      NETWORK,
      signer,
      journal,
      () => BOOK,
      sent,
      () => {},
    );
    sealer.append([release(0)], () => {});
    sealer.append([release(1)], () => {});
    sealer.flushed(() => events.push("acknowledged"));
    journal.writes[0]?.end();
    expect(events).toEqual(["sent 0"]);
    journal.writes[1]?.end();
    expect(events).toEqual(["sent 0", "sent 1", "acknowledged"]);
  });

  test("is said at once where nothing waits", () => {
    const sealer = new Sealer(
      NETWORK,
      createKeyFrom(new Uint8Array(32).fill(1)),
      new SlowJournal(),
      () => BOOK,
      () => {},
      () => {},
    );
    let acknowledged = false;
    sealer.flushed(() => (acknowledged = true));
    expect(acknowledged).toBe(true);
  });
});

describe("a proof that came inside its receipt", () => {
  test("can be had before it is on disk, without asking anyone", () => {
    const neverWritten: Artefacts = Object.assign(memoryArtefacts({ defer: queueMicrotask }), { keep: () => {} });
    const fetcher = new Fetcher(
      neverWritten,
      () => {
        throw new Error("peers were asked");
      },
      () => null,
    );
    const proof = Uint8Array.of(1, 2, 3);
    const artefact = artefactHash(proof);
    fetcher.keep(artefact, proof);
    let found: Result<Uint8Array> | null = null;
    fetcher.get({ artefact, bytesMax: 100, holders: [] }, (result) => (found = result));
    expect(found).toEqual({ ok: true, value: proof });
  });
});
