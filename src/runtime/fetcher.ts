/**
 * Gets artefacts from whoever has them: each asked in turn, one fetch at a time for one artefact. What one peer has sent before
 * it went away is there for the next.
 */
import type { Artefacts, Done, Fault, Result, Transport } from "../ports.ts";
import type { Hash, Key } from "../protocol/ids.ts";

/** For each range of a file. */
const FETCH_MS_MAX = 10_000;
/** Peers asked beyond those that are known to have it. */
const STRANGERS_MAX = 4;

export interface Wanted {
  readonly artefact: Hash;
  readonly bytesMax: number;
  readonly holders: readonly Key[];
}

export class Fetcher {
  readonly #artefacts: Artefacts;
  readonly #transport: () => Transport;
  /** What the log itself holds: a disk may have lost it in a power cut. */
  readonly #logged: (artefact: Hash) => Uint8Array | null;
  readonly #waiting = new Map<Hash, Done<void>[]>();
  /** What is being written: whoever wants it now need not wait for the disk, nor ask peers for what is here. */
  readonly #storing = new Map<Hash, Uint8Array>();

  constructor(artefacts: Artefacts, transport: () => Transport, logged: (artefact: Hash) => Uint8Array | null) {
    this.#artefacts = artefacts;
    this.#transport = transport;
    this.#logged = logged;
  }

  /** The artefact's bytes where this node has them, without asking anyone. */
  local(artefact: Hash, bytesMax: number, done: Done<Uint8Array | null>): void {
    const storing = this.#storing.get(artefact);
    if (storing !== undefined) return done({ ok: true, value: storing });
    this.#artefacts.read(artefact, bytesMax, (result) => {
      if (!result.ok || result.value !== null) return done(result);
      const logged = this.#logged(artefact);
      if (logged !== null) this.keep(artefact, logged);
      done({ ok: true, value: logged });
    });
  }

  /** Stores bytes that came inside a message; they can be had at once. Nothing that is promised waits for it. */
  keep(artefact: Hash, bytes: Uint8Array): void {
    this.#storing.set(artefact, bytes);
    this.#artefacts.keep(bytes, () => this.#storing.delete(artefact));
  }

  /** The artefact's bytes, from disk or from a peer. The fault is `artefact.unavailable` where nobody has them. */
  get(wanted: Wanted, done: Done<Uint8Array>): void {
    const storing = this.#storing.get(wanted.artefact);
    if (storing !== undefined) return done({ ok: true, value: storing });
    this.#read(wanted, (found) => {
      if (found !== null) return done(found);
      this.#bring(wanted, (brought) => {
        if (!brought.ok) return done(brought);
        this.#read(wanted, (read) => done(read ?? { ok: false, fault: unavailable(wanted.artefact) }));
      });
    });
  }

  /** The same; says as well how many bytes came for it, 0 where it was here. */
  getCounted(wanted: Wanted, done: (found: Result<Uint8Array>, broughtBytes: number) => void): void {
    this.#read(wanted, (here) => {
      if (here !== null) return done(here, 0);
      this.get(wanted, (found) => done(found, found.ok ? found.value.length : 0));
    });
  }

  /** Has the artefact here, however long it is: from peers if need be. */
  have(wanted: Wanted, done: Done<void>): void {
    this.bring(wanted, (brought) => done(brought.ok ? { ok: true, value: undefined } : brought));
  }

  /** The same; `value` is how many bytes came for it, 0 where it was here. */
  bring(wanted: Wanted, done: Done<number>): void {
    if (this.#storing.has(wanted.artefact)) return done({ ok: true, value: 0 });
    this.#artefacts.has(wanted.artefact, (result) => {
      if (!result.ok) return done(result);
      if (result.value) return done({ ok: true, value: 0 });
      this.#bring(wanted, (brought) => {
        if (!brought.ok) return done(brought);
        this.#artefacts.size(wanted.artefact, (size) => done(size.ok ? { ok: true, value: size.value ?? 0 } : size));
      });
    });
  }

  #bring(wanted: Wanted, done: Done<void>): void {
    const waiting = this.#waiting.get(wanted.artefact);
    if (waiting !== undefined) {
      waiting.push(done);
      return;
    }
    this.#waiting.set(wanted.artefact, [done]);
    this.#ask(wanted, this.#candidates(wanted));
  }

  #read(wanted: Wanted, done: (found: Result<Uint8Array> | null) => void): void {
    this.local(wanted.artefact, wanted.bytesMax, (result) => {
      if (!result.ok) done(result);
      else done(result.value === null ? null : { ok: true, value: result.value });
    });
  }

  #candidates(wanted: Wanted): Key[] {
    const peers = this.#transport().peers();
    const holders = [...new Set(wanted.holders)].filter((key) => peers.includes(key));
    const strangers = peers.filter((key) => !holders.includes(key)).slice(0, STRANGERS_MAX);
    return [...holders, ...strangers];
  }

  #ask(wanted: Wanted, candidates: readonly Key[]): void {
    const [peer, ...others] = candidates;
    if (peer === undefined) {
      this.#finish(wanted, { ok: false, fault: unavailable(wanted.artefact) });
      return;
    }
    this.#transport().fetch(peer, wanted.artefact, wanted.bytesMax, FETCH_MS_MAX, (result) => {
      // A busy disk of this node is no better for the next peer's bytes.
      if (result.ok || result.fault.code === "artefact.busy") this.#finish(wanted, result);
      else this.#ask(wanted, others);
    });
  }

  #finish(wanted: Wanted, result: Result<void>): void {
    const waiting = this.#waiting.get(wanted.artefact) ?? [];
    this.#waiting.delete(wanted.artefact);
    for (const done of waiting) done(result);
  }
}

function unavailable(artefact: Hash): Fault {
  return { code: "artefact.unavailable", message: `no connected peer has artefact ${artefact}` };
}
