import { describe, expect, it } from "vitest";
import { rememberClosed } from "../../src/core/ancestry.ts";
import { griefersOf, tallyOf } from "../../src/core/griefing.ts";
import type { Tally } from "../../src/core/facts.ts";
import { checkCertificate, encodeCertificate } from "../../src/protocol/certificate.ts";
import { blockAt, equation, keyOf } from "./harness.ts";
import { hashOf, manifestJson } from "../protocol/fixtures.ts";
import { Net } from "./net.ts";
import { contentAt } from "./stories.ts";
import { Subject } from "./subject.ts";

const PROVERS = ["p", "q", "r", "t", "u"];
const ABLE = PROVERS.map(keyOf);
const RETENTION = 64;

type Counts = Readonly<Record<string, readonly [proven: number, lost: number]>>;

/** Who is last in the orders of the block above these: what each prover proved and lost in each, the lowest first. */
function griefersAfter(blocks: readonly Counts[], order: (heights: number[]) => number[] = (heights) => heights) {
  const parties = { attesters: ["a", "b", "c", "d"], provers: PROVERS, sources: ["s"] };
  const limits = { ...manifestJson([]).limits, retentionBlocks: RETENTION };
  const test = new Subject({ parties, change: { limits } });
  const { json } = test.manifest;
  const window = json.workflows["block"]?.window ?? 1;
  // Blocks in the window are certified as well, and do not count.
  const all = [...blocks, ...Array.from({ length: window + 1 }, (): Counts => ({ p: [0, 99], q: [0, 99] }))];
  for (const height of order(all.map((_, at) => at + 1))) {
    const tally: Tally = new Map(
      Object.entries(all[height - 1] ?? {}).map(([name, [proven, lost]]) => [keyOf(name), { proven, lost }]),
    );
    const { hash, parent } = blockAt(height);
    const id = hashOf(`id ${height}`);
    test.core.state.tallies.set(id, tally);
    const closed = { id, chain: 1, height, hash, after: "00" };
    rememberClosed(test.core.state, { ...closed, parent: height === 1 ? null : parent });
  }
  test.announce(blockAt(all.length + 1));
  const block = test.core.block(blockAt(all.length + 1));
  const { last, tried } = griefersOf(test.core.state, block, ABLE);
  const names = (keys: ReadonlySet<string>) => PROVERS.filter((name) => keys.has(keyOf(name))).join();
  return { last: names(last), tried: names(tried) };
}

function times<T>(count: number, value: T): T[] {
  return Array.from({ length: count }, () => value);
}

describe("a prover that loses attempts", () => {
  it("is last once more than a quarter of its last 32 are lost, and three at least", () => {
    expect(griefersAfter([{ p: [0, 2] }]).last).toBe("");
    expect(griefersAfter([{ p: [0, 3] }]).last).toBe("p");
    expect(griefersAfter([{ p: [9, 0] }, { p: [0, 3] }]).last).toBe("");
    expect(griefersAfter([{ p: [9, 0] }, { p: [0, 4] }]).last).toBe("p");
    expect(griefersAfter([{ p: [40, 0] }, { p: [0, 8] }]).last).toBe("");
    expect(griefersAfter([{ p: [40, 0] }, { p: [0, 9] }]).last).toBe("p");
  });

  it("is last for 32 blocks, and is then tried with one task until it proves or loses one", () => {
    const bad: Counts = { p: [0, 3] };
    expect(griefersAfter([bad, ...times(31, {})])).toEqual({ last: "p", tried: "" });
    expect(griefersAfter([bad, ...times(33, {})])).toEqual({ last: "p", tried: "p" });
    expect(griefersAfter([bad, ...times(33, {}), { p: [1, 0] }])).toEqual({ last: "", tried: "" });
    expect(griefersAfter([bad, ...times(33, {}), { p: [0, 1] }])).toEqual({ last: "p", tried: "" });
    // What it lost while it was last does not count.
    expect(griefersAfter([bad, ...times(31, { p: [0, 5] }), ...times(2, {}), { p: [1, 0] }])).toEqual({
      last: "",
      tried: "",
    });
  });

  it("is judged by the blocks of the retention alone, which a node that has just joined knows as well", () => {
    expect(griefersAfter([{ p: [0, 3] }, ...times(RETENTION, {})]).last).toBe("");
    expect(griefersAfter([{ p: [0, 3] }, ...times(RETENTION - 1, {})])).toEqual({ last: "p", tried: "p" });
  });

  it("is no more last than others where more than half of all would be", () => {
    const lost = (names: string): Counts => Object.fromEntries(names.split("").map((name) => [name, [0, 9] as const]));
    expect(griefersAfter([lost("pq")]).last).toBe("p,q");
    expect(griefersAfter([lost("pqr")]).last).toBe("");
  });

  it("is the same one on every node with the same certificates, in whatever order they came", () => {
    const blocks = [{ p: [0, 2] }, { p: [1, 0], q: [0, 3] }, { p: [0, 1] }, { q: [1, 1] }] as const;
    const expected = griefersAfter(blocks);
    expect(expected.last).toBe("p,q");
    expect(griefersAfter(blocks, (heights) => heights.toReversed())).toEqual(expected);
  });
});

describe("the certificate of a block", () => {
  it("names the attempts that owners lost, and is refused where it names one that nobody can have lost (BARRIER-8)", () => {
    const net = new Net(["a", "b", "c", "d"]);
    let first = true;
    net.hangs = ({ stage, index }) => {
      const hangs = stage === "shard" && index === 0 && first;
      if (hangs) first = false;
      return hangs;
    };
    net.mine(blockAt(1));
    net.pass(10_000);
    const content = contentAt(net.core("a"), 1);
    const [lost, ...more] = content.lost;
    expect(more).toEqual([]);
    expect(lost).toMatchObject({ stage: "shard", index: 0, attempt: 0 });
    const credited = content.tasks.find(({ stage, index }) => stage === "shard" && index === 0);
    expect(credited).toMatchObject({ attempt: 1, credited: true });
    const { owner = "" } = lost ?? {};
    expect(tallyOf(content).get(owner)?.lost).toBe(1);
    if (lost === undefined) return;
    const check = (wrong: typeof content.lost) => {
      const checked = checkCertificate(net.manifest, encodeCertificate({ ...content, lost: wrong }, []), equation);
      return checked.ok ? "ok" : `${checked.code}: ${checked.message}`;
    };
    expect(check([lost])).toMatch(/^certificate\.quorum/);
    expect(check([{ ...lost, attempt: 1 }])).toMatch(/^certificate\.tasks: lost\[0\] is attempt 1 of shard 0/);
    expect(check([{ ...lost, index: 7 }])).toMatch(/^certificate\.tasks: lost\[0\] is attempt 0 of shard 7/);
    expect(check([lost, lost])).toBe("certificate.tasks: lost[1] is out of order");
    expect(check(times(513, lost))).toBe("certificate.tasks: it names 513 lost attempts; allowed: 512");
  });
});
