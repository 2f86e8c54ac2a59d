import { describe, expect, it } from "vitest";
import { runVirtual } from "../../simnet/virtual/run.ts";
import { inTurn } from "./turns.ts";

/** A hundred, in five turns. */
const SEEDS = inTurn(
  Array.from({ length: 100 }, (_, at) => at + 1),
  5,
);
/** Attesters, and how many nodes prove beside them; a third of all provers is hostile, the attesters among them too. */
const SIZES = [
  { attesters: 4, byzantineAttesters: 1, nodes: 7, byzantineProvers: 1 },
  { attesters: 7, byzantineAttesters: 2, nodes: 10, byzantineProvers: 1 },
  { attesters: 10, byzantineAttesters: 3, nodes: 16, byzantineProvers: 2 },
] as const;

describe("f of 3f+1 attesters and a third of the provers are hostile, each as the seed wants, and no rule is broken", () => {
  for (const size of SIZES) {
    it(`by ${size.byzantineAttesters} of ${size.attesters} attesters in ${SEEDS.length} seeds`, () => {
      for (const seed of SEEDS) {
        const links = {
          loss: (seed % 4) * 0.08,
          delayMs: 20 + (seed % 5) * 60,
          crashEveryMs: seed % 2 === 0 ? 2500 : 0,
        };
        const { violations, hostile } = runVirtual({ ...size, ...links, seed, blocks: 6, shards: 3 });
        expect(violations, `seed ${seed}: ${JSON.stringify(hostile)}`).toEqual([]);
      }
    });
  }
});
