/** R1: an honest node signs a statement once in a life, and what it repeats by its rules no faster than they say. */
import { bytesToHex } from "@noble/hashes/utils.js";
import { readEvidence } from "../../../src/protocol/evidence.ts";
import type { Key } from "../../../src/protocol/ids.ts";
import type { Manifest } from "../../../src/protocol/manifest.ts";
import type { Entry } from "../../../src/protocol/messages.ts";

/** REJECT-1, COMPLETE-1, RETRACT-4, CANCEL-4, BENCH-3, RELEASE-3, CLAIM-5. */
const ONCE: ReadonlySet<string> = new Set(["reject", "complete", "retract", "cancel", "bench", "release", "fail"]);
/** No clock in the simulated world is faster. */
const FASTEST_CLOCK = 1.3;

/** Statements beyond what the time since the first one allows: clocks that jump bring the next one forward. */
const SPARE = 4;

export interface RepeatsOptions {
  readonly manifest: Manifest;
  readonly now: () => number;
  readonly complain: (violation: string) => void;
}

export class Repeats {
  readonly #options: RepeatsOptions;
  readonly #lives = new Map<Key, Set<string>>();
  /** By author and kind: when it was first sent in this life, and how often since. */
  readonly #paces = new Map<string, { readonly sinceMs: number; count: number }>();

  constructor(options: RepeatsOptions) {
    this.#options = options;
  }

  /** A restart may forget what is soft. */
  returned(author: Key): void {
    this.#lives.delete(author);
    for (const name of this.#paces.keys()) if (name.startsWith(`${author} `)) this.#paces.delete(name);
  }

  sent(author: Key, entry: Entry): void {
    const { syncMs, heartbeatMs } = this.#options.manifest.json.timing;
    // JOIN-5, BEAT-2.
    if (entry.kind === "join") this.#paced(author, `join ${entry.chain}`, 2 * syncMs);
    else if (entry.kind === "beat") this.#paced(author, "beat", heartbeatMs);
    // EVIDENCE-5.
    else if (entry.kind === "evidence")
      this.#paced(author, `evidence against ${readEvidence(entry.shown)?.offender.slice(0, 8)}`, syncMs);
    else if (ONCE.has(entry.kind)) this.#once(author, entry);
  }

  /** Counted in sum and not from one to the next, because what waits for a full disk or a frozen process goes out at once. */
  #paced(author: Key, what: string, everyMs: number): void {
    const name = `${author} ${what}`;
    const nowMs = this.#options.now();
    const pace = this.#paces.get(name) ?? { sinceMs: nowMs, count: 0 };
    this.#paces.set(name, pace);
    pace.count++;
    const most = 1 + SPARE + (FASTEST_CLOCK * (nowMs - pace.sinceMs)) / everyMs;
    if (pace.count > most)
      this.#options.complain(
        `R1: ${author.slice(0, 8)} signed ${what} ${pace.count} times in ${Math.round(nowMs - pace.sinceMs)} ms`,
      );
  }

  #once(author: Key, entry: Entry): void {
    const said = this.#lives.get(author) ?? new Set<string>();
    this.#lives.set(author, said);
    const text = JSON.stringify(entry, (_, value: unknown) =>
      value instanceof Uint8Array ? bytesToHex(value) : value,
    );
    if (said.has(text))
      this.#options.complain(`R1: ${author.slice(0, 8)} signed the same ${entry.kind} twice: ${text}`);
    said.add(text);
  }
}
