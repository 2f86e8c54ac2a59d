/** What a log and its certificates tell, whoever hears them and in whatever order. */
import * as fc from "fast-check";
import { expect } from "vitest";
import type { Batch } from "../../src/protocol/batch.ts";
import { type BarrierContent, checkCertificate } from "../../src/protocol/certificate.ts";
import { type Core, equation } from "./harness.ts";
import { type Net, summary } from "./net.ts";

/** What the certificate of a height says, checked as anybody would. */
export function contentAt(core: Core, height: number): BarrierContent {
  const [certify] = core.effects.filter((effect) => effect.kind === "certify" && effect.height === height);
  if (certify?.kind !== "certify") throw new Error(`height ${height} is not certified`);
  const checked = checkCertificate(core.manifest, certify.bytes, equation);
  if (!checked.ok) throw new Error(checked.message);
  return checked.value.content;
}

/** All that a core has certified. */
export function certificatesOf(core: Core): Uint8Array[] {
  return core.effects.flatMap((effect) => (effect.kind === "certify" ? [effect.bytes] : []));
}

/** S6: all that was said, in any order and then the certificates, tells every node the same. Returns what. */
export function expectOneStory(
  net: Net,
  certificates: readonly Uint8Array[],
  tell: (core: Core) => unknown = summary,
): string {
  const hear = (batches: readonly Batch[]) => {
    const core = net.observer();
    for (const batch of batches) core.hear(batch);
    for (const bytes of certificates) {
      const certificate = checkCertificate(net.manifest, bytes, equation);
      if (certificate.ok) core.step({ kind: "certificate", certificate: certificate.value, bytes });
    }
    return JSON.stringify(tell(core));
  };
  const expected = hear(net.batches);
  fc.assert(
    fc.property(fc.shuffledSubarray(net.batches, { minLength: net.batches.length }), (order) => {
      expect(hear(order)).toBe(expected);
    }),
    { numRuns: 20 },
  );
  return expected;
}
