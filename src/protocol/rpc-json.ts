/** Fields of JSON-RPC answers as bytes. Everything here throws `payload.malformed` for what is not that. */
import { hexToBytes } from "@noble/hashes/utils.js";
import { fail } from "./payload-fault.ts";
import { minimal } from "./rlp.ts";

export type Json = Readonly<Record<string, unknown>>;

export function record(value: unknown, name: string): Json {
  if (typeof value !== "object" || value === null) fail("payload.malformed", `${name} is not an object`);
  return value as Json;
}

function hexField(source: Json, name: string): string {
  const text = source[name];
  if (typeof text !== "string" || !/^0x[0-9a-fA-F]*$/.test(text)) {
    fail("payload.malformed", `"${name}" is not hex: ${typeof text === "string" ? text.slice(0, 80) : typeof text}`);
  }
  return text.slice(2);
}

export function data(source: Json, name: string, length?: number): Uint8Array {
  const hex = hexField(source, name);
  if (hex.length % 2 !== 0 || (length !== undefined && hex.length !== 2 * length)) {
    fail("payload.malformed", `"${name}" has ${hex.length} digits`);
  }
  return hexToBytes(hex);
}

export function quantity(source: Json, name: string): bigint {
  const hex = hexField(source, name);
  if (hex.length === 0 || hex.length > 64) fail("payload.malformed", `"${name}" has ${hex.length} digits`);
  return BigInt(`0x${hex}`);
}

export function number(source: Json, name: string): Uint8Array {
  return minimal(quantity(source, name));
}

export function word(source: Json, name: string): Uint8Array {
  return data(source, name, 32);
}

export function address(source: Json, name: string): Uint8Array {
  return data(source, name, 20);
}

export function list(value: unknown, name: string): readonly unknown[] {
  if (!Array.isArray(value)) fail("payload.malformed", `"${name}" is not a list`);
  return value;
}
