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
    for (const [place, { task, attempt }] of hand) if (this.#isDone(task, attempt)) hand.delete(place);
    const { json } = this.#manifest;
    const slots = json.provers.list.find(({ key }) => key === entry.prover)?.slots ?? 1;
    const most = slots * json.limits.claimsPerSlotMax;
    return hand.size > most ? `claim ${hand.size} tasks; allowed: ${most}` : null;
  }
}
