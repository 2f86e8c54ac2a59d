/**
 * What a recursive proof says: the same as the pairing systems' (`../statement.ts`), with a commitment in its own field.
 *
 * Inside a block the commitment starts at a hash of the chain's running one and leads through the shards in order:
 *
 *     next = Poseidon(commitment, sender, recipient, value + 2^128 feeLimit)        Kimchi's Poseidon, of Pasta's Fp
 *
 * A proof of a run of items and one of the run after it make one of both, so the same values describe a shard and a whole
 * block. Public values are 160 bytes: before, after, fees, count and context, 32 bytes each, big-endian.
 */
import { domainDigest, type Hash, type Key } from "../../protocol/ids.ts";
import { bigEndian } from "../bytes.ts";
import {
  contextOf,
  ELEMENT_BYTES,
  elementOf,
  encodeElement,
  encodeValues,
  itemFields,
  type Run,
  type Values,
  VALUES_BYTES,
} from "../../provers/statement.ts";

/** The order of the field that circuits are over: the base field of Pallas. */
export const PASTA_ORDER: bigint = 0x40000000000000000000000000000000224698fc094cf91b992d30ed00000001n;
/** More fee limits of 124 bits than a block has items. */
const FEES_MAX: bigint = 1n << 160n;
const COUNT_MAX: bigint = 1n << 32n;

/** Kimchi's Poseidon; it comes with o1js. */
export type Poseidon = (inputs: readonly bigint[]) => bigint;

/** The runs of one block, in order: its shards, or the whole of it. */
export function picklesRuns(runs: readonly Run[], poseidon: Poseidon): readonly Run[] {
  // Two bits less: below the field's order.
  let at = bigEndian(domainDigest("pickles-commitment", encodeElement(runs[0]?.before ?? 0n))) >> 2n;
  return runs.map(({ items, fees }) => {
    const before = at;
    for (const item of items) {
      const [sender, recipient, value, feeLimit] = itemFields(item);
      at = poseidon([at, sender, recipient, value + (feeLimit << 128n)]);
    }
    return { before, after: at, fees, items };
  });
}

export function picklesValuesOf(run: Run, block: Hash, stage: string, index: number, prover: Key): Uint8Array {
  return encodeValues({ ...run, count: BigInt(run.items.length), context: contextOf(block, stage, index, prover) });
}

/** `null` for another length, or where a number is not in its range. */
export function decodePicklesValues(bytes: Uint8Array): Values | null {
  if (bytes.length !== VALUES_BYTES) return null;
  const at = (index: number): Uint8Array => bytes.subarray(index * ELEMENT_BYTES, (index + 1) * ELEMENT_BYTES);
  const [before, after, fees, count] = [bigEndian(at(0)), bigEndian(at(1)), bigEndian(at(2)), bigEndian(at(3))];
  const context = elementOf(at(4));
  if (before >= PASTA_ORDER || after >= PASTA_ORDER || context === null) return null;
  return fees < FEES_MAX && count < COUNT_MAX ? { before, after, fees, count, context } : null;
}
