/**
 * Verifications that the core has asked for: each proof is fetched, then verified, when it is the turn of an author who
 * pays for it.
 *
 * Without turns one prover could name proofs by the thousand, or hold proofs back while they are fetched, and the proofs
 * of all others would wait behind them. A fetch holds a place of its author alone. A verification begins only while its
 * author has a share left (`shares.ts`). A proof that waits for its turn is on disk, and not in memory.
 */
import { classOf } from "../core/classes.ts";
import { isAdmissionAsked } from "../core/drawing.ts";
import type { Effect } from "../core/effect.ts";
import type { Event, VerifiedResult } from "../core/event.ts";
import type { State } from "../core/state.ts";
import { isStillWanted, isSurplus } from "../core/verifying.ts";
import type { Cancel, Clock, Fault, Verifier } from "../ports.ts";
import { artefactHash, type Hash } from "../protocol/ids.ts";
import { possessionOf } from "../protocol/payee.ts";
import type { Fetcher } from "./fetcher.ts";
import { Lane } from "./lane.ts";
import type { DiskLedger } from "./ledger.ts";
import { type Charge, type Outcome, Shares } from "./shares.ts";

type Verify = Extract<Effect, { kind: "verify" }>;

/** The line of proofs that nobody has to pay for. */
const FREE = "free";

/**
 * A proof that waits. It waits in the lane of fetches, is fetched, waits in the lane of verifications, and is verified.
 * What is on disk or in its receipt begins in the second lane.
 */
interface Job {
  effect: Verify;
  lines: ReadonlySet<string>;
  at: "fetch-lane" | "fetching" | "verify-lane" | "verifying";
}

export interface VerificationModules {
  readonly state: State;
  readonly clock: Clock;
  readonly fetcher: Fetcher;
  readonly verifier: Verifier;
  readonly proofBytesMax: number;
  readonly post: (event: Event) => void;
}

export class Verifications {
  readonly #modules: VerificationModules;
  readonly #shares: Shares;
  readonly #ledger: DiskLedger;
  readonly #fetch = new Lane<Job>();
  readonly #verify = new Lane<Job>();
  /** By name of the proof: what waits or is under way. */
  readonly #jobs = new Map<string, Job>();
  /** Fetches under way, by line. */
  readonly #fetching = new Map<string, number>();
  #verifying = 0;
  #doubted = 0;
  #isServing = false;
  #timer: Cancel | null = null;
  #closed = false;

  constructor(modules: VerificationModules, ledger: DiskLedger) {
    this.#modules = modules;
    this.#ledger = ledger;
    this.#shares = new Shares(modules.state.limits);
  }

  /** Whoever asks again for a proof that waits adds the authors who may pay for it. */
  ask(effect: Verify): void {
    const name = nameOf(effect);
    const lines = this.#linesOf(effect);
    const known = this.#jobs.get(name);
    if (known === undefined && this.#isFull(lines)) return this.#end(effect, { kind: "skipped" });
    const job: Job = known ?? { effect, lines, at: effect.inline.length > 0 ? "verify-lane" : "fetch-lane" };
    this.#leave(job);
    // Who fetches or verifies holds its place by the line in which it began.
    job.effect = effect;
    job.lines = lines;
    this.#jobs.set(name, job);
    if (job.at === "fetch-lane") this.#fetch.add(job);
    if (job.at === "verify-lane") this.#verify.add(job);
    this.#serve();
  }

  /** Drops what nobody needs any more, because its task is done or its block is gone. Then there may be room again. */
  prune(): void {
    this.#ledger.sweep();
    for (const job of this.#jobs.values()) {
      if (job.at === "fetching" || job.at === "verifying") continue;
      if (!isStillWanted(this.#modules.state, job.effect)) this.#end(job.effect, { kind: "skipped" }, job);
    }
    this.#serve();
  }

  close(): void {
    this.#closed = true;
    this.#timer?.();
  }

  #linesOf({ payers }: Verify): ReadonlySet<string> {
    if (payers.length === 0) return new Set([FREE]);
    const { state } = this.#modules;
    return new Set(payers.map((author) => Shares.payerOf(author, classOf(state, author))));
  }

  #isFull(lines: ReadonlySet<string>): boolean {
    const { unverifiedMax } = this.#modules.state.limits;
    return [...lines].some((line) => this.#fetch.waiting(line) + this.#verify.waiting(line) >= unverifiedMax);
  }

  #leave(job: Job): void {
    this.#fetch.remove(job);
    this.#verify.remove(job);
  }

  /** Gives the core its verdict, and forgets the job. */
  #end(effect: Verify, verdict: VerifiedResult, job?: Job): void {
    const { task, artefact, maker, candidate } = effect;
    if (job !== undefined) {
      this.#leave(job);
      this.#jobs.delete(nameOf(effect));
    }
    this.#modules.post({ kind: "verified", task, artefact, maker, candidate, verdict });
  }

  #serve(): void {
    if (this.#isServing || this.#closed) return;
    this.#isServing = true;
    while (this.#serveFetch() || this.#serveVerify()) continue;
    this.#isServing = false;
    this.#sleep();
  }

  /** Takes the next job of the lane whose verdict is still wanted, and says who pays. */
  #take(lane: Lane<Job>, mayServe: (line: string, first: Job) => boolean): { line: string; job: Job } | null {
    for (;;) {
      const next = lane.take(mayServe);
      if (next === null) return null;
      const { job, name: line } = next;
      if (isStillWanted(this.#modules.state, job.effect)) return { line, job };
      this.#end(job.effect, { kind: "skipped" }, job);
    }
  }

  #serveFetch(): boolean {
    const { fetcher, proofBytesMax, state } = this.#modules;
    const { fetchingMax, verifyingMax } = state.limits;
    // VERIFY-7, DISK-1.
    const hasPlace = (line: string, { effect }: Job) => {
      const underWay = this.#fetching.get(line) ?? 0;
      if (line === FREE) return underWay < verifyingMax;
      // mutant: fetches-unbounded
      return underWay < fetchingMax && this.#ledger.hasRoom(line, "proofs", effect.bytes, placeOf(effect));
    };
    const next = this.#take(this.#fetch, hasPlace);
    if (next === null) return false;
    const { line, job } = next;
    const { artefact, holders, bytes } = job.effect;
    const place = placeOf(job.effect);
    job.at = "fetching";
    if (line !== FREE) this.#ledger.reserve(line, "proofs", bytes);
    this.#fetching.set(line, (this.#fetching.get(line) ?? 0) + 1);
    fetcher.bring({ artefact, bytesMax: proofBytesMax, holders }, (found) => {
      if (line !== FREE) this.#ledger.settle(line, "proofs", bytes, artefact, place, found.ok ? found.value : 0);
      const left = (this.#fetching.get(line) ?? 1) - 1;
      if (left === 0) this.#fetching.delete(line);
      else this.#fetching.set(line, left);
      if (found.ok) {
        job.at = "verify-lane";
        this.#verify.add(job);
      } else this.#end(job.effect, { kind: "unavailable", code: found.fault.code }, job);
      this.#serve();
    });
    return true;
  }

  #mayVerify(line: string): boolean {
    if (line === FREE) return true;
    const { clock, state } = this.#modules;
    if (this.#shares.isDoubted(line) && this.#doubted >= state.limits.doubtedVerifyingMax) return false;
    // VERIFY-6.
    return this.#shares.waitMs(line, clock.now()) === 0;
  }

  #serveVerify(): boolean {
    const { clock, state } = this.#modules;
    if (this.#verifying >= state.limits.verifyingMax) return false;
    const next = this.#take(this.#verify, (line) => this.#mayVerify(line));
    if (next === null) return false;
    const { line, job } = next;
    const payer = line === FREE ? null : line;
    const isDoubted = payer !== null && this.#shares.isDoubted(payer);
    const charge = this.#shares.begin(payer, job.effect.system, clock.now());
    job.at = "verifying";
    this.#verifying++;
    if (isDoubted) this.#doubted++;
    this.#bytesOf(job.effect, (verdict, tookMs) => {
      this.#verifying--;
      if (isDoubted) this.#doubted--;
      this.#settle(job.effect, charge, verdict, tookMs);
      this.#end(job.effect, verdict, job);
      this.#serve();
    });
    return true;
  }

  #settle(effect: Verify, charge: Charge, verdict: VerifiedResult, tookMs: number | null): void {
    const { clock, state } = this.#modules;
    const { payer } = charge;
    const isValid = verdict.kind === "valid";
    // An admission proof is of no use once it is judged.
    if (isValid && effect.candidate === null && (payer === null || !isSurplus(state, effect, payer)))
      this.#ledger.release(effect.artefact);
    else this.#ledger.reject(effect.artefact);
    const outcomes: Readonly<Record<VerifiedResult["kind"], Outcome>> = {
      valid: payer !== null && isSurplus(state, effect, payer) ? "surplus" : "valid",
      invalid: "invalid",
      unavailable: "none",
      unable: "none",
      verdictless: "none",
      skipped: "none",
    };
    // What has to be agreed upon is read and not verified.
    const cost = effect.isProven || !isValid ? tookMs : null;
    this.#shares.end(charge, outcomes[verdict.kind], cost, clock.now());
  }

  #bytesOf(effect: Verify, done: (verdict: VerifiedResult, tookMs: number | null) => void): void {
    const { fetcher, proofBytesMax } = this.#modules;
    const { inline, artefact, holders } = effect;
    if (inline.length > 0) {
      // RECEIPT-3.
      // mutant: inline-unchecked/verified
      if (artefactHash(inline) !== artefact) return done({ kind: "invalid", code: "receipt.inline-mismatch" }, null);
      // Kept for the stage that takes it, and for certificates that are checked later.
      if (effect.candidate === null) fetcher.keep(artefact, inline);
      return this.#check(effect, inline, done);
    }
    fetcher.get({ artefact, bytesMax: proofBytesMax, holders }, (found) => {
      if (found.ok) this.#check(effect, found.value, done);
      else done({ kind: "unavailable", code: found.fault.code }, null);
    });
  }

  #check(effect: Verify, proof: Uint8Array, done: (verdict: VerifiedResult, tookMs: number | null) => void): void {
    const possession = possessionOf(effect.payee, proof, effect.maker);
    const valid: VerifiedResult = { kind: "valid", bytes: proof.length, possession };
    if (!effect.isProven) return done(valid, null);
    const { clock, verifier } = this.#modules;
    const beganMs = clock.now();
    verifier.verify({ ...effect, proof }, (result) => {
      const tookMs = clock.now() - beganMs;
      if (!result.ok) done({ kind: kindOf(result.fault), code: result.fault.code }, tookMs);
      else if (result.value.valid) done(valid, tookMs);
      else done({ kind: "invalid", code: result.value.code }, tookMs);
    });
  }

  /** Comes back when the first author that waits has a share again. */
  #sleep(): void {
    this.#timer?.();
    this.#timer = null;
    const { clock } = this.#modules;
    const nowMs = clock.now();
    const waits = [...this.#verify.names()].map((line) => (line === FREE ? 0 : this.#shares.waitMs(line, nowMs)));
    const firstMs = Math.min(...waits.filter((ms) => ms > 0));
    if (this.#closed || firstMs === Number.POSITIVE_INFINITY) return;
    this.#timer = clock.after(firstMs, () => {
      this.#timer = null;
      this.#serve();
    });
  }
}

/** Whether files are charged for the block still: it is not certified, or stands for an admission proof that is not judged. */
export function isChargeable(state: State, place: Hash): boolean {
  return state.blocks.get(place)?.certificate === null || isAdmissionAsked(state, place);
}

/** The block for which the file is charged; the payee of an admission proof stands for one. */
function placeOf({ task, maker, candidate }: Verify): Hash {
  return candidate === null || maker === null ? task.block : maker;
}

/** What a fault of the verifier means for the proof. */
function kindOf({ reason }: Fault): "unavailable" | "unable" | "verdictless" {
  if (reason === "own") return "unable";
  return reason === "verdictless" ? reason : "unavailable";
}

function nameOf({ task, artefact, maker }: Verify): string {
  return `${task.block}/${task.stage}/${task.index}/${artefact}/${maker ?? ""}`;
}
