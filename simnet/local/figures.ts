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
  readonly #reclaims = new Map<string, number>();
  proofs = 0;

  take(node: LocalNode, line: LogLine): void {
    const height = Number(line["height"]);
    const name = `${height}/${String(line["stage"])}/${Number(line["index"])}`;
    switch (line.event) {
      case "task.started":
        this.#idle.set(`${name}/${node.key}`, Number(line["idleMs"]));
        return;
      case "task.proved": {
        this.proofs++;
        const task = this.#task(name);
        // The first proof made is nearly always the accepted one; `duplicateProofs` counts the others.
        task.provedMs ??= line.t;
        task.provingMs ??= Number(line["provingMs"]);
        task.idleMs ??= this.#idle.get(`${name}/${node.key}`) ?? null;
        return;
      }
      case "task.complete":
        this.#task(name).seenMs.push(line.t);
        return;
      case "block.certified": {
        const nodes = this.#certified.get(height) ?? new Map<string, number>();
        nodes.set(node.name, line.t);
        this.#certified.set(height, nodes);
        return;
      }
      case "attempt.over":
        // Every node reports each; the first tells.
        if (node.name === "node-0")
          this.#reclaims.set(String(line["code"]), (this.#reclaims.get(String(line["code"])) ?? 0) + 1);
        return;
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
    return Object.fromEntries(this.#reclaims);
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
