/**
 * What one source sees, on its way into the core, in the order of the chain.
 *
 * A block is announced once its payload is on disk and all events before it have been handed on. Payloads are written
 * side by side, and their writes end in any order. An announcement that overtook that of its parent would be a hole
 * after a crash between the two: the source goes on behind the higher one, and nobody tells it to go back.
 */
import type { Artefacts, Clock, Done, Fault, SourceBlock, SourceEvent, Telemetry } from "../ports.ts";
import type { Event } from "../core/event.ts";
import type { Hash } from "../protocol/ids.ts";
import { whenFree } from "./busy.ts";
import { MUTE, type Voice } from "./voice.ts";

/** Payloads that are written at once. */
const WRITES_MAX = 4;
/** Events that wait before the source is asked to wait as well. A payload that waits is in memory. */
const PAUSED_ABOVE = 8;
/** Events of a source that wait. A source that waits when it is asked to never has so many. */
const WAITING_MAX = 4096;

type Told = Extract<SourceEvent, { kind: "block" | "retract" }>;

interface Waiting {
  readonly told: Told;
  state: "waiting" | "writing" | "ready";
  /** What the core is told once it is the event's turn. */
  event: Event | null;
}

export interface IntakeModules {
  readonly clock: Clock;
  readonly artefacts: Artefacts;
  readonly telemetry: Telemetry;
  readonly voice: Voice;
  /** Calls back once all that the core has said so far is durable, and known to the core. */
  readonly flushed: (then: () => void) => void;
  readonly post: (event: Event) => void;
  readonly fail: (fault: Fault) => void;
}

export class Intake {
  readonly #modules: IntakeModules;
  readonly #waiting: Waiting[] = [];
  /** Calls of `take` that wait. */
  readonly #paused: (() => void)[] = [];
  #writing = 0;
  /** The first event waits until the node may sign. */
  #isHeld = false;
  #isReleasing = false;
  #closed = false;

  constructor(modules: IntakeModules) {
    this.#modules = modules;
  }

  /** The promise resolves once the source may go on. */
  take(told: Told): Promise<void> | void {
    if (this.#closed) return;
    if (this.#waiting.length >= WAITING_MAX) {
      const message = `${this.#waiting.length} events of a source wait to be announced; a source waits for the node`;
      return this.#fail({ code: "source.flood", message });
    }
    if (told.kind === "block") this.#waiting.push({ told, state: "waiting", event: null });
    else {
      const { chain, hash } = told;
      this.#waiting.push({ told, state: "ready", event: { kind: "source-retract", chain, hash } });
    }
    this.#write();
    this.#release();
    if (this.#waiting.length > PAUSED_ABOVE) return new Promise((goOn) => void this.#paused.push(goOn));
  }

  close(): void {
    this.#closed = true;
    this.#waiting.length = 0;
    this.#goOn();
  }

  #goOn(): void {
    if (this.#waiting.length <= PAUSED_ABOVE) for (const goOn of this.#paused.splice(0)) goOn();
  }

  #write(): void {
    for (const waiting of this.#waiting) {
      if (this.#writing >= WRITES_MAX) return;
      const { told, state } = waiting;
      if (told.kind !== "block" || state !== "waiting") continue;
      waiting.state = "writing";
      this.#writing++;
      const { artefacts, clock } = this.#modules;
      const write = (done: Done<Hash>) => {
        if (!this.#closed) artefacts.write(told.block.payload, done);
      };
      // A slow disk is no fault: the source waits as long as its blocks do.
      whenFree(clock, write, Number.POSITIVE_INFINITY, (written) => {
        this.#writing--;
        if (this.#closed) return;
        // The source would not tell it again before the next start, and without it this node follows another chain.
        if (!written.ok) return this.#fail(written.fault);
        waiting.event = { kind: "source-block", block: seen(told.block, written.value) };
        waiting.state = "ready";
        this.#write();
        this.#release();
      });
    }
  }

  #release(): void {
    if (this.#isReleasing) return;
    this.#isReleasing = true;
    const { voice, flushed } = this.#modules;
    for (let [first] = this.#waiting; !this.#isHeld && first?.state === "ready"; [first] = this.#waiting) {
      this.#isHeld = true;
      // The core takes back only what it knows to be announced, and it knows that once the announcement is durable.
      const mustFollow = first.told.kind === "retract";
      const passOn = () => this.#passOn(null);
      voice.whenSpeaking(
        () => (mustFollow ? flushed(passOn) : passOn()),
        (fault) => this.#passOn(fault),
      );
    }
    this.#isReleasing = false;
  }

  /** Hands the first event on, or gives it up since this node will never sign again. */
  #passOn(fault: Fault | null): void {
    this.#isHeld = false;
    const first = this.#waiting.shift();
    if (this.#closed || first === undefined || first.event === null) return;
    this.#goOn();
    const { telemetry, post } = this.#modules;
    if (fault === null) post(first.event);
    else if (fault.code !== MUTE) return this.#fail(fault);
    else telemetry.emit("source.lost", { ...fault, ...nameOf(first.told) });
    this.#release();
  }

  #fail(fault: Fault): void {
    this.close();
    this.#modules.fail(fault);
  }
}

function seen({ chain, height, hash, parent, items }: SourceBlock, payload: Hash) {
  return { chain, height, hash, parent, items, payload };
}

function nameOf(told: Told): Readonly<Record<string, unknown>> {
  return told.kind === "block" ? { height: told.block.height } : { hash: told.hash };
}
