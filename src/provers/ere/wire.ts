/**
 * The messages of ere-server (eth-act/ere v0.16, `api.proto`, package `api`), as protobuf. Its JSON form is Rust's own and
 * no proto3 JSON, so it is not used.
 */
import { BinaryReader, BinaryWriter, WireType } from "@bufbuild/protobuf/wire";

const BYTES = WireType.LengthDelimited;

/** ExecuteRequest and ProveRequest: 1 `input_stdin`, 2 `input_proofs` where there are any. */
export function encodeInput(stdin: Uint8Array, proofs: Uint8Array | null): Uint8Array {
  const writer = new BinaryWriter().tag(1, BYTES).bytes(stdin);
  if (proofs !== null) writer.tag(2, BYTES).bytes(proofs);
  return writer.finish();
}

/** VerifyRequest: 1 `proof`. */
export function encodeProof(proof: Uint8Array): Uint8Array {
  return new BinaryWriter().tag(1, BYTES).bytes(proof).finish();
}

/** Every answer is a choice: 1 `ok`, a message of bytes by field number, or 2 `err`, a text. */
export type Choice =
  | { readonly ok: true; readonly fields: ReadonlyMap<number, Uint8Array> }
  | { readonly ok: false; readonly error: string };

/** Throws for bytes that are no such message. */
export function decodeChoice(bytes: Uint8Array): Choice {
  const fields = decodeFields(bytes);
  const error = fields.get(2);
  if (error !== undefined) return { ok: false, error: new TextDecoder().decode(error) };
  const ok = fields.get(1);
  if (ok === undefined) throw new Error("neither a result nor an error");
  return { ok: true, fields: decodeFields(ok) };
}

function decodeFields(bytes: Uint8Array): ReadonlyMap<number, Uint8Array> {
  const reader = new BinaryReader(bytes);
  const fields = new Map<number, Uint8Array>();
  while (reader.pos < reader.len) {
    const [field, type] = reader.tag();
    if (type === BYTES) fields.set(field, reader.bytes());
    else reader.skip(type, field);
  }
  return fields;
}
