/** What one prover of seven that takes tasks and does not prove them costs the honest ones (L4). */
import { expect, it } from "vitest";
import { runVirtual } from "../../simnet/virtual/run.ts";

const base = {
  nodes: 11,
  attesters: 4,
  attestersOnlyAttest: true,
  blocks: 40,
  blockMs: 3000,
  shards: 5,
  seed: 1,
} as const;
/** Of the median from announcement to certificate, beside a network without such a prover. */
const TIMES_MAX = 2;
const undisturbed = runVirtual(base);

it.each(["beat-forever", "claim-and-release", "claim-and-drop", "lose-some", "hoard"])(
  "a block takes at most twice as long with one owner of seven that does %s",
  (behaviour) => {
    const griefed = runVirtual({ ...base, byzantineProvers: 1, behaviours: [behaviour] });
    expect([undisturbed.violations, griefed.violations]).toEqual([[], []]);
    const [usual = 0, now = Number.POSITIVE_INFINITY] = [undisturbed, griefed].map(
      (each) => each.blockMedianMs ?? undefined,
    );
    process.stdout.write(`${behaviour}: ${now} ms, ${usual} ms without\n`);
    expect(usual).toBeGreaterThan(0);
    expect(now).toBeLessThanOrEqual(TIMES_MAX * usual);
  },
);
