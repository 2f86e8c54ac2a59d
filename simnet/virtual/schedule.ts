/**
 * Which faults a run has and when: drawn from the seed before the run begins, each kind from a stream of its own, so
 * that one can be left out and the others stay what they were.
 */
import { DAMAGES } from "./disk.ts";
import type { Fault } from "./fault.ts";
import { attestersOf, type Dials, dialsOf, type VirtualOptions } from "./options.ts";
import { TROUBLES } from "./places.ts";
import { twinFaults } from "./twins.ts";
import { Chance } from "./world.ts";

type Drawn = Fault extends infer F ? (F extends Fault ? Omit<F, "number" | "atMs"> : never) : never;

interface Draft {
  readonly atMs: number;
  readonly drawn: Drawn;
}

/** All faults of the run in order of time, numbered; those that `only` leaves out are gone, the numbers stay. */
export function scheduleOf(options: VirtualOptions, untilMs: number): Fault[] {
  const dials = dialsOf(options);
  const drafts = [...machineFaults(options, dials, untilMs), ...networkFaults(options, dials, untilMs)];
  drafts.push(...chainFaults(options, dials, untilMs), ...sourceFaults(options, dials, untilMs));
  drafts.push(...outsiderFaults(options, dials, untilMs));
  drafts.push(...sinkFaults(options, dials, untilMs), ...twinFaults(options, untilMs));
  drafts.sort((a, b) => a.atMs - b.atMs);
  const faults = drafts.map(({ atMs, drawn }, number) => ({ number, atMs, ...drawn }));
  return faults.filter(({ number }) => options.only?.includes(number) ?? true);
}

function machineFaults({ seed, nodes }: VirtualOptions, dials: Dials, untilMs: number): Draft[] {
  const draw = (kind: string, everyMs: number, make: (chance: Chance, node: number) => Drawn): Draft[] =>
    every(new Chance(seed, `fault/${kind}`), everyMs, untilMs, (chance) => make(chance, chance.between(0, nodes - 1)));
  const drifting = new Chance(seed, "fault/drift");
  const drifts = Array.from({ length: dials.drift > 0 ? nodes : 0 }, (_, node): Draft => {
    return { atMs: 0, drawn: { kind: "drift", node, rate: 1 + (2 * drifting.next() - 1) * dials.drift } };
  });
  const joins = every(
    new Chance(seed, "fault/join"),
    dials.joiners > 0 ? untilMs / (2 * dials.joiners) : 0,
    untilMs,
    (chance) => {
      return { kind: "join", node: 0, forMs: chance.next() < 0.3 ? chance.between(5_000, untilMs) : null } as const;
    },
  );
  const leaving = new Chance(seed, "fault/absent");
  const absences = Array.from({ length: dials.absent }, (): Draft => {
    const [atMs, backMs] = [leaving.between(500, 2_000), Math.round((untilMs * leaving.between(70, 95)) / 100)];
    const node = leaving.between(0, nodes - 1);
    const downMs = Math.max(backMs - atMs, 10);
    return { atMs, drawn: { kind: "crash", node, sites: null, damage: "intact", downMs } };
  });
  return [
    ...absences,
    ...draw("crash", dials.crashEveryMs, (chance, node) => {
      const sites = chance.next() < dials.crashSites ? chance.between(1, 60) : null;
      const any = DAMAGES[chance.between(0, DAMAGES.length - 1)] ?? "intact";
      const away = chance.next() < 0.2 ? dials.awayMs : Math.min(dials.awayMs, 5_000);
      const damage = dials.damage === "any" ? any : dials.damage;
      return { kind: "crash", node, sites, damage, downMs: chance.between(10, Math.max(away, 10)) };
    }),
    ...draw("outage", dials.outageEveryMs, (chance) => {
      return { kind: "outage", damage: chance.next() < 0.5 ? "torn" : "intact", downMs: chance.between(100, 5_000) };
    }),
    ...draw("backup", dials.damage === "any" || dials.damage === "old" ? 5_000 : 0, (_, node) => {
      return { kind: "backup", node };
    }),
    ...draw("full-disk", dials.fullDiskEveryMs, (chance, node) => {
      return { kind: "full-disk", node, forMs: chance.between(100, 20_000) };
    }),
    ...draw("pause", dials.pauseEveryMs, (chance, node) => {
      return { kind: "pause", node, forMs: chance.between(100, chance.next() < 0.2 ? 60_000 : 5_000) };
    }),
    ...draw("jump", dials.jumpEveryMs, (chance, node) => {
      return { kind: "jump", node, byMs: chance.between(-600_000, 600_000) };
    }),
    ...draw("slow", dials.slowEveryMs, (chance, node) => {
      const factor = chance.next() < 0.3 ? null : chance.between(2, 20);
      return { kind: "slow", node, factor, forMs: chance.between(1_000, 30_000) };
    }),
    ...draw("unable", dials.unableEveryMs, (chance, node) => {
      return { kind: "unable", node, forMs: chance.between(10, 10_000) };
    }),
    ...drifts,
    ...joins.slice(0, dials.joiners).map(({ atMs, drawn }, at) => ({ atMs, drawn: { ...drawn, node: nodes + at } })),
  ];
}

function networkFaults({ seed, nodes }: VirtualOptions, dials: Dials, untilMs: number): Draft[] {
  return [
    ...every(new Chance(seed, "fault/partition"), dials.partitionEveryMs, untilMs, (chance) => {
      const order = Array.from({ length: nodes }, (_, at) => ({ at, by: chance.next() })).sort((a, b) => a.by - b.by);
      const side = order.slice(0, chance.between(1, Math.max(1, nodes >> 1))).map(({ at }) => at);
      const way = (["both", "both", "out", "in"] as const)[chance.between(0, 3)] ?? "both";
      const flaps = chance.next() < 0.3 ? chance.between(2, 6) : 1;
      return { kind: "partition", side, way, flaps, forMs: chance.between(200, flaps > 1 ? 3_000 : 20_000) };
    }),
    ...every(new Chance(seed, "fault/deaf"), dials.deafEveryMs, untilMs, (chance) => {
      const from = chance.between(0, nodes - 1);
      const to = (from + chance.between(1, Math.max(nodes - 1, 1))) % nodes;
      return { kind: "deaf", from, to, forMs: chance.between(1_000, 120_000) };
    }),
  ];
}

function chainFaults({ seed }: VirtualOptions, dials: Dials, untilMs: number): Draft[] {
  return [
    ...every(new Chance(seed, "fault/reorg"), dials.reorgEveryMs, untilMs, (chance) => {
      return { kind: "reorg", depth: chance.between(1, dials.reorgDepth) };
    }),
    ...every(new Chance(seed, "fault/stall"), dials.stallEveryMs, untilMs, (chance) => {
      return { kind: "stall", forMs: chance.between(1_000, 15_000) };
    }),
  ];
}

/** Sources that do not answer, or are behind. Those that are so from the beginning are the first nodes'. */
function sourceFaults(options: VirtualOptions, dials: Dials, untilMs: number): Draft[] {
  const { seed } = options;
  const attesters = attestersOf(options);
  const away = Array.from({ length: dials.sourcesAway }, (_, node): Draft => {
    return { atMs: 0, drawn: { kind: "source-away", node, forMs: dials.sourcesAwayMs } };
  });
  const lagging: Draft[] =
    dials.sourceLag === 0
      ? []
      : [{ atMs: 0, drawn: { kind: "source-lag", node: 0, blocks: dials.sourceLag, forMs: untilMs } }];
  return [
    ...away,
    ...lagging,
    ...every(new Chance(seed, "fault/source-away"), dials.sourceAwayEveryMs, untilMs, (chance) => {
      const node = chance.between(0, attesters - 1);
      return { kind: "source-away", node, forMs: chance.between(1_000, chance.next() < 0.3 ? 120_000 : 20_000) };
    }),
    ...every(new Chance(seed, "fault/source-lag"), dials.sourceLagEveryMs, untilMs, (chance) => {
      const node = chance.between(0, attesters - 1);
      return { kind: "source-lag", node, blocks: chance.between(1, 20), forMs: chance.between(1_000, 30_000) };
    }),
  ];
}

/** Outsiders die and are cut off as often as the nodes of the partition. */
function outsiderFaults({ seed }: VirtualOptions, dials: Dials, untilMs: number): Draft[] {
  const { outsiders } = dials;
  const draw = (chance: Chance) => chance.between(0, outsiders - 1);
  return [
    ...every(new Chance(seed, "fault/outsider"), outsiders > 0 ? dials.crashEveryMs : 0, untilMs, (chance) => {
      const any = DAMAGES[chance.between(0, DAMAGES.length - 1)] ?? "intact";
      const damage = dials.damage === "any" ? any : dials.damage;
      return { kind: "outsider", outsider: draw(chance), damage, downMs: chance.between(10, 5_000) };
    }),
    ...every(new Chance(seed, "fault/outsider-cut"), outsiders > 0 ? dials.partitionEveryMs : 0, untilMs, (chance) => {
      return { kind: "outsider-cut", outsider: draw(chance), forMs: chance.between(200, 15_000) };
    }),
  ];
}

/** Sinks that misbehave: every third time it is the one that several nodes serve. */
function sinkFaults({ seed, nodes }: VirtualOptions, dials: Dials, untilMs: number): Draft[] {
  return every(new Chance(seed, "fault/sink"), dials.sinkEveryMs, untilMs, (chance) => {
    const node = chance.next() < 1 / 3 ? null : chance.between(0, nodes - 1);
    const trouble = TROUBLES[chance.between(0, TROUBLES.length - (node === null ? 1 : 2))] ?? "refuse";
    return { kind: "sink", node, trouble, forMs: chance.between(100, 5_000) };
  });
}

/** About every so often, until the faults end. */
function every<F extends Drawn>(
  chance: Chance,
  everyMs: number,
  untilMs: number,
  make: (chance: Chance) => F,
): { readonly atMs: number; readonly drawn: F }[] {
  const drafts: { readonly atMs: number; readonly drawn: F }[] = [];
  if (everyMs <= 0) return drafts;
  for (let atMs = step(chance, everyMs); atMs < untilMs; atMs += step(chance, everyMs))
    drafts.push({ atMs, drawn: make(chance) });
  return drafts;
}

function step(chance: Chance, everyMs: number): number {
  return chance.between(1, Math.max(Math.round(2 * everyMs), 1));
}
