/**
 * Finds the marked places in the node's source, and changes them.
 *
 * A marker is a comment on a line of its own: `// mutant: NAME`, or `// mutant: NAME, OTHER` where several mutants change
 * the same code. It stands directly before the code that the mutants change. That code is a whole statement, or inside
 * an expression an operand, element or property. Before `a && b` the marker means `a`.
 */
import { readdirSync, readFileSync } from "node:fs";
import { parseSync, visitorKeys } from "oxc-parser";
import type { Edit, Mutant } from "./mutant.ts";

const COMMENT = /^\s*mutant:\s*(.*)$/;

/** The paths of the files from the root, and what they contain. */
export type Sources = ReadonlyMap<string, string>;

export interface Marker {
  readonly name: string;
  readonly file: string;
  readonly line: number;
  /** `null` where no code begins after the marker. */
  readonly target: Target | null;
}

interface Target {
  readonly start: number;
  readonly end: number;
  /** The code without which the node still parses; `null` where nothing can be taken away. */
  readonly removed: string | null;
}

interface Node {
  readonly type: string;
  readonly start: number;
  readonly end: number;
  readonly operator?: string;
}

/** Reads all of `src/` that is written by hand in TypeScript; `root` ends with a slash. */
export function readSources(root: string): Sources {
  const files = readdirSync(`${root}src`, { recursive: true, encoding: "utf8" })
    .map((path) => `src/${path.replaceAll("\\", "/")}`)
    .filter((path) => path.endsWith(".ts") && !path.endsWith(".d.ts"));
  return new Map(files.map((file) => [file, readFileSync(`${root}${file}`, "utf8")]));
}

/** All markers in these files. A name that several markers have is there several times. */
export function findMarkers(sources: Sources): readonly Marker[] {
  // Parsing all files would take each run of a mutant half a second.
  const marked = [...sources].filter(([, source]) => source.includes("mutant:"));
  return marked.flatMap(([file, source]) => markersIn(file, source));
}

function markersIn(file: string, source: string): Marker[] {
  const { comments, program } = parseSync(file, source);
  return comments.flatMap((comment) => {
    const names = comment.type === "Line" ? COMMENT.exec(comment.value)?.[1] : undefined;
    if (names === undefined) return [];
    const lines = source.slice(0, comment.start).split("\n");
    const isAlone = lines.at(-1)?.trim() === "";
    const start = isAlone ? codeAfter(source, comment.end, comments) : -1;
    const target = targetAt(program, start);
    return names.split(",").map((name) => ({ name: name.trim(), file, line: lines.length, target }));
  });
}

/** Where the next code begins, past white space and further comments. */
function codeAfter(source: string, from: number, comments: readonly { start: number; end: number }[]): number {
  const ends = new Map(comments.map(({ start, end }) => [start, end]));
  let at = from;
  while (at < source.length) {
    const end = ends.get(at);
    if (end !== undefined) at = end;
    else if (/\s/.test(source.charAt(at))) at++;
    else return at;
  }
  return -1;
}

/** The largest node that begins there. The exception is `a && b`, where its first operand is meant. */
function targetAt(node: Node, start: number, parent?: Node): Target | null {
  if (node.start === start && node.type !== "Program" && node.type !== "LogicalExpression") {
    return { start, end: node.end, removed: withoutIt(node, parent) };
  }
  for (const child of childrenOf(node)) {
    if (child.start > start || child.end <= start) continue;
    const found = targetAt(child, start, node);
    if (found !== null) return found;
  }
  return null;
}

function childrenOf(node: Node): Node[] {
  const fields = node as unknown as Readonly<Record<string, Node | readonly (Node | null)[] | null | undefined>>;
  return (visitorKeys[node.type] ?? []).flatMap((key) => fields[key] ?? []).filter((child) => child !== null);
}

function withoutIt({ type }: Node, parent: Node | undefined): string | null {
  if (/(Statement|Declaration)$/.test(type)) return ";";
  if (parent?.type !== "LogicalExpression") return null;
  return parent.operator === "&&" ? "true" : parent.operator === "||" ? "false" : null;
}

/** Says of every marker and every row what keeps the two from belonging together; empty where all do. */
export function checkMarkers(markers: readonly Marker[], mutants: Readonly<Record<string, Mutant>>): readonly string[] {
  const rows = Object.entries(mutants).flatMap(([name, { edits }]) => edits.map((edit) => ({ name, edit })));
  const rowNames = new Set(rows.map(({ edit }) => edit.at));
  const seen = new Map<string, Marker>();
  const faults: string[] = [];
  for (const marker of markers) {
    const { name, target } = marker;
    const first = seen.get(name);
    if (first !== undefined) faults.push(`marker "${name}" is at ${placeOf(first)} and at ${placeOf(marker)}`);
    if (!rowNames.has(name)) faults.push(`marker "${name}" at ${placeOf(marker)} is named by no mutant`);
    if (target === null) {
      const allowed = "allowed is a line of its own before a statement, operand, element or property";
      faults.push(`marker "${name}" at ${placeOf(marker)} stands before no code; ${allowed}`);
    }
    seen.set(name, first ?? marker);
  }
  const used = new Set<string>();
  for (const { name, edit } of rows) {
    const marker = seen.get(edit.at);
    if (edit.at !== name && !edit.at.startsWith(`${name}/`))
      faults.push(`mutant "${name}" names marker "${edit.at}"; allowed are "${name}" and "${name}/PLACE"`);
    if (used.has(edit.at)) faults.push(`mutant "${name}" names marker "${edit.at}" twice`);
    if (marker === undefined) faults.push(`mutant "${name}" names marker "${edit.at}", which is nowhere in src`);
    else if ("remove" in edit && marker.target?.removed === null)
      faults.push(`mutant "${name}" removes what is neither a statement nor an operand, at ${placeOf(marker)}`);
    used.add(edit.at);
  }
  return faults;
}

function placeOf({ file, line }: Marker): string {
  return `${file}:${line}`;
}

/** The files that the edits of one mutant change, as they are afterwards. The markers have to be checked before. */
export function changeSources(sources: Sources, markers: readonly Marker[], edits: readonly Edit[]): Sources {
  const found = edits.flatMap((edit) =>
    markers.flatMap(({ name, file, target }) => (name === edit.at && target !== null ? [{ edit, file, target }] : [])),
  );
  // The last place of a file is changed first, so that the others stay where they are.
  found.sort((a, b) => b.target.start - a.target.start);
  const changed = new Map<string, string>();
  const before = new Map<string, number>();
  for (const { edit, file, target } of found) {
    if (target.end > (before.get(file) ?? Number.POSITIVE_INFINITY))
      throw new Error(`the code at marker "${edit.at}" in ${file} contains other code that the same mutant changes`);
    before.set(file, target.start);
    const source = changed.get(file) ?? sources.get(file) ?? "";
    const { start, end } = target;
    changed.set(file, source.slice(0, start) + changedCode(source.slice(start, end), edit, target) + source.slice(end));
  }
  return changed;
}

function changedCode(code: string, edit: Edit, { removed }: Target): string {
  if ("replace" in edit) return edit.replace;
  if ("after" in edit) return `${code} ${edit.after}`;
  return removed ?? code;
}
