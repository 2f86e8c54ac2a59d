/**
 * The shard circuit, laid out with Halo2's builder: the same statement and the same public values as
 * `../groth16/circuit/shard.circom`.
 */
import { SHARD_ITEMS_MAX } from "../../protocol/ethereum.ts";
import { CREATION, type Values, type Witness } from "../../provers/statement.ts";
import { createSchedule, type Schedule } from "./hash.ts";
import type { Cell, Halo2Builder, Halo2Circuit, Halo2Config, Halo2Module } from "./wasm.ts";

const ADDRESS_BITS = "160";
const VALUE_BITS = "128";
const FEE_BITS = "124";

export const CIRCUIT_POWER = 13;

/** As many columns as the cells of a full shard take with 2^CIRCUIT_POWER rows. */
export const CIRCUIT_CONFIG: Halo2Config = {
  k: CIRCUIT_POWER,
  numAdvice: 5,
  numLookupAdvice: 1,
  numInstance: 1,
  numLookupBits: CIRCUIT_POWER - 1,
  numVirtualInstance: 1,
};

/** Lays the circuit out with these values, in place of what was there. Whether they hold is only seen in the proof. */
export function layOut(module: Halo2Module, circuit: Halo2Circuit, witness: Witness): void {
  start(module, circuit, witness, (builder, values) => constrain(builder, values, witness));
}

/** What a verifier takes: the public values, and no circuit behind them. */
export function layOutValues(module: Halo2Module, circuit: Halo2Circuit, values: Values): void {
  start(module, circuit, values, () => {});
}

function start(
  { Halo2LibWasm }: Halo2Module,
  circuit: Halo2Circuit,
  { before, after, fees, count, context }: Values,
  then: (builder: Halo2Builder, values: readonly Cell[]) => void,
): void {
  circuit.clear();
  const builder = new Halo2LibWasm(circuit);
  const values = [before, after, fees, count, context].map((value) => builder.witness(value.toString()));
  then(builder, values);
  for (const cell of values) builder.make_public(circuit, cell, 0);
  circuit.assignInstances();
  builder.free();
}

function constrain(builder: Halo2Builder, values: readonly Cell[], witness: Witness): void {
  const given = (value: bigint): Cell => builder.witness(value.toString());
  const ranged = (value: bigint, bits: string): Cell => {
    const cell = given(value);
    builder.range_check(cell, bits);
    return cell;
  };
  const bit = (value: bigint): Cell => {
    const cell = given(value);
    builder.assert_bit(cell);
    return cell;
  };
  const [creationPlace, feePlace, zero] = [CREATION, 1n << BigInt(VALUE_BITS), 0n].map((value) =>
    builder.constant(value.toString()),
  );
  if (creationPlace === undefined || feePlace === undefined || zero === undefined) throw new Error("three of three");
  const hash = createHash(builder, zero);
  let [at, sum, number] = [values[0] ?? zero, zero, zero];
  let activeBefore: Cell | null = null;
  for (let i = 0; i < SHARD_ITEMS_MAX; i++) {
    const active = bit(witness.active[i] ?? 0n);
    // Once an item is absent all later ones are.
    if (activeBefore !== null) builder.assert_is_const(builder.mul_not(activeBefore, active), "0");
    activeBefore = active;
    const sender = ranged(witness.sender[i] ?? 0n, ADDRESS_BITS);
    const recipient = ranged(witness.recipient[i] ?? 0n, ADDRESS_BITS);
    const creation = bit(witness.creation[i] ?? 0n);
    builder.assert_is_const(builder.mul(creation, recipient), "0");
    // Value and fee limit stay below the field's order together, so the pair has one packing only.
    const value = ranged(witness.value[i] ?? 0n, VALUE_BITS);
    const feeLimit = ranged(witness.feeLimit[i] ?? 0n, FEE_BITS);
    const to = builder.mul_add(creation, creationPlace, recipient);
    const next = hash(at, sender, to, builder.mul_add(feeLimit, feePlace, value));
    at = builder.select(next, at, active);
    sum = builder.mul_add(active, feeLimit, sum);
    number = builder.add(active, number);
  }
  for (const [i, cell] of [at, sum, number].entries()) builder.constrain_equal(cell, values[i + 1] ?? zero);
}

let schedule: Schedule | null = null;

/** The constants are laid out once for all items. */
function createHash(builder: Halo2Builder, zero: Cell): (a: Cell, b: Cell, c: Cell, d: Cell) => Cell {
  const { add, rounds } = (schedule ??= createSchedule());
  const known = new Map<bigint, Cell>([[0n, zero]]);
  const constant = (value: bigint): Cell => {
    const cell = known.get(value) ?? builder.constant(value.toString());
    known.set(value, cell);
    return cell;
  };
  const fifth = (x: Cell): Cell => {
    const square = builder.mul(x, x);
    return builder.mul(builder.mul(square, square), x);
  };
  const plus = (cell: Cell, value: bigint): Cell => (value === 0n ? cell : builder.add(cell, constant(value)));
  const one = constant(1n);
  /** One product more takes fewer cells than an addition. */
  const dot = (row: readonly bigint[], state: readonly Cell[], value: bigint): Cell => {
    const more = value === 0n ? [] : [value];
    const factors = [...row, ...more].map(constant);
    return builder.inner_product(Uint32Array.from([...state, ...more.map(() => one)]), Uint32Array.from(factors));
  };
  return (...inputs) => {
    let state: readonly Cell[] = [zero, ...inputs].map((cell, i) => plus(cell, add[i] ?? 0n));
    for (const round of rounds) {
      const [head = zero, ...rest] = state;
      const value = (i: number): bigint => round.add[i] ?? 0n;
      if (round.kind === "full") {
        const boxed = state.map(fifth);
        state = round.matrix.map((row, i) => dot(row, boxed, value(i)));
      } else {
        const boxed = fifth(head);
        const mixed = rest.map((cell, i) => builder.mul_add(boxed, constant(round.column[i] ?? 0n), cell));
        state = [dot(round.row, [boxed, ...rest], value(0)), ...mixed.map((cell, i) => plus(cell, value(i + 1)))];
      }
    }
    return state[0] ?? zero;
  };
}
