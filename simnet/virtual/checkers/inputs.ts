/** S5: an input that a node has acknowledged is announced or certified there after any crash that it survives. */
import { announcedAs, closedAs } from "../../../src/core/ancestry.ts";
import type { SourceBlock } from "../../../src/ports.ts";
import type { Hash } from "../../../src/protocol/ids.ts";
import { openBatch } from "../../../src/protocol/batch.ts";
import { artefactHash } from "../../../src/protocol/ids.ts";
import type { Runtime } from "../../../src/runtime/runtime.ts";
import type { SimDisk } from "../disk.ts";

interface Node {
  readonly name: string;
  readonly disk: SimDisk;
  readonly runtime: Runtime | null;
}

// INPUT-1.
export class Inputs {
  readonly #complain: (text: string) => void;
  /** By node: what it has acknowledged since its disk last lost what was synced. */
  readonly #acknowledged = new Map<string, Map<Hash, SourceBlock>>();

  constructor(complain: (text: string) => void) {
    this.#complain = complain;
  }

  acknowledged(node: Node, block: SourceBlock): void {
    const known = this.#acknowledged.get(node.name) ?? new Map<Hash, SourceBlock>();
    this.#acknowledged.set(node.name, known.set(block.hash, block));
    // The core may fold its own batch later, because its queue waits for the disk.
    this.#check(node, block, "and has acknowledged it", () => isJournaled(node, block));
  }

  /** The node's disk has lost what was synced, which no node promises to bear. */
  lostDisk({ name }: Node): void {
    this.#acknowledged.delete(name);
  }

  /** The node is back from a crash, and has read its disk. */
  returned(node: Node): void {
    for (const block of this.#acknowledged.get(node.name)?.values() ?? [])
      this.#check(node, block, "after a crash, and had acknowledged it");
  }

  #check({ name, runtime, disk }: Node, block: SourceBlock, when: string, isAnnounced = () => false): void {
    if (runtime === null) return;
    const { chain, height, hash, payload } = block;
    const isClosed = () => closedAs(runtime.state, chain, hash) !== undefined || disk.store.isClosed(chain, hash);
    if (isClosed()) return;
    if (announcedAs(runtime.state, chain, hash).length === 0 && !isAnnounced())
      return this.#complain(`S5: ${name} lacks the announcement of height ${height}, which was handed in, ${when}`);
    disk.artefacts.has(artefactHash(payload), (found) => {
      if (found.ok && !found.value && !isClosed())
        this.#complain(`S5: ${name} lacks the payload of height ${height}, which was handed in, ${when}`);
    });
  }
}

/** Whether the node's journal has an announcement of the block. */
function isJournaled({ disk }: Node, { chain, hash }: SourceBlock): boolean {
  return disk.journal.kept().records.some((record) => {
    const batch = openBatch(record);
    if (!batch.ok) return false;
    return batch.value.entries.some((each) => each.kind === "announce" && each.chain === chain && each.hash === hash);
  });
}
