/**
 * What a run's log lines add up to. All nodes run on one machine, so their wall clocks are one.
 *
 * visible:   for each task and node, what the network adds to the proving itself: from ready (and a prover free) to the
 *            start of proving, and from the end of proving until the node sees a quorum vouch for the proof.
 * certified: for each block and node, from the end of the block's last proof until the certificate is assembled there.
 */
import type { LocalNode, LogLine } from "./nodes.ts";

interface TaskTimes {
  /** By the prover that made the accepted proof. */
  idleMs: number | null;
  provedMs: number | null;
  provingMs: number | null;
  readonly seenMs: number[];
}

export interface Percentiles {
  readonly p50: number;
  readonly p99: number;
}

export class Figures {
  readonly #tasks = new Map<string, TaskTimes>();
  readonly #certified = new Map<number, Map<string, number>>();
  readonly #idle = new Map<string, number>();
  readonly #refused = new Map<string, number>();
  /** When the block was first opened anywhere, by height. */
  readonly #opened = new Map<number, number>();
  /** By task and attempt: when and why the first node saw that a quorum had ended it. */
  readonly #overs = new Map<string, { readonly t: number; readonly code: string }>();
  /** Jobs that run, by task and prover. */
  readonly #running = new Map<string, number>();
  readonly #made: { readonly name: string; readonly key: string; readonly ms: number }[] = [];
  /** Proving that came to nothing: by a node that died, failed, or was stopped because another was done first. */
  #partMs = 0;

  take(node: LocalNode, line: LogLine): void {
    const height = Number(line["height"]);
    const name = `${height}/${String(line["stage"])}/${Number(line["index"])}`;
    switch (line.event) {
      case "block.opened":
        this.#opened.set(height, Math.min(this.#opened.get(height) ?? line.t, line.t));
        return;
      case "task.started":
        this.#idle.set(`${name}/${node.key}`, Number(line["idleMs"]));
        this.#running.set(`${name} ${node.key}`, line.t);
        return;
      case "task.failed":
        return this.#stopped((job) => job === `${name} ${node.key}`, line.t);
      case "process.exit":
        return this.#stopped((job) => job.endsWith(` ${node.key}`), line.t);
      case "task.proved": {
        this.#running.delete(`${name} ${node.key}`);
        this.#made.push({ name, key: node.key, ms: Number(line["provingMs"]) });
        const task = this.#task(name);
        // The first proof made is nearly always the accepted one; `duplicateProofs` counts the others.
        task.provedMs ??= line.t;
        task.provingMs ??= Number(line["provingMs"]);
        task.idleMs ??= this.#idle.get(`${name}/${node.key}`) ?? null;
        return;
      }
      case "task.complete":
        this.#task(name).seenMs.push(line.t);
        return this.#stopped((job) => job.startsWith(`${name} `), line.t);
      case "block.certified": {
        const nodes = this.#certified.get(height) ?? new Map<string, number>();
        nodes.set(node.name, line.t);
        this.#certified.set(height, nodes);
        return;
      }
      case "attempt.over":
        return this.#over(`${name} ${Number(line["attempt"])}`, line);
      case "refused":
        this.#refused.set(String(line["code"]), (this.#refused.get(String(line["code"])) ?? 0) + 1);
        return;
      default:
    }
  }

  visible(): Percentiles {
    const overheads: number[] = [];
    for (const { idleMs, provedMs, seenMs } of this.#tasks.values()) {
      if (provedMs !== null)
        for (const seen of seenMs) if (seen >= provedMs) overheads.push((idleMs ?? 0) + seen - provedMs);
    }
    return percentiles(overheads);
  }

  certified(): Percentiles {
    const overheads: number[] = [];
    for (const [height, nodes] of this.#certified) {
      const proved = [...this.#tasks]
        .filter(([name]) => name.startsWith(`${height}/`))
        .map(([, task]) => task.provedMs ?? 0);
      const last = Math.max(...proved);
      for (const at of nodes.values()) if (at >= last) overheads.push(at - last);
    }
    return percentiles(overheads);
  }

  proving(): Percentiles {
    return percentiles([...this.#tasks.values()].flatMap(({ provingMs }) => (provingMs === null ? [] : [provingMs])));
  }

  /** Attempts that a timeout certificate ended, by reason. */
  reclaimsByCode(): Readonly<Record<string, number>> {
    const counts: Record<string, number> = {};
    for (const { code } of this.#overs.values()) counts[code] = (counts[code] ?? 0) + 1;
    return counts;
  }

  /** How long attempts were open that nobody claimed; only those that `counts` by their begin and end (wall clock). */
  unclaimed(counts: (fromMs: number, toMs: number) => boolean): Percentiles & { readonly count: number } {
    const delays: number[] = [];
    for (const [name, { t, code }] of this.#overs) {
      const from = code === "not-claimed" ? this.#openedAt(name) : null;
      if (from !== null && from <= t && counts(from, t)) delays.push(t - from);
    }
    return { count: delays.length, ...percentiles(delays) };
  }

  /** Proving beyond the accepted proofs, which are named `height/stage/index prover`. */
  wasted(accepted: ReadonlySet<string>): { readonly proofs: number; readonly ms: number; readonly share: number } {
    const left = new Set(accepted);
    const unused = this.#made.filter(({ name, key }) => !left.delete(`${name} ${key}`));
    const ms = this.#partMs + unused.reduce((sum, proof) => sum + proof.ms, 0);
    const allMs = this.#partMs + this.#made.reduce((sum, proof) => sum + proof.ms, 0);
    return { proofs: unused.length, ms: Math.round(ms), share: Math.round((1000 * ms) / Math.max(1, allMs)) / 1000 };
  }

  get proofs(): number {
    return this.#made.length;
  }

  #over(name: string, line: LogLine): void {
    const known = this.#overs.get(name);
    if (known === undefined || line.t < known.t) this.#overs.set(name, { t: line.t, code: String(line["code"]) });
  }

  /** When an attempt opened: with its block or the last of its inputs, or when the one before it was over. */
  #openedAt(name: string): number | null {
    const [task = "", attempt = ""] = name.split(" ");
    if (attempt !== "0") return this.#overs.get(`${task} ${Number(attempt) - 1}`)?.t ?? null;
    const [height = "", stage] = task.split("/");
    if (stage === "shard") return this.#opened.get(Number(height)) ?? null;
    const inputs = [...this.#tasks].filter(([other]) => other.startsWith(`${height}/shard/`));
    return inputs.length === 0 ? null : Math.max(...inputs.map(([, { seenMs }]) => Math.min(...seenMs)));
  }

  #stopped(which: (job: string) => boolean, atMs: number): void {
    for (const [job, fromMs] of this.#running) {
      if (!which(job)) continue;
      this.#running.delete(job);
      this.#partMs += Math.max(0, atMs - fromMs);
    }
  }

  refused(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#refused);
  }

  #task(name: string): TaskTimes {
    let task = this.#tasks.get(name);
    if (task === undefined) {
      task = { idleMs: null, provedMs: null, provingMs: null, seenMs: [] };
      this.#tasks.set(name, task);
    }
    return task;
  }
}

function percentiles(values: readonly number[]): Percentiles {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (share: number) =>
    Math.round((sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0) * 10) / 10;
  return { p50: at(0.5), p99: at(0.99) };
}
