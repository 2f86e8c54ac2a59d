import { expect, test } from "vitest";
import { memoryArtefacts, memoryJournal, memoryStore } from "../../src/storage/memory.ts";
import { artefactsCompliance } from "../compliance/artefacts.ts";
import { append, compact, floorAt, journalCompliance, loadTexts } from "../compliance/journal.ts";
import { storeCompliance } from "../compliance/store.ts";

const collaborators = { defer: queueMicrotask };

// A simulated node that crashes keeps the object: what LevelDB was handed survives the end of a process.
storeCompliance("memory", () => {
  const store = memoryStore(collaborators);
  return Promise.resolve({ store, reopen: () => Promise.resolve(store) });
});
artefactsCompliance("memory", () => Promise.resolve(memoryArtefacts(collaborators)));
journalCompliance("memory", () => {
  const journal = memoryJournal(collaborators);
  const reopen = (): Promise<typeof journal> => {
    journal.crash(0);
    return Promise.resolve(journal);
  };
  return Promise.resolve({ journal, reopen });
});

/** A scheduler that runs what it was given only when told, in any order. */
function held(): { readonly defer: (run: () => void) => void; readonly runs: (() => void)[] } {
  const runs: (() => void)[] = [];
  return { defer: (run) => runs.push(run), runs };
}

function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

test("a crash keeps what was acknowledged and as much of the rest as asked for", () => {
  const { defer, runs } = held();
  const journal = memoryJournal({ defer });
  journal.load();
  const acknowledged: string[] = [];
  journal.append([bytes("a")], () => acknowledged.push("a"));
  journal.append([bytes("b"), bytes("c")], () => acknowledged.push("b"));
  journal.append([bytes("d")], () => acknowledged.push("d"));
  runs[0]?.();
  journal.crash(1);
  expect(loadTexts(journal).texts).toEqual(["a", "b"]);
  for (const run of runs.slice(1)) run();
  expect(acknowledged).toEqual(["a"]);
});

test("a compaction survives a crash as a whole or not at all", async () => {
  for (const keep of [0, 1]) {
    const { defer, runs } = held();
    const journal = memoryJournal({ defer });
    journal.load();
    const appended = append(journal, "a");
    runs[0]?.();
    await appended;
    void compact(journal, floorAt(2), "b");
    journal.crash(keep);
    const expected = keep === 0 ? { floor: null, texts: ["a"] } : { floor: floorAt(2), texts: ["b"] };
    expect(loadTexts(journal)).toEqual(expected);
  }
});

test("completions keep the order of the calls when the scheduler does not", () => {
  const { defer, runs } = held();
  const journal = memoryJournal({ defer });
  journal.load();
  const order: string[] = [];
  for (const text of ["a", "b", "c"]) journal.append([bytes(text)], () => order.push(text));
  runs[2]?.();
  expect(order).toEqual([]);
  runs[0]?.();
  expect(order).toEqual(["a"]);
  runs[1]?.();
  expect(order).toEqual(["a", "b", "c"]);
});
