import { describe, expect, it, vi } from "vitest";
import type { Tell } from "../../src/ports.ts";
import { Fetcher } from "../../src/runtime/fetcher.ts";
import { Sealer } from "../../src/runtime/sealer.ts";
import { type Batch, openBatch, sealBatch } from "../../src/protocol/batch.ts";
import {
  decodeFrontier,
  decodeSyncFrame,
  encodeFrontier,
  encodeSyncFrame,
  type Frontier,
  type SyncFrame,
} from "../../src/protocol/sync.ts";
import { LEAP_NUMBERS, SigningBook } from "../../src/runtime/signing.ts";
import { memoryArtefacts, memorySigningRecord, NEVER_SIGNED } from "../../src/storage/memory.ts";
import type { Entry } from "../../src/protocol/messages.ts";
import { simSigner } from "../../simnet/virtual/provers.ts";
import { Bench, hashOf, keyOf, ManualJournal, ZERO_HASH } from "./ports.ts";

const ALONE = { attesters: ["a"], provers: ["a"], sources: ["a"] };
const FOUR = { attesters: ["a", "b", "c", "d"], provers: ["a", "b", "c", "d"], sources: ["a"] };

/** Ends a proof that is being made. */
function finish(bench: Bench, at: number): void {
  const run = bench.proving[at];
  if (run === undefined) throw new Error("nothing is being proven");
  const proof = Buffer.from(`proof ${at}`);
  run.emit({ kind: "proved", proof, values: run.job.values, provingMs: 5 });
}

function answer(bench: Bench, peer: string, seen: number, frames: readonly SyncFrame[] = []): void {
  const at = bench.requests.findIndex((request) => request.peer === keyOf(peer));
  const [request] = at < 0 ? [] : bench.requests.splice(at, 1);
  if (request === undefined) throw new Error(`${peer} was not asked`);
  const feeds = new Map([
    [keyOf("a"), seen],
    [keyOf(peer), 1],
  ]);
  // The peer has stored the start record that it was shown.
  const { starts = [] } = decodeFrontier(request.body) ?? {};
  const frontier: Frontier = { feeds, chains: new Map(), starts };
  const all: SyncFrame[] = [{ kind: "frontier", frontier }, ...frames];
  request.done({ ok: true, value: all.map(encodeSyncFrame) });
}

describe("nothing is sent, and no proof begins, before the journal has it (S5)", () => {
  it("in a step that claims and proves", () => {
    const bench = new Bench("a", ALONE).start();
    bench.mine(1);
    bench.settle();
    expect([bench.published.length, bench.journal.waiting.length]).toEqual([0, 1]);
    bench.journal.sync();
    expect(bench.said()).toEqual(["announce"]);
    bench.settle();
    expect([bench.said(), bench.proving.length]).toEqual([["announce"], 0]);
    expect(bench.journal.waiting).toHaveLength(1);
    bench.journal.sync();
    bench.settle();
    expect(bench.said().slice(1, 3)).toEqual(["claim", "claim"]);
    expect(bench.proving).toHaveLength(1);
  });

  it("in the first step after a restart", () => {
    const bench = new Bench("a", ALONE).start();
    bench.mine(1);
    bench.settle();
    bench.journal.sync();
    const again = new Bench("a", ALONE, bench.journal);
    again.journal.waiting.length = 0;
    again.artefacts.write(Buffer.from(hashOf("main 1")), () => {});
    again.start();
    expect([again.published.length, again.proving.length]).toEqual([0, 0]);
    while (again.journal.waiting.length > 0) {
      expect(again.proving).toHaveLength(again.said().includes("claim") ? 1 : 0);
      again.journal.sync();
      again.settle();
    }
    expect(again.proving).toHaveLength(1);
    expect(again.said()).not.toContain("announce");
  });

  it("and when it cannot write, the node ends and nothing is sent any more", () => {
    const bench = new Bench("a", ALONE).start();
    const seen = bench.mine(1);
    bench.settle();
    bench.journal.fail({ code: "disk.full", message: "no space" });
    bench.settle();
    bench.mine(2);
    bench.settle();
    expect(bench.faults).toMatchObject([{ code: "disk.full" }]);
    expect(bench.published).toEqual([]);
    expect(bench.proving).toEqual([]);
    expect(seen.acknowledged).toBe(false);
  });
});

describe("a node whose own state breaks an invariant", () => {
  it("ends with the invariant's code before it signs anything of that step (S4)", () => {
    const bench = new Bench("a", ALONE).start();
    bench.mine(1);
    bench.flush();
    const [block] = bench.runtime.state.blocks.keys();
    const before = [bench.published.length, bench.journal.waiting.length];
    // A vote without its lock, as a fault of this program would leave it.
    const task = { block: block ?? hashOf("none"), stage: "shard", index: 0, attempt: 0 };
    bench.runtime.state.outbox.push({ kind: "timeout", ...task, code: "limit" });
    bench.runtime.post({ kind: "tick" });
    bench.pass(5_000);
    expect(bench.faults).toMatchObject([{ code: "invariant.S4" }]);
    expect([bench.published.length, bench.journal.waiting.length]).toEqual(before);
  });
});

describe("a disk that is full", () => {
  const full = { ok: false, fault: { code: "disk.full", message: "no space" } } as const;

  it("ends the node that cannot store a certificate, which nobody would write again", () => {
    const bench = new Bench("a", ALONE).start();
    bench.mine(1);
    const write = vi.spyOn(bench.store, "write");
    write.mockImplementation((_what, done) => done(full));
    for (let at = 0; at < 3; at++) {
      bench.flush();
      finish(bench, at);
    }
    bench.flush();
    expect(bench.faults).toMatchObject([{ code: "disk.full" }]);
    expect(bench.events).not.toContain("certificate.stored");
  });

  it("ends the node that cannot keep a block of its own chain, which its source would not tell again", () => {
    const bench = new Bench("a", ALONE).start();
    let tell: Tell = () => {};
    bench.runtime.follow({ start: (_after, emit) => void (tell = emit), close: async () => {} }, null);
    const place = { chain: 1, height: 1, hash: hashOf("x"), parent: hashOf("y") };
    const block = { ...place, payload: new Uint8Array(1), items: 0 };
    vi.spyOn(bench.artefacts, "write").mockImplementation((_bytes, done) => done(full));
    void tell({ kind: "block", block });
    expect(bench.faults).toMatchObject([{ code: "disk.full" }]);
    // An operator's block is given back instead: whoever has it can try again.
    const other = new Bench("a", ALONE).start();
    vi.spyOn(other.artefacts, "write").mockImplementation((_bytes, done) => done(full));
    const codes: string[] = [];
    other.runtime.submit(block, (result) => codes.push(result.ok ? "ok" : result.fault.code));
    expect([codes, other.faults]).toEqual([["disk.full"], []]);
  });
});

describe("a block that is submitted", () => {
  it("is acknowledged when its announcement is durable, and not with the batch before it (INPUT-1)", () => {
    const bench = new Bench("a", ALONE).start();
    const first = bench.mine(1);
    bench.settle();
    const second = bench.mine(2);
    bench.settle();
    bench.journal.sync();
    expect([first.acknowledged, second.acknowledged]).toEqual([true, false]);
    bench.flush();
    expect(second.acknowledged).toBe(true);
  });

  it("goes all the way: two blocks proven, certified and stored", () => {
    const bench = new Bench("a", ALONE).start();
    bench.mine(1);
    bench.mine(2);
    for (let at = 0; at < 6; at++) {
      bench.flush();
      finish(bench, at);
    }
    bench.flush();
    expect(bench.events.filter((event) => event === "certificate.stored")).toHaveLength(2);
    expect(bench.proving).toHaveLength(6);
    expect(bench.timers).toBe(1);
  });

  it("is given back with its fault where the node signs nothing any more", () => {
    const bench = new Bench("a", ALONE).start();
    bench.runtime.drain(() => {});
    const faults: string[] = [];
    const block = { chain: 1, height: 1, hash: hashOf("x"), parent: hashOf("y"), payload: new Uint8Array(1), items: 0 };
    bench.runtime.submit(block, (result) => faults.push(result.ok ? "ok" : result.fault.code));
    bench.settle();
    expect(faults).toEqual(["node.mute"]);
  });
});

describe("a node with an older disk", () => {
  /** Three batches of a's feed; its disk has the first. */
  function feed(): Batch[] {
    const signer = simSigner(1, "a");
    const { network } = new Bench("a", FOUR).manifest;
    const batches: Batch[] = [];
    for (let number = 0; number < 3; number++) {
      const head = { author: signer.key, number, previous: batches.at(-1)?.hash ?? ZERO_HASH };
      batches.push(sealBatch(network, head, [{ kind: "beat", tasks: [] }], signer.sign));
    }
    return batches;
  }

  it("says nothing, takes its own word back from its peers, keeps it, and goes on behind it", () => {
    const [first, ...lost] = feed();
    if (first === undefined) throw new Error("no feed");
    const journal = new ManualJournal();
    journal.records.push(first.bytes);
    const bench = new Bench("a", FOUR, journal);
    bench.peers = ["b", "c", "d"].map(keyOf);
    bench.start();
    const seen = bench.mine(1);
    bench.pass(100);
    expect([bench.said(), seen.acknowledged]).toEqual([[], false]);
    answer(
      bench,
      "b",
      3,
      lost.map(({ bytes }): SyncFrame => ({ kind: "batch", bytes })),
    );
    bench.flush();
    expect(bench.events).toContain("feed.behind");
    expect(journal.records).toHaveLength(3);
    for (let round = 0; round < 6; round++) {
      const asked = ["b", "c", "d"].filter((peer) => bench.requests.some((request) => request.peer === keyOf(peer)));
      for (const peer of asked) answer(bench, peer, 3);
      bench.pass(1000);
    }
    bench.flush();
    expect(seen.acknowledged).toBe(true);
    const next = bench.published.map((bytes) => openBatch(bytes)).find((opened) => opened.ok);
    const head = { number: 3 + LEAP_NUMBERS, skipped: LEAP_NUMBERS, start: 2, previous: lost[1]?.hash };
    expect(next?.ok === true && next.value.head).toMatchObject(head);
    const again = new Bench("a", FOUR, journal).start();
    expect(again.runtime.state.log.feed(keyOf("a"))?.next).toBeGreaterThanOrEqual(4);
  });
});

describe("a journal into which peers give back lost batches", () => {
  const MANY = 40;

  /** Batches of a's feed; each one is a record for the journal and a frame from a peer. */
  function feed(): Batch[] {
    const signer = simSigner(1, "a");
    const { network } = new Bench("a", FOUR).manifest;
    const batches: Batch[] = [];
    for (let number = 0; number < MANY; number++) {
      const head = { author: signer.key, number, previous: batches.at(-1)?.hash ?? ZERO_HASH };
      batches.push(sealBatch(network, head, [{ kind: "beat", tasks: [] }], signer.sign));
    }
    return batches;
  }

  function benchWith(records: readonly Batch[]): Bench {
    const journal = new ManualJournal();
    journal.records.push(...records.map(({ bytes }) => bytes));
    const bench = new Bench("a", FOUR, journal);
    bench.peers = ["b", "c", "d"].map(keyOf);
    return bench.start();
  }

  const frames = (batches: readonly Batch[]) => batches.map(({ bytes }): SyncFrame => ({ kind: "batch", bytes }));

  it("has no gap when the node dies before the batches in between came", () => {
    const own = feed();
    const bench = benchWith(own.slice(0, 5));
    answer(bench, "b", MANY, frames([...own.slice(5, 8), ...own.slice(20)]));
    bench.flush();
    expect(bench.journal.records).toHaveLength(8);
    const again = new Bench("a", FOUR, bench.journal).start();
    expect(again.runtime.state.log.feed(keyOf("a"))).toMatchObject({ next: 8, highest: 7 });
    expect(again.runtime.state.mute).toBe("feed.unchecked");
  });

  it("has all of them once the gap is filled", () => {
    const own = feed();
    const bench = benchWith(own.slice(0, 5));
    answer(bench, "b", MANY, frames([...own.slice(20), ...own.slice(5, 20)]));
    bench.flush();
    expect(bench.journal.records).toHaveLength(MANY);
  });

  it("gets a floor above batches that the peers have let go of, and the node starts again from it", () => {
    const own = feed();
    const bench = benchWith(own.slice(0, 5));
    const forgotten: SyncFrame = { kind: "forgotten", author: keyOf("a"), from: 0, to: 20 };
    for (let round = 0; round < 4; round++) {
      const asked = ["b", "c", "d"].filter((peer) => bench.requests.some((request) => request.peer === keyOf(peer)));
      for (const peer of asked) answer(bench, peer, MANY, [...frames(own.slice(20)), forgotten]);
      bench.pass(300);
    }
    expect(bench.runtime.state.log.feed(keyOf("a"))?.next).toBe(MANY);
    expect(bench.journal.floor).toMatchObject({ next: MANY, previous: own.at(-1)?.hash });
    const seen = bench.mine(1);
    bench.pass(3000);
    expect(seen.acknowledged).toBe(true);
    const again = new Bench("a", FOUR, bench.journal).start();
    const { next = 0, highest } = again.runtime.state.log.feed(keyOf("a")) ?? {};
    expect([next > MANY, highest]).toEqual([true, next - 1]);
  });
});

describe("what a peer sends", () => {
  const sealedBy = (name: string, number: number, entries: readonly Entry[]) => {
    const { network } = new Bench("a", FOUR).manifest;
    const signer = simSigner(1, name);
    return sealBatch(network, { author: signer.key, number, previous: ZERO_HASH }, entries, signer.sign);
  };
  const retract = (round: number): Entry => ({ kind: "retract", block: hashOf("b"), round });

  it("is refused before anything rests on it", () => {
    const bench = new Bench("a", FOUR).start();
    const good = sealedBy("b", 0, [retract(0)]);
    const codes = [
      new Uint8Array(70_000),
      new Uint8Array(10),
      sealedBy("stranger", 0, [retract(0)]).bytes,
      good.bytes,
      good.bytes,
    ].map((bytes) => {
      const verdict = bench.runtime.message(bytes, keyOf("b"));
      return verdict.kind === "accept" ? "accept" : `${verdict.kind} ${verdict.code}`;
    });
    expect(codes).toEqual([
      "reject message.too-large",
      "reject message.malformed",
      "ignore author.unknown",
      "accept",
      "ignore batch.known",
    ]);
    const forged = Uint8Array.from(sealedBy("c", 0, [retract(0)]).bytes);
    const signature = forged.findIndex((byte, at) => byte === 0x12 && forged[at + 1] === 64);
    forged[signature + 2] = (forged[signature + 2] ?? 0) ^ 1;
    expect(bench.runtime.message(forged, keyOf("c"))).toEqual({ kind: "reject", code: "signature.invalid" });
  });

  it("twice under one number is kept once: the second does not take the place of the first", () => {
    const bench = new Bench("a", FOUR).start();
    const [one, other] = [sealedBy("b", 0, [retract(0)]), sealedBy("b", 0, [retract(1)])];
    bench.runtime.message(one.bytes, keyOf("b"));
    bench.runtime.message(other.bytes, keyOf("c"));
    expect(bench.events).toContain("feed.equivocation");
    const stored: Uint8Array[] = [];
    bench.store.load((result) => stored.push(...(result.ok ? result.value.batches.map(({ bytes }) => bytes) : [])));
    bench.settle();
    expect(stored).toEqual([one.bytes]);
  });

  it("is answered with what it lacks, and nothing where it asks for nothing", () => {
    const bench = new Bench("a", ALONE).start();
    bench.mine(1);
    bench.flush();
    let answers: (readonly Uint8Array[])[] = [];
    const ask = (body: Uint8Array) => bench.runtime.request(keyOf("b"), "sync", body, (frames) => answers.push(frames));
    ask(new Uint8Array());
    ask(new Uint8Array([0xff]));
    bench.settle();
    const [everything = [], nothing = []] = answers;
    expect(everything).toHaveLength(1 + bench.published.length);
    expect(nothing).toEqual([]);
    answers = [];
  });

  it("is answered with the certificates that it wants, and with no more of them than fit", () => {
    const bench = new Bench("a", ALONE).start();
    bench.mine(1);
    for (let at = 0; at < 3; at++) {
      bench.flush();
      finish(bench, at);
    }
    bench.flush();
    const { hash } = [...bench.runtime.state.closed.values()][0] ?? { hash: hashOf("none") };
    const ask = (height: number, wanted: readonly string[]) => {
      const lengths: number[] = [];
      const feeds = bench.runtime.state.log.frontier();
      const body = encodeFrontier({ feeds, chains: new Map([[1, height]]), wanted });
      bench.runtime.request(keyOf("b"), "sync", body, (frames) =>
        frames.forEach((bytes) => {
          const frame = decodeSyncFrame(bytes);
          if (frame?.kind === "certificate") lengths.push(frame.bytes.length);
        }),
      );
      bench.settle();
      return lengths;
    };
    expect(ask(1, [])).toEqual([]);
    const [length = 0] = ask(1, [hashOf("unknown"), hash]);
    expect(length).toBeGreaterThan(500);
    const large = [2, 3, 4].map((height) => {
      return { chain: 1, height, block: hashOf(`block ${height}`), bytes: new Uint8Array(400_000) };
    });
    bench.store.write({ certificates: large }, () => {});
    expect(ask(0, [])).toEqual([length, 400_000, 400_000]);
  });
});

describe("the sealer", () => {
  const entry = (round: number): Entry => ({ kind: "retract", block: hashOf("b"), round });

  function sealer() {
    const journal = new ManualJournal();
    const sent: Batch[] = [];
    const faults: string[] = [];
    const record = memorySigningRecord({ defer: (run) => run() });
    const book = new SigningBook(record, NEVER_SIGNED, (fault) => faults.push(fault.code));
    const made = new Sealer(
      hashOf("network"),
      simSigner(1, "a"),
      journal,
      () => book,
      (batch) => sent.push(batch),
      (fault) => faults.push(fault.code),
    );
    return { journal, sent, faults, sealer: made };
  }

  it("puts what is said while it writes into the next batch, in order", () => {
    const { journal, sent, sealer: made } = sealer();
    const begun: number[] = [];
    for (let at = 0; at < 5; at++) made.append([entry(at)], () => begun.push(at));
    expect(journal.waiting).toHaveLength(1);
    journal.sync();
    expect([sent.length, begun]).toEqual([1, [0]]);
    journal.sync();
    expect(begun).toEqual([0, 1, 2, 3, 4]);
    expect(sent.map(({ head }) => [head.number, head.count])).toEqual([
      [0, 1],
      [1, 4],
    ]);
    expect(sent[1]?.head.previous).toBe(sent[0]?.hash);
    expect(made.idle).toBe(true);
  });

  it("splits what is too much for one batch, by count and by size", () => {
    const { journal, sent, sealer: made } = sealer();
    made.append(
      Array.from({ length: 600 }, (_, at) => entry(at)),
      () => {},
    );
    journal.sync();
    expect(sent.map(({ head }) => head.count)).toEqual([256, 256, 88]);
    const large: Entry = {
      kind: "receipt",
      block: hashOf("b"),
      stage: "s",
      index: 0,
      attempt: 0,
      system: "mock",
      key: hashOf("k"),
      artefact: hashOf("a"),
      bytes: 2048,
      values: new Uint8Array(4096),
      provingMs: 1,
      inline: new Uint8Array(2048),
      possession: new Uint8Array(),
      nonce: new Uint8Array(),
    };
    made.append(
      Array.from({ length: 25 }, () => large),
      () => {},
    );
    journal.sync();
    expect(sent.slice(3).map(({ head }) => head.count)).toEqual([10, 10, 5]);
    for (const { bytes } of sent) expect(openBatch(bytes).ok).toBe(true);
  });

  it("sends nothing more after a write that failed", () => {
    const { journal, sent, faults, sealer: made } = sealer();
    const begun: number[] = [];
    made.append([entry(0)], () => begun.push(0));
    made.append([entry(1)], () => begun.push(1));
    journal.fail({ code: "disk.full", message: "no space" });
    expect([sent, begun, faults, journal.waiting.length]).toEqual([[], [], ["disk.full"], 0]);
  });
});

describe("the fetcher", () => {
  function fetcher(logged: Uint8Array | null = null) {
    const bench = new Bench("a", FOUR);
    const artefacts = memoryArtefacts({ defer: (run) => run() });
    bench.peers = ["b", "c", "d"].map(keyOf);
    const asked: { readonly peer: string; readonly done: (ok: boolean, code?: string) => void }[] = [];
    const transport = {
      publish: () => {},
      peers: () => bench.peers,
      request: () => () => {},
      fetch: (peer: string, _hash: string, _bytes: number, _timeout: number, done: (result: never) => void) => {
        const result = (ok: boolean, code: string) => (ok ? { ok } : { ok, fault: { code, message: "" } });
        asked.push({ peer, done: (ok, code = "stream.timeout") => done(result(ok, code) as never) });
        return () => {};
      },
    };
    return {
      asked,
      artefacts,
      fetcher: new Fetcher(
        artefacts,
        () => transport,
        () => logged,
      ),
    };
  }

  const bytes = Buffer.from("artefact");
  const wanted = { artefact: hashOf("artefact"), bytesMax: 100, holders: [keyOf("d"), keyOf("gone"), keyOf("d")] };

  it("asks those who have it first, each in turn, and then some others", () => {
    const { asked, artefacts, fetcher: made } = fetcher();
    const got: (string | null)[] = [];
    made.get(wanted, (result) => got.push(result.ok ? Buffer.from(result.value).toString() : result.fault.code));
    expect(asked.map(({ peer }) => peer)).toEqual([keyOf("d")]);
    asked[0]?.done(false);
    expect(asked.map(({ peer }) => peer)).toEqual(["d", "b"].map(keyOf));
    artefacts.write(bytes, () => {});
    asked[1]?.done(true);
    expect(got).toEqual(["artefact"]);
  });

  it("asks once for all that want it, and says to all when nobody has it", () => {
    const { asked, fetcher: made } = fetcher();
    const got: string[] = [];
    for (let at = 0; at < 3; at++) made.get(wanted, (result) => got.push(result.ok ? "ok" : result.fault.code));
    for (let at = 0; at < 3; at++) asked[at]?.done(false);
    expect(asked).toHaveLength(3);
    expect(got).toEqual(Array.from({ length: 3 }, () => "artefact.unavailable"));
  });

  it("asks no other peer where its own disk is busy", () => {
    const { asked, fetcher: made } = fetcher();
    const got: string[] = [];
    made.get(wanted, (result) => got.push(result.ok ? "ok" : result.fault.code));
    asked[0]?.done(false, "artefact.busy");
    expect([asked.length, got]).toEqual([1, ["artefact.busy"]]);
  });

  it("takes what the disk has lost from the receipts that carry it", () => {
    const { asked, artefacts, fetcher: made } = fetcher(bytes);
    const got: (string | null)[] = [];
    made.get(wanted, (result) => got.push(result.ok ? Buffer.from(result.value).toString() : result.fault.code));
    expect([got, asked.length]).toEqual([["artefact"], 0]);
    let again: unknown = null;
    artefacts.read(wanted.artefact, 100, (result) => (again = result));
    expect(again).toEqual({ ok: true, value: bytes });
  });

  it("asks nobody for what is here", () => {
    const { asked, artefacts, fetcher: made } = fetcher();
    artefacts.write(bytes, () => {});
    const got: boolean[] = [];
    made.get(wanted, (result) => got.push(result.ok));
    expect([got, asked.length]).toEqual([[true], 0]);
  });
});

describe("batches that are too far above the gap of their feed", () => {
  const sealed = (number: number, sign = simSigner(1, "b").sign): Batch => {
    const head = { author: keyOf("b"), number, previous: hashOf("before") };
    return sealBatch(new Bench("a", FOUR).manifest.network, head, [{ kind: "beat", tasks: [] }], sign);
  };

  it("are not passed on, and show how far their author has come only where the signature holds", () => {
    const bench = new Bench("a", FOUR).start();
    const verdict = (number: number, sign?: (message: Uint8Array) => Uint8Array) =>
      bench.runtime.message(sealed(number, sign).bytes, keyOf("c"));
    const forged = () => new Uint8Array(64);
    const tooFar = { kind: "ignore", code: "batch.too-far" };
    expect(verdict(6000)).toEqual(tooFar);
    expect(verdict(7000, forged)).toEqual({ kind: "reject", code: "signature.invalid" });
    expect(bench.runtime.state.log.feed(keyOf("b"))).toMatchObject({ next: 0, highest: -1, seen: 6000 });
    // Refused before its signature costs anything.
    expect(verdict(5000, forged)).toEqual(tooFar);
    expect(verdict(10)).toEqual({ kind: "accept" });
  });

  it("are no reason to ask the peer again at once that has sent them", () => {
    const bench = new Bench("a", FOUR);
    bench.peers = ["b", "c", "d"].map(keyOf);
    bench.start();
    const frames: SyncFrame[] = [
      { kind: "frontier", frontier: { feeds: new Map([[keyOf("b"), 6003]]), chains: new Map() } },
      ...[6000, 6001, 6002].map((number) => ({ kind: "batch", bytes: sealed(number).bytes }) as const),
    ];
    expect(bench.requests).toHaveLength(3);
    for (const { done } of bench.requests.splice(0)) done({ ok: true, value: frames.map(encodeSyncFrame) });
    expect(bench.runtime.state.log.feed(keyOf("b"))?.seen).toBe(6002);
    expect(bench.requests).toEqual([]);
    bench.pass(500);
    expect(bench.requests).toHaveLength(1);
  });
});
