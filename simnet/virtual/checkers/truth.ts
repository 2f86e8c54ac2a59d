/** Which proofs are true, worked out from the announcements alone: the simulation's own answer to every verifier. */
import { artefactHash, blockId, type Hash } from "../../../src/protocol/ids.ts";
import type { Manifest } from "../../../src/protocol/manifest.ts";
import type { EntryOf } from "../../../src/protocol/messages.ts";
import { commitmentAfter, commitmentAtStart, proofOf, valuesOf } from "../provers.ts";

interface Place {
  readonly block: Hash;
  readonly stage: string;
  readonly index: number;
}

export class Truth {
  readonly #manifest: Manifest;
  readonly #blocks = new Map<Hash, EntryOf<"announce">>();
  readonly #before = new Map<Hash, Uint8Array>();

  constructor(manifest: Manifest) {
    this.#manifest = manifest;
  }

  /** What an honest source says of a block stands, whoever spoke first. */
  announced(entry: EntryOf<"announce">, isHonest: boolean): void {
    const id = blockId(this.#manifest.network, entry.chain, entry.hash);
    if (!isHonest && this.#blocks.has(id)) return;
    this.#blocks.set(id, entry);
    if (isHonest) this.#before.delete(id);
  }

  /** `null` where nobody has announced the block or one that it stands on. */
  isTrue(artefact: Hash, { block, stage, index }: Place): boolean | null {
    const before = this.#commitment(block);
    if (before === null) return null;
    return artefact === artefactHash(proofOf(valuesOf(block, before, stage, index)));
  }

  #commitment(id: Hash): Uint8Array | null {
    const known = this.#before.get(id);
    if (known !== undefined) return known;
    const entry = this.#blocks.get(id);
    if (entry === undefined) return null;
    const before = entry.start ? commitmentAtStart(entry.parent) : this.#after(entry);
    if (before !== null) this.#before.set(id, before);
    return before;
  }

  #after({ chain, parent }: EntryOf<"announce">): Uint8Array | null {
    const before = this.#commitment(blockId(this.#manifest.network, chain, parent));
    return before === null ? null : commitmentAfter(before, parent);
  }
}
