/** S5: what a node sends was on its disk before. */
import type { Journal } from "../../../src/ports.ts";

export class Durable {
  readonly #written = new WeakSet<Uint8Array>();

  /** The same journal, which also tells here what it has acknowledged. */
  watch(journal: Journal): Journal {
    return {
      load: () => journal.load(),
      size: () => journal.size(),
      compact: (floor, records, done) => journal.compact(floor, records, done),
      append: (records, done) =>
        journal.append(records, (result) => {
          if (result.ok) for (const record of records) this.#written.add(record);
          done(result);
        }),
    };
  }

  has(batch: Uint8Array): boolean {
    return this.#written.has(batch);
  }
}
