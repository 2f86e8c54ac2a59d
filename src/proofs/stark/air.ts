/**
 * The shard as an algebraic intermediate representation: registers, and what has to hold from one row to the next.
 *
 * Each slot has 128 rows. Its words stand in its first row and lose a bit with every row, so a word that is zero in row
 * 124 had 124 bits: that is the range check. The sponge makes one round a row and takes the words in after the first.
 * Fee limits and items are summed up where a slot begins. Before, after, sums and context are asserted of the first and
 * the last row. The context stands in registers of its own so that a trace is committed to the task it is for.
 */
import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex, utf8ToBytes } from "@noble/hashes/utils.js";
import { SHARD_ITEMS_MAX } from "../../protocol/ethereum.ts";
import { MIX, ROUND_CONSTANTS, ROUNDS, STARK_ORDER, WIDTH } from "./hash.ts";
import { advance, REST_BITS, slotCount, spongeAt, type StarkRun, type StarkValues, WORD_BITS } from "./statement.ts";

/** Where the registers are. */
const WORDS: number = WIDTH;
const [SENDER, RECIPIENT, VALUE, FEE, REST, REST_OF_RECIPIENT] = [0, 1, 2, 3, 4, 5].map((i) => WORDS + i);
const ACTIVE: number = WORDS + 6;
const CREATION: number = WORDS + 7;
const FEES: number = WORDS + 8;
const COUNT: number = WORDS + 9;
const CONTEXT: number = WORDS + 10;
export const REGISTERS: number = CONTEXT + 2;
export const CONSTRAINTS = 27;
/** The highest of a constraint: a cube, or a bit times a mask. */
export const DEGREE = 3;

/** The context is cut in two, each half below the field's order. */
const CONTEXT_BITS = 127n;

export interface Assertion {
  readonly register: number;
  readonly step: number;
  readonly value: bigint;
}

/** What the public values say of the trace. */
export function assertionsOf(values: StarkValues): readonly Assertion[] {
  const { before, after, fees, count, context } = values;
  const last = slotCount(count) * ROUNDS - 1;
  const first = [...spongeAt(before).entries(), [FEES, 0n], [COUNT, 0n], ...contextHalves(context)] as const;
  const end = [
    [0, after[0]],
    [1, after[1]],
    [FEES, fees],
    [COUNT, BigInt(count)],
  ] as const;
  return [
    ...first.map(([register, value]) => ({ register, step: 0, value })),
    ...end.map(([register, value]) => ({ register, step: last, value })),
  ];
}

function contextHalves(context: bigint): readonly (readonly [register: number, value: bigint])[] {
  return [
    [CONTEXT, context >> CONTEXT_BITS],
    [CONTEXT + 1, context & ((1n << CONTEXT_BITS) - 1n)],
  ];
}

/** A column for every register. */
export function traceOf({ before, slots }: StarkRun, context: bigint): bigint[][] {
  const columns: bigint[][] = Array.from({ length: REGISTERS }, () => []);
  const halves = contextHalves(context).map(([, value]) => value);
  let state = spongeAt(before);
  let [fees, count] = [0n, 0n];
  for (const slot of slots) {
    let words = slot.words;
    for (let row = 0; row < ROUNDS; row++) {
      const values = [...state, ...words, slot.active, slot.creation, fees, count, ...halves];
      values.forEach((value, register) => columns[register]?.push(value));
      state = advance(state, row, slot);
      words = words.map((word) => word >> 1n);
      if (row > 0) continue;
      fees += slot.active * (slot.words[3] ?? 0n);
      count += slot.active;
    }
  }
  return columns;
}

/** Static registers: a one in a row of each slot, and the round constants. */
const [FIRST, AFTER_WORD, AFTER_REST, AFTER_RECIPIENT, LAST] = [0, 1, 2, 3, 4];
const MASKS: readonly number[] = [0, Number(WORD_BITS), Number(REST_BITS) + 4, Number(REST_BITS), ROUNDS - 1];

/** In AirAssembly, for a trace with so many slots. */
export function airSource(slots: number): string {
  const now = (register: number | undefined): string => `(get (load.trace 0) ${register})`;
  const then = (register: number | undefined): string => `(get (load.trace 1) ${register})`;
  const mask = (at: number | undefined): string => `(get (load.static 0) ${at})`;
  const cycle = (values: readonly unknown[]): string => `    (cycle ${values.join(" ")})`;
  const masks = MASKS.map((one) => cycle(Array.from({ length: ROUNDS }, (_, row) => (row === one ? 1 : 0))));
  const constants = Array.from({ length: WIDTH }, (_, i) => cycle(ROUND_CONSTANTS.map((round) => round[i])));
  const bit = (register: number): string => `(mul ${now(register)} (sub ${now(register)} (scalar 1)))`;
  const power = (exponent: number): string => `(scalar ${2n ** BigInt(exponent)})`;
  const ones = Array.from({ length: 6 }, () => "(scalar 1)").join(" ");
  const flags = `(add (mul ${now(ACTIVE)} ${power(76)}) (mul ${now(CREATION)} ${power(77)}))`;
  const rest = `(add ${now(REST)} (mul ${now(REST_OF_RECIPIENT)} ${power(40)}))`;
  return `(module
  (field prime ${STARK_ORDER})
  (const $mix matrix ${MIX.map((row) => `(${row.join(" ")})`).join(" ")})
  (export shard
    (registers ${REGISTERS}) (constraints ${CONSTRAINTS}) (steps ${slots * ROUNDS})
    (static
${[...masks, ...constants].join("\n")})
    (init (param $seed vector ${REGISTERS}) (load.param $seed))
    (transition (load.trace 0))
    (evaluation
      (local vector 6) (local vector ${WIDTH}) (local vector ${WIDTH})
      (store.local 0
        (sub (slice (load.trace 0) ${WORDS} ${WORDS + 5}) (mul (slice (load.trace 1) ${WORDS} ${WORDS + 5}) (scalar 2))))
      (store.local 1
        (prod (load.const $mix)
          (exp (add (slice (load.trace 0) 0 ${WIDTH - 1}) (slice (load.static 0) 5 ${4 + WIDTH})) (scalar 3))))
      (store.local 2
        (vector (scalar 0) (scalar 0) ${[SENDER, RECIPIENT, VALUE, FEE].map(now).join(" ")} (add ${rest} ${flags})))
      (vector
        (sub (slice (load.trace 1) 0 ${WIDTH - 1}) (add (load.local 1) (mul (load.local 2) ${mask(FIRST)})))
        (mul (mul (load.local 0) (sub (load.local 0) (vector ${ones}))) (sub (scalar 1) ${mask(LAST)}))
        ${[SENDER, RECIPIENT, VALUE, FEE].map((word) => `(mul ${now(word)} ${mask(AFTER_WORD)})`).join(" ")}
        (mul ${now(REST)} ${mask(AFTER_REST)}) (mul ${now(REST_OF_RECIPIENT)} ${mask(AFTER_RECIPIENT)})
        ${bit(ACTIVE)} ${bit(CREATION)}
        ${[RECIPIENT, REST_OF_RECIPIENT].map((of) => `(mul ${mask(FIRST)} (mul ${now(CREATION)} ${now(of)}))`).join(" ")}
        (sub ${then(FEES)} (add ${now(FEES)} (mul ${mask(FIRST)} (mul ${now(ACTIVE)} ${now(FEE)}))))
        (sub ${then(COUNT)} (add ${now(COUNT)} (mul ${mask(FIRST)} ${now(ACTIVE)})))
        (sub (slice (load.trace 1) ${CONTEXT} ${CONTEXT + 1}) (slice (load.trace 0) ${CONTEXT} ${CONTEXT + 1}))))))
`;
}

/** Names the statement: SHA-256 of the sources for all sizes. */
export function airHash(): string {
  const sizes = new Set(Array.from({ length: SHARD_ITEMS_MAX }, (_, items) => slotCount(items + 1)));
  return bytesToHex(sha256(utf8ToBytes([...sizes].map(airSource).join(""))));
}
