import type { Closed } from "../../src/protocol/certificate.ts";
import { describe, expect, test } from "vitest";
import type { Store, StoreChange, StoredBatch, StoredCertificate, StoredFacts } from "../../src/ports.ts";
import { valueOf } from "./completion.ts";

/** A store, empty at first, and a way to see whether it remembers. */
export interface StoreUnderTest {
  readonly store: Store;
  /** Ends the store in an orderly way and opens it again. */
  readonly reopen: () => Promise<Store>;
}

const alice = "0a".repeat(32);
const bob = "b0".repeat(32);

export function batch(author: string, number: number, text: string = `${number}`): StoredBatch {
  return { author, number, bytes: new TextEncoder().encode(text) };
}

/** The block is the height unless said otherwise. */
export function certificate(chain: number, height: number, block: number = height): StoredCertificate {
  const bytes = new TextEncoder().encode(`certificate ${chain} ${height} ${block}`);
  return { chain, height, block: (chain * 65_536 + block).toString(16).padStart(64, "0"), bytes };
}

export function write(store: Store, change: StoreChange): Promise<void> {
  return valueOf((done) => store.write(change, done));
}

export function load(store: Store): Promise<StoredFacts> {
  return valueOf((done) => store.load(done));
}

function plain(stored: readonly { readonly bytes: Uint8Array }[]): unknown[] {
  return stored.map((one) => ({ ...one, bytes: new TextDecoder().decode(one.bytes) }));
}

/** What every store must do. */
export function storeCompliance(name: string, open: () => Promise<StoreUnderTest>): void {
  describe(`store: ${name}`, () => {
    test("an empty store loads nothing", async () => {
      const { store } = await open();
      expect(await load(store)).toEqual({ batches: [], certificates: [], gone: [], starts: [] });
    });

    test("the start records of a key are replaced by the later ones or taken away, and outlive a restart", async () => {
      const { store, reopen } = await open();
      const records = (text: string) => [new TextEncoder().encode(text), new TextEncoder().encode(`${text}'`)];
      await write(store, {
        starts: [
          { author: alice, records: records("one") },
          { author: bob, records: records("one") },
        ],
        sync: true,
      });
      await write(store, {
        starts: [
          { author: alice, records: records("two") },
          { author: bob, records: [] },
        ],
        sync: true,
      });
      const { starts } = await load(await reopen());
      const shown = starts.map(({ author, records: bytes }) => [
        author,
        bytes.map((each) => new TextDecoder().decode(each)),
      ]);
      expect(shown).toEqual([[alice, ["two", "two'"]]]);
    });

    test("batches are loaded in order of author and number", async () => {
      const { store } = await open();
      await write(store, { batches: [batch(bob, 0), batch(alice, 300), batch(alice, 2 ** 40), batch(alice, 7)] });
      const { batches } = await load(store);
      expect(batches.map(({ author, number }) => [author, number])).toEqual([
        [alice, 7],
        [alice, 300],
        [alice, 2 ** 40],
        [bob, 0],
      ]);
      expect(plain(batches)).toContainEqual({ author: alice, number: 300, bytes: "300" });
    });

    test("a later write of the same batch replaces the earlier", async () => {
      const { store } = await open();
      const first = write(store, { batches: [batch(alice, 1, "old")] });
      const second = write(store, { batches: [batch(alice, 1, "new")], sync: true });
      await Promise.all([first, second]);
      expect(plain((await load(store)).batches)).toEqual([{ author: alice, number: 1, bytes: "new" }]);
    });

    test("a forgotten batch is gone and its neighbours stay", async () => {
      const { store } = await open();
      await write(store, { batches: [batch(alice, 1), batch(alice, 2), batch(bob, 2)] });
      await write(store, {
        forget: [
          { author: alice, number: 2 },
          { author: bob, number: 9 },
        ],
      });
      expect((await load(store)).batches.map(({ author, number }) => [author, number])).toEqual([
        [alice, 1],
        [bob, 2],
      ]);
    });

    test("a change that writes and forgets one batch leaves it forgotten", async () => {
      const { store } = await open();
      await write(store, { batches: [batch(alice, 1)], forget: [{ author: alice, number: 1 }] });
      expect((await load(store)).batches).toEqual([]);
    });

    test("what was said last to be gone of a feed is there after opening it again, beside its batches", async () => {
      const { store, reopen } = await open();
      await write(store, { batches: [batch(alice, 1)], gone: [{ author: alice, spans: [{ from: 0, to: 1 }] }] });
      const gone = [
        {
          author: alice,
          spans: [
            { from: 0, to: 1 },
            { from: 2, to: 2 ** 40 },
          ],
        },
        { author: bob, spans: [{ from: 0, to: 7 }] },
      ];
      await write(store, { gone, sync: true });
      const again = await load(await reopen());
      expect(again.gone.toSorted((a, b) => (a.author < b.author ? -1 : 1))).toEqual(gone);
      expect(again.batches.map(({ number }) => number)).toEqual([1]);
    });

    test("certificates of a chain come in order of height, then block, from a height on", async () => {
      const { store } = await open();
      const others = [certificate(1, 300), certificate(3, 1)];
      const chain = [certificate(2, 10), certificate(2, 2), certificate(2, 256, 9), certificate(2, 256, 4)];
      await write(store, { certificates: [...others, ...chain] });
      const found = await valueOf<readonly StoredCertificate[]>((done) => store.certificates(2, 3, 10, done));
      expect(plain(found)).toEqual(plain([certificate(2, 10), certificate(2, 256, 4), certificate(2, 256, 9)]));
    });

    test("no more certificates than asked for", async () => {
      const { store } = await open();
      await write(store, { certificates: [1, 2, 3, 4].map((height) => certificate(2, height)) });
      const heights = async (countMax: number): Promise<number[]> => {
        const found = await valueOf<readonly StoredCertificate[]>((done) => store.certificates(2, 2, countMax, done));
        return found.map(({ height }) => height);
      };
      expect(await heights(2)).toEqual([2, 3]);
      expect(await heights(0)).toEqual([]);
      expect(await heights(9)).toEqual([2, 3, 4]);
    });

    test("a certificate is found by its block", async () => {
      const { store } = await open();
      await write(store, { certificates: [certificate(2, 1), certificate(2, 2)] });
      const find = (block: string): Promise<StoredCertificate | null> =>
        valueOf((done) => store.certificate(block, done));
      const found = await find(certificate(2, 2).block);
      expect(found === null ? null : plain([found])).toEqual(plain([certificate(2, 2)]));
      expect(await find("f".repeat(64))).toBeNull();
    });

    test("a certified block is found by the hash that its chain gives it, and by no other chain's", async () => {
      const { store } = await open();
      const [id, hash, parent, after] = ["1", "2", "3", "4"].map((digit) => digit.repeat(64)) as [
        string,
        string,
        string,
        string,
      ];
      const closed: Closed = { id, chain: 2, height: 7, hash, parent, after };
      await write(store, { closed: [closed, { ...closed, hash: parent, parent: null }], sync: true });
      const find = (chain: number, named: string) => valueOf<Closed | null>((done) => store.closed(chain, named, done));
      expect(await find(2, hash)).toEqual(closed);
      expect((await find(2, parent))?.parent).toBeNull();
      expect(await find(1, hash)).toBeNull();
      expect(await find(2, id)).toBeNull();
    });

    test("a certificate written twice is there once", async () => {
      const { store } = await open();
      await write(store, { certificates: [certificate(2, 1)] });
      await write(store, { certificates: [certificate(2, 1)] });
      expect((await load(store)).certificates).toHaveLength(1);
    });

    test("completions of writes come in the order of the calls", async () => {
      const { store } = await open();
      const order: number[] = [];
      const numbers = Array.from({ length: 50 }, (_, number) => number);
      await Promise.all(
        numbers.map((number) => write(store, { batches: [batch(alice, number)] }).then(() => order.push(number))),
      );
      expect(order).toEqual(numbers);
    });

    test("what was written is there after opening it again", async () => {
      const { store, reopen } = await open();
      await write(store, { batches: [batch(alice, 1)], certificates: [certificate(2, 1)], sync: true });
      const again = await load(await reopen());
      expect(plain(again.batches)).toEqual(plain([batch(alice, 1)]));
      expect(plain(again.certificates)).toEqual(plain([certificate(2, 1)]));
    });
  });
}
