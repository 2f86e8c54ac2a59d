/**
 * The key of a stage whose verifier is a WebAssembly module: a JSON object that names the module, how it is called,
 * where the proof has the digest of its public values, and where the proof must be zero. The bytes of this JSON are the key, so the key's hash binds all
 * of it.
 */
import { blake3 } from "@noble/hashes/blake3.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { hexToBytes } from "@noble/hashes/utils.js";
import { z } from "zod";
import { hash, int } from "../../protocol/fields.ts";
import type { Hash } from "../../protocol/ids.ts";
import { equalBytes } from "../../protocol/messages.ts";
import { ascii } from "../bytes.ts";
import { checkShape, describeShapeError } from "../../protocol/shape.ts";

export const MODULE_BYTES_MAX: number = 8 * 1024 * 1024;
/** 1 GiB. */
const PAGES_MAX = 16_384;
const TIME_MS_MAX = 600_000;
const PROOF_BYTES_MAX: number = 16 * 1024 * 1024;
const KEY_BYTES_MAX = 65_536;
const ZEROS_MAX = 8;
const ZERO_BYTES_MAX = 32;

const bytes = (max: number): z.ZodType<string> =>
  z
    .string("bytes in hex")
    .max(2 * max, `at most ${max} bytes`)
    .regex(/^([0-9a-f]{2})*$/, "bytes in lower-case hex");

const CANARY = z.strictObject({ proof: hash, values: bytes(4096) }, '{"proof", "values"}');

const SETTINGS = z.strictObject(
  {
    /** SHA-256 of the module. */
    module: hash,
    /** The second argument of `verify_stark(proof, key)`. Left out, the module has the key inside: `verify_stark(proof)`. */
    key: bytes(KEY_BYTES_MAX).optional(),
    /**
     * The proof's length, so that one proof has one name: exactly so many bytes, or `"shortest"`, where the module must
     * answer false once the last byte is missing.
     */
    bytes: z.union([int(1, PROOF_BYTES_MAX, "bytes"), z.literal("shortest", '"shortest"')], 'a length, or "shortest"'),
    /** What follows the part that the module verifies: the public values with their length (u64, little-endian), then these bytes. */
    behind: bytes(256).optional(),
    /** Where the proof has the digest of the public values, one byte each, or each byte as a 32-bit little-endian number. */
    digest: z.strictObject(
      {
        at: int(0, PROOF_BYTES_MAX),
        form: z.enum(["bytes", "u32"], '"bytes" or "u32"'),
        hashes: z
          .array(z.enum(["sha256", "blake3"], '"sha256" or "blake3"'), "a list of hashes")
          .min(1, "one or two hashes")
          .max(2, "one or two hashes"),
      },
      '{"at", "form", "hashes"}',
    ),
    /** Places where the proof must be zero, such as the exit code of the program, which a module may leave to its caller. */
    zeros: z
      .array(
        z.strictObject({ at: int(0, PROOF_BYTES_MAX), bytes: int(1, ZERO_BYTES_MAX, "bytes") }, '{"at", "bytes"}'),
        "a list of places",
      )
      .min(1, `1 to ${ZEROS_MAX} places`)
      .max(ZEROS_MAX, `1 to ${ZEROS_MAX} places`)
      .optional(),
    memoryPagesMax: int(1, PAGES_MAX, "pages of 64 KiB"),
    timeMsMax: int(1, TIME_MS_MAX, "ms"),
    moduleBytesMax: int(1, MODULE_BYTES_MAX, "bytes"),
    canaries: z.strictObject(
      {
        /** A proof that holds. */
        good: CANARY,
        /** A valid proof of another program, which does not hold here. Required where the module has no key argument. */
        other: CANARY.optional(),
      },
      '{"good", "other"}',
    ),
  },
  '{"module", "key", "bytes", "digest", "memoryPagesMax", "timeMsMax", "moduleBytesMax", "canaries"}',
);

type Json = z.infer<typeof SETTINGS>;

export interface Canary {
  readonly proof: Hash;
  readonly values: Uint8Array;
}

/** How a module is called, and what its answer says about the public values. */
export interface WasmCall {
  readonly module: Hash;
  readonly key: Uint8Array | null;
  readonly bytes: number | "shortest";
  readonly behind: Uint8Array | null;
  readonly digest: Json["digest"];
  readonly zeros: NonNullable<Json["zeros"]>;
  readonly memoryPagesMax: number;
  readonly timeMsMax: number;
  readonly moduleBytesMax: number;
}

export interface WasmKey extends WasmCall {
  /** `null` for a module that comes with this package and was tested with it. */
  readonly canaries: { readonly good: Canary; readonly other: Canary | null } | null;
}

const DIGEST_BYTES = 32;
const U32_BYTES = 4;
/** What stands before the public values behind a proof. */
export const LENGTH_BYTES = 8;

/** Throws for bytes that are no such object: every fault in a line of its own. */
export function readWasmKey(text: Uint8Array): WasmKey {
  const read = checkShape(SETTINGS, JSON.parse(ascii(text)) as unknown);
  if (!read.ok) throw new Error(read.errors.map((error) => describeShapeError(error, "the key")).join("; "));
  const { key, behind, zeros = [], canaries, ...rest } = read.value;
  if (key === undefined && canaries.other === undefined)
    throw new Error("canaries.other is missing: a module without a key argument is shown a proof of another program");
  for (const { of, to } of placesOf({ digest: rest.digest, zeros }))
    if (typeof rest.bytes === "number" && to > rest.bytes)
      throw new Error(
        `${of === "digest" ? "the digest" : "a place of zeros"} ends at byte ${to}, behind the proof's ${rest.bytes} bytes`,
      );
  const canary = ({ proof, values }: Json["canaries"]["good"]): Canary => ({ proof, values: hexToBytes(values) });
  return {
    ...rest,
    zeros,
    key: key === undefined ? null : hexToBytes(key),
    behind: behind === undefined ? null : hexToBytes(behind),
    canaries: { good: canary(canaries.good), other: canaries.other === undefined ? null : canary(canaries.other) },
  };
}

/** The part of the proof that the module verifies, or why the proof does not hold whatever the module says. */
export function bodyOf(call: WasmCall, values: Uint8Array, proof: Uint8Array): Uint8Array | string {
  const behind = call.behind === null ? 0 : LENGTH_BYTES + values.length + call.behind.length;
  const body = proof.subarray(0, Math.max(proof.length - behind, 0));
  const places = placesOf(call);
  if (proof.length < behind || places.some(({ to }) => body.length < to)) return "proof.length";
  if (typeof call.bytes === "number" && body.length !== call.bytes) return "proof.length";
  if (call.behind !== null && !equalBytes(proof.subarray(body.length), tailOf(values, call.behind)))
    return "proof.values";
  const isZero = ({ from, to }: Place): boolean => body.subarray(from, to).every((byte) => byte === 0);
  if (!places.every((place) => place.of === "digest" || isZero(place))) return "proof.exit-code";
  const place = body.subarray(call.digest.at, call.digest.at + placeBytes(call.digest));
  return digestsOf(call, values).some((digest) => equalBytes(place, digest)) ? body : "proof.values";
}

/** Bytes of the proof that the node reads by itself. */
export interface Place {
  readonly of: "digest" | "zeros";
  readonly from: number;
  readonly to: number;
}

export function placesOf({ digest, zeros }: Pick<WasmCall, "digest" | "zeros">): readonly Place[] {
  return [
    { of: "digest", from: digest.at, to: digest.at + placeBytes(digest) },
    ...zeros.map((place): Place => ({ of: "zeros", from: place.at, to: place.at + place.bytes })),
  ];
}

function placeBytes({ form }: WasmCall["digest"]): number {
  return form === "u32" ? DIGEST_BYTES * U32_BYTES : DIGEST_BYTES;
}

function digestsOf({ digest: { form, hashes } }: WasmCall, values: Uint8Array): readonly Uint8Array[] {
  const digests = hashes.map((name) => (name === "sha256" ? sha256(values) : blake3(values)));
  if (form === "bytes") return digests;
  return digests.map((digest) => {
    const wide = new Uint8Array(DIGEST_BYTES * U32_BYTES);
    digest.forEach((byte, i) => wide.set([byte], i * U32_BYTES));
    return wide;
  });
}

function tailOf(values: Uint8Array, behind: Uint8Array): Uint8Array {
  const tail = new Uint8Array(LENGTH_BYTES + values.length + behind.length);
  new DataView(tail.buffer).setUint32(0, values.length, true);
  tail.set(values, LENGTH_BYTES);
  tail.set(behind, LENGTH_BYTES + values.length);
  return tail;
}
