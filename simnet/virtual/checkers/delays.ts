/**
 * L4, measured: how long a task is held up by an owner that does not claim it, one that dies at work, one that gives it
 * back; each beside the most that the manifest allows.
 *
 * Judged only where a quorum of attesters spoke all the time, and told only of runs in which links lose nothing and clocks
 * are true (`isLight`): anything else adds delays of its own, for which no bound is promised.
 */
import type { Key } from "../../../src/protocol/ids.ts";
import type { Manifest } from "../../../src/protocol/manifest.ts";
import { type Life, Lives, type TaskLife } from "./lives.ts";
import { placeOf } from "./place.ts";

export type Cause = "not-claimed" | "no-progress" | "released" | "failed";

/** Until the next owner's claim was said, of those that were free to claim. */
export interface Delays {
  readonly times: number;
  readonly medianMs: number;
  readonly worstMs: number;
  /** The most that was allowed in any of these cases. */
  readonly boundMs: number;
}

export interface DelayOptions {
  readonly manifest: Manifest;
  readonly now: () => number;
  /** The most that a message takes, with the disks of who sends and of who answers. */
  readonly hopMs: number;
  /** Since when a key's node has been up and allowed to speak; `null` while it is not. */
  readonly speaksSince: (key: Key) => number | null;
  readonly complain: (violation: string) => void;
}

interface Over {
  readonly cause: Cause;
  readonly sinceMs: number;
  readonly boundMs: number;
}

/** What a key's own claims have taught others to wait for it: the estimate never asks for more than so many times the worst. */
const LEARNED_TIMES = 5;

export class DelayChecker {
  readonly #options: DelayOptions;
  readonly #measured = new Map<Cause, { readonly tookMs: number; readonly boundMs: number }[]>();
  /** By task: what its last attempt has cost so far. */
  readonly #over = new Map<TaskLife, Over>();
  /** By key: the longest from the beginning of an attempt to its claim. */
  readonly #slowest = new Map<Key, number>();

  constructor(options: DelayOptions) {
    this.#options = options;
  }

  heard(task: TaskLife, attempt: Life, author: Key, kind: "claim" | "over", lives: Lives): void {
    if (kind === "over") this.#ended(task, attempt);
    else this.#claimed(task, attempt, author, lives);
  }

  get delays(): Partial<Record<Cause, Delays>> {
    return Object.fromEntries(
      [...this.#measured].map(([cause, all]) => {
        const times = all.map(({ tookMs }) => tookMs).sort((a, b) => a - b);
        const worst = { worstMs: times.at(-1) ?? 0, boundMs: Math.max(...all.map(({ boundMs }) => boundMs)) };
        return [cause, { times: times.length, medianMs: times[times.length >> 1] ?? 0, ...worst }];
      }),
    );
  }

  #ended(task: TaskLife, attempt: Life): void {
    const over = this.#judged(task, attempt);
    this.#over.delete(task);
    if (over === null || !this.#spoke(over.sinceMs) || task.completeMs !== null) return;
    this.#over.set(task, over);
    this.#within(task, attempt, over, "is over", over.boundMs - this.#options.hopMs);
  }

  /** The next owner's claim, where it was there for it all the time and had nothing else to do. */
  #claimed(task: TaskLife, attempt: Life, author: Key, lives: Lives): void {
    const over = this.#over.get(task);
    this.#over.delete(task);
    const openedMs = Math.max(attempt.openedMs, over === undefined ? 0 : attempt.openedMs + this.#backoffMs(task));
    const tookMs = this.#options.now() - openedMs;
    const since = this.#options.speaksSince(author);
    if (since !== null && since < attempt.openedMs)
      this.#slowest.set(author, Math.max(this.#slowest.get(author) ?? 0, tookMs));
    const before = task.attempts[attempt.number - 1];
    if (over === undefined || before === undefined || since === null || since > over.sinceMs) return;
    if (!this.#spoke(over.sinceMs) || isBusy(author, task, lives)) return;
    const boundMs = over.boundMs + this.#backoffMs(task);
    const all = this.#measured.get(over.cause) ?? [];
    this.#measured.set(over.cause, [...all, { tookMs: Math.round(this.#options.now() - over.sinceMs), boundMs }]);
    this.#within(task, before, over, "is followed by the next owner's claim", boundMs);
  }

  #within(task: TaskLife, attempt: Life, { cause, sinceMs }: Over, what: string, mostMs: number): void {
    const tookMs = this.#options.now() - sinceMs;
    if (tookMs <= mostMs) return;
    const { block, stage, index } = task;
    const place = placeOf({ block: block.id, stage: stage.name, index }, attempt.number);
    // RELEASE-2, BEAT-1.
    this.#options.complain(`L4: ${place} (${cause}) ${what} after ${Math.round(tookMs)} ms; allowed: ${mostMs}`);
  }

  /** What ended the attempt, since when it was in vain, and what the next owner's claim may take from there. */
  #judged(task: TaskLife, attempt: Life): Over | null {
    if (attempt.isUnsent) return null;
    const hopsMs = 3 * this.#options.hopMs;
    // RELEASE-2, FAIL-2.
    for (const { atMs, kind } of attempt.ends.values())
      return { cause: kind === "release" ? "released" : "failed", sinceMs: atMs, boundMs: hopsMs };
    const codes = [...attempt.timeouts.values()];
    const [claim] = attempt.claims.values();
    // One that comes to its limit may have moved until then.
    if (claim !== undefined && (codes.includes("no-progress") || codes.includes("limit")))
      return { cause: "no-progress", sinceMs: claim.movedMs, boundMs: task.stage.leaseMs + hopsMs };
    if (claim !== undefined || !codes.includes("not-claimed")) return null;
    // The first attempt opens once what it takes has come, and is prepared.
    const openedMs = attempt.openedMs + this.#backoffMs(task) + (attempt.number === 0 ? 2 * this.#options.hopMs : 0);
    return { cause: "not-claimed", sinceMs: openedMs, boundMs: this.#windowMs(attempt.number) + hopsMs };
  }

  #windowMs(attempt: number): number {
    const { claimWindowMs, claimWindowMsMax } = this.#options.manifest.json.timing;
    const learnedMs = LEARNED_TIMES * (Math.max(0, ...this.#slowest.values()) + this.#options.hopMs);
    return Math.min(claimWindowMsMax, Math.max(Math.ceil(claimWindowMs * 1.5 ** attempt), learnedMs));
  }

  /** From the second failure on. */
  #backoffMs(task: TaskLife): number {
    const { backoffMs, backoffMsMax } = this.#options.manifest.retry;
    const failed = task.attempts.filter(({ overMs, ends, claims }) => {
      const isGivenBack = [...ends.values()].some(({ kind }) => kind === "release");
      return overMs !== null && claims.size > 0 && !isGivenBack;
    }).length;
    return failed < 2 ? 0 : Math.min(backoffMs * 2 ** (failed - 2), backoffMsMax);
  }

  /** Whether so many attesters have been there since then that they could end an attempt alone. */
  #spoke(sinceMs: number): boolean {
    const { manifest, speaksSince } = this.#options;
    let [all, weight] = [0, 0];
    for (const [key, own] of manifest.weights) {
      all += own;
      const fromMs = speaksSince(key);
      if (fromMs !== null && fromMs <= sinceMs) weight += own;
    }
    return weight > Math.floor((2 * all) / 3);
  }
}

/** Whether the prover has other work, or had it when this attempt began. */
function isBusy(author: Key, own: TaskLife, lives: Lives): boolean {
  for (const { tasks, closedMs } of lives.blocks.values())
    if (closedMs === null)
      for (const task of tasks)
        if (task !== own && task.attempts.at(-1)?.claims.has(author) === true && task.completeMs === null) return true;
  return false;
}
