import { describe, expect, it, vi } from "vitest";
import type { Done, SourceEvent, Tell } from "../../src/ports.ts";
import { openBatch } from "../../src/protocol/batch.ts";
import { artefactHash, type Hash } from "../../src/protocol/ids.ts";
import { Bench, hashOf } from "./ports.ts";

const ALONE = { attesters: ["a"], provers: ["a"], sources: ["a"] };

function blockEvent(height: number): Extract<SourceEvent, { kind: "block" }> {
  const hash = hashOf(`main ${height}`);
  const parent = height === 1 ? hashOf("genesis") : hashOf(`main ${height - 1}`);
  return { kind: "block", block: { chain: 1, height, hash, parent, payload: Buffer.from(hash), items: 0 } };
}

/** A node that follows a source, and whose payloads are on disk when the test says so. */
function following() {
  const bench = new Bench("a", ALONE).start();
  const writes: { readonly hash: Hash; readonly bytes: Uint8Array; readonly done: Done<Hash> }[] = [];
  const write = vi.spyOn(bench.artefacts, "write").mockImplementation((bytes, done) => {
    writes.push({ hash: artefactHash(bytes), bytes, done });
  });
  let tell: Tell = () => {};
  bench.runtime.follow({ start: (_after, emit) => void (tell = emit), close: async () => {} }, null);
  const end = (at: number) => {
    const [ended] = writes.splice(at, 1);
    if (ended === undefined) throw new Error(`no write ${at}`);
    bench.artefacts.files.set(ended.hash, ended.bytes);
    ended.done({ ok: true, value: ended.hash });
    bench.flush();
  };
  const said = () =>
    bench.published.flatMap((bytes) => {
      const opened = openBatch(bytes);
      if (!opened.ok) return [opened.code];
      return opened.value.entries.flatMap((entry) => {
        if (entry.kind === "announce") return [`announce ${entry.height}`];
        return entry.kind === "retract" ? ["retract"] : [];
      });
    });
  return { bench, write, writes, tell: (event: SourceEvent) => tell(event), end, said };
}

const BUSY = { ok: false, fault: { code: "artefact.busy", message: "256 artefacts wait for the disk" } } as const;

describe("a disk that is slow", () => {
  it("has a source wait while more than a few of its blocks wait", async () => {
    const { tell, end } = following();
    const waits = Array.from({ length: 9 }, (_, at) => tell(blockEvent(1 + at)));
    expect(waits.map((wait) => wait === undefined)).toEqual([...Array.from({ length: 8 }, () => true), false]);
    let goesOn = false;
    const ninth = Promise.resolve(waits[8]).then(() => (goesOn = true));
    await Promise.resolve();
    expect(goesOn).toBe(false);
    end(0);
    await ninth;
    expect(goesOn).toBe(true);
  });

  it("lets a source go on that waits when the node is closed", async () => {
    const { bench, tell } = following();
    const waits = Array.from({ length: 9 }, (_, at) => tell(blockEvent(1 + at)));
    bench.runtime.close();
    await waits[8];
  });

  it("ends no node that follows a source, and costs no block and no order", () => {
    const { bench, writes, tell, end, said } = following();
    for (const height of [1, 2, 3]) void tell(blockEvent(height));
    for (let refusals = 0; refusals < 50; refusals++) {
      for (const { done } of writes.splice(0)) done(BUSY);
      bench.pass(100);
    }
    expect([bench.faults, said(), writes.length]).toEqual([[], [], 3]);
    end(2);
    end(0);
    end(0);
    expect(said()).toEqual(["announce 1", "announce 2", "announce 3"]);
  });

  it("has an operator's block wait as well, and gives it back after a while", () => {
    const { bench, write, writes } = following();
    const codes: string[] = [];
    const { block } = blockEvent(1);
    bench.runtime.submit(block, (result) => codes.push(result.ok ? "ok" : result.fault.code));
    writes.splice(0).forEach(({ done }) => done(BUSY));
    bench.pass(100);
    expect([codes, writes.length]).toEqual([[], 1]);
    write.mockImplementation((_bytes, done) => done(BUSY));
    writes[0]?.done(BUSY);
    bench.pass(29_000);
    expect(codes).toEqual([]);
    bench.pass(2_000);
    expect([codes, bench.faults]).toEqual([["artefact.busy"], []]);
  });

  it("costs no proof: a large one waits for the disk before it is handed in", () => {
    const { bench, write, writes, tell, end } = following();
    void tell(blockEvent(1));
    end(0);
    write.mockImplementationOnce((_bytes, done) => done(BUSY));
    const [run] = bench.proving;
    if (run === undefined) throw new Error("nothing is being proven");
    run.emit({ kind: "proved", proof: new Uint8Array(20_000), values: run.job.values, provingMs: 5 });
    bench.pass(200);
    expect([bench.said().includes("receipt"), writes.length]).toEqual([false, 1]);
    end(0);
    expect(bench.said()).toContain("receipt");
    expect(bench.said()).not.toContain("fail");
  });
});

describe("what a source tells", () => {
  it("is announced in the order of the chain, whatever the order in which payloads get to disk", () => {
    const { writes, tell, end, said } = following();
    for (const height of [1, 2, 3]) void tell(blockEvent(height));
    expect(writes).toHaveLength(3);
    end(1);
    end(1);
    expect(said()).toEqual([]);
    end(0);
    expect(said()).toEqual(["announce 1", "announce 2", "announce 3"]);
  });

  it("is taken back behind the announcement of the block that is taken back", () => {
    const { tell, end, said } = following();
    void tell(blockEvent(1));
    void tell({ kind: "retract", chain: 1, hash: hashOf("main 1") });
    end(0);
    expect(said()).toEqual(["announce 1", "retract"]);
  });

  it("is written a few payloads at a time", () => {
    const { writes, tell, end } = following();
    for (let height = 1; height <= 30; height++) void tell(blockEvent(height));
    expect(writes).toHaveLength(4);
    end(0);
    expect(writes).toHaveLength(4);
  });

  it("is not announced any more once the node is closed", () => {
    const { bench, tell, writes, said } = following();
    void tell(blockEvent(1));
    bench.runtime.close();
    writes[0]?.done({ ok: true, value: writes[0].hash });
    expect([said(), bench.faults]).toEqual([[], []]);
  });
});
