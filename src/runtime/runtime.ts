/**
 * Runs the core against the ports, and knows no adapter.
 *
 * bytes -> verdict -> event -> step -> effects. Events wait in one bounded queue and are taken one at a time; the effects
 * of a step are performed in the order that `core/effect.ts` states.
 */
import type { Closed } from "../protocol/certificate.ts";
import { mayShow } from "../core/commitments.ts";
import { inlineProof, isReserved } from "../core/receipts.ts";
import type { Effect } from "../core/effect.ts";
import type { Event, TaskRef } from "../core/event.ts";
import type { CoreOptions } from "../core/options.ts";
import { createState, type State } from "../core/state.ts";
import { announcedAs, type BlockName, closedAs, lookUps } from "../core/ancestry.ts";
import { brokenBy } from "../core/invariant.ts";
import { begin, hasOthers, isUnconfirmed } from "../core/own-feed.ts";
import { nextWakeMs, resume, step } from "../core/step.ts";
import type {
  Artefacts,
  Cancel,
  Clock,
  Done,
  Equation,
  Fault,
  Journal,
  Notice,
  Prover,
  Request,
  Signer,
  SigningRecord,
  Source,
  SourceBlock,
  SourceEvent,
  Store,
  StoredCertificate,
  Telemetry,
  Transport,
  TransportHandler,
  Verifier,
} from "../ports.ts";
import type { Feed } from "../log/feed.ts";
import type { Batch } from "../protocol/batch.ts";
import { type Hash, type Key } from "../protocol/ids.ts";
import type { Manifest } from "../protocol/manifest.ts";
import { signStart, type StartRecord } from "../protocol/start.ts";
import { ARTEFACT_BYTES_MAX } from "../protocol/limits.ts";
import { isOpening } from "../protocol/opening.ts";
import { ACCEPT, ignore, type Verdict } from "../protocol/verdict.ts";
import { whenFree } from "./busy.ts";
import { Fetcher } from "./fetcher.ts";
import { admit, type BatchChecks } from "./ingress.ts";
import { Intake } from "./intake.ts";
import { Proposer, type SinkLine, type SinkStatus } from "./proposer.ts";
import { Recall } from "./recall.ts";
import { recover } from "./recovery.ts";
import { Repair } from "./repair.ts";
import { Sealer } from "./sealer.ts";
import { LEAP_NUMBERS, lossOf, SigningBook } from "./signing.ts";
import { Starts } from "./starts.ts";
import { Voice } from "./voice.ts";
import { Workshop } from "./work.ts";

/** Events that wait; more than this means that the node cannot keep up, and gossip is refused until it can. */
const QUEUE_MAX = 16_384;
const ASK_DEAF_MS = 1_000;
const SEEN_MS = 1_000;

/** An operator's block waits so long for a busy disk, and is given back then. */
const SUBMIT_WAIT_MS = 30_000;
const ALONE =
  "the node does not start, because no other attester can show what it has signed; restore the newest copy of the data directory, or begin a new network with a new key";

/** What sinks are told of a block, besides its certificate. */
const NOTICES: Readonly<Record<string, Notice["state"]>> = {
  "block.announced": "queued",
  "block.opened": "proving",
  "block.certified": "certified",
  "block.learned": "certified",
};

export interface RuntimeOptions {
  readonly manifest: Manifest;
  readonly core: CoreOptions;
}

export interface RuntimeModules {
  readonly clock: Clock;
  readonly signer: Signer;
  readonly equation: Equation;
  readonly checks?: BatchChecks;
  readonly journal: Journal;
  readonly signing: SigningRecord;
  /** 16 random bytes in hex, other ones at each call. */
  readonly nonce: () => string;
  readonly store: Store;
  readonly artefacts: Artefacts;
  readonly verifier: Verifier;
  readonly provers: readonly Prover[];
  readonly sinks: readonly SinkLine[];
  /** Told of each certificate once it is stored. */
  readonly certified?: (certificate: StoredCertificate) => void;
  readonly telemetry: Telemetry;
  /** The node can no longer keep what it promises and must end. */
  readonly fatal: (fault: Fault) => void;
}

/** `null` while the disk is asked, and for good where that event is dropped. */
interface Queued {
  event: Event | null;
  waits: boolean;
  /** Called once the effects of the event are under way. */
  performed?: () => void;
}

export class Runtime implements TransportHandler {
  readonly #options: RuntimeOptions;
  readonly #modules: RuntimeModules;
  readonly #state: State;
  readonly #sealer: Sealer;
  readonly #fetcher: Fetcher;
  readonly #workshop: Workshop;
  readonly #repair: Repair;
  readonly #proposer: Proposer;
  readonly #recall: Recall;
  /** In order; an event that waits for the disk holds back those behind it. */
  readonly #queue: Queued[] = [];
  #transport: Transport | null = null;
  #running = false;
  #closed = false;
  #timer: { readonly atMs: number; readonly cancel: Cancel } | null = null;
  #compacting = false;
  readonly #seenMs = new Map<number, number>();
  #draining = false;
  /** One for each source that this node follows. */
  readonly #intakes: Intake[] = [];
  readonly #starts: Starts;
  /** What is signed is counted here; made by `start`. */
  #book: SigningBook | null = null;
  #ownStart: StartRecord | null = null;
  /** Changes of the signing state that the core wants, and that are not durable yet. */
  #remembering = 0;
  readonly #voice = new Voice(() => (this.#running ? this.#state.mute : "node.starting"));

  constructor(options: RuntimeOptions, modules: RuntimeModules) {
    this.#options = options;
    this.#modules = modules;
    this.#state = createState(options.manifest, options.core);
    const { network } = options.manifest;
    this.#sealer = new Sealer(
      network,
      modules.signer,
      modules.journal,
      () => this.#bookNow(),
      (batch) => this.#durable(batch),
      (fault) => this.#fail(fault),
    );
    const { artefacts } = modules;
    const fetcher = new Fetcher(
      artefacts,
      () => this.#transportNow(),
      (artefact) => inlineProof(this.#state, artefact),
    );
    this.#fetcher = fetcher;
    this.#workshop = new Workshop({
      ...modules,
      state: this.#state,
      fetcher,
      proofBytesMax: options.manifest.json.limits.proofBytesMax,
      post: (event) => this.post(event),
      report: (event, fields) => modules.telemetry.emit(event, fields),
    });
    const { strangerStartsMax } = this.#state.limits;
    const isMember = (key: Key) => this.#isMember(key);
    this.#starts = new Starts(network, modules.equation, modules.store, isMember, strangerStartsMax);
    this.#repair = new Repair({
      ...modules,
      starts: this.#starts,
      ownStart: () => this.#ownStart?.bytes ?? null,
      state: this.#state,
      transport: () => this.#transportNow(),
      take: (bytes, from) => void this.#take(bytes, from, true),
      post: (event) => this.post(event),
    });
    this.#recall = new Recall({ ...modules, state: this.#state });
    this.#proposer = new Proposer({ network, self: options.core.self }, modules.sinks, modules);
  }

  /** For status and tests; nobody but the core writes to it. */
  get state(): State {
    return this.#state;
  }

  /** How the sinks are doing. */
  sinks(): readonly SinkStatus[] {
    return this.#proposer.status();
  }

  /** Replays what is on disk, and begins a start of its own above the last one. Call once, then `connect`. */
  start(done: Done<void>): void {
    recover(this.#state, this.#modules, (result) => {
      if (!result.ok) return done(result);
      const { journal, starts } = result.value;
      this.#starts.load(starts);
      this.#sealer.continueFrom(journal.next, journal.head);
      const before = this.#modules.signing.load();
      const loss = lossOf(before, journal);
      if (loss !== null) {
        this.#modules.telemetry.emit("journal.lost", { why: loss, own: journal.next });
        if (!hasOthers(this.#state))
          return done({ ok: false, fault: { code: "journal.lost", message: `${loss}; ${ALONE}` } });
      }
      const signed =
        before !== null && before.next > journal.next ? before : { next: journal.next, head: journal.head };
      const first = { counter: 0, lost: loss !== null, next: signed.next, head: signed.head };
      this.#book = new SigningBook(this.#modules.signing, first, (fault) => this.#fail(fault));
      // mutant: counter-reused
      const counter = (before?.counter ?? 0) + 1;
      this.#begin(counter, loss !== null, () => done({ ok: true, value: undefined }));
    });
  }

  // START-1.
  /** The counter is durable before the record is signed: no start has the counter of another one. */
  #begin(counter: number, isLost: boolean, then: (nonce: string) => void): void {
    const { signer, nonce: draw } = this.#modules;
    this.#bookNow().change({ counter, ...(isLost ? { lost: true } : {}) }, () => {
      const nonce = draw();
      const { next: number, previous: head } = this.#sealer;
      const content = { author: signer.key, counter, nonce, number, head };
      this.#ownStart = signStart(this.#options.manifest.network, content, (message) => signer.sign(message));
      this.#sealer.start = counter;
      if (!this.#running) begin(this.#state, { counter, nonce }, isLost);
      then(nonce);
    });
  }

  #bookNow(): SigningBook {
    if (this.#book === null) throw new Error("the runtime signs once it has started");
    return this.#book;
  }

  /** From here on the node speaks. */
  connect(transport: Transport): void {
    this.#transport = transport;
    this.#running = true;
    const { clock, equation } = this.#modules;
    this.#queueEffects(this.#checked(() => resume(this.#state, clock.now(), equation)));
    if (this.#closed) return;
    for (const peer of transport.peers()) this.#enqueue({ kind: "peer", peer, state: "up" });
    this.#drain();
    this.#askDeaf();
    this.#proposer.start();
  }

  /**
   * Where a process with our key runs already, peers have their gossip streams with that one and are never up for us.
   * They still answer, and we must hear of it for as long as we wait to speak: that one may say more in the meantime.
   */
  #askDeaf(): void {
    if (this.#closed || this.#transport === null || !isUnconfirmed(this.#state)) return;
    const { weights } = this.#options.manifest;
    const deaf =
      this.#transport.connected?.().filter((peer) => weights.has(peer) && !this.#state.peers.has(peer)) ?? [];
    for (const peer of deaf) this.#repair.ask(peer);
    this.#modules.clock.after(ASK_DEAF_MS, () => this.#askDeaf());
  }

  post(event: Event): void {
    if (this.#closed) return;
    this.#enqueue(event);
    if (this.#running) this.#drain();
  }

  #enqueue(event: Event | null): Queued {
    const queued: Queued = { event, waits: event === null };
    this.#queue.push(queued);
    return queued;
  }

  /** Posts what `event` makes of the disk's answer, in the place in the queue that it has now; `null` drops it. */
  #postRecalled(
    names: readonly BlockName[],
    event: (closed: readonly Closed[] | null) => Event | null,
    performed?: () => void,
  ): void {
    if (this.#closed) return;
    const queued = this.#enqueue(null);
    const answered = (closed: readonly Closed[] | null) => {
      queued.event = event(closed);
      queued.waits = false;
      if (performed !== undefined) queued.performed = performed;
      if (this.#running) this.#drain();
    };
    if (names.length === 0) answered([]);
    else this.#recall.ask(names, answered);
  }

  #drain(): void {
    const { clock, equation } = this.#modules;
    // What the effects of an event post waits its turn instead of nesting.
    if (this.#draining) return;
    this.#draining = true;
    while (this.#queue[0]?.waits === false && !this.#closed) {
      const queued = this.#queue.shift();
      const event = queued?.event ?? null;
      if (event === null) continue;
      const effects = this.#checked(() => step(this.#state, event, clock.now(), equation));
      if (this.#closed) break;
      if (event.kind === "batch" && event.from !== null) this.#heard(event.batch);
      this.#rememberFirst(effects);
      this.#regain();
      this.#queueEffects(effects);
      queued?.performed?.();
    }
    this.#draining = false;
    if (this.#state.mute === "key.in-use" && !this.#closed) {
      const { self } = this.#options.core;
      const message = `another process signs with this node's key ${self}; run one of them, with one data directory`;
      return this.#fail({ code: "key.in-use", message });
    }
    this.#voice.speak();
    this.#schedule();
  }

  /** Of a step that breaks an invariant nothing is performed, so nothing that it decided is signed; the node ends. */
  #checked(run: () => Effect[]): Effect[] {
    let effects: Effect[] = [];
    const broken = brokenBy(() => (effects = run()));
    if (broken === null) return effects;
    const message = `${broken.message}. The node ended before it signed anything that rests on this. Report it with the log, then start the node again`;
    this.#fail({ code: broken.code, message });
    return [];
  }

  /** Only what the log took in is kept: of two heads of one number a store could hold but one, and not the evidence. */
  #heard(batch: Batch): void {
    if (this.#state.log.has(batch)) this.#keep(batch);
  }

  /**
   * Peers gave back own batches that the disk had lost. They bind this node, so they go into the journal. Where peers
   * have let go of batches in between, the journal is replaced by what is left and a floor. A journal that got batches
   * back looks whole, so the signing state has to say before that it was lost.
   */
  #regain(): void {
    const { log, mute } = this.#state;
    const feed = log.feed(this.#options.core.self);
    if (feed === undefined || feed.next <= this.#sealer.next || mute === "key.cloned" || mute === "key.out") return;
    if (this.#remembering > 0) return;
    this.#sealer.regain(feed);
    const { last } = feed;
    if (feed.next <= this.#sealer.next || last === undefined || this.#compacting || !this.#sealer.idle) return;
    this.#sealer.continueFrom(feed.next, last.hash);
    this.#rewriteJournal(feed, last);
  }

  #rememberFirst(effects: readonly Effect[]): void {
    for (const effect of effects) {
      if (effect.kind !== "remember") continue;
      const { counter, lost } = effect;
      this.#remembering++;
      this.#bookNow().change({ counter, lost }, () => {
        this.#remembering--;
        this.#regain();
      });
    }
  }

  /** The number that follows all that this node can have signed and lost. */
  #leap(): void {
    const known = this.#state.log.feed(this.#options.core.self)?.next ?? 0;
    this.#sealer.leapTo(Math.max(known, this.#bookNow().next) + LEAP_NUMBERS);
  }

  #schedule(): void {
    const { clock } = this.#modules;
    const atMs = nextWakeMs(this.#state);
    if (this.#closed || atMs === Number.POSITIVE_INFINITY || (this.#timer !== null && this.#timer.atMs === atMs))
      return;
    this.#timer?.cancel();
    const cancel = clock.after(Math.max(atMs - clock.now(), 1), () => {
      this.#timer = null;
      this.post({ kind: "tick" });
    });
    this.#timer = { atMs, cancel };
  }

  /** What waits for the journal waits together, in the order in which the core wanted it. */
  #queueEffects(effects: readonly Effect[]): void {
    const entries = effects.flatMap((effect) => (effect.kind === "append" ? effect.entries : []));
    const promised = effects.filter((effect) => effect.kind === "prove");
    for (const effect of effects) if (effect.kind !== "append" && effect.kind !== "prove") this.#perform(effect);
    if (entries.length === 0) for (const effect of promised) this.#perform(effect);
    else {
      const { self } = this.#options.core;
      const { next } = this.#sealer;
      if ((this.#state.log.feed(self)?.next ?? 0) > next) {
        const message = `own batch ${next} of key ${self} is signed already and is not in the journal; start the node again`;
        return this.#fail({ code: "journal.gap", message });
      }
      this.#sealer.append(entries, () => promised.forEach((effect) => this.#perform(effect)));
    }
  }

  #perform(effect: Exclude<Effect, { kind: "append" }>): void {
    const { store, telemetry } = this.#modules;
    switch (effect.kind) {
      case "prove":
        return this.#workshop.prove(effect);
      case "cancel":
        return this.#workshop.cancel(effect);
      case "prepare":
        return this.#workshop.prepare(effect);
      case "verify":
        return this.#workshop.verify(effect);
      case "open":
        return this.#workshop.open(effect);
      case "count":
        return this.#workshop.count(effect);
      case "certify":
        this.#workshop.prune();
        return this.#certify(effect);
      case "sync":
        return this.#repair.ask(effect.peer);
      case "remember":
        return undefined;
      case "renew":
        return this.#begin(effect.counter, true, (nonce) =>
          this.post({ kind: "renewed", counter: effect.counter, nonce }),
        );
      case "leap":
        return this.#leap();
      case "forget":
        this.#workshop.prune();
        store.write({ forget: effect.batches, gone: effect.gone }, () => this.#compactJournal());
        return;
      case "report":
        if (effect.event === "task.wasted")
          telemetry.count("wasted", effect.fields["hedge"] === true ? "hedge" : "late");
        this.#notice(effect);
        return telemetry.emit(effect.event, effect.fields);
      case "refused":
        telemetry.count("refused", effect.code);
        return telemetry.emit("refused", { code: effect.code, author: effect.author, entry: effect.entry });
    }
  }

  #notice({ event, fields: { chain, height, hash } }: Extract<Effect, { kind: "report" }>): void {
    const state = NOTICES[event];
    if (state === undefined) return;
    const named = { chain: Number(chain), height: Number(height), hash: String(hash) };
    const known =
      closedAs(this.#state, named.chain, named.hash) ?? announcedAs(this.#state, named.chain, named.hash)[0];
    if (known !== undefined) this.#proposer.notice({ state, ...named, block: known.id });
  }

  /** S5: nothing is published before the journal has it. */
  #durable(batch: Batch): void {
    const { number } = batch.head;
    // mutant: send-before-journal/unchecked
    if (!this.#sealer.isDurable(number)) {
      const message = `own batch ${number} shall be published, and the journal has not acknowledged it`;
      return this.#fail({ code: "invariant.S5", message });
    }
    this.#keep(batch);
    this.#transport?.publish(batch.bytes);
    this.post({ kind: "batch", batch, from: null });
  }

  #keep(batch: Batch): void {
    const { author, number } = batch.head;
    this.#modules.store.write({ batches: [{ author, number, bytes: batch.bytes }] }, (result) => {
      // It can be had again from peers, or from our own journal.
      if (!result.ok) this.#modules.telemetry.count("store.failed", result.fault.code);
    });
  }

  #certify(effect: Extract<Effect, { kind: "certify" }>): void {
    const { store, telemetry } = this.#modules;
    const { chain, height, block, bytes, closed } = effect;
    const certificate: StoredCertificate = { chain, height, block, bytes };
    store.write({ certificates: [certificate], closed: [closed], sync: true }, (result) => {
      if (this.#closed) return;
      // Nobody would ever write it again: a node that starts anew asks its peers for what it lacks.
      if (!result.ok) return this.#fail(result.fault);
      telemetry.emit("certificate.stored", { chain, height, block });
      this.#proposer.certified(chain);
      this.#modules.certified?.(certificate);
    });
  }

  #fail(fault: Fault): void {
    this.#closed = true;
    this.#modules.fatal(fault);
  }

  #compactJournal(): void {
    const { journalBytes } = this.#state.limits;
    if (this.#compacting || !this.#sealer.idle || this.#modules.journal.size() < journalBytes) return;
    const feed = this.#state.log.feed(this.#options.core.self);
    if (feed?.last !== undefined) this.#rewriteJournal(feed, feed.last);
  }

  #rewriteJournal(feed: Feed, last: Batch): void {
    const { journal, telemetry } = this.#modules;
    this.#compacting = true;
    const closed = Object.fromEntries(
      [...this.#state.chains.values()].map((chain) => [String(chain.id), chain.retired]),
    );
    const records = feed.kept().map((batch) => batch.bytes);
    journal.compact({ next: feed.next, previous: last.hash, closed }, records, (result) => {
      this.#compacting = false;
      if (!result.ok) this.#fail(result.fault);
      else telemetry.emit("journal.compacted", { records: records.length, bytes: journal.size() });
    });
  }

  // What peers send -------------------------------------------------------------------------------------------------

  message(bytes: Uint8Array, from: Key): Verdict {
    if (!this.#running || this.#closed || this.#queue.length >= QUEUE_MAX)
      return { kind: "ignore", code: "peer.flood" };
    return this.#take(bytes, from, false);
  }

  #take(bytes: Uint8Array, from: Key, isPulled: boolean): Verdict {
    const { equation, telemetry, checks } = this.#modules;
    const admitted = admit(this.#state, equation, bytes, checks);
    if (!admitted.ok) {
      const { code } = admitted.verdict;
      if (code !== "batch.known") {
        telemetry.count("refused", code);
        telemetry.emit("refused", { code, author: admitted.author ?? "unreadable", entry: "batch", from });
      }
      return admitted.verdict;
    }
    const { batch } = admitted;
    // The core refuses it as well, and notes how far the author has come. A batch that is refused is not passed on.
    const isTooFar = this.#state.log.isTooFar(batch);
    // A batch that is dropped here is not in the log, so the next comparison of logs brings it again.
    this.#postRecalled(this.#recall.namesIn(batch), (closed) =>
      closed === null ? null : { kind: "batch", batch, from, isPulled, closed },
    );
    return isTooFar ? ignore("batch.too-far") : ACCEPT;
  }

  #isMember(key: Key): boolean {
    const { manifest, roster } = this.#state;
    return manifest.weights.has(key) || manifest.sources.has(key) || roster.has(key);
  }

  peer(peer: Key, state: "up" | "down"): void {
    this.#modules.telemetry.emit(`peer.${state}`, this.#isMember(peer) ? { peer } : { peer, stranger: true });
    if (state === "down") this.#repair.gone(peer);
    this.post({ kind: "peer", peer, state });
  }

  withholds(peer: Key, artefact: Hash, bytes: Uint8Array): boolean {
    // REVEAL-2.
    if (isOpening(bytes)) return !this.#running || this.#closed || !mayShow(this.#state, peer, bytes);
    // RECEIPT-10.
    // mutant: reserved-served
    return !this.#options.manifest.weights.has(peer) && isReserved(this.#state, artefact);
  }

  request(peer: Key, request: Request, body: Uint8Array, answer: (frames: readonly Uint8Array[]) => void): void {
    if (request === "sync") this.#repair.answer(peer, body, answer);
    else answer([]);
  }

  // What the operator and the chain say -----------------------------------------------------------------------------

  /** The operator hands in a block. `done` means that its announcement is durable. */
  submit(block: SourceBlock, done: Done<void>): void {
    const { artefacts, clock } = this.#modules;
    const write = (written: Done<Hash>) => artefacts.write(block.payload, written);
    whenFree<Hash>(clock, write, SUBMIT_WAIT_MS, (written) => {
      if (!written.ok) return done(written);
      const { chain, height, hash, parent, items } = block;
      const seen = { chain, height, hash, parent, items, payload: written.value };
      const acknowledge = () => done({ ok: true, value: undefined });
      const announced = () => {
        // INPUT-1.
        // mutant: acknowledge-early
        this.#sealer.flushed(acknowledge);
      };
      const announce = () => this.#postTold({ kind: "source-block", block: seen, handed: true }, announced);
      this.#voice.whenSpeaking(announce, (fault) => done({ ok: false, fault }));
    });
  }

  /** What a source or the operator tells; of a block the disk is asked first whether it is certified already. */
  #postTold(event: Event, performed?: () => void): void {
    const names = event.kind === "source-block" ? lookUps(this.#state, event.block) : [];
    const recalled = (closed: readonly Closed[] | null): Event =>
      event.kind === "source-block" ? { ...event, closed: closed ?? [] } : event;
    this.#postRecalled(names, recalled, performed);
  }

  /** An artefact's bytes where this node has them. */
  artefact(hash: Hash, bytesMax: number, done: Done<Uint8Array | null>): void {
    this.#fetcher.local(hash, bytesMax, done);
  }

  /** Has a file of any length here, from peers if need be. */
  fetchArtefact(hash: Hash, done: Done<void>): void {
    if (this.#transport === null)
      return done({ ok: false, fault: { code: "node.starting", message: "not connected" } });
    this.#fetcher.have({ artefact: hash, bytesMax: ARTEFACT_BYTES_MAX, holders: [] }, done);
  }

  /** An artefact's bytes, from this node or from a peer. */
  getArtefact(hash: Hash, bytesMax: number, done: Done<Uint8Array>): void {
    this.#fetcher.get({ artefact: hash, bytesMax, holders: [] }, done);
  }

  /** Votes for another round of attempts; `done` when the vote, if there is one, is durable. */
  requeue(task: TaskRef, done: Done<void>): void {
    const vote = () => {
      this.post({ kind: "requeue", task });
      this.#sealer.flushed(() => done({ ok: true, value: undefined }));
    };
    this.#voice.whenSpeaking(vote, (fault) => done({ ok: false, fault }));
  }

  follow(source: Source, after: { readonly height: number; readonly hash: Hash } | null): void {
    const { artefacts, clock, telemetry } = this.#modules;
    const post = (event: Event) => this.#postTold(event);
    const fail = (fault: Fault) => this.#fail(fault);
    const flushed = (then: () => void) => this.#sealer.flushed(then);
    const intake = new Intake({ artefacts, clock, telemetry, voice: this.#voice, flushed, post, fail });
    this.#intakes.push(intake);
    source.start(after, (event) => this.#sourceEvent(event, intake));
  }

  #sourceEvent(event: SourceEvent, intake: Intake): Promise<void> | void {
    const { telemetry } = this.#modules;
    switch (event.kind) {
      case "block":
        return intake.take(event);
      case "retract":
        telemetry.emit("source.retract", { chain: event.chain, hash: event.hash });
        return intake.take(event);
      case "seen":
        return this.#seen(event.chain);
      case "trouble":
        telemetry.emit(event.fault === null ? "source.well" : "source.trouble", { chain: event.chain, ...event.fault });
        return this.post({ kind: "source-trouble", chain: event.chain, fault: event.fault?.message ?? null });
      case "end":
        return telemetry.emit("source.end");
    }
  }

  /** Sources look several times a second where a chain is fast; the core has to know it once a second. */
  #seen(chain: number): void {
    const nowMs = this.#modules.clock.now();
    if (nowMs - (this.#seenMs.get(chain) ?? Number.NEGATIVE_INFINITY) < SEEN_MS) return;
    this.#seenMs.set(chain, nowMs);
    this.post({ kind: "source-seen", chain });
  }

  /** Gives back what is not finished and falls silent. `done` when that is durable and sent. */
  drain(done: () => void): void {
    this.post({ kind: "drain" });
    this.#workshop.cancelAll();
    this.#sealer.flushed(done);
  }

  close(): void {
    this.#closed = true;
    for (const intake of this.#intakes) intake.close();
    this.#timer?.cancel();
    this.#workshop.close();
    this.#proposer.close();
  }

  #transportNow(): Transport {
    if (this.#transport === null) throw new Error("the runtime was asked for peers before it was connected");
    return this.#transport;
  }
}
