/** What receipts have said of a proof. */
import type { Hash, Key } from "../../../src/protocol/ids.ts";
import { type EntryOf, equalBytes } from "../../../src/protocol/messages.ts";
import { placeOf, type TaskRef } from "./place.ts";

interface Said {
  readonly attempt: number;
  readonly values: Uint8Array;
  readonly atMs: number;
}

export class ReceiptsSaid {
  readonly #said = new Map<string, Said[]>();

  said(author: Key, entry: EntryOf<"receipt">, atMs: number): void {
    const name = `${author} ${placeOf(entry)} ${entry.artefact}`;
    const { attempt, values } = entry;
    this.#said.set(name, [...(this.#said.get(name) ?? []), { attempt, values, atMs }]);
  }

  of(task: TaskRef, prover: Key, artefact: Hash): readonly Said[] {
    return this.#said.get(`${prover} ${placeOf(task)} ${artefact}`) ?? [];
  }

  /** Whether the prover has signed receipts of the proof, and none with these public values. */
  areFalse(task: TaskRef, prover: Key, artefact: Hash, values: Uint8Array): boolean {
    const said = this.of(task, prover, artefact);
    return said.length > 0 && said.every((each) => !equalBytes(each.values, values));
  }
}
