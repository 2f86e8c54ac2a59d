/** Provers that sign one receipt too many: a second one about the same proof, or others in front of it. */
import { artefactHash } from "../../src/protocol/ids.ts";
import type { Entry, EntryOf } from "../../src/protocol/messages.ts";
import type { Behaviour, Face, Hostile } from "./byzantine.ts";
import { wrongProof } from "./provers.ts";

type Receipt = EntryOf<"receipt">;

/** By then attesters have verified the proof and a quorum has attested it, unless links are slow. */
const LATER_MS = 250;
/** How far ahead the last kind names an attempt that nobody has opened. */
const ATTEMPTS_AHEAD = 2;

export const RECEIPTS = {
  "receipt-other-values": {
    who: "prover",
    says: "a second receipt for the same proof, of the next attempt and under other public values",
    rewrite: (entry, face, node) =>
      twice(entry, face, node, ({ attempt }) => ({ attempt: attempt + 1, values: new Uint8Array(32) })),
  },
  // EVIDENCE-7, RECEIPT-6.
  "receipt-other-bytes": {
    who: "prover",
    says: "a second receipt for the same proof and attempt, with another length",
    rewrite: (entry, face, node) =>
      twice(entry, face, node, ({ bytes }) => ({ bytes: bytes - 1, inline: new Uint8Array() })),
  },
  // RECEIPT-4.
  "receipt-other-attempt": {
    who: "prover",
    says: "more receipts for the same proof, in attempts that are not open, and true in everything else",
    rewrite: (entry, face, node) =>
      [0, ATTEMPTS_AHEAD].flatMap((more, at) => {
        const said = twice(entry, face, node, ({ attempt }) => ({ attempt: more === 0 ? 0 : attempt + more }));
        return at === 0 ? said : [];
      }),
  },
  // RECEIPT-5.
  "receipt-junk-first": {
    who: "prover",
    says: "a receipt that is sent first and has two receipts of wrong proofs before it in the feed, which are sent later",
    rewrite: (entry, face, node) => {
      if (entry.kind !== "receipt") return [entry];
      const junk = [0, 1].map((at): Receipt => {
        const inline = wrongProof(node.options.world, entry.values, at);
        return { ...entry, artefact: artefactHash(inline), bytes: inline.length, inline };
      });
      node.sayLast([junk, [entry]], face, LATER_MS);
      return [];
    },
  },
} satisfies Record<string, Behaviour>;

function twice(entry: Entry, face: Face, node: Hostile, change: (entry: Receipt) => Partial<Receipt>): Entry[] {
  if (entry.kind === "receipt")
    node.options.world.after(LATER_MS, () => node.say([{ ...entry, ...change(entry) }], face));
  return [entry];
}
