/**
 * What must always hold, checked on what was said and by nothing else.
 *
 * The checkers fold over every batch at the moment its author signs it for the world, before the network loses
 * anything. They share the protocol's codec with the node and not one line of its core, so that a mistake there cannot
 * hide itself. Rules about what a key signs bind honest keys; rules about quorums bind everybody, and are sure to hold
 * while the hostile weight is below a third. Where they break, `guilt` names the keys that did it.
 */
import { bytesToHex } from "@noble/hashes/utils.js";
import { type Batch, numberBefore, type openBatch, openVote, verifyBatch } from "../../../src/protocol/batch.ts";
import { openEvidence } from "../../../src/protocol/evidence.ts";
import { blockId, type Hash, type Key } from "../../../src/protocol/ids.ts";
import { PROOFS_PER_ATTEMPT_MAX } from "../../../src/protocol/limits.ts";
import type { Manifest } from "../../../src/protocol/manifest.ts";
import type { Entry, EntryOf } from "../../../src/protocol/messages.ts";
import type { Equation } from "../../../src/protocol/signing.ts";
import type { Stage } from "../../../src/protocol/workflow.ts";
import { stagesAnnounced } from "../provers.ts";
import { Admissions, type AdmissionsOptions } from "./admissions.ts";
import { CommitmentChecker } from "./commitments.ts";
import { Contents } from "./contents.ts";
import { Copies } from "./copies.ts";
import { Heads } from "./feeds.ts";
import { Guilt, type Position } from "./guilt.ts";
import { Hands } from "./hands.ts";
import { Levels } from "./levels.ts";
import { Outputs, type Vouched } from "./outputs.ts";
import { Owners } from "./owners.ts";
import { judgeTimeout } from "./patience.ts";
import { Ends } from "./ends.ts";
import { placeOf, type TaskRef } from "./place.ts";
import { ReceiptsSaid } from "./receipts.ts";
import { Truth } from "./truth.ts";

/** Clocks drift; nobody's drifts further. */
const DRIFT = 0.7;

export interface Attempt {
  readonly grants: Map<Key, Set<Key>>;
  readonly timeouts: Set<Key>;
  readonly attests: Map<Key, Set<Key>>;
  /** By attester: whom it granted the attempt to, and which proof of whom it attested. */
  readonly granted: Map<Key, Key>;
  readonly attested: Map<Key, string>;
  assigned: Key | null;
  readonly claimants: Set<Key>;
  /** When the first claim for it was said, and when a quorum held it to be over. */
  claimedMs: number | null;
  overMs: number | null;
}

interface Block {
  readonly announce: EntryOf<"announce">;
  /** Chain and hash: several blocks may have been announced so. */
  readonly parent: string;
  readonly saidMs: number;
  readonly cancels: Set<Key>;
}

export interface WireOptions extends Pick<AdmissionsOptions, "newcomersMax" | "isQuiet"> {
  readonly manifest: Manifest;
  readonly equation: Equation;
  /** The protocol's codec; what it has read once it need not read again. */
  readonly open: typeof openBatch;
  readonly now: () => number;
  readonly isHostile: (key: Key) => boolean;
  readonly complain: (violation: string) => void;
  /** Whether the prover of this key has made the artefact. */
  readonly hasMade: (prover: Key, artefact: Hash) => boolean;
  /** Nobody is hostile, dies or stands still. */
  readonly isSteady: boolean;
  /** Nobody dies or stands still: what a process signs one after the other is not said at one moment. */
  readonly isRunning: boolean;
  /** Whether the prover of this key has been unable for so long that all its tasks are given back. */
  readonly isUnable: (prover: Key) => boolean;
  /** Told of each statement, once. */
  readonly heard: (author: Key, entry: Entry) => void;
}

export class WireChecker {
  readonly guilt = new Guilt();
  readonly truth: Truth;
  readonly #options: WireOptions;
  readonly #manifest: Manifest;
  readonly #owners: Owners;
  readonly #outputs: Outputs;
  readonly #total: number;
  readonly #feeds = new Map<Key, Map<number, Hash>>();
  readonly #heads = new Heads();
  readonly #highest = new Map<Key, number>();
  /** Every batch that somebody signed. */
  readonly #said = new Set<Hash>();
  readonly #attempts = new Map<string, Attempt>();
  /** By task, artefact and maker: attesters that say the proof verifies. */
  readonly #vouchers = new Map<string, Map<string, Vouched & { readonly voters: Set<Key> }>>();
  /** By attester and task: makers of proofs that it has said verify. */
  readonly #knowing = new Map<string, Set<Key>>();
  /** By prover and task: artefacts that it has named in receipts. */
  readonly #handedIn = new Map<string, Set<Hash>>();
  readonly #credits = new Map<string, string>();
  /** By chain, hash, stage and index: the block id under which the task was credited. */
  readonly #paid = new Map<string, Hash>();
  readonly #blocks = new Map<Hash, Block>();
  readonly #named = new Map<string, Set<Hash>>();
  /** By block: attesters that signed its barrier, whatever the content. */
  readonly #barriers = new Map<Hash, Set<Key>>();
  readonly #benches = new Map<string, Set<Key>>();
  readonly #hands: Hands;
  readonly #levels: Levels;
  readonly #admissions: Admissions;
  readonly #commitments: CommitmentChecker;
  readonly #contents: Contents;
  readonly #copies: Copies;
  readonly #ends = new Ends();
  /** When each author signed something last. */
  readonly #saidMs = new Map<Key, number>();
  /** Attesters that may have lost what they knew of attempts. */
  readonly #lossy = new Set<Key>();
  /** By batch: whether its evidence shows nothing. */
  readonly #slanders = new Map<Hash, boolean>();
  readonly #receipts = new ReceiptsSaid();

  constructor(options: WireOptions) {
    this.#options = options;
    this.#manifest = options.manifest;
    this.truth = new Truth(options.manifest);
    const complain = (violation: string) => this.#violation(violation);
    this.#admissions = new Admissions({ ...options, truth: this.truth, complain });
    this.#owners = new Owners(options.manifest, () => this.guilt.proven.keys());
    const isDone = (task: TaskRef, attempt: number) =>
      this.#isComplete(task) || this.#isOver(task, attempt) || this.isCancelled(task.block);
    this.#hands = new Hands(options.manifest, isDone);
    this.#levels = new Levels(options.manifest, (keys) => this.isQuorum(keys));
    this.#outputs = new Outputs(options.hasMade);
    this.#commitments = new CommitmentChecker({
      isQuorum: (keys) => this.isQuorum(keys),
      isOneHonest: (keys) => this.#weightOf(keys) >= this.#oneHonest,
      isAttester: (key) => options.manifest.weights.has(key),
      isHostile: options.isHostile,
      stageOf: (task) => this.#stageOf(task),
      complain: (violation) => this.#violation(violation),
    });
    this.#contents = new Contents({
      now: options.now,
      isHostile: options.isHostile,
      isQuorum: (keys) => this.isQuorum(keys),
      attesters: [...options.manifest.weights.keys()],
      complain: (violation) => this.#violation(violation),
    });
    this.#copies = new Copies({
      stageOf: (task) => this.#stageOf(task),
      isOver: (task, attempt) => this.#isOver(task, attempt),
    });
    this.#total = [...options.manifest.weights.values()].reduce((sum, weight) => sum + weight, 0);
  }

  /** Called with what a node sends, when it does; of what is not sent itself the votes may be shown by others. */
  published(from: Key, bytes: Uint8Array, isSent = true): void {
    const { equation, open, isHostile, heard } = this.#options;
    const opened = open(bytes);
    if (!opened.ok) return isHostile(from) ? undefined : this.#violation(`an honest node published ${opened.code}`);
    const batch = opened.value;
    if (batch.head.author !== from)
      return isHostile(from) ? undefined : this.#violation("a node published a batch of somebody else");
    if (!verifyBatch(this.#manifest.network, batch, equation))
      return isHostile(from) ? undefined : this.#violation("a node published a batch with a wrong signature");
    if (isSent && !this.#isNew(batch)) return;
    if (isSent) this.#saidMs.set(from, this.#options.now());
    for (const [index, entry] of batch.entries.entries()) {
      this.#entry(from, entry, isSent ? { number: batch.head.number, index } : null);
      if (isSent) heard(from, entry);
    }
  }

  /** The number that this author is expected to say next. */
  next(author: Key): number {
    return (this.#highest.get(author) ?? -1) + 1;
  }

  /** Which proofs it has verified an honest node knows no more once its disk is lost; its locks bind it all the same. */
  lostDisk(author: Key): void {
    this.#lossy.add(author);
    for (const known of this.#knowing.keys()) if (known.startsWith(`${author} `)) this.#knowing.delete(known);
  }

  isHostile(key: Key): boolean {
    return this.#options.isHostile(key);
  }

  // EVIDENCE-4.
  /** Whether the batch has evidence that shows nothing. */
  isSlander({ hash, entries }: Batch): boolean {
    const known = this.#slanders.get(hash);
    if (known !== undefined) return known;
    const { manifest, equation } = this.#options;
    const isFalse = entries.some(
      (entry) => entry.kind === "evidence" && openEvidence(manifest.network, entry.shown, equation) === null,
    );
    this.#slanders.set(hash, isFalse);
    return isFalse;
  }

  /** S7: whether its author has ever signed this batch. */
  wasSaid(batch: Hash): boolean {
    return this.#said.has(batch);
  }

  /** Whether a quorum has voted for the block to be cancelled. */
  isCancelled(block: Hash): boolean {
    return this.isQuorum(this.#blocks.get(block)?.cancels ?? []);
  }

  credited(task: TaskRef): string | undefined {
    return this.#credits.get(placeOf(task));
  }

  // LOST-1, LOST-2, LOST-4, FEED-1, BATCH-12, BATCH-13.
  /** S4: a key signs one batch under one number, over any crash. */
  #isNew({ head, hash }: Batch): boolean {
    const feed = this.#feeds.get(head.author) ?? new Map<number, Hash>();
    this.#feeds.set(head.author, feed);
    const known = feed.get(head.number);
    const isHonest = !this.#options.isHostile(head.author);
    this.guilt.batch(head.author, head.number, hash);
    if (this.#heads.forks({ head, hash })) this.guilt.forked(head.author, head.number);
    if (isHonest && known !== undefined && known !== hash)
      this.#violation(`S4: ${name(head.author)} signed two batches ${head.number}`);
    const before = numberBefore(head);
    if (isHonest && before >= 0 && feed.get(before) !== head.previous) {
      this.#violation(`S5: ${name(head.author)} sent batch ${head.number} on one that it never sent`);
    }
    feed.set(head.number, hash);
    this.#highest.set(head.author, Math.max(this.#highest.get(head.author) ?? -1, head.number));
    if (this.#said.has(hash)) return false;
    this.#said.add(hash);
    return true;
  }

  /** The other kinds promise nothing that another statement could break. */
  #entry(author: Key, entry: Entry, at: Position | null): void {
    // What somebody says without the right to is no statement of the protocol (S7).
    const isVoter = this.#manifest.weights.has(author);
    if (entry.kind === "announce" && this.#manifest.sources.has(author)) this.#announce(author, entry);
    else if (entry.kind === "claim") this.#claim(author, entry);
    else if (entry.kind === "receipt") this.#receipt(author, entry, at);
    else if (entry.kind === "join") this.#admissions.join(author, entry);
    else if (entry.kind === "commit") this.#commit(author, entry);
    else if (entry.kind === "release" || entry.kind === "fail") this.#end(author, entry);
    else if (entry.kind === "evidence" && this.#options.isHostile(author)) this.#owners.benched.add(author);
    else if (!isVoter) return;
    else if (entry.kind === "grant") this.#grant(author, entry, at);
    else if (entry.kind === "timeout") this.#timeout(author, entry, at);
    else if (entry.kind === "seal") this.#seal(author, entry);
    else if (entry.kind === "attest") this.#attest(author, entry, at);
    else if (entry.kind === "complete") this.#complete(author, entry);
    else if (entry.kind === "reject") this.#reject(author, entry);
    else if (entry.kind === "barrier") this.#barrier(author, entry);
    else if (entry.kind === "cancel") this.#blocks.get(entry.block)?.cancels.add(author);
    else if (entry.kind === "admit") this.#admissions.heard(author, entry, (keys) => this.isQuorum(keys));
    else if (entry.kind === "bench") this.#bench(author, entry);
  }

  #announce(author: Key, entry: EntryOf<"announce">): void {
    const { network } = this.#manifest;
    const id = blockId(network, entry);
    const isHonest = !this.#options.isHostile(author);
    this.truth.announced(entry, isHonest);
    if (isHonest) this.#admissions.announced(entry);
    const known = this.#blocks.get(id);
    if (known !== undefined && !isHonest) return;
    const names = [entry.hash, entry.parent].map((hash) => `${entry.chain}/${hash}`) as [string, string];
    const [own, parent] = names;
    this.#named.set(own, (this.#named.get(own) ?? new Set<Hash>()).add(id));
    const { saidMs, cancels } = known ?? { saidMs: this.#options.now(), cancels: new Set<Key>() };
    this.#blocks.set(id, { announce: entry, parent, saidMs, cancels });
  }

  #receipt(author: Key, entry: EntryOf<"receipt">, at: Position | null): void {
    this.#outputs.receipt(author, entry);
    const handedIn = `${author} ${placeOf(entry)}`;
    this.#handedIn.set(handedIn, new Set([...(this.#handedIn.get(handedIn) ?? []), entry.artefact]));
    this.#commitments.receipt(author, entry);
    this.#copies.receipt(author, entry);
    // Nobody ever hears what the real node of a hostile one signs and does not send.
    if (at === null) return;
    if (!this.#options.isHostile(author)) this.#unclaimed(author, entry);
    this.#receipts.said(author, entry, this.#options.now());
    this.guilt.receipt(author, placeOf(entry), entry.artefact, `${entry.bytes} ${bytesToHex(entry.values)}`);
  }

  // CLAIM-7.
  /** Without a claim a node proves only what has lasted longer than any attempt may. */
  #unclaimed(author: Key, entry: EntryOf<"receipt">): void {
    const { json, retry } = this.#manifest;
    const stage = this.#stageOf(entry);
    if (stage === undefined || retry.hedgePercentile !== null) return;
    if (this.#attempt(entry, entry.attempt).claimants.has(author)) return;
    const mostMs = json.timing.claimWindowMsMax + stage.leaseMs + stage.limitMs;
    const afterMs = this.#options.now() - (this.#blocks.get(entry.block)?.saidMs ?? 0);
    if (afterMs < DRIFT * mostMs)
      this.#violation(
        `R1: ${name(author)} proved ${placeOf(entry, entry.attempt)} without a claim, ${Math.round(afterMs)} ms after its announcement`,
      );
  }

  /** Votes that a claim shows were said by their authors, though perhaps to nobody else. */
  #claim(author: Key, entry: EntryOf<"claim">): void {
    const { equation, now, isHostile } = this.#options;
    const before = placeOf(entry, entry.attempt - 1);
    const ended = new Set<Key>();
    for (const vote of entry.timeouts) {
      const opened = openVote(this.#manifest.network, vote, equation);
      if (opened === null || opened.entry.kind !== "timeout") continue;
      if (placeOf(opened.entry, opened.entry.attempt) === before) ended.add(opened.author);
      if (this.#said.has(opened.hash)) continue;
      this.guilt.batch(opened.author, opened.number, opened.hash);
      this.#entry(opened.author, opened.entry, null);
    }
    if (!isHostile(author)) this.#honestClaim(author, entry, ended);
    const attempt = this.#attempt(entry, entry.attempt);
    attempt.claimants.add(author);
    attempt.claimedMs ??= now();
  }

  #end(author: Key, entry: EntryOf<"release"> | EntryOf<"fail">): void {
    this.#copies.ended(author, entry);
    const { grants } = this.#attempt(entry, entry.attempt);
    this.#ends.said(entry, grants.has(author) || this.#mayOwn(author, entry));
  }

  #honestClaim(author: Key, entry: EntryOf<"claim">, ended: ReadonlySet<Key>): void {
    const what = `${name(author)} claimed ${placeOf(entry, entry.attempt)}`;
    // CLAIM-4.
    if (!this.#mayOwn(author, entry)) this.#violation(`S1: ${what}, which it does not own`);
    // CLAIM-1.
    if (entry.attempt > 0 && !this.isQuorum(ended))
      this.#violation(`S1: ${what} and showed no timeout certificate of the attempt before`);
    const other = this.#copies.second(author, author, entry);
    if (other !== null && !this.#lossy.has(author)) this.#violation(`S1: ${what} beside the copy ${other}`);
  }

  #mayOwn(prover: Key, { block, stage, index, attempt }: TaskRef & { readonly attempt: number }): boolean {
    const known = this.#stages(block).find((each) => each.name === stage);
    return known === undefined || this.#owners.mayOwn(prover, block, known, index, attempt);
  }

  #grant(author: Key, entry: EntryOf<"grant">, at: Position | null): void {
    const attempt = this.#attempt(entry, entry.attempt);
    const where = placeOf(entry, entry.attempt);
    this.guilt.grant(author, where, entry.prover, at);
    if (!this.#options.isHostile(author)) this.#honestGrant(author, entry, attempt, where);
    const voters = attempt.grants.get(entry.prover) ?? new Set<Key>();
    attempt.grants.set(entry.prover, voters.add(author));
    attempt.granted.set(author, entry.prover);
    if (!this.isQuorum(voters)) return;
    if (attempt.assigned !== null && attempt.assigned !== entry.prover) this.#broken(`S1: ${where} is assigned twice`);
    if (entry.attempt > 0 && attempt.assigned === null && !this.#isOver(entry, entry.attempt - 1))
      this.#violation(`S1: ${where} is assigned before the timeout certificate of the attempt before`);
    attempt.assigned = entry.prover;
  }

  #honestGrant(author: Key, entry: EntryOf<"grant">, attempt: Attempt, where: string): void {
    const before = attempt.granted.get(author);
    // GRANT-1.
    if (before !== undefined) this.#violation(`S4: ${name(author)} granted ${where} twice`);
    // GRANT-5.
    if (attempt.timeouts.has(author)) this.#violation(`S4: ${name(author)} granted ${where} after its own timeout`);
    // GRANT-3, TIMEOUT-6.
    if (entry.attempt > 0 && !this.#isOver(entry, entry.attempt - 1)) {
      this.#violation(`S1: ${name(author)} granted ${where} before the timeout certificate of the attempt before`);
    }
    // GRANT-2.
    if (!this.#mayOwn(entry.prover, entry))
      this.#violation(`S1: ${name(author)} granted ${where} to ${name(entry.prover)}, which does not own it`);
    const excluded = this.#owners.benched.size + [...this.guilt.proven.keys()].length;
    if (!this.#levels.isOpen(entry.block, this.#stageOf(entry), entry.index, excluded))
      this.#violation(`S1: ${name(author)} granted ${where}, a piece of what provers have not given up`);
    // GRANT-4.
    const tooMany = this.#hands.grant(author, entry);
    if (tooMany !== null) this.#violation(`R1: ${name(author)} let ${name(entry.prover)} ${tooMany}`);
    const other = this.#copies.second(author, entry.prover, entry);
    if (other !== null && !this.#lossy.has(author))
      this.#violation(`S1: ${name(author)} granted ${where} to the maker of the copy ${other}`);
  }

  #timeout(author: Key, entry: EntryOf<"timeout">, at: Position | null): void {
    const attempt = this.#attempt(entry, entry.attempt);
    const where = placeOf(entry, entry.attempt);
    const { now, isHostile } = this.#options;
    this.guilt.timeout(author, where, at);
    if (!isHostile(author)) {
      // TIMEOUT-3.
      if (attempt.attested.has(author)) this.#violation(`S4: ${name(author)} timed out ${where} after its own attest`);
      const stage = this.#stageOf(entry);
      // Of copies the proof may be by a prover that stands for another.
      if (stage?.distinct !== "provers" && this.#knowsProof(author, placeOf(entry)))
        this.#violation(`S4: ${name(author)} timed out ${where} and had said that there is a valid proof`);
      const opened = entry.attempt === 0 ? null : this.#attempt(entry, entry.attempt - 1).overMs;
      const others = this.#weightOf([...attempt.timeouts].filter((key) => key !== author));
      const openedMs = Math.max(opened ?? 0, this.#blocks.get(entry.block)?.saidMs ?? 0);
      const facts = { openedMs, claimedMs: attempt.claimedMs, isHonestAmong: others >= this.#oneHonest, nowMs: now() };
      const why = judgeTimeout(entry.code, facts, this.#manifest, stage);
      // TIMEOUT-1, TIMEOUT-2.
      if (why !== null) this.#violation(`L4: ${name(author)} timed out ${where} (${entry.code}) ${why}`);
      if (!this.#ends.mayEnd(entry))
        this.#violation(`L4: ${name(author)} timed out ${where} (${entry.code}) on the word of who has no part in it`);
      if (entry.code === "not-claimed") this.#lateOwner(author, entry, where);
    }
    attempt.timeouts.add(author);
    this.#levels.timeout(author, entry, this.#stageOf(entry));
    if (attempt.overMs !== null || !this.isQuorum(attempt.timeouts)) return;
    attempt.overMs = now();
    const stage = this.#stageOf(entry);
    if (stage !== undefined)
      this.#owners.lost(
        entry.block,
        stage,
        entry.index,
        entry.attempt,
        attempt.assigned === null ? [] : [attempt.assigned],
      );
  }

  // TIMEOUT-5, RELEASE-3.
  #lateOwner(author: Key, entry: EntryOf<"timeout">, where: string): void {
    const provers = this.#manifest.json.provers.list.map(({ key }) => key);
    const owners = provers.filter((key) => this.#mayOwn(key, entry));
    if (entry.attempt < provers.length && owners.length === 1 && owners.every((key) => this.#options.isUnable(key)))
      this.#violation(`L4: ${name(author)} timed out ${where} (not-claimed), whose owner cannot prove it and keeps it`);
    // Where messages are lost, attesters know other claims.
    if (!this.#options.isQuiet) return;
    const full = provers.filter((key) => this.#hands.isFull(author, key) && this.#mayOwn(key, entry));
    if (full.length === 0 || !provers.every((key) => this.#hands.has(author, key))) return;
    if (provers.some((key) => !full.includes(key) && this.#mayOwn(key, entry))) return;
    this.#violation(`L4: ${name(author)} timed out ${where} (not-claimed), whose owner is full, and nobody is idle`);
  }

  #commit(author: Key, entry: EntryOf<"commit">): void {
    this.#outputs.commit(author, entry);
    this.#commitments.commit(author, entry);
  }

  #seal(author: Key, entry: EntryOf<"seal">): void {
    const { granted, assigned } = this.#attempt(entry, entry.attempt);
    this.#commitments.seal(author, entry, { own: granted.get(author), assigned });
  }

  /** A node has sent an opening. */
  shown(from: Key, to: Key, commitment: Hash): void {
    this.#commitments.shown(from, to, commitment);
  }

  #attest(author: Key, entry: EntryOf<"attest">, at: Position | null): void {
    const attempt = this.#attempt(entry, entry.attempt);
    const where = placeOf(entry, entry.attempt);
    const vote = `${entry.prover} ${entry.artefact}`;
    this.guilt.attest(author, where, vote, at);
    this.#commitments.attest(author, entry);
    if (!this.#options.isHostile(author)) {
      const before = attempt.attested.get(author);
      // ATTEST-1.
      if (before !== undefined) this.#violation(`S4: ${name(author)} attested ${where} twice`);
      // ATTEST-4.
      if (attempt.timeouts.has(author)) this.#violation(`S4: ${name(author)} attested ${where} after its own timeout`);
      // ATTEST-3, GRANT-8.
      if (attempt.assigned !== entry.prover) {
        this.#violation(`S1: ${name(author)} attested ${where} for a prover that no assignment certificate names`);
      }
      // RECEIPT-8.
      // What attesters make again themselves they take from anybody.
      if (this.#stageOf(entry)?.verify !== "recompute" && !this.#options.hasMade(entry.prover, entry.artefact))
        this.#violation(
          `S1: ${name(author)} attested ${where} for ${name(entry.prover)}, which has not made the proof`,
        );
    }
    // RECEIPT-6.
    const values = this.truth.valuesFor(entry, entry.prover);
    if (
      !this.#options.isHostile(author) &&
      values !== null &&
      this.#receipts.areFalse(entry, entry.prover, entry.artefact, values)
    )
      this.#violation(`S2: ${name(author)} attested ${where} by receipts of ${name(entry.prover)} with other values`);
    attempt.attested.set(author, vote);
    const voters = attempt.attests.get(entry.prover) ?? new Set<Key>();
    attempt.attests.set(entry.prover, voters.add(author));
    this.#vouch(author, entry);
    if (!this.isQuorum(voters)) return;
    const [task, credit] = [placeOf(entry), `${entry.attempt} ${entry.prover}`];
    const other = this.#credits.get(task);
    // ATTEST-5.
    if (other !== undefined && other !== credit) this.#broken(`S1: ${task} is credited twice`);
    this.#credits.set(task, credit);
    this.#paidOnce(entry);
  }

  /** Credits by content: a block that has two ids must not be paid under both. */
  #paidOnce({ block, stage, index }: TaskRef): void {
    const announce = this.#blocks.get(block)?.announce;
    if (announce === undefined) return;
    const content = `${announce.chain}/${announce.hash} ${stage}/${index}`;
    const other = this.#paid.get(content) ?? block;
    this.#paid.set(content, other);
    if (other !== block)
      // ANNOUNCE-14.
      this.#violation(`S1: ${stage}/${index} of height ${announce.height} is credited under two ids`);
  }

  // COMPLETE-2.
  /** An attester that has granted the attempt waits half a claim window for the grants of others. */
  #complete(author: Key, entry: EntryOf<"complete">): void {
    const { isHostile, now } = this.#options;
    const waitMs = (DRIFT * this.#manifest.json.timing.claimWindowMs) / 2;
    // A restart may lose the claim, and of a hostile prover's receipts some do not count.
    const isJudged = this.#options.isSteady && !isHostile(author);
    for (const { attempt, atMs } of isJudged ? this.#receipts.of(entry, entry.prover, entry.artefact) : []) {
      const { granted, timeouts, attested, assigned } = this.#attempt(entry, attempt);
      if (granted.get(author) !== entry.prover || timeouts.has(author) || attested.has(author)) continue;
      if (assigned !== null) continue;
      if (now() - atMs < waitMs)
        this.#violation(
          `L4: ${name(author)} calls ${placeOf(entry, attempt)} complete ${Math.round(now() - atMs)} ms after the receipt, and grants may still arrive`,
        );
    }
    this.#vouch(author, entry);
  }

  #vouch(author: Key, entry: TaskRef & { readonly artefact: Hash; readonly prover: Key }): void {
    const proofs = this.#vouchers.get(placeOf(entry)) ?? new Map<string, Vouched & { readonly voters: Set<Key> }>();
    this.#vouchers.set(placeOf(entry), proofs);
    this.#commitments.vouch(author, entry);
    const { artefact, prover } = entry;
    const maker = this.#stageOf(entry)?.verify === "key" ? prover : null;
    const vouched = proofs.get(`${artefact} ${maker}`) ?? { artefact, maker, voters: new Set<Key>() };
    proofs.set(`${artefact} ${maker}`, vouched);
    const voters = vouched.voters.add(author);
    const isTrue = this.truth.isTrue(entry.artefact, entry, entry.prover);
    if (isTrue === true) {
      const known = `${author} ${placeOf(entry)}`;
      this.#knowing.set(known, new Set([...(this.#knowing.get(known) ?? []), entry.prover]));
    }
    if (isTrue !== false) return;
    // ATTEST-2, COMPLETE-1, COMPLETE-5.
    this.guilt.falseAttest(author, placeOf(entry));
    if (!this.#options.isHostile(author))
      this.#violation(`S2: ${name(author)} vouched for a proof of ${placeOf(entry)} that does not verify`);
    if (this.isQuorum(voters)) this.#broken(`S2: ${placeOf(entry)} is complete with a proof that does not verify`);
  }

  /**
   * Whether the attester knows a proof that completes the task. A prover that names more artefacts than count in an
   * attempt can take its own receipt back by others that it has signed before, and then nobody may wait for it.
   */
  #knowsProof(author: Key, place: string): boolean {
    const makers = [...(this.#knowing.get(`${author} ${place}`) ?? [])];
    return makers.some((maker) => (this.#handedIn.get(`${maker} ${place}`)?.size ?? 0) <= PROOFS_PER_ATTEMPT_MAX);
  }

  /** A proof may be named with other public values than its own; then the receipt is wrong and the proof is not. */
  #reject(author: Key, entry: EntryOf<"reject">): void {
    this.#copies.rejected(entry);
    if (this.#options.isHostile(author) || !entry.code.startsWith("proof.")) return;
    // REJECT-1.
    if (this.truth.isTrue(entry.artefact, entry, entry.prover) === true)
      this.#violation(`S2: ${name(author)} rejected a true proof of ${placeOf(entry)} (${entry.code})`);
  }

  /** S3, and that nobody signs a barrier with a hole in it. */
  #barrier(author: Key, entry: EntryOf<"barrier">): void {
    if (this.#options.isRunning) this.#contents.heard(author, entry);
    const block = this.#blocks.get(entry.block);
    const voters = (this.#barriers.get(entry.block) ?? new Set<Key>()).add(author);
    this.#barriers.set(entry.block, voters);
    if (block !== undefined && this.isQuorum(voters))
      this.#admissions.certified(block.announce.chain, block.announce.height, entry.block);
    if (this.#options.isHostile(author)) return;
    if (block === undefined)
      return this.#violation(`S7: ${name(author)} signed the barrier of a block nobody announced`);
    const where = `the barrier of height ${block.announce.height}`;
    const parents = [...(this.#named.get(block.parent) ?? [])].map((id) => this.#barriers.get(id) ?? new Set<Key>());
    if (!block.announce.start && !parents.some((parent) => parent.has(author) || this.isQuorum(parent))) {
      this.#violation(`S3: ${name(author)} signed ${where} before its parent's`);
    }
    // BARRIER-1, COMPLETE-3.
    const holes = this.#outputs.holes(entry.block, this.#stages(entry.block), (task) => this.#vouchedFor(task));
    for (const hole of holes) this.#violation(`S2: ${name(author)} signed ${where} while ${hole}`);
  }

  #bench(author: Key, entry: EntryOf<"bench">): void {
    // BENCH-3.
    const silentMs = this.#options.now() - (this.#saidMs.get(entry.prover) ?? 0);
    if (
      !this.#options.isHostile(author) &&
      this.#options.isQuiet &&
      silentMs < DRIFT * this.#manifest.json.timing.leaseMs
    )
      this.#violation(
        `L4: ${name(author)} suspends ${name(entry.prover)}, which signed something ${Math.round(silentMs)} ms ago`,
      );
    const turn = `${entry.prover} ${entry.chain} ${entry.turn}`;
    const voters = (this.#benches.get(turn) ?? new Set<Key>()).add(author);
    this.#benches.set(turn, voters);
    if (!this.isQuorum(voters)) return;
    // BENCH-1.
    this.#owners.benched.add(entry.prover);
    this.#admissions.benched.add(entry.prover);
  }

  #stageOf({ block, stage }: Pick<TaskRef, "block" | "stage">): Stage | undefined {
    return this.#stages(block).find(({ name: each }) => each === stage);
  }

  #stages(block: Hash): readonly Stage[] {
    const known = this.#blocks.get(block);
    return known === undefined ? [] : (stagesAnnounced(this.#manifest, known.announce) ?? []);
  }

  #isComplete(task: TaskRef): boolean {
    return this.#vouchedFor(task).length > 0;
  }

  /** Its proofs that a quorum says verify. */
  #vouchedFor(task: TaskRef): Vouched[] {
    const proofs = this.#vouchers.get(placeOf(task))?.values() ?? [];
    return [...proofs].filter(({ voters }) => this.isQuorum(voters));
  }

  #attempt(task: TaskRef, number: number): Attempt {
    const place = placeOf(task, number);
    const known = this.#attempts.get(place);
    if (known !== undefined) return known;
    const attempt: Attempt = {
      grants: new Map(),
      timeouts: new Set(),
      attests: new Map(),
      granted: new Map(),
      attested: new Map(),
      claimants: new Set(),
      assigned: null,
      claimedMs: null,
      overMs: null,
    };
    this.#attempts.set(place, attempt);
    return attempt;
  }

  #isOver(task: TaskRef, number: number): boolean {
    return this.#attempt(task, number).overMs !== null;
  }

  #weightOf(keys: Iterable<Key>): number {
    let weight = 0;
    for (const key of new Set(keys)) weight += this.#manifest.weights.get(key) ?? 0;
    return weight;
  }

  isQuorum(keys: Iterable<Key>): boolean {
    return this.#weightOf(keys) >= Math.floor((2 * this.#total) / 3) + 1;
  }

  /** The least weight in which somebody is honest. */
  get #oneHonest(): number {
    return Math.floor((this.#total - 1) / 3) + 1;
  }

  /** Two quorums that exclude each other share keys, and what those signed is proof against them. */
  #broken(text: string): void {
    this.#violation(text);
    const guilty = this.#weightOf(this.guilt.proven.keys());
    const least = 2 * (Math.floor((2 * this.#total) / 3) + 1) - this.#total;
    if (guilty < least)
      this.#violation(`attribution: "${text}", and only weight ${guilty} of ${least} is proven guilty`);
  }

  #violation(text: string): void {
    this.#options.complain(text);
  }
}

function name(key: Key): string {
  return key.slice(0, 8);
}
