/**
 * The asking side: a line per peer and protocol, so that we never ask more than the other side grants.
 *
 * The server refuses a fifth stream and the ninth request of a second; a client that ran into that would lose honest
 * requests, so it waits here instead. The time limit of a request counts from the call, waiting included.
 */
import type { Connection } from "@libp2p/interface";
import type { Key } from "../protocol/ids.ts";
import type { Cancel, Clock, Done } from "../ports.ts";
import { Bucket } from "./budget.ts";
import { NetworkFault, faultOf } from "./fault.ts";
import { REQUEST, REQUESTS_PER_SECOND } from "./limits.ts";

export type Protocol = keyof typeof REQUESTS_PER_SECOND;

/** A protocol of one network, as peers name it. */
export interface Route {
  readonly protocol: Protocol;
  readonly id: string;
}

/** Half the server's burst: its clock and ours need not agree. */
const BURST_SECONDS = 2;

interface Job {
  /** Runs the exchange; it must end soon after the signal aborts. */
  readonly run: (connection: Connection, signal: AbortSignal) => Promise<void>;
  readonly fail: (error: NetworkFault) => void;
  readonly controller: AbortController;
}

interface Line {
  readonly peer: Key;
  readonly waiting: Job[];
  readonly bucket: Bucket;
  running: number;
  timer: Cancel | null;
}

export interface RequestsModules {
  readonly clock: Clock;
  /** An open connection to the peer. */
  readonly connection: (peer: Key) => Connection | null;
}

export class Requests {
  readonly #modules: RequestsModules;
  readonly #lines = new Map<string, Line>();
  readonly #pending = new Set<Job>();
  #closed = false;

  constructor(modules: RequestsModules) {
    this.#modules = modules;
  }

  /** Runs `run` against the peer when it is its turn; `done` is called once, unless cancelled before. */
  start<T>(
    peer: Key,
    route: Route,
    timeoutMs: number,
    run: (connection: Connection, signal: AbortSignal) => Promise<T>,
    done: Done<T>,
  ): Cancel {
    const { clock } = this.#modules;
    const controller = new AbortController();
    let over = false;
    const end = (report: () => void): void => {
      if (over) return;
      over = true;
      cancelTimer();
      this.#pending.delete(job);
      report();
    };
    const fail = (error: unknown): void =>
      end(() => {
        controller.abort(error);
        done({ ok: false, fault: faultOf(error, "request.failed") });
      });
    const job: Job = {
      controller,
      fail,
      run: (connection, signal) =>
        run(connection, signal).then(
          (value) => end(() => done({ ok: true, value })),
          (error: unknown) => fail(refused(error)),
        ),
    };
    const cancelTimer = clock.after(timeoutMs, () =>
      fail(new NetworkFault("request.timeout", `no complete answer within ${timeoutMs} ms`)),
    );
    this.#pending.add(job);
    this.#enqueue(this.#line(peer, route), job);
    return () => end(() => controller.abort(new NetworkFault("request.cancelled", "cancelled by the caller")));
  }

  /** Nobody will answer any more. */
  drop(peer: Key): void {
    for (const [id, line] of this.#lines) {
      if (line.peer !== peer) continue;
      for (const job of line.waiting.splice(0)) job.fail(gone(peer));
      line.timer?.();
      line.timer = null;
      if (line.running === 0) this.#lines.delete(id);
    }
  }

  close(): void {
    this.#closed = true;
    for (const line of this.#lines.values()) line.timer?.();
    this.#lines.clear();
    for (const job of this.#pending) job.fail(new NetworkFault("network.closed", "the network is closing"));
  }

  #line(peer: Key, { protocol, id: name }: Route): Line {
    const id = `${name} ${peer}`;
    let line = this.#lines.get(id);
    if (line === undefined) {
      const rate = { perSecond: REQUESTS_PER_SECOND[protocol], burst: BURST_SECONDS };
      line = { peer, waiting: [], bucket: new Bucket(rate, this.#modules.clock.now()), running: 0, timer: null };
      this.#lines.set(id, line);
    }
    return line;
  }

  /** Faults are reported on a later turn: a completion must not run inside the call that asked for it. */
  #enqueue(line: Line, job: Job): void {
    if (line.waiting.length >= REQUEST.waitingMax) {
      queueMicrotask(() => job.fail(new NetworkFault("request.busy", `${REQUEST.waitingMax} requests wait already`)));
      return;
    }
    line.waiting.push(job);
    queueMicrotask(() => this.#advance(line));
  }

  #advance(line: Line): void {
    while (!this.#closed && line.running < REQUEST.concurrentMax && line.waiting.length > 0) {
      const job = line.waiting[0];
      if (job === undefined || job.controller.signal.aborted) {
        line.waiting.shift();
        continue;
      }
      const connection = this.#modules.connection(line.peer);
      if (connection === null) {
        line.waiting.shift();
        job.fail(gone(line.peer));
        continue;
      }
      if (!this.#granted(line)) return;
      line.waiting.shift();
      line.running += 1;
      void job.run(connection, job.controller.signal).finally(() => {
        line.running -= 1;
        this.#advance(line);
      });
    }
  }

  #granted(line: Line): boolean {
    const { clock } = this.#modules;
    const now = clock.now();
    if (line.bucket.take(1, now)) return true;
    line.timer ??= clock.after(line.bucket.wait(1, now), () => {
      line.timer = null;
      this.#advance(line);
    });
    return false;
  }
}

function gone(peer: Key): NetworkFault {
  return new NetworkFault("peer.gone", `peer ${peer.slice(0, 16)} is not connected`);
}

/** A reset says no more than that the peer did not want to: too many requests, too large, or nothing to say. */
function refused(error: unknown): unknown {
  if (error instanceof NetworkFault || !(error instanceof Error)) return error;
  if (error.name === "StreamResetError") return new NetworkFault("request.refused", "the peer reset the stream", error);
  return error;
}
