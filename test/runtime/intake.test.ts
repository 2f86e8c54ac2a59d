import { describe, expect, it, vi } from "vitest";
import type { Done, SourceEvent } from "../../src/ports.ts";
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
  const writes: { readonly hash: Hash; readonly done: Done<Hash> }[] = [];
  vi.spyOn(bench.artefacts, "write").mockImplementation((bytes, done) => {
    writes.push({ hash: artefactHash(bytes), done });
  });
  let tell: (event: SourceEvent) => void = () => {};
  bench.runtime.follow({ start: (_after, emit) => void (tell = emit), close: async () => {} }, null);
  const end = (at: number) => {
    const [write] = writes.splice(at, 1);
    if (write === undefined) throw new Error(`no write ${at}`);
    write.done({ ok: true, value: write.hash });
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
  return { bench, writes, tell: (event: SourceEvent) => tell(event), end, said };
}

describe("what a source tells", () => {
  it("is announced in the order of the chain, whatever the order in which payloads get to disk", () => {
    const { writes, tell, end, said } = following();
    for (const height of [1, 2, 3]) tell(blockEvent(height));
    expect(writes).toHaveLength(3);
    end(1);
    end(1);
    expect(said()).toEqual([]);
    end(0);
    expect(said()).toEqual(["announce 1", "announce 2", "announce 3"]);
  });

  it("is taken back behind the announcement of the block that is taken back", () => {
    const { tell, end, said } = following();
    tell(blockEvent(1));
    tell({ kind: "retract", chain: 1, hash: hashOf("main 1") });
    end(0);
    expect(said()).toEqual(["announce 1", "retract"]);
  });

  it("is written a few payloads at a time", () => {
    const { writes, tell, end } = following();
    for (let height = 1; height <= 30; height++) tell(blockEvent(height));
    expect(writes).toHaveLength(4);
    end(0);
    expect(writes).toHaveLength(4);
  });

  it("is not announced any more once the node is closed", () => {
    const { bench, tell, writes, said } = following();
    tell(blockEvent(1));
    bench.runtime.close();
    writes[0]?.done({ ok: true, value: writes[0].hash });
    expect([said(), bench.faults]).toEqual([[], []]);
  });
});
