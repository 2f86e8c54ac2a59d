/**
 * Anti-entropy over a stream: asks a peer for what it has beyond our frontier, and answers others.
 *
 * Gossip loses messages by design; this pull is what makes a log complete.
 */
import type { Event } from "../core/event.ts";
import { closedAs } from "../core/ancestry.ts";
import { answerSync, frontierOf, wantedOf } from "../core/replicator.ts";
import type { State } from "../core/state.ts";
import type { Clock, Equation, Store, StoredCertificate, Telemetry, Transport } from "../ports.ts";
import { upMs } from "../core/own-feed.ts";
import { checkCertificate } from "../protocol/certificate.ts";
import type { Hash, Key } from "../protocol/ids.ts";
import { decodeFrontier, decodeSyncFrame, encodeFrontier, encodeSyncFrame, type Frontier } from "../protocol/sync.ts";
import { Instances } from "./instances.ts";
import type { Starts } from "./starts.ts";

const BYTES_MAX: number = 4 * 1024 * 1024;
const ANSWER_BYTES_MAX: number = 1024 * 1024;
const ANSWER_MS_MAX = 10_000;
const CERTIFICATES_MAX = 64;

interface Modules {
  readonly clock: Clock;
  readonly state: State;
  readonly equation: Equation;
  readonly store: Store;
  readonly starts: Starts;
  /** The record of this start, as sent. */
  readonly ownStart: () => Uint8Array | null;
  readonly telemetry: Telemetry;
  readonly transport: () => Transport;
  /** Checks a batch and gives it to the core. */
  readonly take: (bytes: Uint8Array, from: Key) => void;
  readonly post: (event: Event) => void;
}

export class Repair {
  readonly #modules: Modules;
  readonly #instances: Instances;

  constructor(modules: Modules) {
    this.#modules = modules;
    this.#instances = new Instances(modules.clock);
  }

  /** The peer is gone, and every process of its key with it. */
  gone(peer: Key): void {
    this.#instances.forget(peer);
  }

  ask(peer: Key): void {
    const { state, telemetry, transport, post, ownStart } = this.#modules;
    const start = ownStart();
    const shown = start === null ? {} : { starts: [start] };
    const { instance } = state.options;
    const from = instance === undefined ? {} : { from: { instance, upMs: upMs(state) } };
    const gaps = { wanted: wantedOf(state), beyond: state.log.beyond(), tips: state.log.tips() };
    const body = encodeFrontier({ ...frontierOf(state), ...from, ...shown, ...gaps });
    transport().request(peer, "sync", body, BYTES_MAX, ANSWER_MS_MAX, (result) => {
      if (!result.ok) {
        telemetry.count("sync.failed", result.fault.code);
        return post({ kind: "synced", peer, frontier: null });
      }
      const frontier = this.#takeFrames(peer, result.value);
      const { starts: known } = this.#modules;
      const starts = (frontier?.starts ?? []).flatMap((bytes) => known.open(state.options.self, bytes) ?? []);
      post({ kind: "synced", peer, frontier, twins: frontier?.twins ?? [], starts });
    });
  }

  /** Says nothing to a question that is none. */
  answer(peer: Key, body: Uint8Array, done: (frames: readonly Uint8Array[]) => void): void {
    const theirs = decodeFrontier(body);
    if (theirs === null) return done([]);
    const twins = theirs.from === undefined ? [] : this.#instances.asked(peer, theirs.from);
    this.#startsFor(peer, theirs, (starts) => {
      const [first, ...batches] = answerSync(this.#modules.state, theirs, ANSWER_BYTES_MAX)
        .map((frame) =>
          frame.kind === "frontier" ? { ...frame, frontier: { ...frame.frontier, twins, starts } } : frame,
        )
        .map(encodeSyncFrame);
      this.#certificatesFor(theirs, (certificates) =>
        done([...(first === undefined ? [] : [first]), ...certificates, ...batches]),
      );
    });
  }

  /** Stores the asker's start record before anything is answered, also while this node may not sign itself. */
  #startsFor(peer: Key, theirs: Frontier, done: (starts: readonly Uint8Array[]) => void): void {
    const [bytes, ...others] = theirs.starts ?? [];
    if (bytes === undefined || others.length > 0) return done([]);
    this.#modules.starts.shown(peer, bytes, done);
  }

  /** What is wanted, then those of the first chain where the other node is behind; it asks again for the rest. */
  #certificatesFor(theirs: Frontier, done: (frames: Uint8Array[]) => void): void {
    const { state, store } = this.#modules;
    this.#wanted(theirs.wanted ?? [], (wanted) => {
      const behind = [...state.chains.values()].find(({ id, certified }) => certified > (theirs.chains.get(id) ?? -1));
      if (behind === undefined) return done(framed(wanted));
      store.certificates(behind.id, (theirs.chains.get(behind.id) ?? -1) + 1, CERTIFICATES_MAX, (result) =>
        done(framed([...wanted, ...(result.ok ? result.value : [])])),
      );
    });
  }

  /** Of these blocks' certificates those that are here; the disk is asked for nothing else. */
  #wanted(blocks: readonly Hash[], done: (found: readonly StoredCertificate[]) => void): void {
    const { state, store } = this.#modules;
    const chains = [...state.chains.keys()];
    const here = blocks.flatMap((hash) => chains.flatMap((chain) => closedAs(state, chain, hash)?.id ?? []));
    const found: StoredCertificate[] = [];
    const next = (): void => {
      const block = here.shift();
      if (block === undefined) return done(found);
      store.certificate(block, (result) => {
        if (result.ok && result.value !== null) found.push(result.value);
        next();
      });
    };
    next();
  }

  /** The frontier of the peer; `null` where a frame of its answer is none. */
  #takeFrames(peer: Key, frames: readonly Uint8Array[]): Frontier | null {
    let frontier: Frontier | null = null;
    for (const bytes of frames) {
      const frame = decodeSyncFrame(bytes);
      if (frame === null) return null;
      switch (frame.kind) {
        case "frontier":
          frontier = frame.frontier;
          break;
        case "batch":
          this.#modules.take(frame.bytes, peer);
          break;
        case "certificate":
          this.#takeCertificate(frame.bytes, peer);
          break;
        case "forgotten": {
          const { author, from, to } = frame;
          this.#modules.post({ kind: "forgotten", peer, author, span: { from, to } });
          break;
        }
      }
    }
    return frontier;
  }

  #takeCertificate(bytes: Uint8Array, peer: Key): void {
    const { state, equation, telemetry, post } = this.#modules;
    const checked = checkCertificate(state.manifest, bytes, equation);
    if (checked.ok) return post({ kind: "certificate", certificate: checked.value, bytes, from: peer });
    telemetry.emit("refused", { code: checked.code, author: peer, entry: "certificate", from: peer });
  }
}

/** As many as fit an answer, and always the first. */
function framed(certificates: readonly StoredCertificate[]): Uint8Array[] {
  let left = ANSWER_BYTES_MAX;
  const fitting = certificates.filter(({ bytes }, at) => (left -= bytes.length) >= 0 || at === 0);
  return fitting.map(({ bytes }) => encodeSyncFrame({ kind: "certificate", bytes }));
}
