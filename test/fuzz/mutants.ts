/**
 * Bytes that nobody would send by accident, made from bytes that are legal: flipped, cut, spliced, nested, repeated, with
 * lengths that lie and numbers that are longer than they need to be. A case is a few small numbers, so it shrinks.
 */
import * as fc from "fast-check";

type Mutation = (bytes: Uint8Array, at: number, value: number, other: Uint8Array) => Uint8Array;

const EDGES = [0x00, 0x01, 0x7f, 0x80, 0xbf, 0xc0, 0xf7, 0xf8, 0xfe, 0xff];

const MUTATIONS: readonly Mutation[] = [
  /** One bit is another. */
  (bytes, at, value) => changed(bytes, at, (byte) => byte ^ (1 << (value & 7))),
  /** One byte is one that means something in some encoding. */
  (bytes, at, value) => changed(bytes, at, () => EDGES[value % EDGES.length] ?? 0),
  /** The end is missing. */
  (bytes, at) => bytes.slice(0, at % (bytes.length + 1)),
  /** Something in the middle is missing. */
  (bytes, at, value) => spliced(bytes, at, value % 40, new Uint8Array()),
  /** Something is there twice. */
  (bytes, at, value) => spliced(bytes, at, 0, rangeOf(bytes, value, 64)),
  /** Something of another message. */
  (bytes, at, value, other) => spliced(bytes, at, value % 40, rangeOf(other, value >>> 3, 200)),
  /** A number in more bytes than it needs. */
  (bytes, at, value) => spliced(bytes, at, 1, overlong(bytes[at % Math.max(bytes.length, 1)] ?? 0, value % 11)),
  /** A length that lies, as varint or as big-endian bytes. */
  (bytes, at, value) => spliced(bytes, at, 1 + (value % 4), LIES[value % LIES.length] ?? new Uint8Array()),
  /** Two parts change places. */
  (bytes, at, value) => {
    const from = at % (bytes.length + 1);
    const to = from + (value % (bytes.length - from + 1));
    return joined(bytes.slice(0, from), bytes.slice(to), bytes.slice(from, to));
  },
  /** All of it inside itself. */
  (bytes, at, value) =>
    joined(bytes.slice(0, at % (bytes.length + 1)), OPENINGS[value % OPENINGS.length] ?? bytes, bytes),
  /** A part of it, over and over. */
  (bytes, at, value) => {
    const part = rangeOf(bytes, at, 16);
    return spliced(bytes, at, 0, joined(...Array.from({ length: value % 300 }, () => part)));
  },
  /** Text that says something else. */
  (bytes, at, value) => spliced(bytes, at, value % 8, WORDS[value % WORDS.length] ?? new Uint8Array()),
];

const LIES = [
  "ffffffff0f",
  "ffffffffffffffffff01",
  "ffffff7f",
  "8080808010",
  "ffffffff",
  "7fffffffffffffff",
  "bfffffffff",
].map((hex) => Uint8Array.from(Buffer.from(hex, "hex")));
const OPENINGS = ["[", '{"a":', "\n\x80\x01", "\x0b", "\xc1", "\xf8\xff", "\xfb\xff\xff\xff\xff"].map((text) =>
  Uint8Array.from(Buffer.from(text.repeat(40), "latin1")),
);
const WORDS = [
  "null",
  "-0",
  "1e999",
  "9007199254740993",
  '"__proto__":{"x":1},',
  '"constructor"',
  "[]",
  "{}",
  '"\\ud800"',
  "\u0000",
  "true",
  "0x",
  "0X00",
  "\r\n",
  "é",
  '"toString"',
].map((text) => Uint8Array.from(Buffer.from(text, "utf8")));

function changed(bytes: Uint8Array, at: number, to: (byte: number) => number): Uint8Array {
  const copy = Uint8Array.from(bytes);
  const where = at % Math.max(copy.length, 1);
  if (copy.length > 0) copy[where] = to(copy[where] ?? 0);
  return copy;
}

function joined(...parts: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(Buffer.concat(parts));
}

function spliced(bytes: Uint8Array, at: number, remove: number, put: Uint8Array): Uint8Array {
  const from = at % (bytes.length + 1);
  return joined(bytes.subarray(0, from), put, bytes.subarray(from + remove));
}

function rangeOf(bytes: Uint8Array, at: number, lengthMax: number): Uint8Array {
  const from = at % Math.max(bytes.length, 1);
  return bytes.slice(from, from + 1 + (at % lengthMax));
}

function overlong(byte: number, more: number): Uint8Array {
  return Uint8Array.from([byte | 0x80, ...Array.from({ length: more }, () => 0x80), 0x00]);
}

/** Mutants of the corpus, and now and then bytes that come from nowhere. */
export function mutants(corpus: readonly Uint8Array[]): fc.Arbitrary<Uint8Array> {
  const pick = fc.nat(corpus.length - 1);
  const change = fc.tuple(fc.nat(MUTATIONS.length - 1), fc.nat(0xffff_ff), fc.nat(0xffff), pick);
  const mutant = fc.tuple(pick, fc.array(change, { maxLength: 4 })).map(([base, changes]) => {
    let bytes: Uint8Array = corpus[base] ?? new Uint8Array();
    for (const [kind, at, value, other] of changes) {
      bytes = MUTATIONS[kind]?.(bytes, at, value, corpus[other] ?? bytes) ?? bytes;
    }
    return bytes;
  });
  return fc.oneof({ weight: 9, arbitrary: mutant }, { weight: 1, arbitrary: fc.uint8Array({ maxLength: 512 }) });
}
