/** Proving, preparing and verifying: gathers the bytes, asks the port, and gives the core one event for each. */
import { hexToBytes } from "@noble/hashes/utils.js";
import type { Effect, Job } from "../core/effect.ts";
import type { Event, MadeProof, TaskRef, VerifiedResult } from "../core/event.ts";
import type { State } from "../core/state.ts";
import type {
  Artefacts,
  Cancel,
  Clock,
  Done,
  Fault,
  ProveEvent,
  ProveJob,
  Prover,
  Result,
  Verifier,
} from "../ports.ts";
import { artefactHash, type Hash, type Key } from "../protocol/ids.ts";
import { itemsIn } from "../protocol/items.ts";
import { INLINE_BYTES_MAX, PAYLOAD_BYTES_MAX, RANGE_BYTES_MAX } from "../protocol/limits.ts";
import { decodeOpening, encodeOpening, OPENING_BYTES } from "../protocol/opening.ts";
import { possessionOf } from "../protocol/payee.ts";
import { lastWords } from "../protocol/words.ts";
import { whenFree } from "./busy.ts";
import type { Fetcher } from "./fetcher.ts";
import { DiskLedger, type LedgerModules } from "./ledger.ts";
import { Recomputer } from "./recompute.ts";
import { isChargeable, Verifications } from "./verifications.ts";

type Of<K extends Effect["kind"]> = Extract<Effect, { kind: K }>;

/** A finished proof waits so long for a busy disk. Its lease may end meanwhile; the proof counts all the same. */
const PROOF_WAIT_MS = 600_000;

interface Modules {
  readonly state: State;
  readonly artefacts: Artefacts;
  readonly clock: Clock;
  readonly fetcher: Fetcher;
  readonly verifier: Verifier;
  readonly provers: readonly Prover[];
  readonly proofBytesMax: number;
  /** 16 random bytes in hex, other ones at each call. */
  readonly nonce: () => string;
  readonly post: (event: Event) => void;
  readonly report: LedgerModules["report"];
}

export class Workshop {
  readonly #modules: Modules;
  readonly #recomputer: Recomputer;
  readonly #ledger: DiskLedger;
  readonly #verifications: Verifications;
  /** What runs now, by task: a cancel before the input is gathered counts as well. */
  readonly #running = new Map<string, { cancelled: boolean; cancel: Cancel | null }>();

  constructor(modules: Modules) {
    this.#modules = modules;
    this.#recomputer = new Recomputer(modules.provers);
    const { artefacts, state } = modules;
    this.#ledger = new DiskLedger({
      limits: state.limits,
      isOpen: (block) => isChargeable(state, block),
      forget: (hashes) => artefacts.forget(hashes, () => {}),
      report: modules.report,
    });
    this.#verifications = new Verifications(modules, this.#ledger);
  }

  prepare(effect: Of<"prepare">): void {
    const { fetcher, verifier, post } = this.#modules;
    const fault = (code: string, kind: "invalid" | "unavailable" = "unavailable") =>
      post({ kind: "prepared", block: effect.block, result: { kind, code } });
    const bytesMax = effect.range > 1 ? RANGE_BYTES_MAX : PAYLOAD_BYTES_MAX;
    const wanted = { artefact: effect.payload, bytesMax, holders: effect.holders };
    const payer = effect.holders.find((each) => this.#ledger.hasRoom(each, "payloads", bytesMax, effect.block));
    if (payer === undefined && effect.holders.length > 0) return fault("account.full");
    const settle = this.#charge(effect, payer ?? null, bytesMax);
    fetcher.getCounted(wanted, (found, broughtBytes) => {
      settle(broughtBytes);
      if (!found.ok) return fault(found.fault.code);
      verifier.prepare({ ...effect, payload: found.value }, (result) => {
        if (!result.ok) {
          if (result.fault.reason !== "payload") return fault(result.fault.code);
          // A payload that is no block's is of use to nobody.
          this.#ledger.reject(effect.payload);
          return fault(result.fault.code, "invalid");
        }
        post({ kind: "prepared", block: effect.block, result: { kind: "ready", prepared: result.value } });
      });
    });
  }

  /** Charges the payload to a source that has announced it. Returns what says how much has come. */
  #charge({ payload, block }: Of<"prepare">, payer: Key | null, bytesMax: number): (bytes: number) => void {
    if (payer === null) return () => {};
    this.#ledger.reserve(payer, "payloads", bytesMax);
    return (bytes) => this.#ledger.settle(payer, "payloads", bytesMax, payload, block, bytes);
  }

  verify(effect: Of<"verify">): void {
    const { recompute } = effect;
    if (recompute === null) return this.#verifications.ask(effect);
    const { task, artefact, maker } = effect;
    this.#compare(effect, recompute, (verdict) =>
      this.#modules.post({ kind: "verified", task, artefact, maker, verdict }),
    );
  }

  /** Blocks are certified or gone: what waits for them waits in vain. */
  prune(): void {
    this.#verifications.prune();
  }

  /** A result that is not proven: this node makes its own, which has to be the same to the last byte. */
  #compare(effect: Of<"verify">, job: Job, verdict: (result: VerifiedResult) => void): void {
    this.#gather(job, (gathered) => {
      if (!gathered.ok) return verdict({ kind: "unavailable", code: gathered.fault.code });
      this.#recomputer.run(job.executor, jobWith(job, gathered.value), (made) => {
        if (!made.ok)
          return verdict({ kind: made.fault.reason === "own" ? "unable" : "unavailable", code: made.fault.code });
        const own = made.value;
        if (artefactHash(own) !== effect.artefact) return verdict({ kind: "invalid", code: "result.differs" });
        const { itemsMax } = effect;
        if (itemsMax > 0 && itemsIn(textOf(own), itemsMax) === null)
          return verdict({ kind: "invalid", code: "result.no-list" });
        this.#modules.fetcher.keep(effect.artefact, own);
        verdict({ kind: "valid", bytes: own.length, possession: new Uint8Array() });
      });
    });
  }

  /** Reads an accepted output that others count by. */
  count(effect: Of<"count">): void {
    const { task, artefact, holders, itemsMax } = effect;
    const say = (bytes: Uint8Array | null) => {
      const items = bytes === null ? null : itemsIn(textOf(bytes), itemsMax);
      this.#modules.post({ kind: "counted", task, artefact, items: items?.length ?? null });
    };
    if (effect.inline.length > 0 && artefactHash(effect.inline) === artefact) return say(effect.inline);
    this.#modules.fetcher.get({ artefact, holders, bytesMax: this.#modules.proofBytesMax }, (found) =>
      say(found.ok ? found.value : null),
    );
  }

  /** The opening of a commitment. It is checked here against the prover's key alone; the core has the rest. */
  open({ task, attempt, commitment, holders }: Of<"open">): void {
    const { fetcher, post } = this.#modules;
    fetcher.get({ artefact: commitment, bytesMax: OPENING_BYTES, holders }, (found) => {
      const opening = found.ok ? (decodeOpening(found.value) ?? false) : null;
      post({ kind: "opened", task, attempt, commitment, opening });
    });
  }

  prove(effect: Of<"prove">): void {
    const name = nameOf(effect);
    const run = { cancelled: false, cancel: null as Cancel | null };
    this.#running.set(name, run);
    this.#gather(effect, (result) => {
      if (run.cancelled) return;
      if (!result.ok) return this.#end(effect, { kind: "failed", logical: false, fault: result.fault });
      const prover = this.#modules.provers.find(({ system }) => system === effect.executor);
      if (prover === undefined) {
        const fault = { code: "prover.missing", message: `this node has no prover for ${effect.executor}` };
        return this.#end(effect, { kind: "failed", logical: false, fault });
      }
      const job = jobWith(effect, result.value);
      run.cancel = prover.prove(job, (event) => {
        if (!run.cancelled) this.#end(effect, event);
      });
    });
  }

  /** The payload, then the accepted results that the task takes. */
  #gather(job: Job, done: (result: Result<Uint8Array[]>) => void): void {
    const wanted = [
      { artefact: job.payload, bytesMax: RANGE_BYTES_MAX, holders: [], item: null },
      ...job.inputs.map((input) => ({ ...input, bytesMax: this.#modules.proofBytesMax })),
    ];
    const found: Uint8Array[] = [];
    const next = (): void => {
      const want = wanted[found.length];
      if (want === undefined) return done({ ok: true, value: found });
      this.#modules.fetcher.get(want, (result) => {
        if (!result.ok) return done(result);
        const bytes = want.item === null ? result.value : itemOf(result.value, want.item);
        if (bytes === null) {
          const message = `${want.artefact} has no item ${want.item}`;
          return done({ ok: false, fault: { code: "input.no-item", message } });
        }
        found.push(bytes);
        next();
      });
    };
    next();
  }

  #end(effect: Of<"prove">, event: ProveEvent): void {
    const { artefacts, clock, fetcher, post } = this.#modules;
    const { task, attempt, isAdmission } = effect;
    if (event.kind === "progress") {
      if (!isAdmission) post({ kind: "progress", task, attempt, units: event.units });
      return;
    }
    this.#running.delete(nameOf(effect));
    if (event.kind === "failed") {
      const { code, message } = event.fault;
      const { logical } = event;
      return post({ kind: "prove-failed", task, isAdmission, attempt, code, logical, message: lastWords(message) });
    }
    const { proof, values, provingMs } = event;
    const made = {
      artefact: artefactHash(proof),
      bytes: proof.length,
      values,
      provingMs: Math.round(provingMs),
      inline: proof,
      possession: possessionOf(effect.payee, proof, effect.prover),
    };
    if (effect.isCommitted) return this.#endCommitted(effect, proof, made);
    // A small proof is made durable by the receipt that carries it; others must be on disk before they are promised.
    if (proof.length <= INLINE_BYTES_MAX && made.possession.length === 0) {
      fetcher.keep(made.artefact, proof);
      return post({ kind: "proved", task, isAdmission, attempt, proof: made });
    }
    const write = (done: Done<Hash>) => artefacts.write(proof, done);
    // RECEIPT-7.
    // mutant: receipt-before-proof
    // A proof takes longer to make again than any disk takes to be free.
    whenFree(clock, write, PROOF_WAIT_MS, (written) => {
      if (written.ok) post({ kind: "proved", task, isAdmission, attempt, proof: made });
      else post({ kind: "prove-failed", task, isAdmission, attempt, logical: false, ...written.fault });
    });
  }

  /** COMMIT-2. Result and opening are durable before the commitment is signed, so that they can be shown after a crash. */
  #endCommitted({ task, attempt, prover }: Of<"prove">, proof: Uint8Array, made: MadeProof): void {
    const { artefacts, clock, nonce: draw, post } = this.#modules;
    const nonce = hexToBytes(`${draw()}${draw()}`);
    const { artefact, bytes } = made;
    const opening = encodeOpening({ prover, nonce, artefact, bytes });
    const failed = (fault: Fault) => post({ kind: "prove-failed", task, attempt, logical: false, ...fault });
    const write = (file: Uint8Array, then: () => void) =>
      whenFree<Hash>(
        clock,
        (done) => artefacts.write(file, done),
        PROOF_WAIT_MS,
        (written) => {
          if (written.ok) then();
          else failed(written.fault);
        },
      );
    write(proof, () => write(opening, () => post({ kind: "proved", task, attempt, proof: { ...made, nonce } })));
  }

  cancel(job: Named): void {
    const run = this.#running.get(nameOf(job));
    if (run === undefined) return;
    run.cancelled = true;
    run.cancel?.();
    this.#running.delete(nameOf(job));
  }

  close(): void {
    this.cancelAll();
    this.#recomputer.close();
    this.#verifications.close();
  }

  cancelAll(): void {
    for (const run of this.#running.values()) {
      run.cancelled = true;
      run.cancel?.();
    }
    this.#running.clear();
  }
}

interface Named {
  readonly task: TaskRef;
  readonly isAdmission?: boolean;
}

function nameOf({ task: { block, stage, index }, isAdmission = false }: Named): string {
  return `${block}/${stage}/${index}${isAdmission ? "/admission" : ""}`;
}

function jobWith(job: Job, [payload, ...inputs]: readonly Uint8Array[]): ProveJob {
  const { chain, height, hash, parent, chainId, task } = job;
  const id = { chain, chainId, height, block: task.block, hash, parent, stage: task.stage, index: task.index };
  const makers = job.inputs.map(({ maker }) => maker);
  return { ...job, id, payload: payload ?? new Uint8Array(), inputs, makers };
}

function itemOf(list: Uint8Array, item: number): Uint8Array | null {
  const text = itemsIn(textOf(list), Number.POSITIVE_INFINITY)?.[item];
  return text === undefined ? null : new Uint8Array(Buffer.from(text, "utf8"));
}

function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("utf8");
}
