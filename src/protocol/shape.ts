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

/** Values in one document, and how deep they nest. The largest legal one, a certificate of 2048 tasks, has 24,000. */
const VALUES_MAX = 65_536;
const DEPTH_MAX = 32;

export function checkShape<T>(schema: z.ZodType<T>, input: unknown): Shaped<T> {
  const excess = excessOf(input);
  if (excess !== null) return { ok: false, errors: [excess] };
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

/**
 * Whoever sends a megabyte of braces would otherwise have each of them explained: seconds, and hundreds of megabytes.
 * The walk keeps a list of its own, because nesting must not cost stack either.
 */
function excessOf(input: unknown): ShapeError | null {
  const waiting: { readonly value: unknown; readonly depth: number }[] = [{ value: input, depth: 0 }];
  let values = 0;
  for (let at = waiting.pop(); at !== undefined; at = waiting.pop()) {
    const { value, depth } = at;
    values++;
    if (depth > DEPTH_MAX) {
      return { path: "", value: `nested over ${DEPTH_MAX} deep`, allowed: `at most ${DEPTH_MAX} levels` };
    }
    if (typeof value !== "object" || value === null) continue;
    const members: unknown[] = Array.isArray(value) ? value : Object.values(value);
    if (values + waiting.length + members.length > VALUES_MAX) {
      return { path: "", value: `over ${VALUES_MAX} values`, allowed: `at most ${VALUES_MAX} values` };
    }
    for (const member of members) waiting.push({ value: member, depth: depth + 1 });
  }
  return null;
}

const SHOWN_CHARS_MAX = 80;

/** A value as it may stand in a line: short, and on one line. */
export function shorten(value: unknown): string {
  const text = excessOf(value) === null ? (JSON.stringify(value) ?? String(value)) : "more than fits a line";
  return text.length > SHOWN_CHARS_MAX ? `${text.slice(0, SHOWN_CHARS_MAX - 3)}...` : text;
}

/** Members that say which of several forms a value has. */
const MARKS = ["kind", "is", "constant", "anything"] as const;

/** The issues of the form that the value means to have; `null` where that is not clear. */
function issuesOfForm(issue: z.core.$ZodIssueInvalidUnion, value: unknown): readonly z.core.$ZodIssue[] | null {
  if (typeof value !== "object" || value === null) return null;
  const mark = MARKS.find((each) => Object.hasOwn(value, each));
  if (mark === undefined) return null;
  const knowsMark = (found: z.core.$ZodIssue): boolean => {
    if (found.code === "unrecognized_keys") return !found.keys.includes(mark);
    return found.path.length > 0 && !(found.path.length === 1 && found.path[0] === mark);
  };
  const meant = issue.errors.filter((each) => each.every(knowsMark));
  return meant.length === 1 ? (meant[0] ?? null) : null;
}

function explain(issue: z.core.$ZodIssue, input: unknown): ShapeError[] {
  if (issue.code === "invalid_union") {
    const inner = issuesOfForm(issue, valueAt(input, issue.path));
    if (inner !== null)
      return inner.flatMap((each) => explain({ ...each, path: [...issue.path, ...each.path] }, input));
  }
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
