/** What one field of a manifest may be, each with the words that say so. */
import { hexToBytes } from "@noble/hashes/utils.js";
import { z } from "zod";
import { isStrictKey } from "./signing.ts";

export const key: z.ZodType<string> = z
  .string("a public key of 64 lower-case hex digits")
  .refine(
    (text) => /^[0-9a-f]{64}$/.test(text) && isStrictKey(hexToBytes(text)),
    "a public key of 64 lower-case hex digits (canonical, not of small order)",
  );

export const hash: z.ZodType<string> = z
  .string("a SHA-256 of 64 lower-case hex digits")
  .regex(/^[0-9a-f]{64}$/, "a SHA-256 of 64 lower-case hex digits");

export const label: z.ZodType<string, string> = z
  .string("a name of 1 to 32 characters a-z, 0-9, '.', '_', '-'")
  .regex(
    /^[a-z0-9][a-z0-9._-]{0,31}$/,
    "a name of 1 to 32 characters a-z, 0-9, '.', '_', '-', the first a letter or digit",
  );

export function int(min: number, max: number, unit = ""): z.ZodType<number> {
  const allowed = `a whole number from ${min} to ${max}${unit === "" ? "" : ` ${unit}`}`;
  return z.number(allowed).int(allowed).min(min, allowed).max(max, allowed);
}

export const LIST = "a list";
