/** Results that provers commit to before anybody may see them. */
import { describe, expect, it } from "vitest";
import { mayShow } from "../../src/core/commitments.ts";
import { taskStatus } from "../../src/core/lifecycle.ts";
import type { ManifestJson } from "../../src/protocol/manifest.ts";
import type { EntryOf } from "../../src/protocol/messages.ts";
import { conflictOf } from "../../src/protocol/evidence.ts";
import { taskValues } from "../../src/protocol/workflow.ts";
import { hashOf } from "../protocol/fixtures.ts";
import { blockAt, keyOf } from "./harness.ts";
import { certifiedHeights, Net } from "./net.ts";

const NAMES = ["a", "b", "c", "d"];
const LEASE_MS = 2000;

/** Two of so many copies have to agree. */
function agreed(copies = 3): Partial<ManifestJson> {
  const times = { leaseMs: LEASE_MS, limitMs: 20_000 };
  const collect = { any: 2, of: "provers" } as const;
  const cut = { name: "cut", executor: "cut", verify: "agree", copies, tasks: {}, collect, ...times } as const;
  return { workflows: { block: { window: 2, stages: [cut] } } };
}

function netOf(copies?: number): Net {
  return new Net(NAMES, agreed(copies), () => ["cut"]);
}

function tasksOf(net: Net, name = "a") {
  return net.core(name).block(blockAt(1)).tasks;
}

function kinds(net: Net, kind: string): string[] {
  return net.cores.flatMap((core) =>
    core.said().flatMap((line) => (line.startsWith(`${kind} `) ? [`${core.name} ${line}`] : [])),
  );
}

describe("a result that provers have to agree on", () => {
  it("is committed to, sealed, opened, attested and then published, in this order", () => {
    const net = netOf();
    net.mine(blockAt(1));
    net.pass(500);
    expect(certifiedHeights(net.core("a"))).toEqual([1]);
    const entries = net.batches.flatMap(({ entries: said }) => said.map(({ kind }) => kind));
    const first = (kind: string) => entries.findIndex((each) => each === kind);
    const order = ["commit", "seal", "attest", "receipt"].map(first);
    expect(order).toEqual(order.toSorted((a, b) => a - b));
    expect(order).not.toContain(-1);
    // Nobody names a result before the second commitment is sealed by a quorum.
    const seals = entries.slice(0, first("attest")).filter((kind) => kind === "seal");
    expect(seals.length).toBeGreaterThanOrEqual(2 * 3);
  });

  it("REVEAL-1: stays closed while only one prover has committed", () => {
    const net = netOf();
    net.hangs = ({ index }) => index > 0;
    net.mine(blockAt(1));
    net.pass(500);
    expect(kinds(net, "seal")).toHaveLength(4);
    expect([...kinds(net, "attest"), ...kinds(net, "receipt")]).toEqual([]);
    const [task] = tasksOf(net);
    if (task === undefined) throw new Error("the block has no task");
    expect(taskStatus(net.core("a").state, task).why).toMatch(/has committed to a result; waits for commitments of 2/);
    for (const opening of net.openings.values()) {
      for (const core of net.cores)
        for (const name of NAMES) expect(mayShow(core.state, keyOf(name), opening)).toBe(false);
    }
    net.release();
    net.pass(500);
    expect(certifiedHeights(net.core("a"))).toEqual([1]);
  });

  it("REVEAL-2: is shown to attesters alone", () => {
    const net = netOf(2);
    net.hides = () => true;
    net.mine(blockAt(1));
    net.pass(500);
    const [opening] = net.openings.values();
    if (opening === undefined) throw new Error("nobody has committed");
    expect(mayShow(net.core("a").state, keyOf("b"), opening)).toBe(true);
    expect(mayShow(net.core("a").state, keyOf("stranger"), opening)).toBe(false);
    expect(mayShow(net.core("a").state, keyOf("b"), opening.subarray(1))).toBe(false);
    expect(
      mayShow(
        net.core("a").state,
        keyOf("b"),
        opening.map((byte) => byte ^ 1),
      ),
    ).toBe(false);
  });

  it("REVEAL-3: costs the attempt of a prover that shows it to nobody, after one lease, and no other", () => {
    const net = netOf(2);
    net.hangs = ({ index }) => index === 1;
    net.mine(blockAt(1));
    net.pass(200);
    net.down.add(kinds(net, "commit")[0]?.[0] ?? "nobody");
    net.release();
    net.pass(LEASE_MS - 100);
    expect(kinds(net, "timeout")).toEqual([]);
    net.hangs = () => false;
    net.pass(10_000, 100);
    const timeouts = kinds(net, "timeout");
    expect(timeouts).toHaveLength(3);
    for (const line of timeouts) expect(line).toMatch(/cut\/0#0 (not-revealed|others-timed-out)$/);
    for (const core of net.live()) expect(certifiedHeights(core)).toEqual([1]);
  });

  it("SEAL-2: is not sealed any more once a result is public", () => {
    const net = netOf(3);
    net.hangs = ({ index }) => index === 2;
    net.mine(blockAt(1));
    net.pass(500);
    expect(certifiedHeights(net.core("a"))).toEqual([1]);
    net.release();
    net.pass(500);
    expect(kinds(net, "seal").filter((line) => line.includes("cut/2"))).toEqual([]);
  });

  it("RECEIPT-11: counts for nobody that has not committed to it, however true it is", () => {
    const net = netOf(3);
    net.hangs = ({ index }) => index > 0;
    net.mine(blockAt(1));
    net.pass(200);
    const held = net.hanging("cut", 1);
    const { block, stage } = tasksOf(net)[1] ?? {};
    if (held === undefined || block === undefined || stage === undefined) throw new Error("nobody works on the copy");
    const thief = NAMES.find((name) => keyOf(name) === held.prover) ?? "a";
    const receipt: EntryOf<"receipt"> = {
      ...held.task,
      kind: "receipt",
      attempt: 0,
      system: "",
      key: held.key,
      artefact: hashOf(`truth ${block.id}/cut`),
      bytes: 100,
      values: taskValues(block.id, stage, 1),
      provingMs: 1,
      inline: new Uint8Array(),
      possession: new Uint8Array(),
      nonce: new Uint8Array(32),
    };
    const { variant } = tasksOf(net)[1] ?? {};
    net.core(thief).feed.seal(net.manifest, [{ ...receipt, system: variant?.system ?? "", nonce: new Uint8Array() }]);
    net.core(thief).feed.seal(net.manifest, [{ ...receipt, system: variant?.system ?? "" }]);
    net.settle();
    net.pass(500);
    expect(kinds(net, "attest")).toEqual([]);
    expect(net.cores.flatMap((core) => core.refusals())).toContain("receipt.not-committed");
  });

  it("COMMIT-1: is no matter of a stage whose proofs verify", () => {
    const net = new Net(NAMES);
    net.hangs = () => true;
    net.mine(blockAt(1));
    const [task] = tasksOf(net);
    const ref = { block: task?.block.id ?? "", stage: task?.stage.name ?? "", index: 0, attempt: 0 };
    net.core("b").feed.seal(net.manifest, [
      { ...ref, kind: "commit", hash: hashOf("result") },
      { ...ref, kind: "seal", prover: keyOf("c"), hash: hashOf("result") },
    ]);
    net.settle();
    expect(net.core("a").refusals()).toEqual(["commit.not-agree", "commit.not-agree"]);
  });

  it("COMMIT-2: is shown by its prover, and sealed once, after a restart", () => {
    const net = netOf(2);
    net.hides = () => true;
    net.mine(blockAt(1));
    net.pass(200);
    for (const [at, core] of net.cores.entries()) net.cores[at] = core.restart(core.heard).core;
    net.hides = () => false;
    net.pass(1000);
    // Each prover reads what is behind its commitment from its disk, and proves nothing again.
    for (const { name } of net.cores)
      for (const { attempts } of tasksOf(net, name)) expect(attempts.get(0)?.opened?.bytes).toBe(100);
    expect(kinds(net, "commit")).toHaveLength(2);
    expect(kinds(net, "seal")).toHaveLength(2 * 4);
  });
});

describe("two seals of one attempt", () => {
  const at = { block: hashOf("block"), stage: "cut", index: 0, attempt: 0 };
  const seal = (prover: string, hash: string, attempt = 0): EntryOf<"seal"> => ({
    ...at,
    kind: "seal",
    attempt,
    prover: hashOf(prover),
    hash: hashOf(hash),
  });

  it("SEAL-1: are evidence where they name another prover or another commitment", () => {
    expect(conflictOf(seal("p", "x"), seal("q", "x"))).toBe("two-seals");
    expect(conflictOf(seal("p", "x"), seal("p", "y"))).toBe("two-seals");
    expect(conflictOf(seal("p", "x"), seal("p", "x"))).toBeNull();
    expect(conflictOf(seal("p", "x"), seal("p", "y", 1))).toBeNull();
    expect(conflictOf(seal("p", "x"), { ...at, kind: "timeout", code: "not-sealed" })).toBeNull();
  });

  it("exclude their attester", () => {
    const net = netOf(2);
    net.hangs = () => true;
    net.mine(blockAt(1));
    const ref = { ...at, block: net.core("a").block(blockAt(1)).id };
    net.core("b").feed.seal(net.manifest, [{ ...seal("p", "x"), ...ref }]);
    net.core("b").feed.seal(net.manifest, [{ ...seal("p", "y"), ...ref }]);
    net.settle();
    expect(net.core("a").state.out.get(keyOf("b"))?.offence).toBe("two-seals");
  });
});
