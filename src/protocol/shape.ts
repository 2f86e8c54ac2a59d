/**
 * Checks a JSON value against a zod schema and reports every error at once: where it stands, what stands there, and
 * what is allowed. One place, so that a manifest, a configuration and a certificate complain in the same words.
 */
import { z } from "zod";

export interface ShapeError {
  /** As one would write it: `attesters[1].key`. */
  readonly path: string;
  readonly value: unknown;
  readonly allowed: string;
}

export type Shaped<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly errors: readonly ShapeError[] };

export function checkShape<T>(schema: z.ZodType<T>, input: unknown): Shaped<T> {
  const parsed = schema.safeParse(input);
  if (parsed.success) return { ok: true, value: parsed.data };
  return { ok: false, errors: parsed.error.issues.flatMap((issue) => explain(issue, input)) };
}

/** One line a person can act on. */
export function describeShapeError(error: ShapeError, where: string): string {
  const place = error.path === "" ? where : `${where}: ${error.path}`;
  const found = error.value === undefined ? "is missing" : `is ${shorten(error.value)}`;
  return `${place} ${found}; allowed: ${error.allowed}`;
}

/** A value as it may stand in a line: short, and on one line. */
export function shorten(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}

function explain(issue: z.core.$ZodIssue, input: unknown): ShapeError[] {
  if (issue.code === "unrecognized_keys") {
    return issue.keys.map((key) => ({
      path: pathText([...issue.path, key]),
      value: valueAt(input, [...issue.path, key]),
      allowed: "nothing (the key is unknown)",
    }));
  }
  return [{ path: pathText(issue.path), value: valueAt(input, issue.path), allowed: issue.message }];
}

function pathText(path: readonly PropertyKey[]): string {
  return path.reduce<string>((text, key) => {
    if (typeof key === "number") return `${text}[${key}]`;
    return text === "" ? String(key) : `${text}.${String(key)}`;
  }, "");
}

function valueAt(input: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>(
    (at, key) => (at === null || typeof at !== "object" ? undefined : (at as never)[key]),
    input,
  );
}

/** JSON with sorted keys and no spaces: one value, one text (RFC 8785 for the integers and plain strings used here). */
export function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(",")}]`;
  if (value !== null && typeof value === "object") {
    const members = Object.entries(value)
      .filter(([, member]) => member !== undefined)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, member]) => `${JSON.stringify(key)}:${canonicalJson(member)}`);
    return `{${members.join(",")}}`;
  }
  return JSON.stringify(value);
}
