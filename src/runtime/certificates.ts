/**
 * The channel that all nodes of a divided network share: every barrier certificate, and nothing else.
 *
 * A node hears, checks, keeps and serves the certificates of partitions it takes no part in; those of its own come from
 * their cores. One of the partition's attesters tells the others of a block, the first by a draw over the block; who is
 * next in it speaks only where nobody has been heard by its turn. What got lost is asked for, one peer after the other.
 *
 * Certificates are kept in the order of the chain (`core/channel.ts`): one that comes before its parent shows only that
 * something is missing, which is asked for at once.
 */
import type {
  Cancel,
  Clock,
  Done,
  Equation,
  Fault,
  Request,
  Store,
  StoredCertificate,
  Telemetry,
  Transport,
  TransportHandler,
} from "../ports.ts";
import { type Certificate, checkCertificate, subjectOf } from "../protocol/certificate.ts";
import {
  askBelow,
  BRANCH_HEIGHTS,
  createHearsay,
  follow,
  type Followed,
  isNext,
  isPast,
  mayTell,
  remember,
  take,
  tellersOf,
} from "../core/channel.ts";
import { blockId, type Hash, type Key } from "../protocol/ids.ts";
import { CERTIFICATE_GOSSIP_BYTES_MAX } from "../protocol/limits.ts";
import type { Manifest } from "../protocol/manifest.ts";
import type { Partition } from "../protocol/partition.ts";
import { decodeFrontier, decodeSyncFrame, encodeFrontier, encodeSyncFrame } from "../protocol/sync.ts";
import { ACCEPT, ignore, type Refusal, reject, type Verdict } from "../protocol/verdict.ts";
import { Proposer, type SinkLine, type SinkStatus } from "./proposer.ts";

/** Who is next in the draw waits so long for the one before: a hop, and what a busy machine takes to get to it. */
const TURN_MS = 250;
const ANSWER_BYTES_MAX: number = 1024 * 1024;
const ANSWER_CERTIFICATES_MAX = 64;
/** An answer, and the largest certificate that it may end with. */
const BYTES_MAX: number = 2 * 1024 * 1024;
const ANSWER_MS_MAX = 10_000;

/** A partition that this node takes part in: where its certificates are, and how far they go. */
export interface OwnPartition {
  readonly store: Store;
  certified(chain: number): number;
}

export interface CertificatesOptions {
  readonly self: Key;
  readonly syncMs: number;
  readonly partitions: readonly Partition<Manifest>[];
  /** Names of those that this node takes part in. */
  readonly own: ReadonlySet<string | null>;
}

export interface CertificatesModules {
  readonly clock: Clock;
  readonly equation: Equation;
  /** Where certificates of the other partitions are kept. */
  readonly store: Store;
  /** Asked from `connect` on. */
  readonly partition: (name: string | null) => OwnPartition;
  /** What the disk did not take would be missing until the next start; the node ends, as for a certificate of its own. */
  readonly fatal: (fault: Fault) => void;
  /** By partition: where the certificates of those that this node takes no part in are handed on to. */
  readonly sinks: ReadonlyMap<string | null, readonly SinkLine[]>;
  readonly telemetry: Telemetry;
}

interface Chain {
  readonly id: number;
  readonly partition: Partition<Manifest>;
  readonly own: boolean;
  /** How far the certificates of a chain of another partition go. */
  readonly followed: Followed;
}

export class Certificates implements TransportHandler {
  readonly #options: CertificatesOptions;
  readonly #modules: CertificatesModules;
  readonly #chains: ReadonlyMap<number, Chain>;
  readonly #proposers: ReadonlyMap<string | null, Proposer>;
  readonly #hearsay = createHearsay();
  readonly #timers = new Set<Cancel>();
  #transport: Transport | null = null;
  #asking = false;
  #turn = 0;
  #closed = false;

  constructor(options: CertificatesOptions, modules: CertificatesModules) {
    this.#options = options;
    this.#modules = modules;
    const others = options.partitions.filter(({ name }) => !options.own.has(name));
    this.#proposers = new Map(
      others.map(({ name, manifest: { network } }) => {
        return [name, new Proposer({ network, self: options.self }, modules.sinks.get(name) ?? [], modules)];
      }),
    );
    const chains = options.partitions.flatMap((partition) =>
      partition.manifest.json.chains.map(({ id, start }): Chain => {
        const own = options.own.has(partition.name);
        return { id, partition, own, followed: follow(start) };
      }),
    );
    this.#chains = new Map(chains.map((chain) => [chain.id, chain]));
  }

  /** Reads what is on disk. Call once, then `connect`. */
  start(done: Done<void>): void {
    this.#modules.store.load((loaded) => {
      if (!loaded.ok) return done(loaded);
      const { certificates } = loaded.value;
      for (const chain of this.#chains.values()) if (!chain.own) this.#recall(chain, certificates);
      for (const proposer of this.#proposers.values()) proposer.start();
      done({ ok: true, value: undefined });
    });
  }

  /** What is on disk was checked and in order before it came there; only the latest have to be read. */
  #recall({ id, followed }: Chain, certificates: readonly StoredCertificate[]): void {
    const own = certificates.filter(({ chain }) => chain === id).toSorted((a, b) => a.height - b.height);
    const highest = own.at(-1)?.height ?? 0;
    for (const { height, block, bytes } of own) {
      remember(this.#hearsay.held, block);
      if (height < highest - BRANCH_HEIGHTS) continue;
      const hash = subjectOf(bytes)?.hash;
      if (hash !== undefined) take(followed, { height, hash });
    }
  }

  /** How the sinks are doing with the certificates of other partitions. */
  sinks(): readonly SinkStatus[] {
    return [...this.#proposers.values()].flatMap((proposer) => proposer.status());
  }

  connect(transport: Transport): void {
    this.#transport = transport;
    this.#askInTurn();
  }

  close(): void {
    this.#closed = true;
    for (const cancel of this.#timers) cancel();
    for (const proposer of this.#proposers.values()) proposer.close();
  }

  /** Up to where each chain is certified, as far as this node has it. */
  heights(): ReadonlyMap<number, number> {
    return new Map([...this.#chains.values()].map((chain) => [chain.id, this.#heightOf(chain)]));
  }

  /** Where a chain's certificates are; `null` for a chain of no partition. */
  storeOf(chain: number): Store | null {
    const known = this.#chains.get(chain);
    return known === undefined ? null : this.#storeOf(known);
  }

  /** A partition's core has a certificate: the other partitions are to hear of it. */
  certified({ manifest }: Partition<Manifest>, certificate: StoredCertificate): void {
    remember(this.#hearsay.held, certificate.block);
    this.#tellInTurn(manifest, certificate);
  }

  // What this node tells ----------------------------------------------------------------------------------------------

  #tellInTurn(manifest: Manifest, { block, bytes }: StoredCertificate): void {
    const turn = tellersOf(manifest, block).indexOf(this.#options.self);
    if (turn < 0 || bytes.length > CERTIFICATE_GOSSIP_BYTES_MAX) return;
    if (turn === 0) this.#tell(block, bytes);
    else this.#later(turn * TURN_MS, () => this.#tell(block, bytes));
  }

  #tell(block: Hash, bytes: Uint8Array): void {
    if (this.#closed || this.#transport === null) return;
    if (mayTell(this.#hearsay, block, this.#modules.clock.now())) this.#transport.publish(bytes);
  }

  #later(delayMs: number, run: () => void): void {
    const cancel = this.#modules.clock.after(delayMs, () => {
      this.#timers.delete(cancel);
      run();
    });
    this.#timers.add(cancel);
  }

  // What peers tell ---------------------------------------------------------------------------------------------------

  message(bytes: Uint8Array, from: Key): Verdict {
    if (this.#closed) return ignore("peer.flood");
    const taken = this.#take(bytes, from, true);
    if ("code" in taken) return taken.code === "certificate.known" ? ignore(taken.code) : reject(taken.code);
    remember(this.#hearsay.told, taken.certificate.block);
    if (taken.early) this.#ask(from);
    return ACCEPT;
  }

  /** Checks a certificate, cheapest first, and keeps it where it is one of another partition and the next of its chain. */
  #take(
    bytes: Uint8Array,
    from: Key,
    isTold: boolean,
  ): { readonly certificate: Certificate; readonly early: boolean } | { readonly code: Refusal } {
    const subject = subjectOf(bytes);
    const chain = subject === null ? undefined : this.#chains.get(subject.chain);
    // The manifest is the same on every node, so a chain of nobody is its sender's mistake.
    if (subject === null || chain === undefined) return this.#refused("message.malformed", from);
    const { manifest } = chain.partition;
    const id = blockId(manifest.network, subject);
    if (this.#isKnown(chain, subject.height, id, isTold)) return { code: "certificate.known" };
    // CHANNEL-1.
    // mutant: keep-without-quorum
    const checked = checkCertificate(manifest, bytes, this.#modules.equation);
    if (!checked.ok) return this.#refused("certificate.invalid", from, checked.code);
    const { content, block } = checked.value;
    const { followed } = chain;
    if (!chain.own && !isNext(followed, content)) {
      askBelow(followed, content);
      return { certificate: checked.value, early: true };
    }
    remember(this.#hearsay.held, block);
    if (!chain.own) {
      take(followed, content);
      this.#keep(chain, { chain: chain.id, height: content.height, block, bytes });
    }
    return { certificate: checked.value, early: false };
  }

  /**
   * By the block; further back by the height, or whoever replays old ones would have each of them checked. What is told is
   * known from the second time on: a first one that came early is not here yet, and a first one of an own partition says
   * that nobody has to be told any more, which not anyone may.
   */
  #isKnown(chain: Chain, height: number, block: Hash, isTold: boolean): boolean {
    if (isPast({ ...chain.followed, height: this.#heightOf(chain) }, height)) return true;
    const { told, held } = this.#hearsay;
    // mutant: keep-twice
    return (isTold && told.has(block)) || (!(isTold && chain.own) && held.has(block));
  }

  #keep(chain: Chain, certificate: StoredCertificate): void {
    const { store, telemetry, fatal } = this.#modules;
    const { height, block } = certificate;
    store.write({ certificates: [certificate], sync: true }, (result) => {
      if (this.#closed) return;
      if (!result.ok) return fatal(result.fault);
      telemetry.emit("certificate.heard", { partition: chain.partition.name, chain: chain.id, height, block });
      this.#proposers.get(chain.partition.name)?.certified(chain.id);
    });
  }

  #refused(code: Refusal, from: Key, why: string = code): { readonly code: Refusal } {
    this.#modules.telemetry.count("refused", why);
    this.#modules.telemetry.emit("refused", { code: why, author: from, entry: "certificate", from });
    return { code };
  }

  // What nodes ask each other -----------------------------------------------------------------------------------------

  peer(peer: Key, state: "up" | "down"): void {
    if (state === "up") this.#ask(peer);
  }

  request(_peer: Key, request: Request, body: Uint8Array, answer: (frames: readonly Uint8Array[]) => void): void {
    const theirs = request === "sync" ? decodeFrontier(body) : null;
    if (theirs === null) return answer([]);
    const behind = [...this.#chains.values()]
      .map((chain) => ({ chain, from: (theirs.chains.get(chain.id) ?? -1) + 1 }))
      .filter(({ chain, from }) => this.#heightOf(chain) >= from);
    this.#collect(behind, Math.ceil(ANSWER_CERTIFICATES_MAX / Math.max(behind.length, 1)), answer);
  }

  /** Some of each chain: none of them has to wait until another is complete. */
  #collect(
    behind: readonly { readonly chain: Chain; readonly from: number }[],
    each: number,
    done: (frames: readonly Uint8Array[]) => void,
  ): void {
    const frames: Uint8Array[] = [];
    let bytesLeft = ANSWER_BYTES_MAX;
    const next = (at: number): void => {
      const wanted = behind[at];
      if (wanted === undefined || bytesLeft <= 0) return done(frames);
      this.#storeOf(wanted.chain).certificates(wanted.chain.id, wanted.from, each, (result) => {
        for (const { bytes } of result.ok ? result.value : []) {
          if (bytesLeft <= 0) break;
          bytesLeft -= bytes.length;
          frames.push(encodeSyncFrame({ kind: "certificate", bytes }));
        }
        next(at + 1);
      });
    };
    next(0);
  }

  #askInTurn(): void {
    if (this.#closed || this.#transport === null) return;
    const peers = this.#transport.peers();
    const peer = peers[this.#turn++ % Math.max(peers.length, 1)];
    if (peer !== undefined) this.#ask(peer);
    this.#later(this.#options.syncMs, () => this.#askInTurn());
  }

  /** One question at a time; where something came of it there may be more. */
  #ask(peer: Key): void {
    if (this.#asking || this.#closed || this.#transport === null) return;
    const chains = [...this.#chains.values()];
    if (chains.every(({ own }) => own)) return;
    // Of its own partitions it wants nothing here, whatever there is.
    const wanted = chains.map(
      ({ id, own, followed }) => [id, own ? Number.MAX_SAFE_INTEGER : followed.from - 1] as const,
    );
    const below = () => chains.reduce((sum, { followed }) => sum + followed.from, 0);
    const before = below();
    const body = encodeFrontier({ feeds: new Map(), chains: new Map(wanted.filter(([, height]) => height >= 0)) });
    this.#asking = true;
    this.#transport.request(peer, "sync", body, BYTES_MAX, ANSWER_MS_MAX, (result) => {
      this.#asking = false;
      if (!result.ok) return this.#modules.telemetry.count("sync.failed", result.fault.code);
      let news = 0;
      for (const bytes of result.value) {
        const frame = decodeSyncFrame(bytes);
        if (frame?.kind !== "certificate") continue;
        const taken = this.#take(frame.bytes, peer, false);
        if (!("code" in taken) && !taken.early) news++;
      }
      // What came early has shown that more is missing.
      if (news > 0 || below() < before) this.#ask(peer);
    });
  }

  #heightOf({ id, own, followed, partition }: Chain): number {
    return own ? this.#modules.partition(partition.name).certified(id) : followed.height;
  }

  #storeOf({ own, partition }: Chain): Store {
    return own ? this.#modules.partition(partition.name).store : this.#modules.store;
  }
}
