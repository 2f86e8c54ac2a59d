/**
 * What the chain or the operator wants said while this node must not sign yet: it waits, in order, until the node's own
 * feed is confirmed. Where the node will never sign again it is given up.
 */
import type { Fault } from "../ports.ts";

const WAITING_MAX = 4096;
/** The code of what is given up since this node will not say it. */
export const MUTE = "node.mute";

interface Unsaid {
  readonly run: () => void;
  readonly giveUp: (fault: Fault) => void;
}

export class Voice {
  readonly #mute: () => string | null;
  #waiting: Unsaid[] = [];

  /** `why` says why the node signs nothing now, or `null`. */
  constructor(why: () => string | null) {
    this.#mute = why;
  }

  /** Runs at once where the node may sign. */
  whenSpeaking(run: () => void, giveUp: (fault: Fault) => void): void {
    if (this.#waiting.length >= WAITING_MAX) return giveUp(fault("too much waits to be said"));
    this.#waiting.push({ run, giveUp });
    if (this.#waiting.length === 1) this.speak();
  }

  /** To be called whenever the node may have got its voice back, or lost it. */
  speak(): void {
    const why = this.#mute();
    if (this.#waiting.length === 0 || (why !== null && WAITS.has(why))) return;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const { run, giveUp } of waiting) {
      if (why === null) run();
      else giveUp(fault(`this node signs nothing any more: ${why}`));
    }
  }
}

/** Reasons that pass by themselves. */
const WAITS: ReadonlySet<string> = new Set(["node.starting", "feed.unchecked", "feed.behind", "feed.waiting"]);

function fault(message: string): Fault {
  return { code: MUTE, message };
}
