/** Who is hostile in a run, and how: drawn from the seed unless the behaviours are named. */
import type { Key } from "../../src/protocol/ids.ts";
import { BEHAVIOURS } from "./behaviours.ts";
import { type Behaviour, Hostile } from "./byzantine.ts";
import type { Durable } from "./checkers/durable.ts";
import type { Cluster, NodeHooks, SimNode } from "./cluster.ts";
import { ECHOES } from "./echoes.ts";
import { Chance } from "./world.ts";

export interface HostileShape {
  /** Attesters whose key a second process has. */
  readonly twins?: number;
  readonly byzantineAttesters?: number;
  readonly byzantineProvers?: number;
  /** Names from `BEHAVIOURS`; each hostile node gets those that suit it. */
  readonly behaviours?: readonly string[];
  /** The same for hostile nodes that only prove. */
  readonly proverBehaviours?: readonly string[];
}

/** A hostile node of a run that draws its malice has at most so many kinds of it. */
const KINDS_MAX = 3;

export class Hostiles {
  /** By key: the names of what it does. */
  readonly malice = new Map<Key, readonly string[]>();
  readonly #nodes = new Map<Key, Hostile>();

  /** The cluster's nodes are known only once it is made, and its hooks before. */
  appoint(cluster: Cluster, shape: HostileShape): void {
    const { byzantineAttesters = 0, byzantineProvers = 0, behaviours, proverBehaviours = behaviours } = shape;
    const chance = new Chance(cluster.world.seed, "hostile");
    const stages = Object.values(cluster.manifest.json.workflows).flatMap((each) => each.stages);
    const isOfUse = (each: string) => !Object.hasOwn(ECHOES, each) || stages.some(({ verify }) => verify === "agree");
    for (const { key, isTwin } of cluster.nodes) if (isTwin) this.malice.set(key, ["twins"]);
    const attesters = draw(
      chance,
      cluster.nodes.filter(({ key, attests }) => attests && !this.malice.has(key)),
      byzantineAttesters,
      "attesters",
    );
    const provers = draw(
      chance,
      cluster.nodes.filter(({ attests }) => !attests),
      byzantineProvers,
      "provers",
    );
    const fellows = new Set([...attesters, ...provers].map(({ key }) => key));
    for (const { key, name, attests } of [...attesters, ...provers]) {
      const own = new Chance(cluster.world.seed, `hostile/${name}`);
      const fitting = Object.keys(BEHAVIOURS).filter((each) => suits(BEHAVIOURS[each], attests));
      const named = attests ? behaviours : proverBehaviours;
      const names = named?.filter((each) => fitting.includes(each)) ?? pickSome(own, fitting.filter(isOfUse));
      const kinds = names.flatMap((each) => BEHAVIOURS[each] ?? []);
      const { manifest, world } = cluster;
      this.malice.set(key, names);
      this.#nodes.set(key, new Hostile({ manifest, world, chance: own, behaviours: kinds, fellows }));
    }
  }

  has(key: Key): boolean {
    return this.malice.has(key) || [...this.#nodes.values()].some(({ strays }) => strays.has(key));
  }

  hooks(durable: Durable): NodeHooks {
    return {
      modules: (modules, node) =>
        this.#nodes.get(node.key)?.modules(modules, node) ?? { ...modules, journal: durable.watch(modules.journal) },
      join: (node, network, handler, join) =>
        this.#nodes.get(node.key)?.join(node, network, handler, join) ?? join(handler, node.disk.artefacts),
    };
  }
}

function suits(behaviour: Behaviour | undefined, attests: boolean): boolean {
  // Every attester of the simulation proves as well.
  return behaviour !== undefined && (attests || behaviour.who !== "attester");
}

function draw(chance: Chance, from: readonly SimNode[], count: number, what: string): SimNode[] {
  if (count > from.length) throw new RangeError(`${count} hostile ${what}; allowed: at most ${from.length}`);
  const left = [...from];
  return Array.from({ length: count }, () => left.splice(chance.between(0, left.length - 1), 1)).flat();
}

function pickSome(chance: Chance, names: readonly string[]): string[] {
  const left = [...names];
  const count = chance.between(1, KINDS_MAX);
  return Array.from({ length: count }, () => left.splice(chance.between(0, left.length - 1), 1)).flat();
}
