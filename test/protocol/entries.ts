/** Arbitrary legal entries, made from the message table itself: a new kind or field is covered from its first day. */
import { bytesToHex } from "@noble/hashes/utils.js";
import * as fc from "fast-check";
import { type Entry, type Kind, MESSAGES } from "../../src/protocol/messages.ts";

export interface FieldRow {
  readonly type: string;
  readonly charsMax?: number;
  readonly bytesMin?: number;
  readonly bytesMax?: number;
  readonly bytesEach?: number;
  readonly countMax?: number;
  readonly of?: Readonly<Record<string, FieldRow>>;
}

export const KINDS = Object.keys(MESSAGES) as Kind[];

export function fieldsOf(kind: Kind): Readonly<Record<string, FieldRow>> {
  return MESSAGES[kind].fields;
}

function bytes(minLength: number, maxLength: number): fc.Arbitrary<Uint8Array> {
  return fc.uint8Array({ minLength, maxLength });
}

function arbitraryField(field: FieldRow): fc.Arbitrary<unknown> {
  const small = (max: number | undefined) => Math.min(max ?? 0, 8);
  switch (field.type) {
    case "id":
      return bytes(32, 32).map((value) => bytesToHex(value));
    case "u32":
      return fc.oneof(fc.constantFrom(0, 1, 2 ** 32 - 1), fc.integer({ min: 0, max: 2 ** 32 - 1 }));
    case "u53":
      return fc.oneof(fc.constantFrom(0, Number.MAX_SAFE_INTEGER), fc.maxSafeNat());
    case "flag":
      return fc.boolean();
    case "text":
      return fc.stringMatching(/^[a-z0-9][a-z0-9._-]*$/, { maxLength: field.charsMax ?? 32 });
    case "bytes": {
      const { bytesMin = 0, bytesMax = 0 } = field;
      return fc.oneof(bytes(bytesMin, bytesMin), bytes(bytesMin, Math.min(bytesMax, bytesMin + 64)));
    }
    case "bytesList": {
      const each = field.bytesEach ?? 0;
      return fc.array(bytes(each, each), { maxLength: small(field.countMax) });
    }
    case "list":
      return fc.array(fc.record(arbitraryFields(field.of ?? {})), { maxLength: small(field.countMax) });
    default:
      throw new Error(`no arbitrary for fields of type ${field.type}`);
  }
}

function arbitraryFields(shape: Readonly<Record<string, FieldRow>>): Record<string, fc.Arbitrary<unknown>> {
  return Object.fromEntries(Object.entries(shape).map(([name, field]) => [name, arbitraryField(field)]));
}

export function arbitraryEntry(kind: Kind): fc.Arbitrary<Entry> {
  return fc.record(arbitraryFields(fieldsOf(kind))).map((fields) => ({ ...fields, kind }) as unknown as Entry);
}

export const anyEntry: fc.Arbitrary<Entry> = fc.oneof(...KINDS.map(arbitraryEntry));
