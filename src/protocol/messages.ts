/**
 * The message table: one row a kind, with who may sign it and what shape each field has.
 *
 * `wire.proto` fixes the bytes and its generated codec reads them; this table says what is legal beyond that, and turns
 * ids into hex. A kind that has no row, or a field that a row forgets, does not compile or fails the test that compares
 * the table with the schema.
 */
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { bytesToHex, hexToBytes } from "@noble/hashes/utils.js";
import type { Hash } from "./ids.ts";
import {
  ATTESTERS_MAX,
  BEAT_TASKS_MAX,
  INLINE_BYTES_MAX,
  NONCE_BYTES,
  PATH_MAX,
  POSSESSION_BYTES,
  SHOWN_ENTRY_BYTES_MAX,
  VALUES_BYTES_MAX,
} from "./limits.ts";
import { EntrySchema } from "./wire_pb.js";

type Field =
  | { readonly type: "id" }
  | { readonly type: "u32" }
  | { readonly type: "u53" }
  | { readonly type: "flag" }
  | { readonly type: "text"; readonly charsMax: number }
  | { readonly type: "bytes"; readonly bytesMin: number; readonly bytesMax: number }
  | { readonly type: "bytesList"; readonly bytesEach: number; readonly countMax: number }
  | { readonly type: "list"; readonly of: Shape; readonly countMax: number };
type Shape = { readonly [field: string]: Field };

type Value<F extends Field> = F extends { type: "id" }
  ? Hash
  : F extends { type: "u32" | "u53" }
    ? number
    : F extends { type: "flag" }
      ? boolean
      : F extends { type: "text" }
        ? string
        : F extends { type: "bytes" }
          ? Uint8Array
          : F extends { type: "bytesList" }
            ? readonly Uint8Array[]
            : F extends { type: "list"; of: infer S extends Shape }
              ? readonly ValueOf<S>[]
              : never;
type ValueOf<S extends Shape> = { readonly [K in keyof S]: Value<S[K]> };

export type Role = "source" | "prover" | "attester" | "anyone";

interface Row {
  /** Who may sign it. Sources and attesters are in the manifest; provers are state, so the core checks them. */
  readonly by: Role;
  readonly fields: Shape;
}

const id = { type: "id" } as const;
const u32 = { type: "u32" } as const;
const u53 = { type: "u53" } as const;
const flag = { type: "flag" } as const;
const name = { type: "text", charsMax: 32 } as const;
const code = { type: "text", charsMax: 64 } as const;
const task = { block: id, stage: name, index: u32 } as const;
const attempt = { ...task, attempt: u32 } as const;
const admissionProof = {
  base: id,
  index: u32,
  artefact: id,
  bytes: u32,
  inline: { type: "bytes", bytesMin: 0, bytesMax: INLINE_BYTES_MAX },
} as const;
const vote = {
  head: { type: "bytes", bytesMin: 64, bytesMax: 256 },
  signature: { type: "bytes", bytesMin: 64, bytesMax: 64 },
  index: u32,
  path: { type: "bytesList", bytesEach: 32, countMax: PATH_MAX },
  entry: { type: "bytes", bytesMin: 1, bytesMax: 1024 },
} as const;

export const MESSAGES = {
  announce: {
    by: "source",
    fields: {
      chain: u53,
      height: u53,
      hash: id,
      parent: id,
      workflow: name,
      payload: id,
      items: u32,
      start: flag,
      round: u32,
    },
  },
  retract: { by: "source", fields: { block: id, round: u32 } },
  cancel: { by: "attester", fields: { block: id, round: u32 } },
  join: {
    by: "anyone",
    fields: { slots: u32, chain: u53, proofs: { type: "list", of: admissionProof, countMax: 1 } },
  },
  admit: { by: "attester", fields: { prover: id, slots: u32, height: u53, chain: u53 } },
  bench: { by: "attester", fields: { prover: id, chain: u53, height: u53, turn: u53 } },
  claim: { by: "prover", fields: { ...attempt, timeouts: { type: "list", of: vote, countMax: ATTESTERS_MAX } } },
  grant: { by: "attester", fields: { ...attempt, prover: id } },
  beat: { by: "prover", fields: { tasks: { type: "list", of: { ...attempt, units: u53 }, countMax: BEAT_TASKS_MAX } } },
  release: { by: "prover", fields: attempt },
  fail: { by: "prover", fields: { ...attempt, code, logical: flag } },
  receipt: {
    by: "prover",
    fields: {
      ...attempt,
      system: name,
      key: id,
      artefact: id,
      bytes: u32,
      values: { type: "bytes", bytesMin: 0, bytesMax: VALUES_BYTES_MAX },
      provingMs: u32,
      inline: { type: "bytes", bytesMin: 0, bytesMax: INLINE_BYTES_MAX },
      possession: { type: "bytes", bytesMin: 0, bytesMax: POSSESSION_BYTES },
      nonce: { type: "bytes", bytesMin: 0, bytesMax: NONCE_BYTES },
    },
  },
  commit: { by: "prover", fields: { ...attempt, hash: id } },
  seal: { by: "attester", fields: { ...attempt, prover: id, hash: id } },
  attest: { by: "attester", fields: { ...attempt, prover: id, artefact: id } },
  complete: { by: "attester", fields: { ...task, prover: id, artefact: id } },
  reject: { by: "attester", fields: { ...task, prover: id, artefact: id, code } },
  timeout: { by: "attester", fields: { ...attempt, code } },
  requeue: { by: "attester", fields: attempt },
  barrier: { by: "attester", fields: { block: id, content: id } },
  evidence: {
    by: "anyone",
    fields: {
      shown: {
        type: "list",
        of: { ...vote, entry: { type: "bytes", bytesMin: 0, bytesMax: SHOWN_ENTRY_BYTES_MAX } },
        countMax: 2,
      },
    },
  },
} as const satisfies Record<string, Row>;

export type Kind = keyof typeof MESSAGES;
export type Body<K extends Kind> = ValueOf<(typeof MESSAGES)[K]["fields"]>;
export type EntryOf<K extends Kind> = { readonly kind: K } & Body<K>;
/** A statement as the core sees it: its kind and its fields, ids in hex. */
export type Entry = { [K in Kind]: EntryOf<K> }[Kind];
export type AdmissionProof = ValueOf<typeof admissionProof>;
/** One entry of one batch, with all that a third party needs to check who signed it. */
export type Vote = ValueOf<typeof vote>;

/** The canonical bytes of an entry. Throws where our own code built one that breaks its row: that is a bug here. */
export function encodeEntry(entry: Entry): Uint8Array {
  const fields = MESSAGES[entry.kind].fields;
  const value = encodeShape(fields, { ...entry });
  // Signed, it would be a batch that everybody refuses, our own recovery included: a number lost for good.
  if (decodeShape(fields, value) === null) throw new RangeError(`a ${entry.kind} that breaks its row`);
  // The table's keys are the schema's; a test compares them, since the compiler cannot.
  const message = create(EntrySchema, { kind: { case: entry.kind, value } });
  return toBinary(EntrySchema, message);
}

/** Reads an entry; `null` for anything that is not exactly one legal statement in its one legal encoding. */
export function decodeEntry(bytes: Uint8Array): Entry | null {
  let kind: { case?: string | undefined; value?: unknown };
  try {
    const message = fromBinary(EntrySchema, bytes, { readUnknownFields: false });
    if (!equalBytes(toBinary(EntrySchema, message), bytes)) return null;
    kind = message.kind;
  } catch {
    // The codec throws on bytes that are no message at all; which of its errors it was does not matter to anyone.
    return null;
  }
  if (kind.case === undefined || !isKind(kind.case)) return null;
  const fields = decodeShape(MESSAGES[kind.case].fields, kind.value as Record<string, unknown>);
  return fields === null ? null : ({ kind: kind.case, ...fields } as unknown as Entry);
}

function isKind(text: string): text is Kind {
  return Object.hasOwn(MESSAGES, text);
}

function encodeShape(shape: Shape, from: Record<string, unknown>): Record<string, unknown> {
  const out: Record<string, unknown> = {};
  for (const [key, field] of Object.entries(shape)) {
    const value = from[key];
    if (field.type === "id") out[key] = hexToBytes(value as string);
    else if (field.type === "u53") out[key] = BigInt(value as number);
    else if (field.type === "list") {
      out[key] = (value as Record<string, unknown>[]).map((item) => encodeShape(field.of, item));
    } else out[key] = value;
  }
  return out;
}

function decodeShape(shape: Shape, from: Record<string, unknown>): Record<string, unknown> | null {
  const out: Record<string, unknown> = {};
  for (const [key, field] of Object.entries(shape)) {
    const value = decodeField(field, from[key]);
    if (value === null) return null;
    out[key] = value;
  }
  return out;
}

function decodeField(field: Field, value: unknown): unknown {
  switch (field.type) {
    case "id": {
      const bytes = value as Uint8Array;
      return bytes.length === 32 ? bytesToHex(bytes) : null;
    }
    case "u32":
    case "flag":
      return value;
    case "u53": {
      const big = value as bigint;
      return big <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(big) : null;
    }
    case "text":
      return TEXT.test(value as string) && (value as string).length <= field.charsMax ? value : null;
    case "bytes": {
      const { length } = value as Uint8Array;
      return length >= field.bytesMin && length <= field.bytesMax ? value : null;
    }
    case "bytesList": {
      const items = value as Uint8Array[];
      if (items.length > field.countMax) return null;
      return items.every((item) => item.length === field.bytesEach) ? items : null;
    }
    case "list": {
      const items = value as Record<string, unknown>[];
      if (items.length > field.countMax) return null;
      const decoded = items.map((item) => decodeShape(field.of, item));
      return decoded.includes(null) ? null : decoded;
    }
  }
}

/** Names and codes: what a person may meet in a log, so nothing that could hide or break a line. */
const TEXT = /^[a-z0-9][a-z0-9._-]*$/;

/** A code from outside (an adapter, the operating system) as a message may carry it. */
export function asCode(text: string): string {
  const legal = text
    .toLowerCase()
    .replace(/[^a-z0-9._-]/g, "-")
    .replace(/^[^a-z0-9]+/, "")
    .slice(0, code.charsMax);
  return legal === "" ? "unnamed" : legal;
}

export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}
