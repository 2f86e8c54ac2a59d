/**
 * Asks the disk's index of certified blocks about announced blocks and their parents before the core hears of them.
 *
 * The core is synchronous and remembers only the newest certified blocks. Without this question a block that was certified
 * long ago would be opened again, and this node would sign about its tasks a second time.
 */
import type { Closed } from "../protocol/certificate.ts";
import { type BlockName, lookUps } from "../core/ancestry.ts";
import type { State } from "../core/state.ts";
import type { Store, Telemetry } from "../ports.ts";
import type { Batch } from "../protocol/batch.ts";

interface Modules {
  readonly state: State;
  readonly store: Store;
  readonly telemetry: Telemetry;
}

export class Recall {
  readonly #modules: Modules;

  constructor(modules: Modules) {
    this.#modules = modules;
  }

  /** The names that a peer's batch makes worth a question; none for most batches. */
  namesIn(batch: Batch): BlockName[] {
    return batch.entries.flatMap((entry) => (entry.kind === "announce" ? lookUps(this.#modules.state, entry) : []));
  }

  /** `done` gets `null` where the disk cannot be read: nothing is known of the blocks then. */
  ask(names: readonly BlockName[], done: (closed: readonly Closed[] | null) => void): void {
    const { store, telemetry } = this.#modules;
    const found: Closed[] = [];
    let [left, failed] = [names.length, false];
    for (const { chain, hash } of names)
      store.closed(chain, hash, (result) => {
        if (!result.ok) telemetry.count("store.failed", result.fault.code);
        else if (result.value !== null) found.push(result.value);
        failed ||= !result.ok;
        if (--left === 0) done(failed ? null : found);
      });
  }
}
