/** S9: sinks get certified blocks only, in chain order, and a position is what its sink has acknowledged. */
import type { CertifiedBlock, CursorPosition, Presence } from "../../../src/ports.ts";
import type { Hash, Key } from "../../../src/protocol/ids.ts";
import { ownersOf } from "../../../src/protocol/owner.ts";
import type { SimDisk } from "../disk.ts";

/** Clocks may run apart, so a turn counts as waited for a little earlier. */
const PATIENCE = 0.9;

/** A node, as far as it hands blocks over. */
export interface Giver {
  readonly name: string;
  readonly key: Key;
  readonly disk: SimDisk;
  /** Which life of the node it is. */
  readonly starts: number;
}

interface Place {
  readonly name: string;
  readonly isLedger: boolean;
  readonly takers: readonly Key[];
  readonly takeoverMs: number;
  has(hash: Hash): boolean;
}

interface Asked {
  readonly life: number;
  readonly sinceMs: number;
  said: Presence["kind"] | null;
}

export interface HandoverOptions {
  readonly network: Hash;
  readonly now: () => number;
  readonly complain: (text: string) => void;
}

export class HandoverChecker {
  readonly #options: HandoverOptions;
  /** By node, place and block: what the node has been answered in this life. */
  readonly #asked = new Map<string, Asked>();
  /** By node and place: the blocks that the place has acknowledged to the node. */
  readonly #acknowledged = new Map<string, Set<Hash>>();

  constructor(options: HandoverOptions) {
    this.#options = options;
  }

  looking(node: Giver, place: Place, block: CertifiedBlock): void {
    const name = nameOf(node, place, block);
    const before = this.#asked.get(name);
    const isSame = before?.life === node.starts;
    const sinceMs = isSame ? before.sinceMs : this.#options.now();
    this.#asked.set(name, { life: node.starts, sinceMs, said: null });
  }

  /** The place has answered; `null` is a fault. */
  answered(node: Giver, place: Place, block: CertifiedBlock, said: Presence["kind"] | null): void {
    const asked = this.#asked.get(nameOf(node, place, block));
    if (asked !== undefined) asked.said = said;
    if (said !== "there") return;
    const name = nameOf(node, place);
    const known = this.#acknowledged.get(name) ?? new Set<Hash>();
    this.#acknowledged.set(name, known.add(block.block));
  }

  handing(node: Giver, place: Place, block: CertifiedBlock): void {
    const { height, content } = block;
    const complain = (what: string) =>
      this.#options.complain(`S9: ${node.name} hands height ${height} to the ${place.name}, ${what}`);
    if (!node.disk.store.holds(block.block)) complain("and has no certificate of it");
    // SINK-4.
    if (!place.isLedger && !content.start && !place.has(content.parent)) complain("which lacks its parent");
    const asked = this.#asked.get(nameOf(node, place, block));
    // SINK-3.
    if (asked?.life !== node.starts || asked.said !== "missing") return complain("which has not said that it lacks it");
    // What comes of this is not known until the place is asked again.
    asked.said = null;
    const waitMs = this.#waitMs(node, place, content.hash);
    const waitedMs = this.#options.now() - asked.sinceMs;
    // SINK-6.
    if (waitedMs < waitMs * PATIENCE) complain(`and has waited ${waitedMs} of ${waitMs} ms for its turn`);
  }

  saved(node: Giver, place: Place, { height, block }: CursorPosition): void {
    if (this.#acknowledged.get(nameOf(node, place))?.has(block) === true) return;
    // SINK-1, SINK-2.
    this.#options.complain(
      `S9: ${node.name} takes height ${height} for handed over, which the ${place.name} has not acknowledged`,
    );
  }

  #waitMs({ key }: Giver, place: Place, hash: Hash): number {
    const { takers, takeoverMs } = place;
    if (takers.length < 2) return 0;
    const candidates = takers.map((each) => ({ key: each, weight: 1 }));
    const turn = (ownersOf(this.#options.network, hash, "sink", 1, candidates)[0] ?? []).indexOf(key);
    return (takeoverMs * turn * (turn + 1)) / 2;
  }
}

function nameOf({ name }: Giver, place: Place, block?: CertifiedBlock): string {
  return `${name}/${place.name}/${block?.block ?? ""}`;
}
