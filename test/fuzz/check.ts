/** Runs targets over mutants and says what happened; a failure prints the seed and the smallest bytes that show it. */
import * as fc from "fast-check";
import { equalBytes } from "../../src/protocol/messages.ts";
import { mutants } from "./mutants.ts";
import type { Target } from "./targets.ts";

/** What a person and a metric may meet: a place, a dot, a reason. */
const CODE = /^[a-z]+(\.[a-z0-9-]+)+$/;

export interface Tally {
  readonly name: string;
  cases: number;
  accepted: number;
  readonly codes: Map<string, number>;
}

export function fuzz(target: Target, cases: number, seed: number): Tally {
  const tally: Tally = { name: target.name, cases: 0, accepted: 0, codes: new Map() };
  for (const bytes of target.corpus) judge(target, bytes, tally);
  const numRuns = Math.max(1, Math.floor(cases / (target.cost ?? 1)));
  fc.assert(
    fc.property(mutants(target.corpus), (bytes) => judge(target, bytes, tally)),
    { numRuns, seed },
  );
  return tally;
}

function judge(target: Target, bytes: Uint8Array, tally: Tally): void {
  const given = Uint8Array.from(bytes);
  const outcome = target.read(bytes);
  if (!equalBytes(given, bytes)) throw new Error(`${target.name} wrote into what it read`);
  tally.cases++;
  if (outcome.kind === "refused") {
    if (!CODE.test(outcome.code)) throw new Error(`${target.name}: ${JSON.stringify(outcome.code)} is no code`);
    tally.codes.set(outcome.code, (tally.codes.get(outcome.code) ?? 0) + 1);
    return;
  }
  tally.accepted++;
  if (outcome.bytes !== null && !equalBytes(outcome.bytes, bytes))
    throw new Error(`${target.name}: accepted, but it encodes back to ${Buffer.from(outcome.bytes).toString("hex")}`);
}
