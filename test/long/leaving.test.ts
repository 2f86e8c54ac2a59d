import { expect, it } from "vitest";
import { orderOf } from "../../src/core/standing.ts";
import { manifestJson } from "../protocol/fixtures.ts";
import { blockAt, keyOf } from "../core/harness.ts";
import { Net } from "../core/net.ts";

/** `d` comes later. `c` is listed and gives back whatever it owns. `e` comes later and proves. */
function idlers(): Net {
  const list = ["a", "b", "c"].map((name) => ({ key: keyOf(name), slots: 1, weight: 1 }));
  const limits = { ...manifestJson([]).limits, retentionBlocks: 32 };
  return new Net(["a", "b", "c", "d", "e"], { provers: { admission: "open", list }, limits }, (name) => [
    name === "c" ? "other" : "mock",
  ]);
}

/** `d` proves what admission costs, and gives back whatever it owns once it is admitted. */
function idle(net: Net, height: number): void {
  const turn = net.core("d").state.roster.get(keyOf("d"))?.turns.get(1)?.at(-1) ?? 0;
  const isMember = turn > height || (height > 0 && ownersAt(net, height, "d").has(keyOf("d")));
  net.core("d").step({ kind: "ability", executor: "mock", isAble: !isMember });
}

function ownersAt(net: Net, height: number, name = "a"): ReadonlySet<string> {
  const { state } = net.core(name);
  const block = net.core(name).block(blockAt(height));
  return new Set(block.tasks.flatMap((task) => orderOf(state, task)));
}

it("LEAVE-1, LEAVE-2, LEAVE-3: a newcomer without a credit leaves and asks again; a listed prover stays", () => {
  const net = idlers();
  const owns: boolean[] = [];
  for (let height = 1; height <= 84; height++) {
    idle(net, height - 1);
    net.mine(blockAt(height));
    net.pass(250);
    const owners = ownersAt(net, height);
    expect(owners.has(keyOf("c"))).toBe(true);
    for (const other of ["b", "c", "d", "e"]) expect(ownersAt(net, height, other)).toEqual(owners);
    owns.push(owners.has(keyOf("d")));
    const from = net.core("a").state.roster.get(keyOf("e"))?.turns.get(1)?.[0] ?? Number.POSITIVE_INFINITY;
    expect(owners.has(keyOf("e"))).toBe(height >= from);
  }
  const turns = net.core("a").state.roster.get(keyOf("d"))?.turns.get(1) ?? [];
  const [first = 0, second = 0] = turns;
  expect(owns.slice(0, first - 1)).not.toContain(true);
  // Until it had its chance, then not, then again in its next turn.
  expect(owns[first - 1]).toBe(true);
  expect(owns.slice(first, second - 1)).toContain(false);
  expect(owns[second - 1]).toBe(true);
  // Each turn costs a proof of its own.
  const shown = net.core("d").feed.batches.flatMap(({ entries }) => entries);
  const bases = new Set(shown.flatMap((entry) => (entry.kind === "join" ? entry.proofs.map(({ base }) => base) : [])));
  expect(bases.size).toBeGreaterThan(1);
  expect(net.core("a").state.roster.get(keyOf("e"))?.turns.get(1)).toHaveLength(1);
}, 60_000);
