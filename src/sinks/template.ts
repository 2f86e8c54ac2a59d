/**
 * Arguments of a call, as an operator writes them: constants, and names of what a certified block has.
 *
 *     {chain} {height}                          whole numbers
 *     {network} {block} {hash} {parent} {content}   32 bytes: ids of the network and of the block, the hashes of the block and
 *                                               its parent on the chain, the hash of what is certified
 *     {values:STAGE} {proof:STAGE}              bytes: the public values and the proof of the stage's first certified task
 *     {proof:STAGE/2} {values:STAGE[0:32]}      of another task; the bytes from an offset to another, which may be left out
 *
 * A name stands alone: an argument is a constant or one name.
 */
import type { Hex } from "viem";

export type Part = "values" | "proof";

/** Of a stage's task: its public values or its proof, from an offset to another. */
export interface BytesName {
  readonly part: Part;
  readonly stage: string;
  /** `null` for the first that the certificate names. */
  readonly index: number | null;
  readonly from: number;
  /** `null` for the end. */
  readonly to: number | null;
}

const WORDS = ["chain", "height", "network", "block", "hash", "parent", "content"] as const;
export type Word = (typeof WORDS)[number];

export type Argument =
  | { readonly kind: "constant"; readonly text: string }
  | { readonly kind: "word"; readonly word: Word }
  | { readonly kind: "bytes"; readonly name: BytesName };

const BYTES = /^\{(values|proof):([a-z0-9][a-z0-9._-]{0,31})(?:\/(\d{1,6}))?(?:\[(\d{0,8}):(\d{0,8})\])?\}$/;
const ALLOWED = `a constant, {${WORDS.join("}, {")}}, {values:STAGE} or {proof:STAGE}, where /INDEX and [FROM:TO] may follow STAGE`;

/** Throws an `Error` that names the argument and what is allowed. */
export function readArgument(text: string): Argument {
  const word = WORDS.find((each) => text === `{${each}}`);
  if (word !== undefined) return { kind: "word", word };
  const [, part, stage, index, from = "", to = ""] = BYTES.exec(text) ?? [];
  if (part !== undefined && stage !== undefined) {
    const name = {
      stage,
      index: index === undefined ? null : Number(index),
      from: Number(from),
      to: to === "" ? null : Number(to),
    };
    if (name.to !== null && name.to < name.from) throw new Error(`"${text}" ends before it begins`);
    return { kind: "bytes", name: { part: part === "proof" ? "proof" : "values", ...name } };
  }
  if (/[{}]/.test(text)) throw new Error(`"${text}" is no argument; allowed: ${ALLOWED}`);
  return { kind: "constant", text };
}

/** The bytes from `from` to `to`; `null` where there are not so many. */
export function sliceOf(bytes: Uint8Array, { from, to }: Pick<BytesName, "from" | "to">): Hex | null {
  if (from > bytes.length || (to ?? 0) > bytes.length) return null;
  return `0x${Buffer.from(bytes.subarray(from, to ?? bytes.length)).toString("hex")}`;
}

/** A constant as the ABI's type wants it; throws an `Error` where it is none. */
export function constantOf(text: string, type: string): bigint | boolean | string {
  if (/^u?int\d*$/.test(type)) {
    if (!/^-?(\d+|0x[0-9a-fA-F]+)$/.test(text)) throw new Error(`"${text}" is no ${type}`);
    return text.startsWith("-") ? -BigInt(text.slice(1)) : BigInt(text);
  }
  if (type === "bool") {
    if (text !== "true" && text !== "false") throw new Error(`"${text}" is no bool; allowed: true or false`);
    return text === "true";
  }
  return text;
}
