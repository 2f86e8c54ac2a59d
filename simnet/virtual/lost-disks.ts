/** Faults written down by hand: a disk is lost at the worst moment. */
import type { Damage } from "./disk.ts";
import type { Fault } from "./fault.ts";

type Unnumbered<F> = F extends Fault ? Omit<F, "number"> : never;

function script(...faults: readonly Unnumbered<Fault>[]): Fault[] {
  return faults.map((fault, number) => ({ ...fault, number }));
}

function cut(atMs: number, side: readonly number[], forMs: number, way: "both" | "out" = "both"): Unnumbered<Fault> {
  return { kind: "partition", atMs, side, way, flaps: 1, forMs };
}

/**
 * Nodes 0 and 2 vote while the others cannot hear them. Node 0 comes back with a damaged disk, and node 2, which alone
 * has what node 0 signed, cannot be reached.
 */
export function restoredWithoutWitness(damage: Damage): Fault[] {
  return script({ kind: "backup", atMs: 2_000, node: 0 }, cut(2_500, [0, 2], 2_000), cut(4_490, [2], 8_000), {
    kind: "crash",
    atMs: 4_480,
    node: 0,
    sites: null,
    damage,
    downMs: 200,
  });
}

/** Node 0 votes while nobody can hear it, and comes back with a damaged disk: nobody has what it signed. */
export function restoredUnheard(damage: Damage): Fault[] {
  return script({ kind: "backup", atMs: 2_600, node: 0 }, cut(2_500, [0], 2_000), {
    kind: "crash",
    atMs: 4_480,
    node: 0,
    sites: null,
    damage,
    downMs: 200,
  });
}

// LOST-3, GRANT-7.
/** Node 0 hears all and is heard by nobody, while proofs take long: its grants are lost, and their attempts stay open. */
export function restoredWhileProving(damage: Damage): Fault[] {
  const slow = [1, 2, 3].map(
    (node): Unnumbered<Fault> => ({ kind: "slow", atMs: 1_500, node, factor: 30, forMs: 12_000 }),
  );
  return script(...slow, { kind: "backup", atMs: 2_090, node: 0 }, cut(2_095, [0], 500, "out"), {
    kind: "crash",
    atMs: 2_400,
    node: 0,
    sites: null,
    damage,
    downMs: 250,
  });
}
