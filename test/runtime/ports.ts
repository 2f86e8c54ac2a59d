/** A runtime on ports whose every completion waits for the test. */
import { Runtime } from "../../src/runtime/runtime.ts";
import type {
  Cancel,
  Done,
  Fault,
  Journal,
  JournalFloor,
  ProveEvent,
  ProveJob,
  Prover,
  Transport,
  Verifier,
} from "../../src/ports.ts";
import { memoryArtefacts, memorySigningRecord, memoryStore } from "../../src/storage/memory.ts";
import { openBatch } from "../../src/protocol/batch.ts";
import { type Hash, type Key, ZERO_HASH } from "../../src/protocol/ids.ts";
import type { Manifest } from "../../src/protocol/manifest.ts";
import { simSigner } from "../../simnet/virtual/provers.ts";
import { hashOf } from "../protocol/fixtures.ts";
import { equation, keyOf, network, type Parties } from "../core/harness.ts";

/** Writes when it is told to; what it was asked for stays in order. */
export class ManualJournal implements Journal {
  readonly records: Uint8Array[] = [];
  readonly waiting: {
    readonly records: readonly Uint8Array[];
    readonly floor?: JournalFloor;
    readonly done: Done<void>;
  }[] = [];
  floor: JournalFloor | null = null;

  load() {
    return { floor: this.floor, records: this.records };
  }

  append(records: readonly Uint8Array[], done: Done<void>): void {
    this.waiting.push({ records, done });
  }

  compact(floor: JournalFloor, records: readonly Uint8Array[], done: Done<void>): void {
    this.waiting.push({ records, floor, done });
  }

  size(): number {
    return 0;
  }

  /** The oldest write is on disk. */
  sync(): void {
    const first = this.waiting.shift();
    if (first === undefined) throw new Error("nothing is being written");
    if (first.floor !== undefined) {
      this.floor = first.floor;
      this.records.length = 0;
    }
    this.records.push(...first.records);
    first.done({ ok: true, value: undefined });
  }

  fail(fault: Fault): void {
    this.waiting.shift()?.done({ ok: false, fault });
  }
}

export interface Fetching {
  readonly peer: Key;
  readonly hash: Hash;
  readonly done: Done<void>;
}

export class Bench {
  readonly manifest: Manifest;
  readonly journal = new ManualJournal();
  readonly published: Uint8Array[] = [];
  readonly proving: { readonly job: ProveJob; readonly emit: (event: ProveEvent) => void; cancelled: boolean }[] = [];
  readonly requests: { readonly peer: Key; readonly body: Uint8Array; readonly done: Done<readonly Uint8Array[]> }[] =
    [];
  readonly fetches: Fetching[] = [];
  readonly events: string[] = [];
  readonly faults: Fault[] = [];
  readonly artefacts = memoryArtefacts({ defer: (run) => this.#deferred.push(run) });
  readonly store = memoryStore({ defer: (run) => this.#deferred.push(run) });
  /** Durable at once: the journal alone is what tests wait for. */
  readonly signing = memorySigningRecord({ defer: (run) => run() });
  readonly runtime: Runtime;
  peers: Key[] = [];
  nowMs = 0;
  readonly #deferred: (() => void)[] = [];
  readonly #timers = new Set<{ readonly atMs: number; readonly run: () => void }>();

  constructor(name: string, parties: Parties, journal?: ManualJournal) {
    this.manifest = network(parties);
    if (journal !== undefined) this.journal = journal;
    this.runtime = new Runtime(
      {
        manifest: this.manifest,
        core: {
          self: keyOf(name),
          roles: { source: true, attester: true, prover: true },
          slots: 1,
          systems: ["mock"],
          seed: 0,
          checkAllEvery: 8,
        },
      },
      {
        clock: { now: () => this.nowMs, wall: () => 0, after: (delayMs, run) => this.#after(delayMs, run) },
        signer: simSigner(1, name),
        equation,
        journal: this.journal,
        signing: this.signing,
        nonce: () => "5a".repeat(16),
        store: this.store,
        artefacts: this.artefacts,
        verifier: VERIFIER,
        provers: [this.#prover()],
        sinks: [],
        telemetry: { emit: (event) => this.events.push(event), count: () => {} },
        fatal: (fault) => this.faults.push(fault),
      },
    );
  }

  /** Recovers and connects. */
  start(): this {
    this.runtime.start((result) => {
      if (!result.ok) throw new Error(result.fault.message);
      this.runtime.connect(this.#transport());
    });
    this.settle();
    return this;
  }

  /** Everything that is due but the journal. */
  settle(): void {
    for (let run = this.#deferred.shift(); run !== undefined; run = this.#deferred.shift()) run();
  }

  /** Time passes; the journal writes whatever it is asked to. */
  pass(totalMs: number): void {
    for (const untilMs = this.nowMs + totalMs; this.nowMs < untilMs; this.nowMs += 10) {
      for (const timer of this.#timers) {
        if (timer.atMs > this.nowMs) continue;
        this.#timers.delete(timer);
        timer.run();
      }
      this.flush();
    }
  }

  flush(): void {
    this.settle();
    while (this.journal.waiting.length > 0) {
      this.journal.sync();
      this.settle();
    }
  }

  /** What was published so far, by kind. */
  said(): string[] {
    return this.published.flatMap((bytes) => {
      const opened = openBatch(bytes);
      return opened.ok ? opened.value.entries.map(({ kind }) => kind) : [opened.code];
    });
  }

  get timers(): number {
    return this.#timers.size;
  }

  mine(height: number): { readonly acknowledged: boolean } {
    const hash = hashOf(`main ${height}`);
    const parent = height === 1 ? hashOf("genesis") : hashOf(`main ${height - 1}`);
    const seen = { acknowledged: false };
    const block = { chain: 1, height, hash, parent, payload: Buffer.from(hash), items: 0 };
    this.runtime.submit(block, (result) => {
      seen.acknowledged = result.ok;
    });
    return seen;
  }

  #after(delayMs: number, run: () => void): Cancel {
    if (!Number.isFinite(delayMs)) throw new RangeError("a timer that never ends");
    const timer = { atMs: this.nowMs + delayMs, run };
    this.#timers.add(timer);
    return () => void this.#timers.delete(timer);
  }

  #prover(): Prover {
    return {
      system: "mock",
      slots: 1,
      prove: (job, emit) => {
        const run = { job, emit, cancelled: false };
        this.proving.push(run);
        return () => {
          run.cancelled = true;
        };
      },
      close: () => Promise.resolve(),
    };
  }

  #transport(): Transport {
    return {
      publish: (bytes) => void this.published.push(bytes),
      peers: () => this.peers,
      request: (peer, _request, body, _bytesMax, _timeoutMs, done) => {
        this.requests.push({ peer, body, done });
        return () => {};
      },
      fetch: (peer, hash, _bytesMax, _timeoutMs, done) => {
        this.fetches.push({ peer, hash, done });
        return () => {};
      },
    };
  }
}

/** Every task of a block has the same public values, and every proof verifies. */
const VERIFIER: Verifier = {
  prepare(job, done) {
    const values = new Uint8Array(8).fill(job.height);
    const prepared = Object.fromEntries(
      job.stages.map(({ name, groups, systems }) => [
        name,
        Array.from({ length: groups * systems.length }, () => values),
      ]),
    );
    const before = job.before ?? new Uint8Array(32);
    done({ ok: true, value: { before, after: new Uint8Array(32).fill(job.height), values: prepared } });
    return () => {};
  },
  verify(_job, done) {
    done({ ok: true, value: { valid: true } });
    return () => {};
  },
  close: () => Promise.resolve(),
};

export { hashOf, keyOf, ZERO_HASH };
