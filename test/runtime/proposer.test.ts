import { expect, test } from "vitest";
import type {
  CertifiedBlock,
  Cursor,
  CursorPosition,
  Notice,
  Result,
  Sink,
  SinkFault,
  Store,
} from "../../src/ports.ts";
import { Proposer, type SinkLine, type SinkStatus } from "../../src/runtime/proposer.ts";
import { valueOf } from "../compliance/completion.ts";
import { signerNamed } from "../protocol/fixtures.ts";
import { CHAIN, certified, chainOf, NETWORK, storeOf } from "../sinks/blocks.ts";

const SELF = signerNamed("node 0").key;
const NODES = [0, 1, 2].map((index) => signerNamed(`node ${index}`).key);

/** Time that passes when the test says so, and everything that is due with it. */
class Ticker {
  nowMs = 0;
  readonly #timers = new Set<{ readonly atMs: number; readonly run: () => void }>();

  now(): number {
    return this.nowMs;
  }

  wall(): number {
    return 0;
  }

  after(delayMs: number, run: () => void): () => void {
    const timer = { atMs: this.nowMs + delayMs, run };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  async pass(totalMs: number): Promise<void> {
    await settle();
    for (const untilMs = this.nowMs + totalMs; ; ) {
      const due = [...this.#timers].sort((a, b) => a.atMs - b.atMs)[0];
      if (due === undefined || due.atMs > untilMs) {
        this.nowMs = untilMs;
        return;
      }
      this.nowMs = due.atMs;
      this.#timers.delete(due);
      due.run();
      await settle();
    }
  }
}

/** Everything that only waits for completions. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
}

/** A place that several nodes hand on to. */
class Place {
  readonly taken: CertifiedBlock[] = [];
  readonly asked: string[] = [];
  readonly notices: Notice[] = [];
  /** What the next calls of `deliver` come to, after the block was taken if `lost`. */
  readonly faults: (SinkFault & { readonly lost?: true })[] = [];
  /** Where it goes on, if it takes blocks in order. */
  next: number | null = null;
  /** Takes nothing and answers nothing. */
  hangs = false;

  sink(): Sink {
    return {
      look: (block, done) => {
        this.asked.push(`look ${block.height}`);
        const there = this.taken.some((each) => each.block === block.block);
        const { next } = this;
        const behind = !there && next !== null && next < block.height;
        queueMicrotask(() =>
          done({ ok: true, value: behind ? { kind: "behind", from: next } : { kind: there ? "there" : "missing" } }),
        );
      },
      deliver: (block, done) => {
        this.asked.push(`deliver ${block.height}`);
        if (this.hangs) return;
        const fault = this.faults.shift();
        const result: Result<void, SinkFault> =
          fault === undefined ? { ok: true, value: undefined } : { ok: false, fault };
        if (fault === undefined || fault.lost) {
          this.taken.push(block);
          this.next &&= block.height + 1;
        }
        queueMicrotask(() => done(result));
      },
      notice: (notice) => this.notices.push(notice),
      close: () => Promise.resolve(),
    };
  }

  get heights(): readonly number[] {
    return this.taken.map(({ height }) => height);
  }
}

class MemoryCursor implements Cursor {
  positions: ReadonlyMap<number, CursorPosition> = new Map();

  load(): ReadonlyMap<number, CursorPosition> {
    return this.positions;
  }

  save(positions: ReadonlyMap<number, CursorPosition>, done: (result: Result<void>) => void): void {
    this.positions = positions;
    queueMicrotask(() => done({ ok: true, value: undefined }));
  }
}

class Bench {
  readonly clock = new Ticker();
  readonly events: string[] = [];
  readonly store: Store;

  constructor(store: Store) {
    this.store = store;
  }

  line(place: Place, change: Partial<SinkLine> = {}): SinkLine {
    const rest = { chains: [CHAIN], from: null, nodes: [SELF], takeoverMs: 1000 };
    return { name: "place", sink: place.sink(), cursor: new MemoryCursor(), ...rest, ...change };
  }

  async start(lines: readonly SinkLine[], self: string = SELF): Promise<Proposer> {
    const telemetry = { emit: (event: string) => void this.events.push(event), count: () => {} };
    const { clock, store } = this;
    const proposer = new Proposer({ network: NETWORK, self }, lines, { clock, store, telemetry });
    proposer.start();
    await settle();
    return proposer;
  }

  async certify(proposer: Proposer, ...blocks: readonly CertifiedBlock[]): Promise<void> {
    await valueOf<void>((done) => this.store.write({ certificates: blocks }, done));
    proposer.certified(CHAIN);
    await settle();
  }
}

async function benchWith(...blocks: readonly CertifiedBlock[]): Promise<Bench> {
  return new Bench(await storeOf(...blocks));
}

function stateOf(proposer: Proposer): SinkStatus | undefined {
  return proposer.status()[0];
}

test("certified blocks are handed on in chain order, and a height that is missing is waited for", async () => {
  const bench = await benchWith(certified(1), certified(2), certified(4));
  const place = new Place();
  const proposer = await bench.start([bench.line(place)]);
  expect(place.heights).toEqual([1, 2]);
  expect(stateOf(proposer)).toMatchObject({ delivered: 2, state: "idle", why: "waits for the certificate of 3" });
  await bench.certify(proposer, certified(3));
  expect(place.heights).toEqual([1, 2, 3, 4]);
});

test("nothing is handed on before the block that the chain starts with (SINK-4)", async () => {
  const bench = await benchWith(certified(2), certified(3));
  const place = new Place();
  const proposer = await bench.start([bench.line(place)]);
  expect(stateOf(proposer)).toMatchObject({ delivered: null, why: "waits for the first certificate" });
  await bench.certify(proposer, certified(1));
  expect(place.heights).toEqual([1, 2, 3]);
});

test("a sink may begin higher up", async () => {
  const bench = await benchWith(...chainOf(1, 5));
  const place = new Place();
  await bench.start([bench.line(place, { from: 4 })]);
  expect(place.heights).toEqual([4, 5]);
});

test("a run that starts further up follows what came before it", async () => {
  const bench = await benchWith(...chainOf(1, 2), certified(10, "", 1, 10), certified(11));
  const place = new Place();
  await bench.start([bench.line(place)]);
  expect(place.heights).toEqual([1, 2, 10, 11]);
});

test("after a restart it goes on where its cursor is, and asks about nothing before", async () => {
  const bench = await benchWith(...chainOf(1, 4));
  const place = new Place();
  const cursor = new MemoryCursor();
  cursor.positions = new Map([[CHAIN, { height: 2, block: certified(2).block }]]);
  await bench.start([bench.line(place, { cursor })]);
  expect(place.asked).toEqual(["look 3", "deliver 3", "look 4", "deliver 4"]);
  expect(cursor.positions.get(CHAIN)?.height).toBe(4);
});

test("a cursor that names no certificate is not believed, and what is there is skipped", async () => {
  const bench = await benchWith(...chainOf(1, 3));
  const place = new Place();
  place.taken.push(certified(1), certified(2));
  const cursor = new MemoryCursor();
  cursor.positions = new Map([[CHAIN, { height: 3, block: certified(2).block }]]);
  await bench.start([bench.line(place, { cursor })]);
  expect(place.asked).toEqual(["look 1", "look 2", "look 3", "deliver 3"]);
});

test("an answer that is lost after the block was taken does not hand it on twice (SINK-3)", async () => {
  const bench = await benchWith(...chainOf(1, 2));
  const place = new Place();
  place.faults.push({ code: "http.timeout", message: "no answer", lost: true });
  const proposer = await bench.start([bench.line(place)]);
  expect(stateOf(proposer)).toMatchObject({
    state: "failing",
    height: 1,
    failures: 1,
    why: "no answer [http.timeout]",
  });
  await bench.clock.pass(250);
  expect(place.heights).toEqual([1, 2]);
});

test("failures are retried at a pace that slows down to a minute, for ever, and hold up no other sink", async () => {
  const bench = await benchWith(...chainOf(1, 2));
  const [bad, good] = [new Place(), new Place()];
  for (let fault = 0; fault < 30; fault++) bad.faults.push({ code: "down", message: "it is down" });
  const proposer = await bench.start([bench.line(bad), bench.line(good, { name: "good" })]);
  expect(good.heights).toEqual([1, 2]);
  await bench.clock.pass(64_000);
  // 0, 0.25, 0.75, 1.75, ... 63.75 s
  expect(bad.asked.filter((asked) => asked === "deliver 1")).toHaveLength(9);
  await bench.clock.pass(600_000);
  expect(bad.asked.filter((asked) => asked === "deliver 1")).toHaveLength(19);
  expect(stateOf(proposer)).toMatchObject({ state: "failing", failures: 19 });
  await bench.clock.pass(12 * 60_000);
  expect(bad.heights).toEqual([1, 2]);
  expect(stateOf(proposer)).toMatchObject({ state: "idle", failures: 0, delivered: 2 });
});

test("a place that asks to be left alone is, up to an hour", async () => {
  const bench = await benchWith(certified(1));
  const place = new Place();
  place.faults.push({ code: "busy", message: "later", retryAfterMs: 90_000 });
  place.faults.push({ code: "busy", message: "next year", retryAfterMs: 1e12 });
  await bench.start([bench.line(place)]);
  await bench.clock.pass(89_999);
  expect(place.asked).toEqual(["look 1", "deliver 1"]);
  await bench.clock.pass(1);
  expect(place.asked).toEqual(["look 1", "deliver 1", "look 1", "deliver 1"]);
  await bench.clock.pass(3_600_000);
  expect(place.heights).toEqual([1]);
});

test("the second node takes over after the delay, the third after three times as long (SINK-6)", async () => {
  const starts: number[] = [];
  for (const self of NODES) {
    const bench = await benchWith(certified(1));
    const place = new Place();
    place.hangs = true;
    const proposer = await bench.start([bench.line(place, { nodes: NODES, takeoverMs: 1000 })], self);
    while (!place.asked.includes("deliver 1")) {
      expect(stateOf(proposer)?.state).toBe("waiting");
      await bench.clock.pass(10);
    }
    starts.push(bench.clock.nowMs);
  }
  expect(starts.toSorted((a, b) => a - b)).toEqual([0, 1000, 3000]);
});

test("whoever is not first only looks, and goes on as soon as the block is there", async () => {
  const bench = await benchWith(certified(1));
  const shared = new Place();
  const last = await lastOf(certified(1));
  const proposer = await bench.start([bench.line(shared, { nodes: NODES, takeoverMs: 1000 })], last);
  await bench.clock.pass(600);
  expect(shared.asked).toEqual(["look 1", "look 1", "look 1"]);
  shared.taken.push(certified(1));
  await bench.clock.pass(250);
  expect(stateOf(proposer)).toMatchObject({ state: "idle", delivered: 1 });
  expect(shared.asked).not.toContain("deliver 1");
});

/** The node whose turn comes last. */
async function lastOf(block: CertifiedBlock): Promise<string> {
  const waits = await Promise.all(
    NODES.map(async (self) => {
      const bench = await benchWith(block);
      const proposer = await bench.start([bench.line(new Place(), { nodes: NODES })], self);
      return { self, why: stateOf(proposer)?.why ?? "" };
    }),
  );
  return waits.find(({ why }) => why.startsWith("is number 3"))?.self ?? "";
}

test("the branch that goes on is followed from the fork, where another one was handed on", async () => {
  const bench = await benchWith(certified(1), certified(2), certified(3));
  const place = new Place();
  const proposer = await bench.start([bench.line(place)]);
  await bench.certify(proposer, certified(2, "b", 2));
  expect(place.heights).toEqual([1, 2, 3]);
  await bench.certify(proposer, certified(3, "b", 2), certified(4, "b", 2));
  expect(place.taken.map(({ height, block }) => [height, block])).toEqual([
    ...[1, 2, 3].map((height) => [height, certified(height).block]),
    ...[2, 3, 4].map((height) => [height, certified(height, "b", 2).block]),
  ]);
});

test("a place that has lost blocks gets them again (SINK-5)", async () => {
  const bench = await benchWith(...chainOf(1, 4));
  const place = new Place();
  place.next = 2;
  place.taken.push(certified(1));
  const cursor = new MemoryCursor();
  cursor.positions = new Map([[CHAIN, { height: 3, block: certified(3).block }]]);
  await bench.start([bench.line(place, { cursor })]);
  expect(place.heights).toEqual([1, 2, 3, 4]);
  expect(bench.events).toContain("sink.rewound");
});

test("a place that goes on where this node has nothing is waited for, and status says why", async () => {
  const bench = await benchWith(...chainOf(5, 2).map(({ height }) => certified(height, "", 1, 5)));
  const place = new Place();
  place.next = 3;
  const proposer = await bench.start([bench.line(place)]);
  expect(stateOf(proposer)).toMatchObject({ state: "failing", height: 5 });
  expect(stateOf(proposer)?.why).toContain("[sink.gap]");
});

test("what a node cannot hand on is left to the others, and passed over after all had their turn", async () => {
  const bench = await benchWith(...chainOf(1, 2));
  const place = new Place();
  for (let turn = 0; turn < 200; turn++) place.faults.push({ code: "lost", message: "it is lost", hopeless: true });
  const proposer = await bench.start([bench.line(place, { nodes: NODES, takeoverMs: 1000 })]);
  await bench.clock.pass(5_900);
  expect(stateOf(proposer)).toMatchObject({ delivered: null, state: "waiting" });
  await bench.clock.pass(400);
  expect(stateOf(proposer)?.delivered).toBe(1);
  expect(bench.events).toContain("sink.passed");
});

test("only the node whose turn a block is announces it; all hear of certified ones", async () => {
  const told = await Promise.all(
    NODES.map(async (self) => {
      const bench = await benchWith();
      const place = new Place();
      const proposer = await bench.start([bench.line(place, { nodes: NODES })], self);
      const { block, content } = certified(7);
      const at = { height: 7, hash: content.hash, block };
      for (const state of ["queued", "proving", "certified"] as const) {
        proposer.notice({ state, chain: CHAIN, ...at });
        proposer.notice({ state, chain: 1, ...at });
      }
      return place.notices.map(({ state }) => state).join(" ");
    }),
  );
  expect(told.toSorted()).toEqual(["certified", "certified", "queued proving certified"]);
});

test("a proposer that is closed asks for nothing more", async () => {
  const bench = await benchWith(certified(1));
  const place = new Place();
  place.faults.push({ code: "down", message: "it is down" });
  const proposer = await bench.start([bench.line(place)]);
  proposer.close();
  await bench.clock.pass(600_000);
  expect(place.asked).toEqual(["look 1", "deliver 1"]);
});
