import { type DescField, type DescMessage, ScalarType } from "@bufbuild/protobuf";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { asCode, decodeEntry, encodeEntry, type Entry, equalBytes } from "../../src/protocol/messages.ts";
import { EntrySchema } from "../../src/protocol/wire_pb.js";
import { anyEntry, arbitraryEntry, fieldsOf, type FieldRow, KINDS } from "./entries.ts";
import { hashOf } from "./fixtures.ts";

/** What a field of the table is on the wire. */
function wireType(field: FieldRow): string {
  const scalars: Readonly<Record<string, ScalarType>> = {
    id: ScalarType.BYTES,
    bytes: ScalarType.BYTES,
    u32: ScalarType.UINT32,
    u53: ScalarType.UINT64,
    flag: ScalarType.BOOL,
    text: ScalarType.STRING,
  };
  const scalar = scalars[field.type];
  if (scalar !== undefined) return ScalarType[scalar];
  return field.type === "bytesList" ? "list of BYTES" : `list of ${JSON.stringify(shapeOf(field.of ?? {}))}`;
}

function shapeOf(fields: Readonly<Record<string, FieldRow>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(fields)
      .map(([name, field]): [string, string] => [name, wireType(field)])
      .sort(byName),
  );
}

function schemaType(field: DescField): string {
  if (field.fieldKind === "scalar") return ScalarType[field.scalar];
  if (field.fieldKind !== "list") return field.fieldKind;
  return field.listKind === "scalar"
    ? `list of ${ScalarType[field.scalar]}`
    : `list of ${JSON.stringify(field.listKind === "message" ? schemaOf(field.message) : {})}`;
}

function schemaOf(message: DescMessage): Record<string, string> {
  return Object.fromEntries(
    message.fields.map((field): [string, string] => [field.localName, schemaType(field)]).sort(byName),
  );
}

function byName([a]: [string, string], [b]: [string, string]): number {
  return a < b ? -1 : 1;
}

/** One legal entry of each kind, the same in every run. */
function samples(): Entry[] {
  return KINDS.map((kind) => fc.sample(arbitraryEntry(kind), { numRuns: 1, seed: 11 })[0]).filter(
    (entry) => entry !== undefined,
  );
}

const grant: Entry = { kind: "grant", block: hashOf("b"), stage: "shard", index: 1, attempt: 2, prover: hashOf("p") };

describe("the message table", () => {
  it("has every kind and every field of the schema, and no other", () => {
    expect(EntrySchema.oneofs.map(({ localName }) => localName)).toEqual(["kind"]);
    const schema = Object.fromEntries(
      EntrySchema.fields.map((field) => [
        field.localName,
        field.fieldKind === "message" ? schemaOf(field.message) : "no message",
      ]),
    );
    expect(Object.fromEntries(KINDS.map((kind) => [kind, shapeOf(fieldsOf(kind))]))).toEqual(schema);
  });
});

describe("a code from outside", () => {
  it("becomes one that a message may carry, and stays what it is where it may already", () => {
    expect(["proof.equation", "ENOSPC", "machine lost!", "", "..x", "é", "A".repeat(90)].map(asCode)).toEqual([
      "proof.equation",
      "enospc",
      "machine-lost-",
      "unnamed",
      "x",
      "unnamed",
      "a".repeat(64),
    ]);
    fc.assert(
      fc.property(fc.string({ maxLength: 100 }), (text) => {
        const entry: Entry = {
          kind: "timeout",
          block: hashOf("b"),
          stage: "s",
          index: 0,
          attempt: 0,
          code: asCode(text),
        };
        expect(decodeEntry(encodeEntry(entry))).toEqual(entry);
      }),
    );
  });
});

describe("an entry", () => {
  for (const kind of KINDS) {
    it(`of kind ${kind} is read as it was written`, () => {
      fc.assert(
        fc.property(arbitraryEntry(kind), (entry) => {
          expect(decodeEntry(encodeEntry(entry))).toEqual(entry);
        }),
        { numRuns: 100 },
      );
    });
  }

  it("has one encoding: what is accepted encodes back to the same bytes, whatever bit was flipped", () => {
    for (const entry of samples()) {
      const bytes = encodeEntry(entry);
      for (let bit = 0; bit < bytes.length * 8; bit++) {
        const flipped = Uint8Array.from(bytes);
        flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
        const decoded = decodeEntry(flipped);
        if (decoded !== null) expect(equalBytes(encodeEntry(decoded), flipped), `${entry.kind} bit ${bit}`).toBe(true);
      }
    }
  });

  it("is refused where it is cut off or goes on", () => {
    for (const entry of samples()) {
      const bytes = encodeEntry(entry);
      for (let length = 0; length < bytes.length; length++) expect(decodeEntry(bytes.subarray(0, length))).toBe(null);
      for (const more of [0, 1, 0x80, 0xff]) expect(decodeEntry(new Uint8Array([...bytes, more]))).toBe(null);
    }
  });

  it("is refused twice in one, with another entry behind it, and with a field nobody knows", () => {
    const bytes = encodeEntry(grant);
    const other = encodeEntry({ kind: "retract", block: hashOf("b"), round: 1 });
    const unknown = [0xfa, 0x01, 0x00];
    for (const more of [bytes, other, unknown]) {
      expect(decodeEntry(new Uint8Array([...bytes, ...more]))).toBe(null);
      expect(decodeEntry(new Uint8Array([...more, ...bytes]))).toBe(null);
    }
  });

  it("is refused where a default is written out, a number is not minimal or fields change places", () => {
    const retract = (fields: number[]) => decodeEntry(Uint8Array.from([0x12, fields.length, ...fields]));
    const block = [0x0a, 0x20, ...new Uint8Array(32).fill(9)];
    expect(retract([...block, 0x10, 0x01])).toMatchObject({ kind: "retract", round: 1 });
    expect(retract(block)).toMatchObject({ round: 0 });
    expect(retract([...block, 0x10, 0x00])).toBe(null);
    expect(retract([...block, 0x10, 0x81, 0x00])).toBe(null);
    expect(retract([0x10, 0x01, ...block])).toBe(null);
    expect(retract([...block, 0x10, 0x01, 0x10, 0x01])).toBe(null);
    expect(retract([0x0a, 0x1f, ...new Uint8Array(31)])).toBe(null);
  });

  it("is refused where a number is above 2^53 or a name could hide or break a line", () => {
    const announce = samples().find((entry) => entry.kind === "announce");
    if (announce?.kind !== "announce") throw new Error("no sample");
    const bytes = encodeEntry({ ...announce, chain: Number.MAX_SAFE_INTEGER });
    const at = bytes.findIndex((byte, i) => byte === 0x08 && bytes[i + 1] === 0xff);
    expect(decodeEntry(bytes)).not.toBe(null);
    const above = Uint8Array.from(bytes);
    above[at + 8] = 0x1f;
    expect(decodeEntry(above)).toBe(null);
    const text = encodeEntry({ ...grant, stage: "zzzzz" });
    const where = text.findIndex((byte, i) => byte === 0x7a && text[i + 4] === 0x7a);
    for (const bad of ["ZZZZZ", "z zzz", "z\nzzz", "z\0zzz", "-zzzz", "\u200bzz", "__pro"]) {
      const hidden = Uint8Array.from(text);
      hidden.set(new TextEncoder().encode(bad).subarray(0, 5), where);
      expect(decodeEntry(hidden), JSON.stringify(bad)).toBe(null);
    }
    const invalid = Uint8Array.from(text);
    invalid.set([0xc0, 0xaf, 0xed, 0xa0, 0x80], where);
    expect(decodeEntry(invalid)).toBe(null);
  });

  it("never makes the reader throw", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        const entry = decodeEntry(bytes);
        if (entry !== null) expect(equalBytes(encodeEntry(entry), bytes)).toBe(true);
      }),
      { numRuns: 2000 },
    );
  });

  it("costs no more than its bytes to refuse where it says that it is long", () => {
    const long = [0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f];
    const deep = new Uint8Array(50_000).fill(0x0a);
    for (const bytes of [Uint8Array.from(long), deep, new Uint8Array(50_000).fill(0x2a)])
      expect(decodeEntry(bytes)).toBe(null);
  });

  it("that our own code built against its row is a bug here and not at whoever gets it", () => {
    const illegal: Entry[] = [
      { ...grant, stage: "Shard" },
      { ...grant, stage: "s".repeat(33) },
      { ...grant, prover: "ab" },
      { ...grant, attempt: -1 },
      { ...grant, attempt: 2 ** 32 },
      { kind: "timeout", block: hashOf("b"), stage: "shard", index: 0, attempt: 0, code: "ENOSPC" },
      { kind: "join", slots: 1, chain: 2 ** 53, proofs: [] },
      {
        kind: "beat",
        tasks: Array.from({ length: 65 }, () => ({ block: hashOf("b"), stage: "s", index: 0, attempt: 0, units: 0 })),
      },
    ];
    for (const entry of illegal) expect(() => encodeEntry(entry), JSON.stringify(entry)).toThrow();
    fc.assert(
      fc.property(anyEntry, (entry) => {
        expect(() => encodeEntry(entry)).not.toThrow();
      }),
      { numRuns: 50 },
    );
  });
});
