/** Makes the scheduled faults happen, and ends them all at the heal. */
import type { Cluster, SimNode } from "./cluster.ts";
import { NOTHING } from "./disk.ts";
import type { Address } from "./network.ts";
import type { Fault } from "./fault.ts";
import type { TwinFault } from "./fault.ts";
import { Chance } from "./world.ts";

export class Nemesis {
  readonly #cluster: Cluster;
  readonly #chance: Chance;
  /** What it takes to end the faults that last. */
  readonly #lasting = new Set<() => void>();
  /** How many faults hold the chain back. */
  stalls = 0;
  crashes = 0;
  #healed = false;
  /** Told of each fault, when it happens. */
  readonly #say: (fault: Fault) => void;

  constructor(cluster: Cluster, faults: readonly Fault[], say: (fault: Fault) => void) {
    this.#cluster = cluster;
    this.#chance = new Chance(cluster.world.seed, "nemesis");
    this.#say = say;
    for (const fault of faults) cluster.world.after(fault.atMs, () => this.#happen(fault));
  }

  /** From here on nothing goes wrong any more, and whoever is down comes back. */
  heal(): void {
    this.#healed = true;
    for (const end of this.#lasting) end();
    this.#lasting.clear();
    this.#cluster.calm();
    this.#cluster.outsiders.network.calm();
    for (const node of this.#cluster.nodes) if (!node.gone) this.#cluster.start(node);
  }

  #happen(fault: Fault): void {
    if (this.#healed) return;
    this.#say(fault);
    const { network, chain, nodes, world } = this.#cluster;
    const node = "node" in fault && fault.node !== null ? nodes[fault.node] : undefined;
    switch (fault.kind) {
      case "crash":
        return this.#crash(node, fault);
      case "outage":
        this.crashes++;
        for (const each of nodes)
          this.#cluster.crash(each, fault.damage, this.#chance, this.#chance.between(1, fault.downMs));
        return;
      case "backup":
        return node?.disk.backUp();
      case "partition":
        return this.#partition(fault, fault.flaps);
      case "deaf": {
        const [from, to] = [nodes[fault.from]?.key, nodes[fault.to]?.key];
        if (from === undefined || to === undefined || from === to) return;
        network.deafen(from, to);
        return this.#lasts(fault.forMs, () => network.hear(from, to));
      }
      case "full-disk":
        if (node === undefined) return;
        node.disk.full = true;
        return this.#lasts(fault.forMs, () => {
          node.disk.full = false;
        });
      case "pause":
        return node?.process?.freeze(fault.forMs);
      case "drift":
        return node?.clock.drift(fault.rate);
      case "jump":
        return node?.clock.jump(fault.byMs);
      case "slow":
        if (node === undefined) return;
        node.machine.factor = fault.factor ?? Number.POSITIVE_INFINITY;
        return this.#lasts(fault.forMs, () => {
          node.machine.factor = 1;
        });
      case "unable":
        if (node === undefined) return;
        node.machine.broken++;
        return this.#lasts(fault.forMs, () => void node.machine.broken--);
      case "reorg":
        return chain.reorganise(fault.depth);
      case "stall":
        this.stalls++;
        return this.#lasts(fault.forMs, () => void this.stalls--);
      case "source-away":
        if (node === undefined) return;
        node.link.away++;
        return this.#lasts(fault.forMs, () => void node.link.away--);
      case "source-lag":
        if (node === undefined) return;
        node.link.lagBlocks += fault.blocks;
        return this.#lasts(fault.forMs, () => void (node.link.lagBlocks -= fault.blocks));
      case "outsider": {
        const outsider = this.#cluster.outsiders.nodes[fault.outsider];
        if (outsider !== undefined) this.#cluster.outsiders.crash(outsider, fault.damage, this.#chance, fault.downMs);
        return;
      }
      case "outsider-cut": {
        const { network: channel, nodes: outside } = this.#cluster.outsiders;
        const here = outside[fault.outsider]?.key ?? "";
        const links = channel
          .keys()
          .flatMap((key) => (key === here ? [] : [[here, key] as const, [key, here] as const]));
        for (const [from, to] of links) channel.cut(from, to);
        return this.#lasts(fault.forMs, () => {
          for (const [from, to] of links) channel.mend(from, to);
        });
      }
      case "sink":
        return this.#lasts(fault.forMs, this.#cluster.places.of(node).trouble(fault.trouble));
      case "join": {
        if (node === undefined) return;
        node.gone = false;
        this.#cluster.start(node);
        if (fault.forMs === null) return;
        world.after(fault.forMs, () => {
          if (this.#healed) return;
          node.gone = true;
          this.#cluster.crash(node, "intact", this.#chance, 0);
        });
        return;
      }
      case "twin":
        if (node !== undefined) this.#twin(node, fault);
    }
  }

  #twin(first: SimNode, { way, copy, side, waitMs, forMs }: TwinFault): void {
    const { nodes, world } = this.#cluster;
    const twin = nodes.find(({ isTwin, key }) => isTwin && key === first.key);
    if (twin === undefined) return;
    const old = first.disk.copy();
    const theirs = nodes.filter((node, at) => node.isTwin || side.includes(at));
    const ours = nodes.filter((node) => !theirs.includes(node));
    if (way === "parted") this.#cuts(crossing(ours, theirs, "both"), forMs, () => {});
    if (way === "strung")
      this.#cuts([...crossing([first], theirs, "both"), ...crossing([twin], ours, "both")], forMs, () => {});
    if (way === "relay") {
      this.crashes++;
      this.#cluster.crash(first, "intact", this.#chance, forMs);
    }
    world.after(waitMs, () => {
      if (this.#healed) return;
      twin.disk.restore({ new: first.disk.copy(), old, empty: NOTHING }[copy]);
      twin.gone = false;
      this.#cluster.start(twin);
    });
  }

  #crash(node: SimNode | undefined, fault: Extract<Fault, { kind: "crash" }>): void {
    if (node === undefined || node.process === null) return;
    const kill = () => {
      if (this.#healed) return;
      this.crashes++;
      this.#cluster.crash(node, fault.damage, this.#chance, fault.downMs);
    };
    if (fault.sites === null) kill();
    else node.process.arm(fault.sites, kill);
  }

  #partition(fault: Extract<Fault, { kind: "partition" }>, flaps: number): void {
    const { nodes, world } = this.#cluster;
    const inside = nodes.filter((_, at) => fault.side.includes(at));
    const outside = nodes.filter((_, at) => !fault.side.includes(at));
    this.#cuts(crossing(inside, outside, fault.way), fault.forMs, () => {
      if (flaps <= 1 || this.#healed) return;
      world.after(this.#chance.between(100, 2_000), () => {
        if (!this.#healed) this.#partition(fault, flaps - 1);
      });
    });
  }

  #cuts(links: readonly (readonly [Address, Address])[], forMs: number, then: () => void): void {
    const { network } = this.#cluster;
    for (const [from, to] of links) network.cut(from, to);
    this.#lasts(forMs, () => {
      for (const [from, to] of links) network.mend(from, to);
      then();
    });
  }

  #lasts(forMs: number, end: () => void): void {
    this.#lasting.add(end);
    this.#cluster.world.after(forMs, () => {
      if (this.#lasting.delete(end)) end();
    });
  }
}

/** The links from some nodes to others. */
function crossing(
  inside: readonly SimNode[],
  outside: readonly SimNode[],
  way: "both" | "out" | "in",
): (readonly [Address, Address])[] {
  return inside.flatMap((a) =>
    outside.flatMap((b) => [
      ...(way === "in" ? [] : [[a.address, b.address] as const]),
      ...(way === "out" ? [] : [[b.address, a.address] as const]),
    ]),
  );
}
