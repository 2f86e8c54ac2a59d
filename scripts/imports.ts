/**
 * Checks who imports whom: arrows point to purer things, adapters do not know each other, nothing goes in circles.
 *
 * `node scripts/imports.ts [root]` prints what breaks the rules and ends with 1.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { builtinModules } from "node:module";
import { dirname, join, relative, resolve } from "node:path";
import { parseSync } from "oxc-parser";

/** Paths are without extension: "src/node" is `src/node.ts` and, if it ever grows into one, the folder `src/node/`. */
export interface Zone {
  readonly path: string;
  /** What it may import besides itself. */
  readonly may: readonly string[];
  /** The packages that it may import; anything, if not given. */
  readonly packages?: readonly string[];
}

export interface Violation {
  readonly file: string;
  readonly line: number;
  readonly message: string;
}

/** Nothing here reads a clock, a socket or a file: what two nodes must agree on is a function of its arguments. */
const PURE = ["@noble", "@bufbuild/protobuf", "@ethereumjs/rlp", "zod"];

const EVERYTHING_BUT_CLI =
  "protocol log core scheduler peers ports runtime network storage proofs provers statements sources sinks api telemetry config genesis manifests"
    .split(" ")
    .map((name) => `src/${name}`);

/** What every adapter may know. */
const OUTSIDE = ["src/protocol", "src/ports", "src/address"];

/** The arrows. The zone whose path is the longest that fits a file is the file's. */
export const ZONES: readonly Zone[] = [
  { path: "src/protocol", may: [], packages: PURE },
  { path: "src/log", may: ["src/protocol"], packages: PURE },
  { path: "src/core", may: ["src/protocol", "src/log"], packages: PURE },
  { path: "src/ports", may: ["src/protocol"], packages: [] },
  { path: "src/statements", may: ["src/protocol"], packages: PURE },
  { path: "src/address", may: [], packages: [] },
  { path: "src/scheduler", may: ["src/protocol", "src/ports"], packages: [] },
  { path: "src/runtime", may: ["src/protocol", "src/log", "src/core", "src/scheduler", "src/ports"] },
  { path: "src/peers", may: ["src/protocol"], packages: [] },
  { path: "src/network", may: ["src/peers", ...OUTSIDE] },
  { path: "src/storage", may: OUTSIDE },
  // Each system's verification, prover and program. They use the machinery of `src/provers`, which knows the table.
  { path: "src/proofs", may: ["src/proofs", "src/provers", ...OUTSIDE] },
  // Verification alone: no clock, no file, no socket.
  ...["bytes", "bn254", "sp1", "risc0", "wasm/module", "wasm/settings"].map((name) => ({
    path: `src/proofs/${name}`,
    may: ["src/protocol", "src/proofs/bytes", "src/proofs/bn254", "src/proofs/wasm/settings"],
    packages: PURE,
  })),
  ...["risc0/system", "sp1/system"].map((name) => ({ path: `src/proofs/${name}`, may: ["src/proofs"] })),
  { path: "src/provers", may: ["src/proofs", "src/statements", ...OUTSIDE] },
  { path: "src/sources", may: OUTSIDE },
  { path: "src/sinks", may: OUTSIDE },
  { path: "src/api", may: OUTSIDE },
  { path: "src/telemetry", may: OUTSIDE },
  { path: "src/config", may: OUTSIDE },
  { path: "src/genesis", may: ["src/proofs", ...OUTSIDE] },
  {
    path: "src/manifests",
    may: ["src/config", "src/genesis", "src/network", "src/sources", "src/storage", ...OUTSIDE],
  },
  { path: "src/node", may: EVERYTHING_BUT_CLI },
  { path: "src/cli", may: ["src/node", "src/config", "src/storage/archive", ...OUTSIDE] },
  {
    path: "simnet/virtual",
    may: [
      "src/runtime",
      "src/core",
      "src/log",
      "src/scheduler",
      "src/peers",
      ...OUTSIDE,
      "src/storage/memory",
      "src/provers/mock",
    ],
  },
  {
    path: "simnet",
    may: ["simnet/virtual", "src/node", "src/config", "src/cli/flags", "src/sources/devchain", ...OUTSIDE],
  },
];

const ROOTS = ["src", "simnet"];

export function checkImports(root: string, zones: readonly Zone[] = ZONES): readonly Violation[] {
  const files = ROOTS.flatMap((folder) => sourceFiles(root, folder));
  const violations: Violation[] = [];
  const graph = new Map<string, readonly string[]>();
  for (const file of files) {
    const zone = zoneOf(file, zones);
    const report = (line: number, message: string): void => void violations.push({ file, line, message });
    if (zone === null) report(1, "belongs to no zone: a new folder needs a line in scripts/imports.ts");
    const targets: string[] = [];
    for (const { specifier, line } of imports(join(root, file), report)) {
      if (!specifier.startsWith(".")) {
        if (zone !== null) checkPackage(zone, specifier, (message) => report(line, message));
        continue;
      }
      const target = relative(root, resolve(root, dirname(file), specifier)).replaceAll("\\", "/");
      if (!existsSync(join(root, target))) report(line, `imports ${specifier}, which is not there`);
      else if (zone !== null && !mayImport(zone, target, zones)) {
        report(line, `imports ${target}; ${zone.path} may import ${names(zone.may)}`);
      }
      targets.push(target);
    }
    graph.set(file, targets);
  }
  return [...violations, ...cycles(graph)];
}

function mayImport(zone: Zone, target: string, zones: readonly Zone[]): boolean {
  return zoneOf(target, zones) === zone || zone.may.some((path) => within(target, path));
}

function checkPackage(zone: Zone, specifier: string, report: (message: string) => void): void {
  if (zone.packages === undefined) return;
  const allowed = zone.packages.some((name) => specifier === name || specifier.startsWith(`${name}/`));
  if (allowed) return;
  const builtin = specifier.startsWith("node:") || builtinModules.includes(specifier);
  const kind = builtin ? "Node's own" : "the package";
  report(`imports ${kind} ${specifier}; ${zone.path} is pure and may import ${names(zone.packages)}`);
}

function names(list: readonly string[]): string {
  return list.length === 0 ? "nothing" : list.join(", ");
}

function zoneOf(file: string, zones: readonly Zone[]): Zone | null {
  const fitting = zones.filter((zone) => within(file, zone.path));
  return fitting.toSorted((a, b) => b.path.length - a.path.length)[0] ?? null;
}

function within(file: string, path: string): boolean {
  return file.startsWith(`${path}/`) || file.replace(/(\.d)?\.[cm]?[jt]s$/, "") === path;
}

function sourceFiles(root: string, folder: string): readonly string[] {
  if (!existsSync(join(root, folder))) return [];
  return readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })
    .map((name) => `${folder}/${name.replaceAll("\\", "/")}`)
    .filter((file) => file.endsWith(".ts") && !file.endsWith(".d.ts"))
    .toSorted();
}

interface Import {
  readonly specifier: string;
  readonly line: number;
}

/** Every way to name another module: import and export from, with types or values, import(), and import("x").Type. */
function imports(path: string, report: (line: number, message: string) => void): readonly Import[] {
  const source = readFileSync(path, "utf8");
  const { module, program, errors } = parseSync(path, source);
  const lineAt = (offset: number): number => source.slice(0, offset).split("\n").length;
  for (const error of errors) report(lineAt(error.labels[0]?.start ?? 0), `cannot be parsed: ${error.message}`);
  const found = new Map<number, string>();
  for (const { moduleRequest } of module.staticImports) found.set(moduleRequest.start, moduleRequest.value);
  for (const { entries } of module.staticExports) {
    for (const { moduleRequest } of entries)
      if (moduleRequest !== null) found.set(moduleRequest.start, moduleRequest.value);
  }
  for (const { moduleRequest } of module.dynamicImports) {
    const expression = source.slice(moduleRequest.start, moduleRequest.end);
    const literal = text(expression) ?? constant(source, expression);
    if (literal === undefined) report(lineAt(moduleRequest.start), `imports ${expression}, which only a run can tell`);
    else found.set(moduleRequest.start, literal);
  }
  visit(program, (node) => {
    if (node["type"] !== "TSImportType") return;
    const argument = node["source"];
    if (isRecord(argument) && typeof argument["value"] === "string")
      found.set(Number(argument["start"]), argument["value"]);
  });
  return [...found].map(([offset, specifier]) => ({ specifier, line: lineAt(offset) }));
}

function text(expression: string): string | undefined {
  return /^(["'`])([^"'`$\\]*)\1$/.exec(expression)?.[2];
}

/** A package without types is imported by a constant, which the compiler does not look into. */
function constant(source: string, name: string): string | undefined {
  if (!/^\w+$/.test(name)) return undefined;
  return text(new RegExp(`\\bconst ${name}(?:: string)? = ([^;\\n]*);`).exec(source)?.[1] ?? "");
}

function visit(value: unknown, see: (node: Readonly<Record<string, unknown>>) => void): void {
  if (Array.isArray(value)) for (const element of value) visit(element, see);
  else if (isRecord(value)) {
    see(value);
    for (const child of Object.values(value)) if (typeof child === "object") visit(child, see);
  }
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null;
}

/** One violation for each way back to a file that is still being looked at. */
function cycles(graph: ReadonlyMap<string, readonly string[]>): readonly Violation[] {
  const found: Violation[] = [];
  const done = new Set<string>();
  const path: string[] = [];
  const enter = (file: string): void => {
    const from = path.indexOf(file);
    if (from !== -1) {
      const circle = [...path.slice(from), file].join(" -> ");
      found.push({ file, line: 1, message: `imports itself in a circle: ${circle}` });
      return;
    }
    if (done.has(file)) return;
    path.push(file);
    for (const target of graph.get(file) ?? []) enter(target);
    path.pop();
    done.add(file);
  };
  for (const file of graph.keys()) enter(file);
  return found;
}

if (import.meta.main) {
  const violations = checkImports(resolve(process.argv[2] ?? "."));
  for (const { file, line, message } of violations) process.stderr.write(`${file}:${line} ${message}\n`);
  process.stdout.write(
    violations.length === 0 ? "imports: as they should be\n" : `imports: ${violations.length} wrong\n`,
  );
  process.exitCode = violations.length === 0 ? 0 : 1;
}
