/** What the log lines of all nodes have said so far, and waiting for what they will say. */
import { LOSSES } from "../checkers/durability.ts";
import { RunFault } from "../outcome.ts";
import type { LocalNode, LogLine } from "./nodes.ts";

/** Events that no honest network may show, whatever is done to its processes and links. */
const BROKEN: ReadonlySet<string> = new Set([...LOSSES, "block.invalid", "store.replaced"]);
const VIOLATIONS_MAX = 100;

export class Watch {
  readonly violations: string[] = [];
  readonly #limitMs: number;
  readonly #signal: AbortSignal;
  readonly #each: (node: LocalNode, line: LogLine) => void;
  readonly #peers = new Map<string, Set<unknown>>();
  /** Heights that each node has a certificate of. */
  readonly #held = new Map<string, Set<number>>();
  /** What each node proves now: task names. */
  readonly #proving = new Map<string, Set<string>>();
  readonly #completedMs = new Map<string, number>();
  /** Claims of each task, in the order of the log lines. */
  readonly #claims = new Map<string, { readonly node: string; readonly atMs: number }[]>();
  readonly #expectedExits = new Set<string>();
  #broken: RunFault | null = null;
  readonly #waiting = new Set<() => void>();
  /** When a certificate last came. */
  #movedMs = 0;

  constructor(limitMs: number, signal: AbortSignal, each: (node: LocalNode, line: LogLine) => void) {
    this.#limitMs = limitMs;
    this.#signal = signal;
    this.#each = each;
    signal.addEventListener("abort", () => this.#wake(), { once: true });
  }

  take(node: LocalNode, line: LogLine): void {
    const name = `${Number(line["height"])}/${String(line["stage"])}/${Number(line["index"])}`;
    switch (line.event) {
      case "peer.up":
        this.#peers.set(node.name, this.peersOf(node).add(line["peer"]));
        break;
      case "peer.down":
        this.#peers.get(node.name)?.delete(line["peer"]);
        break;
      case "certificate.stored":
        this.#movedMs = performance.now();
        this.#held.set(node.name, (this.#held.get(node.name) ?? new Set()).add(Number(line["height"])));
        break;
      case "task.claimed":
        this.#claims.set(name, [...(this.#claims.get(name) ?? []), { node: node.name, atMs: performance.now() }]);
        break;
      case "task.started":
        // Who hears late that a task is complete starts it for nothing, and nobody has to take it over.
        if (!this.#completedMs.has(name)) this.#proving.set(node.name, this.provedBy(node).add(name));
        break;
      case "task.proved":
      case "task.failed":
        this.#proving.get(node.name)?.delete(name);
        break;
      case "task.complete":
        if (!this.#completedMs.has(name)) this.#completedMs.set(name, performance.now());
        for (const proving of this.#proving.values()) proving.delete(name);
        break;
      case "process.exit":
        this.#ended(node);
        break;
      default:
        if (BROKEN.has(line.event)) this.violation(`S4: ${node.name}: ${JSON.stringify(line)}`);
    }
    this.#each(node, line);
    this.#wake();
  }

  #wake(): void {
    for (const wake of this.#waiting) wake();
  }

  violation(text: string): void {
    if (this.violations.length < VIOLATIONS_MAX) this.violations.push(text);
  }

  peersOf(node: LocalNode): Set<unknown> {
    return this.#peers.get(node.name) ?? new Set();
  }

  /** Heights that the node has said to have a certificate of. */
  heldBy(node: LocalNode): ReadonlySet<number> {
    return this.#held.get(node.name) ?? new Set();
  }

  /** What a node turns out to hold without having said so: it was killed between the write and the line. */
  learnHeld(node: LocalNode, heights: Iterable<number>): void {
    this.#held.set(node.name, new Set([...this.heldBy(node), ...heights]));
    this.#wake();
  }

  provedBy(node: LocalNode): Set<string> {
    return this.#proving.get(node.name) ?? new Set();
  }

  completedMs(task: string): number | null {
    return this.#completedMs.get(task) ?? null;
  }

  /** When another node than this one has claimed the task since. */
  claimedMs(task: string, not: LocalNode, sinceMs: number): number | null {
    return this.#claims.get(task)?.find(({ node, atMs }) => node !== not.name && atMs >= sinceMs)?.atMs ?? null;
  }

  /** From now on the node may end; its peers and its work end with it. */
  expectExit(node: LocalNode): void {
    this.#expectedExits.add(node.name);
    this.#proving.delete(node.name);
  }

  expectNoExit(node: LocalNode): void {
    this.#expectedExits.delete(node.name);
  }

  /** The run is over: whoever waits or looks from now on throws. The first reason counts. */
  end(fault: RunFault): void {
    this.#broken ??= fault;
    this.#wake();
  }

  /** Throws what has ended the run in the meantime. */
  check(): void {
    if (this.#broken !== null) throw this.#broken;
    if (this.#signal.aborted) throw new RunFault("interrupted", "interrupted");
  }

  /** Waits for what the log lines will say, as long as certificates come or the limit has not passed since. */
  async until(holds: () => boolean, what: string, lacks: () => string = () => ""): Promise<void> {
    this.#movedMs = performance.now();
    for (;;) {
      this.check();
      if (holds()) return;
      const leftMs = this.#movedMs + this.#limitMs - performance.now();
      if (leftMs <= 0)
        this.end(
          new RunFault(
            "liveness",
            `L1: nothing moved for ${this.#limitMs / 1000} s while waiting until ${what}${lacks()}`,
          ),
        );
      this.check();
      await new Promise<void>((resolve) => {
        const late = setTimeout(() => wake(), Math.min(leftMs, 1000));
        const wake = (): void => {
          this.#waiting.delete(wake);
          clearTimeout(late);
          resolve();
        };
        this.#waiting.add(wake);
      });
    }
  }

  /** Lets time pass; throws as soon as the run is over. */
  async pause(ms: number): Promise<void> {
    const untilMs = performance.now() + ms;
    for (;;) {
      this.check();
      const leftMs = untilMs - performance.now();
      if (leftMs <= 0) return;
      await new Promise((resolve) => setTimeout(resolve, Math.min(leftMs, 200)));
    }
  }

  #ended(node: LocalNode): void {
    this.#peers.delete(node.name);
    this.#proving.delete(node.name);
    if (this.#expectedExits.has(node.name)) return;
    this.end(new RunFault("crash", `${node.name} ended by itself: ${node.complaints.join(" / ")}`));
  }
}
