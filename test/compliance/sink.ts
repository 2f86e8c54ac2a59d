import path from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { CLOCK } from "../../src/node/clock.ts";
import type { CertifiedBlock, Presence, Sink, Store } from "../../src/ports.ts";
import { Proposer, type SinkLine } from "../../src/runtime/proposer.ts";
import { openCursor } from "../../src/storage/cursor.ts";
import { signerNamed } from "../protocol/fixtures.ts";
import { CHAIN, certified, chainOf, NETWORK, storeOf } from "../sinks/blocks.ts";
import { temporaryDirectory } from "../storage/directories.ts";
import { resultOf, valueOf } from "./completion.ts";

/** A place, empty at first, and the ways to it. */
export interface PlaceUnderTest {
  /** A sink of a node; called again, the sink of another node or of the same one after a restart. */
  readonly open: (node: number) => Sink;
  /** Heights of the blocks that the place has, as it took them: twice where it counts one twice. */
  readonly heights: () => Promise<readonly number[]>;
  /** Whether it can be reached. */
  readonly down: (is: boolean) => Promise<void>;
}

/** A place whose answers can be lost. */
export interface RemotePlace extends PlaceUnderTest {
  /** The place takes the next block, but whoever hands it on does not hear of it. */
  readonly loseAnswer: () => void;
}

export const NODES: readonly string[] = [0, 1, 2].map((index) => signerNamed(`node ${index}`).key);

/** The proposer of one node, with its cursor on disk, and a way to kill it: nothing of it happens afterwards. */
export class Serving {
  readonly proposer: Proposer;
  readonly events: string[] = [];
  readonly #sink: Sink;
  /** Resolves when it is killed. */
  readonly ended: Promise<void>;
  #killed: () => void = () => {};
  readonly #watching = new Set<() => void>();

  constructor(sink: Sink, dir: string, node: number, store: Store, change: Partial<SinkLine> = {}) {
    const cursor = openCursor(path.join(dir, `${node}.json`));
    const rest = { chains: [CHAIN], from: null, nodes: [NODES[node] ?? ""], takeoverMs: 300 };
    const emit = (event: string, fields: Readonly<Record<string, unknown>> = {}): void => {
      const { height, code } = fields as { readonly height?: number; readonly code?: string };
      this.events.push([event, height, code].filter((each) => each !== undefined).join(" "));
      // Status says it once the event was said.
      queueMicrotask(() => this.#watching.forEach((check) => check()));
    };
    this.#sink = sink;
    this.ended = new Promise((resolve) => (this.#killed = resolve));
    this.proposer = new Proposer(
      { network: NETWORK, self: NODES[node] ?? "" },
      [{ name: "place", sink, cursor, ...rest, ...change }],
      { clock: CLOCK, store, telemetry: { emit, count: () => {} } },
    );
    onTestFinished(() => this.end());
    this.proposer.start();
  }

  /** Resolves when this node knows that a height is there. */
  async until(height: number): Promise<void> {
    await this.whenever(() => (this.proposer.status()[0]?.delivered ?? -1) >= height);
  }

  async whenever(holds: () => boolean): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const check = (): void => (holds() ? resolve() : undefined);
    this.#watching.add(check);
    check();
    await promise;
    this.#watching.delete(check);
  }

  async end(): Promise<void> {
    this.proposer.close();
    this.#killed();
    await this.#sink.close();
  }
}

function look(sink: Sink, block: CertifiedBlock): Promise<Presence> {
  return valueOf((done) => sink.look(block, done));
}

function deliver(sink: Sink, block: CertifiedBlock): Promise<void> {
  return valueOf((done) => sink.deliver(block, done));
}

/** What every sink must do, at its real place. */
export function sinkCompliance(name: string, open: () => Promise<PlaceUnderTest>): void {
  describe(`sink: ${name}`, () => {
    test("a block is missing until it is handed on, and handing it on again changes nothing", async () => {
      const place = await open();
      const [sink, other] = [place.open(0), place.open(1)];
      expect(await look(sink, certified(1))).toEqual({ kind: "missing" });
      await deliver(sink, certified(1));
      await deliver(sink, certified(1));
      expect(await look(other, certified(1))).toEqual({ kind: "there" });
      expect(await look(other, certified(2))).toEqual({ kind: "missing" });
      expect(await place.heights()).toEqual([1]);
      await Promise.all([sink.close(), other.close()]);
    });

    test("blocks come in chain order, each once", async () => {
      const place = await open();
      const serving = new Serving(place.open(0), temporaryDirectory(), 0, await storeOf(...chainOf(1, 6)));
      await serving.until(6);
      expect(await place.heights()).toEqual([1, 2, 3, 4, 5, 6]);
    });

    test("a crash between handing on and writing it down loses nothing and repeats nothing", async () => {
      const place = await open();
      const before = place.open(0);
      await deliver(before, certified(1));
      await deliver(before, certified(2));
      await before.close();
      const serving = new Serving(place.open(0), temporaryDirectory(), 0, await storeOf(...chainOf(1, 4)));
      await serving.until(4);
      expect(serving.events.filter((event) => event.startsWith("sink.skipped"))).toEqual([
        "sink.skipped 1",
        "sink.skipped 2",
      ]);
      expect(await place.heights()).toEqual([1, 2, 3, 4]);
    });

    test("a node that is killed goes on after its restart where it was", async () => {
      const place = await open();
      const dir = temporaryDirectory();
      const first = new Serving(place.open(0), dir, 0, await storeOf(...chainOf(1, 3)));
      await first.until(3);
      await first.end();
      const second = new Serving(place.open(0), dir, 0, await storeOf(...chainOf(1, 5)));
      await second.until(5);
      expect(await place.heights()).toEqual([1, 2, 3, 4, 5]);
    });

    test("a place that is down is tried again until it is up", async () => {
      const place = await open();
      await place.down(true);
      const serving = new Serving(place.open(0), temporaryDirectory(), 0, await storeOf(...chainOf(1, 2)));
      await serving.whenever(() => serving.proposer.status()[0]?.state === "failing");
      expect(serving.proposer.status()[0]).toMatchObject({ height: 1, delivered: null });
      await place.down(false);
      await serving.until(2);
      expect(await place.heights()).toEqual([1, 2]);
    });

    test("three nodes at one place hand each block on once", async () => {
      const place = await open();
      const dir = temporaryDirectory();
      const store = await storeOf(...chainOf(1, 6));
      const all = NODES.map((_, node) => new Serving(place.open(node), dir, node, store, { nodes: NODES }));
      await Promise.all(all.map((serving) => serving.until(6)));
      expect(await place.heights()).toEqual([1, 2, 3, 4, 5, 6]);
    });

    test("a sink that is closed ends what it does", async () => {
      const place = await open();
      const sink = place.open(0);
      await place.down(true);
      const result = resultOf<void>((done) => sink.deliver(certified(1), done));
      await sink.close();
      expect((await result).ok).toBe(false);
      await place.down(false);
      expect(await place.heights()).toEqual([]);
    });
  });
}

/** And where there is a network between node and place. */
export function remoteSinkCompliance(name: string, open: () => Promise<RemotePlace>): void {
  sinkCompliance(name, open);

  test(`sink: ${name}: an answer that is lost does not hand a block on twice`, async () => {
    const place = await open();
    place.loseAnswer();
    const serving = new Serving(place.open(0), temporaryDirectory(), 0, await storeOf(...chainOf(1, 3)));
    await serving.until(3);
    expect(await place.heights()).toEqual([1, 2, 3]);
  });
}
