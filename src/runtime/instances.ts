/**
 * Which processes have asked this node, by key: two of one key are one too many, and each is told of the other.
 *
 * A peer that is gone is forgotten, so that a process that was killed and started again meets no trace of itself; where
 * its old connection lingers, the trace is old, and says so.
 */
import type { Clock } from "../ports.ts";
import type { Key } from "../protocol/ids.ts";
import type { Instance, Twin } from "../protocol/sync.ts";

const KEYS_MAX = 4096;
const PER_KEY_MAX = 4;
/** Later than that nobody asks who still runs. */
const REMEMBERED_MS = 60_000;

export class Instances {
  readonly #clock: Clock;
  readonly #heard = new Map<Key, Map<string, { readonly upMs: number; readonly atMs: number }>>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Notes who asks, and returns who else has asked with the same key. */
  asked(key: Key, { instance, upMs }: Instance): Twin[] {
    const now = this.#clock.now();
    const known = this.#heard.get(key) ?? new Map<string, { readonly upMs: number; readonly atMs: number }>();
    for (const [other, { atMs }] of known) if (now - atMs > REMEMBERED_MS) known.delete(other);
    known.delete(instance);
    const twins = [...known].map(([other, heard]) => {
      return { instance: other, upMs: heard.upMs, agoMs: Math.floor(now - heard.atMs) };
    });
    known.set(instance, { upMs, atMs: now });
    trim(known, PER_KEY_MAX);
    this.#heard.delete(key);
    this.#heard.set(key, known);
    trim(this.#heard, KEYS_MAX);
    return twins;
  }

  forget(key: Key): void {
    this.#heard.delete(key);
  }
}

/** The ones heard longest ago go. */
function trim<K>(map: Map<K, unknown>, countMax: number): void {
  for (const key of map.keys()) {
    if (map.size <= countMax) return;
    map.delete(key);
  }
}
