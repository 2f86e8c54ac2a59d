/** Carries a plan of faults out, takes every one of them back, and measures what the network made of it. */
import { RunFault } from "../outcome.ts";
import type { Judge } from "./judge.ts";
import type { Fleet, LocalNode } from "./nodes.ts";
import type { Fault, Planned, Target } from "./schedule.ts";
import type { Watch } from "./watch.ts";

export interface Disturbance {
  readonly kind: Fault["kind"];
  readonly what: string;
  /** Since the run began. */
  readonly atMs: number;
  readonly forMs: number;
  /** Tasks that the node was proving. */
  readonly tasks: number;
  /** Until another node had claimed the last of them; `null` where there was none, or none had to. */
  readonly reclaimMs: number | null;
  /** Until the last of them was complete. */
  readonly completeMs: number | null;
  /** Whether nothing else was disturbed before that claim; only then L4 promises anything. */
  readonly alone: boolean;
}

/** Nodes that are asked what they have heard of a node that was killed; to ask all takes longer than the fault. */
const WITNESSES = 2;

interface Episode {
  readonly fault: Fault;
  readonly what: string;
  readonly node: LocalNode | null;
  readonly tasks: readonly string[];
  readonly fromMs: number;
  toMs: number;
}

export interface DisturberModules {
  readonly fleet: Fleet;
  readonly watch: Watch;
  readonly judge: Judge;
  readonly say: (line: string) => void;
  /** Whether all blocks are mined and certified: nobody will be at work any more. */
  readonly isOver: () => boolean;
}

export class Disturber {
  readonly #modules: DisturberModules;
  readonly #episodes: Episode[] = [];
  /** Nodes that are down or paused. */
  readonly #away = new Set<LocalNode>();
  readonly #running = new Set<Promise<void>>();
  readonly #beganMs: number = performance.now();
  #calm = false;
  #failure: unknown = null;

  constructor(modules: DisturberModules) {
    this.#modules = modules;
  }

  /** Starts each fault at its time; resolves when the last has started. */
  async carryOut(plan: readonly Planned[]): Promise<void> {
    for (const { atMs, fault } of plan) {
      await this.#modules.watch.pause(this.#beganMs + atMs - performance.now());
      if (this.#calm) return;
      await this.#begin(fault);
    }
  }

  /** Takes back what is still on, and waits until every node is up again. */
  async calm(): Promise<void> {
    this.#calm = true;
    const { fleet } = this.#modules;
    fleet.links?.heal();
    for (const node of fleet.nodes) fleet.resume(node);
    while (this.#running.size > 0) await Promise.race(this.#running);
    if (this.#failure !== null) throw this.#failure;
  }

  /** To be asked when all tasks are complete. */
  report(): readonly Disturbance[] {
    return this.#episodes.map((episode) => this.#measure(episode));
  }

  /** Whether between two moments no link was disturbed and at most one node was away. */
  isSimple(fromMs: number, toMs: number): boolean {
    const on = this.#episodes.filter((episode) => episode.fromMs <= toMs && episode.toMs >= fromMs);
    return on.length === 0 || (on.length === 1 && on[0]?.node !== null);
  }

  isAway(node: LocalNode): boolean {
    return this.#away.has(node);
  }

  async #begin(fault: Fault): Promise<void> {
    switch (fault.kind) {
      case "kill": {
        const node = await this.#choose(fault.node);
        if (node !== null) this.#keep(this.#kill(node, fault));
        return;
      }
      case "pause": {
        const node = await this.#choose(fault.node);
        if (node !== null) this.#keep(this.#pause(node, fault));
        return;
      }
      case "partition":
        return this.#keep(this.#partition(fault));
      case "slow":
        return this.#keep(this.#slow(fault));
      case "cut": {
        const [a, b] = fault.pair;
        const broken = this.#modules.fleet.links?.cut(a, b) ?? 0;
        const episode = this.#open(fault, `cut ${broken} connections between node-${a} and node-${b}`, null);
        episode.toMs = episode.fromMs;
      }
    }
  }

  /** What goes wrong in a fault that is being taken back ends the run, at the next look. */
  #keep(running: Promise<void>): void {
    const kept = running
      .catch((error: unknown) => {
        this.#failure ??= error;
      })
      .finally(() => this.#running.delete(kept));
    this.#running.add(kept);
  }

  /** The node itself, or the next one that is there; of those at work, one that is in the middle of a proof. */
  async #choose(target: Target): Promise<LocalNode | null> {
    const { fleet, watch, isOver, say } = this.#modules;
    const { nodes } = fleet;
    const isThere = (node: LocalNode): boolean => node.process !== null && !this.#away.has(node);
    if (typeof target === "number")
      return (
        nodes.map((_, index) => nodes[(target + index) % nodes.length]).find((node) => node && isThere(node)) ?? null
      );
    const fits = (node: LocalNode): boolean => {
      if (!isThere(node) || (target === "attester" ? node.duty === "proves" : node.duty === "attests")) return false;
      return node.duty === "attests" || watch.provedBy(node).size > 0;
    };
    await watch.until(() => nodes.some(fits) || isOver(), "a node to disturb is at work");
    const found = nodes.find(fits) ?? null;
    if (found === null) say("a fault is left out: no node is at work any more");
    return found;
  }

  #open(fault: Fault, what: string, node: LocalNode | null): Episode {
    const { watch, say } = this.#modules;
    const tasks = node === null ? [] : [...watch.provedBy(node)];
    const episode = { fault, what, node, tasks, fromMs: performance.now(), toMs: Number.POSITIVE_INFINITY };
    this.#episodes.push(episode);
    if (node !== null) this.#away.add(node);
    say(`${what}${tasks.length === 0 ? "" : ` while it proves ${tasks.join(", ")}`}`);
    return episode;
  }

  #close(episode: Episode): void {
    episode.toMs = performance.now();
    if (episode.node !== null) this.#away.delete(episode.node);
  }

  async #kill(node: LocalNode, fault: Fault & { readonly kind: "kill" }): Promise<void> {
    const { fleet, watch, judge } = this.#modules;
    const episode = this.#open(fault, `kill -9 ${node.name} for ${seconds(fault.forMs)}`, node);
    watch.expectExit(node);
    await fleet.kill(node);
    const others = fleet.nodes.filter((other) => !this.#away.has(other));
    const [logs] = await Promise.all([judge.logsOf(others.slice(0, WITNESSES)), this.#last(fault.forMs)]);
    await this.#start(node);
    await judge.lookForLosses(node, logs);
    this.#close(episode);
  }

  async #start(node: LocalNode): Promise<void> {
    const { fleet, watch } = this.#modules;
    watch.check();
    watch.expectNoExit(node);
    await fleet.start(node).catch((error: unknown) => {
      throw new RunFault("crash", error instanceof Error ? error.message : String(error));
    });
  }

  async #pause(node: LocalNode, fault: Fault & { readonly kind: "pause" }): Promise<void> {
    const { fleet } = this.#modules;
    const episode = this.#open(fault, `pause ${node.name} for ${seconds(fault.forMs)}`, node);
    fleet.pause(node);
    await this.#last(fault.forMs);
    fleet.resume(node);
    this.#close(episode);
  }

  async #partition(fault: Fault & { readonly kind: "partition" }): Promise<void> {
    const { links, nodes } = this.#modules.fleet;
    const others = nodes.map((_, index) => index).filter((index) => !fault.group.includes(index));
    const names = fault.group.map((index) => `node-${index}`).join(" ");
    const how = { both: "cannot hear or be heard", in: "cannot hear the others", out: "cannot be heard" }[fault.way];
    const episode = this.#open(fault, `partition: ${names} ${how} for ${seconds(fault.forMs)}`, null);
    const flows = fault.group.flatMap((one) =>
      others.flatMap((other): (readonly [number, number])[] => [
        ...(fault.way === "in" ? [] : [[one, other] as const]),
        ...(fault.way === "out" ? [] : [[other, one] as const]),
      ]),
    );
    for (const [from, to] of flows) links?.block(from, to);
    await this.#last(fault.forMs);
    for (const [from, to] of flows) links?.unblock(from, to);
    this.#close(episode);
  }

  async #slow(fault: Fault & { readonly kind: "slow" }): Promise<void> {
    const { links, nodes } = this.#modules.fleet;
    const what = `slow links of node-${fault.node} by ${fault.extraMs} ms for ${seconds(fault.forMs)}`;
    const episode = this.#open(fault, what, null);
    const change = (extraMs: number): void => {
      for (const other of nodes.keys()) {
        if (other === fault.node) continue;
        links?.slow(fault.node, other, extraMs);
        links?.slow(other, fault.node, extraMs);
      }
    };
    change(fault.extraMs);
    await this.#last(fault.forMs);
    change(-fault.extraMs);
    this.#close(episode);
  }

  /** A fault lasts its time, or until all of them are taken back. */
  async #last(ms: number): Promise<void> {
    const untilMs = performance.now() + ms;
    while (!this.#calm && performance.now() < untilMs)
      await this.#modules.watch.pause(Math.min(200, Math.max(0, untilMs - performance.now())));
  }

  #measure(episode: Episode): Disturbance {
    const { watch } = this.#modules;
    const { fault, what, node, tasks, fromMs, toMs } = episode;
    const latest = (times: readonly (number | null)[]): number | null => {
      const known = times.filter((time) => time !== null);
      return known.length === 0 ? null : Math.round(Math.max(...known) - fromMs);
    };
    const claimed = node === null ? [] : tasks.map((task) => watch.claimedMs(task, node, fromMs));
    const reclaimMs = latest(claimed);
    const others = this.#episodes.filter((other) => other !== episode);
    const endMs = fromMs + (reclaimMs ?? 0);
    return {
      kind: fault.kind,
      what,
      atMs: Math.round(fromMs - this.#beganMs),
      forMs: Math.round(toMs - fromMs),
      tasks: tasks.length,
      reclaimMs,
      completeMs: latest(tasks.map((task) => watch.completedMs(task))),
      alone: others.every((other) => other.fromMs > endMs || other.toMs < fromMs),
    };
  }
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}
