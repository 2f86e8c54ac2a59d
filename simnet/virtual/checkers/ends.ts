/** How provers ended attempts: only the word of the owner, or of whom an attester granted the attempt to, ends one. */
import type { EntryOf } from "../../../src/protocol/messages.ts";
import { placeOf } from "./place.ts";

export class Ends {
  /** By attempt: the codes that were given, and whether somebody gave them whose attempt it may be. */
  readonly #codes = new Map<string, Map<string, boolean>>();

  said(entry: EntryOf<"release"> | EntryOf<"fail">, isParty: boolean): void {
    const place = placeOf(entry, entry.attempt);
    const codes = this.#codes.get(place) ?? new Map<string, boolean>();
    this.#codes.set(place, codes);
    const code = entry.kind === "release" ? "released" : entry.code;
    codes.set(code, isParty || codes.get(code) === true);
  }

  // RELEASE-1, FAIL-1.
  /** Whether the attempt may have ended so: nobody else has said so, or its prover has as well. */
  mayEnd(entry: EntryOf<"timeout">): boolean {
    return this.#codes.get(placeOf(entry, entry.attempt))?.get(entry.code) !== false;
  }
}
