/**
 * Virtual time: one heap of moments, one generator a concern, one hash over everything that happens. The same seed gives
 * the same hash on any machine.
 */
import { createHash } from "node:crypto";
import { utf8ToBytes } from "@noble/hashes/utils.js";
import { domainDigest, u64 } from "../../src/protocol/ids.ts";
import type { Cancel, Clock } from "../../src/ports.ts";

interface Moment {
  readonly atMs: number;
  readonly order: number;
  run: (() => void) | null;
}

/** sfc32, seeded by a hash: small, fast and the same everywhere. Each concern draws from a stream of its own. */
export class Chance {
  readonly #words: Uint32Array;

  constructor(seed: number, stream: string) {
    const digest = domainDigest("chance", u64(seed), utf8ToBytes(stream));
    this.#words = new Uint32Array(digest.slice(0, 16).buffer);
    for (let i = 0; i < 12; i++) this.#draw();
  }

  /** Uniform in [0, 1). */
  next(): number {
    return this.#draw() / 2 ** 32;
  }

  /** Uniform whole number in [min, max]. */
  between(min: number, max: number): number {
    return min + Math.floor(this.next() * (max - min + 1));
  }

  #draw(): number {
    const words = this.#words;
    const [a = 0, b = 0, c = 0, d = 0] = words;
    const t = (a + b + d) >>> 0;
    words[3] = d + 1;
    words[0] = b ^ (b >>> 9);
    words[1] = c + (c << 3);
    words[2] = ((c << 21) | (c >>> 11)) + t;
    return t;
  }
}

export class World {
  readonly seed: number;
  nowMs = 0;
  steps = 0;
  readonly #heap: Moment[] = [];
  #order = 0;
  readonly #trace = createHash("sha256");
  /** What is noted waits for the hash here, because every call of it has its price. */
  readonly #pending = Buffer.alloc(1 << 16);
  #noted = 0;

  constructor(seed: number) {
    this.seed = seed;
  }

  after(delayMs: number, run: () => void): Cancel {
    const moment: Moment = { atMs: this.nowMs + Math.max(delayMs, 0), order: this.#order++, run };
    this.#push(moment);
    return () => {
      moment.run = null;
    };
  }

  clock(): Clock {
    return {
      now: () => this.nowMs,
      wall: () => 1_700_000_000_000 + this.nowMs,
      after: (delayMs, run) => this.after(delayMs, run),
    };
  }

  /** Puts something that happened into the trace. */
  note(...parts: readonly (string | Uint8Array)[]): void {
    this.#makeRoom(8);
    this.#noted = this.#pending.writeDoubleLE(this.nowMs, this.#noted);
    for (const part of parts) this.#write(part);
  }

  get traceHash(): string {
    this.#fold();
    return this.#trace.copy().digest("hex");
  }

  /** Runs until `until` says so or it is `limitMs`; what comes later is left for the next call. */
  run(limitMs: number, until: () => boolean): void {
    while (!until()) {
      const [next] = this.#heap;
      if (next === undefined || next.atMs > limitMs) return;
      const moment = this.#pop();
      if (moment === null) return;
      this.nowMs = moment.atMs;
      this.steps++;
      moment.run?.();
    }
  }

  #write(part: string | Uint8Array): void {
    const bytesMax = typeof part === "string" ? 3 * part.length : part.length;
    this.#makeRoom(bytesMax);
    if (bytesMax > this.#pending.length) this.#trace.update(part);
    else if (typeof part === "string") this.#noted += this.#pending.write(part, this.#noted);
    else {
      this.#pending.set(part, this.#noted);
      this.#noted += part.length;
    }
  }

  #makeRoom(bytes: number): void {
    if (this.#noted + bytes > this.#pending.length) this.#fold();
  }

  #fold(): void {
    this.#trace.update(this.#pending.subarray(0, this.#noted));
    this.#noted = 0;
  }

  #push(moment: Moment): void {
    const heap = this.#heap;
    let at = heap.push(moment) - 1;
    while (at > 0) {
      const above = (at - 1) >> 1;
      const parent = heap[above];
      if (parent === undefined || isBefore(parent, moment)) break;
      heap[at] = parent;
      at = above;
    }
    heap[at] = moment;
  }

  #pop(): Moment | null {
    const heap = this.#heap;
    const [first] = heap;
    const last = heap.pop();
    if (first === undefined || last === undefined) return null;
    if (first === last) return first;
    let at = 0;
    for (let child = 1; child < heap.length; child = 2 * at + 1) {
      const [left, right] = [heap[child], heap[child + 1]];
      if (left !== undefined && right !== undefined && isBefore(right, left)) child++;
      const smaller = heap[child];
      if (smaller === undefined || isBefore(last, smaller)) break;
      heap[at] = smaller;
      at = child;
    }
    heap[at] = last;
    return first;
  }
}

function isBefore(a: Moment, b: Moment): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
}
