/** That a key with two feeds is out everywhere (protocol.md §4): what convicts it is self-contained, gossiped and kept. */
import type { State } from "../../../src/core/state.ts";
import type { Hash, Key } from "../../../src/protocol/ids.ts";

interface Node {
  readonly name: string;
  readonly runtime: { readonly state: State } | null;
}

// EVIDENCE-1.
export class Forks {
  readonly #doubled: ReadonlySet<Key>;
  /** By key and number: the batch that an honest node keeps. */
  readonly #kept = new Map<string, Hash>();
  /** Keys of which honest nodes have kept two batches of one number. */
  readonly forked = new Set<Key>();

  constructor(doubled: Iterable<Key>) {
    this.#doubled = new Set(doubled);
  }

  /** Where disks lose what a node has heard, only what is there now can convict anybody. */
  forget(): void {
    this.#kept.clear();
    this.forked.clear();
  }

  look(nodes: readonly Node[]): void {
    for (const key of this.#doubled) {
      for (const { runtime } of nodes) {
        const feed = runtime?.state.log.feed(key);
        for (let number = 0; number <= (feed?.highest ?? -1); number++) {
          const hash = feed?.get(number)?.hash;
          if (hash === undefined) continue;
          const name = `${key} ${number}`;
          const known = this.#kept.get(name) ?? hash;
          this.#kept.set(name, known);
          if (known !== hash) this.forked.add(key);
        }
        if (runtime?.state.out.get(key)?.offence === "two-batches") this.forked.add(key);
      }
    }
  }

  /** Honest nodes for which such a key is not out. */
  missing(nodes: readonly Node[]): string[] {
    return nodes.flatMap(({ name, runtime }) =>
      [...this.forked]
        .filter((key) => runtime !== null && !runtime.state.out.has(key))
        .map(
          (key) => `L3: for ${name} the key ${key.slice(0, 8)} is not out, and honest nodes have heard two feeds of it`,
        ),
    );
  }
}
