import { describe, expect, it } from "vitest";
import type { Store } from "../../src/ports.ts";
import { openStart, signStart } from "../../src/protocol/start.ts";
import { Starts } from "../../src/runtime/starts.ts";
import { memoryStore } from "../../src/storage/memory.ts";
import { simSigner } from "../../simnet/virtual/provers.ts";
import { equation } from "../core/harness.ts";
import { hashOf } from "../protocol/fixtures.ts";

const NETWORK = hashOf("network");
const A = simSigner(1, "a");

function record(counter: number, nonce = "00", author = A): Uint8Array {
  const content = { author: author.key, counter, nonce: nonce.repeat(16), number: 3, head: hashOf("head") };
  return signStart(NETWORK, content, author.sign).bytes;
}

function starts(store: Store = memoryStore({ defer: (run) => run() }), strangersMax = 2) {
  const made = new Starts(NETWORK, equation, store, (key) => key === A.key, strangersMax);
  const shown = (bytes: Uint8Array, author = A.key) => {
    let answer: readonly Uint8Array[] | null = null;
    made.shown(author, bytes, (records) => (answer = records));
    return answer as readonly Uint8Array[] | null;
  };
  return { made, shown };
}

describe("start records of others", () => {
  it("are shown as the latest one, also to an older start (START-2)", () => {
    const { shown } = starts();
    expect(shown(record(1))).toEqual([record(1)]);
    expect(shown(record(2))).toEqual([record(2)]);
    expect(shown(record(1, "bb"))).toEqual([record(2)]);
  });

  it("of one counter are shown both (START-4)", () => {
    const { shown } = starts();
    shown(record(2, "aa"));
    expect(shown(record(2, "bb"))).toEqual([record(2, "aa"), record(2, "bb")]);
    expect(shown(record(2, "cc"))).toEqual([record(2, "aa"), record(2, "bb")]);
  });

  it("are durable before they are shown, and are not shown where the disk fails (START-2)", () => {
    const due: (() => void)[] = [];
    const store = memoryStore({ defer: (run) => due.push(run) });
    const { shown } = starts(store);
    expect(shown(record(1))).toBe(null);
    due.splice(0).forEach((run) => run());
    expect(shown(record(1))).toEqual([record(1)]);
    const fault = { code: "disk.full", message: "test" };
    const full = Object.assign(memoryStore({ defer: (run) => run() }), {
      write: (_: unknown, done: (result: { readonly ok: false; readonly fault: typeof fault }) => void) =>
        done({ ok: false, fault }),
    });
    expect(starts(full).shown(record(1))).toEqual([]);
  });

  it("of strangers leave room for those of members, and the one not shown for longest goes (START-2)", () => {
    const store = memoryStore({ defer: (run) => run() });
    const { shown } = starts(store);
    const strangers = [2, 3, 4, 5].map((seed) => simSigner(seed, "stranger"));
    const [first, second, third, fourth] = strangers as [typeof A, typeof A, typeof A, typeof A];
    shown(record(1));
    for (const each of [first, second]) shown(record(7, "aa", each), each.key);
    shown(record(7, "aa", first), first.key);
    shown(record(7, "aa", third), third.key);
    expect(shown(record(2))).toEqual([record(2)]);
    expect(shown(record(6, "aa", first), first.key), "shown again before the third came").toEqual([
      record(7, "aa", first),
    ]);
    shown(record(7, "aa", fourth), fourth.key);
    let stored: readonly string[] = [];
    store.load((loaded) => (stored = loaded.ok ? loaded.value.starts.map(({ author }) => author) : []));
    expect(stored.toSorted()).toEqual([A.key, first.key, fourth.key].toSorted());
    expect(shown(record(6, "bb", second), second.key), "nobody knows the later one any more").toEqual([
      record(6, "bb", second),
    ]);
  });

  it("count for their signer alone, and only with a signature that holds (START-1)", () => {
    const { shown } = starts();
    expect(shown(record(1, "00", simSigner(1, "b")))).toEqual([]);
    const forged = record(1);
    forged[forged.length - 5] = (forged[forged.length - 5] ?? 0) ^ 1;
    expect(shown(forged)).toEqual([]);
    expect(openStart(hashOf("another"), record(1), equation)).toBe(null);
  });
});
