/** Outputs that need copies of different provers. */
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { taskStatus } from "../../src/core/lifecycle.ts";
import { matchMakers } from "../../src/core/matching.ts";
import { checkCertificate, encodeCertificate } from "../../src/protocol/certificate.ts";
import type { ManifestJson } from "../../src/protocol/manifest.ts";
import type { StageJson } from "../../src/protocol/stages.ts";
import { valuesFor } from "../../src/protocol/payee.ts";
import { hashOf } from "../protocol/fixtures.ts";
import { blockAt, type Core, equation, keyOf, valuesOf } from "./harness.ts";
import { certifiedHeights, Net } from "./net.ts";
import { certificatesOf, contentAt, expectOneStory } from "./stories.ts";

const NAMES = ["a", "b", "c", "d"];

/** Each block proven by `any` different provers, of so many copies. */
function copied(any: number, copies: number): Partial<ManifestJson> {
  const times = { leaseMs: 2000, limitMs: 20_000 };
  const prove: StageJson = {
    name: "prove",
    system: "mock",
    key: "mock",
    copies,
    tasks: {},
    collect: { any, of: "provers" },
    ...times,
  };
  const join: StageJson = { name: "join", system: "mock", key: "mock", tasks: { takes: "prove" }, ...times };
  return { workflows: { block: { window: 2, stages: [prove, join] } } };
}

/** Who made the copies that a certificate names. */
function makers(core: Core, height: number): string[] {
  return contentAt(core, height)
    .tasks.filter(({ stage }) => stage === "prove")
    .map(({ prover }) => NAMES.find((name) => keyOf(name) === prover) ?? "stranger");
}

function claims(net: Net): string[] {
  return net.cores.flatMap((core) =>
    core.said().flatMap((line) => (line.startsWith("claim prove/") ? [`${core.name} ${line.slice(6)}`] : [])),
  );
}

/** A hostile prover hands in copies that it was not granted. */
function handIn(net: Net, name: string, indices: readonly number[]): void {
  const core = net.core(name);
  const { id } = net.core("a").block(blockAt(1));
  core.feed.seal(
    net.manifest,
    indices.map((index) => {
      const values = valuesFor("digest", valuesOf(id, "prove", index), keyOf(name));
      const artefact = hashOf(`proof ${name} ${id}/prove/${index}`);
      const place = { block: id, stage: "prove", index, attempt: 0, system: "mock" };
      const key = net.manifest.keyHashes.get("mock") ?? "";
      const empty = { inline: new Uint8Array(), possession: new Uint8Array(), nonce: new Uint8Array() };
      return { kind: "receipt", ...place, key, artefact, bytes: 100, values, provingMs: 1, ...empty };
    }),
  );
  net.settle();
}

describe("copies of different provers", () => {
  it("are dealt to one prover each, and as many as are needed stand in the certificate", () => {
    const net = new Net(NAMES, copied(2, 3));
    for (let height = 1; height <= 6; height++) net.mine(blockAt(height));
    net.pass(1000);
    for (const core of net.cores) expect(certifiedHeights(core)).toEqual([1, 2, 3, 4, 5, 6]);
    for (let height = 1; height <= 6; height++) expect(new Set(makers(net.core("a"), height)).size).toBe(2);
    for (const { state } of net.cores) expect(state.live.size).toBe(0);
    for (const core of net.cores) expect(core.refusals()).toEqual([]);
    const last = net.core("a").block(blockAt(6));
    const owners = claims(net).filter((line) => line.endsWith("#0"));
    expect(owners).toHaveLength(18);
    expect(last.tasks.filter(({ stage, completeMs }) => stage.name === "prove" && completeMs !== null)).toHaveLength(3);
  });

  it("go on to others where a prover stops, and to nobody who makes another copy (CLAIM-6)", () => {
    const net = new Net(NAMES, copied(2, 2));
    net.hangs = ({ stage }) => stage === "prove";
    net.mine(blockAt(1));
    const [first, second] = claims(net);
    const gone = first?.[0] ?? "";
    net.down.add(gone);
    net.hangs = () => false;
    net.release();
    net.pass(20_000, 250);
    const still = net.live().map(({ name }) => name);
    for (const name of still) expect(certifiedHeights(net.core(name))).toEqual([1]);
    const made = makers(net.core(still[0] ?? ""), 1);
    expect(made).toContain(second?.[0]);
    expect(new Set(made).size).toBe(2);
    // Nobody has claimed two copies.
    const each = new Map(claims(net).map((line) => [line.slice(0, 9), line]));
    const names = [...each.keys()].map((line) => line[0]);
    expect(new Set(names).size).toBe(names.length);
  });

  it("wait where there are too few provers, quarantine nothing, and go on when one more comes", () => {
    const net = new Net(NAMES, copied(2, 2), (name) => (name === "a" || name === "b" ? ["mock"] : []));
    net.down.add("b");
    net.mine(blockAt(1));
    net.pass(30_000, 250);
    expect(certifiedHeights(net.core("a"))).toEqual([]);
    expect(net.cores.flatMap((core) => core.reports("task.quarantined"))).toEqual([]);
    net.down.delete("b");
    for (const batch of net.batches) net.core("b").hear(batch);
    net.settle();
    net.pass(60_000, 500);
    for (const core of net.cores) expect(certifiedHeights(core)).toEqual([1]);
    expect(makers(net.core("a"), 1).sort()).toEqual(["a", "b"]);
  });

  it("fewer than wanted by as many provers as are needed close the barrier", () => {
    const net = new Net(NAMES, copied(2, 4), (name) => (name === "a" || name === "b" ? ["mock"] : []));
    net.mine(blockAt(1));
    net.pass(5000, 250);
    for (const core of net.cores) expect(certifiedHeights(core)).toEqual([1]);
    expect(makers(net.core("a"), 1).sort()).toEqual(["a", "b"]);
    // Each has claimed one, though each owns two.
    expect(new Set(claims(net).map((line) => line[0]))).toEqual(new Set(["a", "b"]));
    expect(claims(net)).toHaveLength(2);
  });

  it("count once for a prover that hands in all of them, granted or not", () => {
    const net = new Net(NAMES, copied(2, 3));
    net.hangs = ({ stage }) => stage === "prove";
    net.down.add("d");
    net.mine(blockAt(1));
    handIn(net, "d", [0, 1, 2]);
    net.pass(500);
    for (const core of net.live()) {
      const tasks = core.block(blockAt(1)).tasks.filter(({ stage }) => stage.name === "prove");
      expect(tasks.map(({ completeMs }) => completeMs !== null)).toEqual([true, false, false]);
      expect(taskStatus(core.state, tasks[1] ?? tasks[0]!).state).toBe("proven");
    }
    net.hangs = () => false;
    net.release();
    net.pass(20_000, 250);
    for (const core of net.live()) expect(certifiedHeights(core)).toEqual([1]);
    expect(new Set(makers(net.core("a"), 1)).size).toBe(2);
  });

  it("are not granted to who makes another, whatever it claims (GRANT-6)", () => {
    const list = ["a", "b"].map((name) => ({ key: keyOf(name), slots: 1, weight: 1 }));
    const net = new Net(NAMES, { ...copied(2, 2), provers: { admission: "list", list } });
    net.hangs = () => true;
    net.mine(blockAt(1));
    const place = { block: net.core("a").block(blockAt(1)).id, stage: "prove" };
    const [one] = claims(net).filter((line) => line.includes("prove/1"));
    const [honest, hostile] = one?.startsWith("a") === true ? ["a", "b"] : ["b", "a"];
    // The owner of the second copy gives up, so that the one at work on the first owns the next attempt.
    net.down.add(hostile);
    const task = { ...place, index: 1 };
    net.core(honest).step({ kind: "prove-failed", task, attempt: 0, code: "broken", logical: false, message: "" });
    net.settle();
    expect(net.core("c").block(blockAt(1)).tasks[1]?.attempts.get(0)?.timeouts.size).toBe(3);
    net.core(hostile).feed.seal(net.manifest, [{ kind: "claim", ...task, attempt: 1, timeouts: [] }]);
    net.settle();
    for (const core of net.live()) {
      expect(core.refusals()).toEqual(["claim.other-copy"]);
      expect(core.block(blockAt(1)).tasks[1]?.attempts.get(1)?.grants.size).toBe(0);
    }
  });

  it("say the same of a log in whatever order it is heard (S6)", () => {
    const net = new Net(NAMES, copied(2, 3));
    net.hangs = ({ stage, index }) => stage === "prove" && index !== 1;
    net.down.add("d");
    net.mine(blockAt(1));
    handIn(net, "d", [0, 2]);
    net.hangs = () => false;
    net.release();
    net.pass(20_000, 500);
    expect(certifiedHeights(net.core("a"))).toEqual([1]);
    const certificates = certificatesOf(net.core("a"));
    expectOneStory(net, certificates);
  });

  it("by one prover are no certificate", () => {
    const net = new Net(NAMES, copied(2, 3));
    net.mine(blockAt(1));
    net.pass(500);
    const content = contentAt(net.core("a"), 1);
    const check = (tasks: typeof content.tasks) => {
      const checked = checkCertificate(net.manifest, encodeCertificate({ ...content, tasks }, []), equation);
      return checked.ok ? "" : checked.message;
    };
    expect(check(content.tasks)).toMatch(/^signed by weight 0/);
    const [first] = content.tasks;
    const wrong = 'tasks[0] is by nobody, or by a prover that has made another, of output 0 of stage "prove"';
    expect(check(content.tasks.map((task) => ({ ...task, prover: first?.prover ?? "" })))).toBe(wrong);
    expect(check(content.tasks.map((task, at) => (at === 0 ? { ...task, prover: null, credited: false } : task)))).toBe(
      wrong,
    );
  });
});

describe("a matching of makers to copies", () => {
  const provers = ["p", "q", "r", "s"];
  const graph = fc.array(fc.subarray(provers), { minLength: 1, maxLength: 5 });
  const maker = (prover: string, title = 0) => ({ made: { prover }, credited: title === 2, assigned: title === 1 });

  /** The most copies that can have makers of their own, by trying everything. */
  function most([copy, ...others]: readonly (readonly string[])[], used: readonly string[] = []): number {
    if (copy === undefined) return 0;
    const free = copy.filter((prover) => !used.includes(prover));
    return Math.max(most(others, used), ...free.map((prover) => 1 + most(others, [...used, prover])));
  }

  it("has as many as can be, each by another", () => {
    fc.assert(
      fc.property(graph, (copies) => {
        const chosen = matchMakers(copies.map((each) => each.map((prover) => maker(prover))));
        const found = chosen.flatMap((each) => (each === null ? [] : [each.made.prover]));
        expect(new Set(found).size).toBe(found.length);
        expect(found).toHaveLength(most(copies));
        chosen.forEach((each, at) => expect(each === null || copies[at]?.includes(each.made.prover)).toBe(true));
      }),
    );
  });

  it("lets who was granted a copy stand for that one", () => {
    const of = (...copies: (readonly ReturnType<typeof maker>[])[]) =>
      matchMakers(copies).map((each) => each?.made.prover ?? null);
    expect(of([maker("p")], [maker("p", 1)])).toEqual([null, "p"]);
    expect(of([maker("p")], [maker("p", 1)], [maker("p", 2)])).toEqual([null, null, "p"]);
    expect(of([maker("p"), maker("q")], [maker("p")])).toEqual(["q", "p"]);
  });
});
