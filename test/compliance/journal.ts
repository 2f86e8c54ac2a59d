import { describe, expect, test } from "vitest";
import type { Journal, JournalFloor } from "../../src/ports.ts";
import { valueOf } from "./completion.ts";

/** A journal, new at first, and the same one after its process has ended in an orderly way. */
export interface JournalUnderTest {
  readonly journal: Journal;
  readonly reopen: () => Promise<Journal>;
}

export function append(journal: Journal, ...texts: readonly string[]): Promise<void> {
  return valueOf((done) =>
    journal.append(
      texts.map((text) => new TextEncoder().encode(text)),
      done,
    ),
  );
}

export function compact(journal: Journal, floor: JournalFloor, ...texts: readonly string[]): Promise<void> {
  return valueOf((done) =>
    journal.compact(
      floor,
      texts.map((text) => new TextEncoder().encode(text)),
      done,
    ),
  );
}

export function loadTexts(journal: Journal): {
  readonly floor: JournalFloor | null;
  readonly texts: readonly string[];
} {
  const { floor, records } = journal.load();
  return { floor, texts: records.map((record) => new TextDecoder().decode(record)) };
}

export function floorAt(next: number): JournalFloor {
  return { next, previous: "ab".repeat(32), closed: { "1": 7, "10": 2 } };
}

/** What every journal must do. */
export function journalCompliance(name: string, open: () => Promise<JournalUnderTest>): void {
  describe(`journal: ${name}`, () => {
    test("a new journal has no floor and no records", async () => {
      const { journal } = await open();
      expect(loadTexts(journal)).toEqual({ floor: null, texts: [] });
    });

    test("it is loaded before it is written, and once", async () => {
      const { journal } = await open();
      expect(() => journal.append([], () => undefined)).toThrow("loaded");
      journal.load();
      expect(() => journal.load()).toThrow("once");
    });

    test("records come back in the order of the calls, empty ones too", async () => {
      const { journal, reopen } = await open();
      journal.load();
      await Promise.all([append(journal, "a", "b"), append(journal, ""), append(journal), append(journal, "c")]);
      await append(journal, "d");
      expect(loadTexts(await reopen())).toEqual({ floor: null, texts: ["a", "b", "", "c", "d"] });
    });

    test("completions come in the order of the calls", async () => {
      const { journal } = await open();
      journal.load();
      const order: string[] = [];
      const texts = Array.from({ length: 40 }, (_, index) => `${index}`);
      const calls = texts.map((text, index) => {
        const call = index === 20 ? compact(journal, floorAt(1)) : append(journal, text);
        return call.then(() => order.push(text));
      });
      await Promise.all(calls);
      expect(order).toEqual(texts);
    });

    test("a compaction replaces everything before it and nothing after it", async () => {
      const { journal, reopen } = await open();
      journal.load();
      const calls = [append(journal, "old"), compact(journal, floorAt(3), "kept"), append(journal, "new")];
      await Promise.all(calls);
      expect(loadTexts(await reopen())).toEqual({ floor: floorAt(3), texts: ["kept", "new"] });
    });

    test("the floor of the last compaction counts", async () => {
      const { journal, reopen } = await open();
      journal.load();
      await compact(journal, floorAt(3), "a");
      await compact(journal, floorAt(5));
      const again = await reopen();
      expect(loadTexts(again)).toEqual({ floor: floorAt(5), texts: [] });
      await append(again, "b");
    });

    test("its size grows with what is appended and shrinks with what is compacted away", async () => {
      const { journal } = await open();
      journal.load();
      const empty = journal.size();
      await append(journal, "x".repeat(5000));
      expect(journal.size()).toBeGreaterThanOrEqual(empty + 5000);
      await compact(journal, floorAt(1));
      expect(journal.size()).toBeLessThan(empty + 1000);
    });
  });
}
