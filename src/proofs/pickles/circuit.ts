/**
 * The two rules by which a proof is made: a shard of items between two commitments, and two proofs that follow each other.
 *
 * A merged proof verifies its two parts inside, so whoever checks it checks all of them, however many there are. The
 * context is a public value that no constraint is about: it ties a proof to its task, and a merged proof to its own.
 */
import { SHARD_ITEMS_MAX } from "../../protocol/ethereum.ts";
import type { Witness } from "../../provers/statement.ts";
import type { CircuitItem, CircuitProgram, CircuitValues, Field, O1js, RecursiveProof } from "./o1js.ts";

const LIMB_BITS = 64;
const ADDRESS_BITS = 160;
const VALUE_BITS = 128;
const FEE_BITS = 124;

export function createCircuit(o1js: O1js): CircuitProgram {
  const { Field, Bool, Struct, Provable, Poseidon, SelfProof, ZkProgram } = o1js;
  const Values = Struct({ before: Field, after: Field, fees: Field, count: Field, context: Field });
  const Item = Struct({
    active: Bool,
    sender: Field,
    recipient: Field,
    creation: Bool,
    value: Field,
    feeLimit: Field,
  });
  const inRange = rangeChecks(o1js);
  const shard = async (values: CircuitValues, items: readonly CircuitItem[]): Promise<void> => {
    let [at, fees, count] = [values.before, Field(0n), Field(0n)];
    for (const { active, sender, recipient, creation, value, feeLimit } of items) {
      inRange(sender, ADDRESS_BITS);
      inRange(recipient, ADDRESS_BITS);
      inRange(value, VALUE_BITS);
      inRange(feeLimit, FEE_BITS);
      creation.toField().mul(recipient).assertEquals(0n);
      const to = recipient.add(creation.toField().mul(1n << BigInt(ADDRESS_BITS)));
      const next = Poseidon.hash([at, sender, to, value.add(feeLimit.mul(1n << BigInt(VALUE_BITS)))]);
      at = Provable.if(active, next, at);
      fees = fees.add(active.toField().mul(feeLimit));
      count = count.add(active.toField());
    }
    at.assertEquals(values.after);
    fees.assertEquals(values.fees);
    count.assertEquals(values.count);
  };
  const merge = async (values: CircuitValues, left: RecursiveProof, right: RecursiveProof): Promise<void> => {
    left.verify();
    right.verify();
    const [first, second] = [left.publicInput, right.publicInput];
    first.before.assertEquals(values.before);
    first.after.assertEquals(second.before);
    second.after.assertEquals(values.after);
    first.fees.add(second.fees).assertEquals(values.fees);
    first.count.add(second.count).assertEquals(values.count);
  };
  return ZkProgram({
    name: "proofmesh-shard",
    publicInput: Values,
    methods: {
      shard: { privateInputs: [Provable.Array(Item, SHARD_ITEMS_MAX)], method: shard },
      merge: { privateInputs: [SelfProof, SelfProof], method: merge },
    },
  });
}

/** That a number has at most so many bits: in limbs, the last of which fits after a shift as well. */
function rangeChecks({ Field, Provable, Gadgets }: O1js): (value: Field, bits: number) => void {
  return (value, bits) => {
    const count = Math.ceil(bits / LIMB_BITS);
    const shift = (limb: number): bigint => 1n << BigInt(LIMB_BITS * limb);
    const limbs = Provable.witness(Provable.Array(Field, count), () => {
      const whole = value.toBigInt();
      return Array.from({ length: count }, (_, at) => Field((whole / shift(at)) % shift(1)));
    });
    let sum = Field(0n);
    for (const [at, limb] of limbs.entries()) {
      Gadgets.rangeCheck64(limb);
      const left = bits - LIMB_BITS * at;
      if (left < LIMB_BITS) Gadgets.rangeCheck64(limb.mul(1n << BigInt(LIMB_BITS - left)));
      sum = sum.add(limb.mul(shift(at)));
    }
    sum.assertEquals(value);
  };
}

type Numbers = Pick<Witness, "before" | "after" | "fees" | "count" | "context">;

export function circuitValues({ Field }: O1js, { before, after, fees, count, context }: Numbers): CircuitValues {
  const [first, last] = [Field(before), Field(after)];
  return { before: first, after: last, fees: Field(fees), count: Field(count), context: Field(context) };
}

export function circuitItems({ Field, Bool }: O1js, witness: Witness): readonly CircuitItem[] {
  const { active, sender, recipient, creation, value, feeLimit } = witness;
  const at = (column: readonly bigint[], row: number): Field => Field(column[row] ?? 0n);
  return active.map((isActive, row) => ({
    active: Bool(isActive === 1n),
    sender: at(sender, row),
    recipient: at(recipient, row),
    creation: Bool(creation[row] === 1n),
    value: at(value, row),
    feeLimit: at(feeLimit, row),
  }));
}
