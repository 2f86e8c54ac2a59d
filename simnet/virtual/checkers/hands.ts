/** R1: how much a prover may have claimed at once. */
import type { Key } from "../../../src/protocol/ids.ts";
import type { Manifest } from "../../../src/protocol/manifest.ts";
import type { EntryOf } from "../../../src/protocol/messages.ts";
import { placeOf, type TaskRef } from "./place.ts";

interface Granted {
  readonly task: TaskRef;
  readonly attempt: number;
}

export class Hands {
  readonly #manifest: Manifest;
  readonly #isDone: (task: TaskRef, attempt: number) => boolean;
  /** By attester and prover. */
  readonly #hands = new Map<string, Map<string, Granted>>();

  /** `isDone`: whether anybody can know that nobody works on the attempt any more. */
  constructor(manifest: Manifest, isDone: (task: TaskRef, attempt: number) => boolean) {
    this.#manifest = manifest;
    this.#isDone = isDone;
  }

  /** An attester lets another claim stand. Says what is too many, or `null`. */
  grant(author: Key, entry: EntryOf<"grant">): string | null {
    const name = `${author} ${entry.prover}`;
    const hand = this.#hands.get(name) ?? new Map<string, Granted>();
    this.#hands.set(name, hand);
    hand.set(placeOf(entry), { task: entry, attempt: entry.attempt });
    this.#handOf(author, entry.prover);
    const most = this.#mostOf(entry.prover);
    return hand.size > most ? `claim ${hand.size} tasks; allowed: ${most}` : null;
  }

  /** Whether the attester has granted the prover all that it may have claimed, and nobody can know that it is done. */
  isFull(author: Key, prover: Key): boolean {
    return this.#handOf(author, prover).size >= this.#mostOf(prover);
  }

  has(author: Key, prover: Key): boolean {
    return this.#handOf(author, prover).size > 0;
  }

  #handOf(author: Key, prover: Key): ReadonlyMap<string, Granted> {
    const hand = this.#hands.get(`${author} ${prover}`) ?? new Map<string, Granted>();
    for (const [place, { task, attempt }] of hand) if (this.#isDone(task, attempt)) hand.delete(place);
    return hand;
  }

  #mostOf(prover: Key): number {
    const { json } = this.#manifest;
    const slots = json.provers.list.find(({ key }) => key === prover)?.slots ?? 1;
    return slots * json.limits.claimsPerSlotMax;
  }
}
