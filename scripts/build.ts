/**
 * Builds the package that is published: `dist/` from `src/`, and a check of what would be packed.
 *
 * The node runs from its sources while it is worked on; a package may not (Node strips no types in node_modules).
 */
import { execFileSync } from "node:child_process";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { builtinModules } from "node:module";
import { join, posix, relative } from "node:path";
import { parseSync } from "oxc-parser";

const SOURCE = "src";
const OUTPUT = "dist";
const PROGRAM = "dist/cli/main.js";
const SHEBANG = "#!/usr/bin/env node\n";
/** What a package of this kind has no business exceeding; a proving key that slips in is larger. */
const PACKED_BYTES_MAX = 32 * 1024 * 1024;
const REQUIRED = [
  PROGRAM,
  "dist/node.js",
  "dist/node.d.ts",
  "dist/protocol/wire.proto",
  "README.md",
  "docs/protocol.md",
  "CHANGELOG.md",
  "LICENSE-APACHE",
  "LICENSE-MIT",
];
const UNWANTED = /^(src|test|simnet|scripts)\/|(?<!\.d)\.ts$|\.tsbuildinfo$|(^|\/)\.(?!\/)/;

interface Packed {
  readonly path: string;
  readonly size: number;
}

function build(): readonly string[] {
  rmSync(OUTPUT, { recursive: true, force: true });
  execFileSync(join("node_modules", ".bin", "tsc"), ["-p", ".tsconfig.build.json"], { stdio: "inherit" });
  copyAssets();
  if (!existsSync(PROGRAM)) return [`${PROGRAM} was not built`];
  makeExecutable();
  const packed = wouldPack();
  const bytes = packed.reduce((sum, { size }) => sum + size, 0);
  process.stdout.write(`${packed.length} files, ${(bytes / 1024).toFixed(0)} KiB unpacked\n`);
  return [...checkContents(packed, bytes), ...checkReferences(packed)];
}

/** Generated code, circuits, keys and pages lie beside the code that reads them, the published schema beside its code. */
function copyAssets(): void {
  for (const entry of readdirSync(SOURCE, { recursive: true, withFileTypes: true })) {
    const { name, parentPath } = entry;
    const compiled = name.endsWith(".ts") && !name.endsWith(".d.ts");
    if (!entry.isFile() || compiled) continue;
    const folder = join(OUTPUT, relative(SOURCE, parentPath));
    mkdirSync(folder, { recursive: true });
    copyFileSync(join(parentPath, name), join(folder, name));
  }
}

function makeExecutable(): void {
  const text = readFileSync(PROGRAM, "utf8");
  if (!text.startsWith("#!")) writeFileSync(PROGRAM, SHEBANG + text);
  chmodSync(PROGRAM, 0o755);
}

/** Asked of npm itself; without scripts, because packing builds and would not end. */
function wouldPack(): readonly Packed[] {
  const output = execFileSync("npm", ["pack", "--dry-run", "--json", "--ignore-scripts"], {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "ignore"],
  });
  const answer = JSON.parse(output) as readonly { readonly files: readonly Packed[] }[];
  return answer[0]?.files ?? [];
}

function checkContents(packed: readonly Packed[], bytes: number): readonly string[] {
  const paths = new Set(packed.map(({ path }) => path));
  const missing = REQUIRED.filter((path) => !paths.has(path)).map((path) => `${path} is missing from the package`);
  const unwanted = [...paths]
    .filter((path) => UNWANTED.test(path))
    .map((path) => `${path} does not belong in the package`);
  const large = bytes > PACKED_BYTES_MAX ? [`the package has ${bytes} bytes, more than ${PACKED_BYTES_MAX}`] : [];
  return [...missing, ...unwanted, ...large];
}

/** What the built code imports must be in the package or among the packages that are installed with it. */
function checkReferences(packed: readonly Packed[]): readonly string[] {
  const paths = new Set(packed.map(({ path }) => path));
  const installed = JSON.parse(readFileSync("package.json", "utf8")) as Readonly<
    Record<string, Readonly<Record<string, string>>>
  >;
  const known = new Set([
    ...Object.keys(installed["dependencies"] ?? {}),
    ...Object.keys(installed["optionalDependencies"] ?? {}),
  ]);
  const faults: string[] = [];
  for (const path of [...paths].filter((name) => name.startsWith(`${OUTPUT}/`) && name.endsWith(".js"))) {
    const { module } = parseSync(path, readFileSync(path, "utf8"));
    const named = [
      ...module.staticImports.map(({ moduleRequest }) => moduleRequest.value),
      ...module.staticExports.flatMap(({ entries }) => entries.map(({ moduleRequest }) => moduleRequest?.value)),
    ].filter((specifier) => specifier !== undefined);
    for (const specifier of new Set(named)) {
      if (specifier.startsWith(".")) {
        if (!paths.has(posix.join(posix.dirname(path), specifier)))
          faults.push(`${path} imports ${specifier}, which is not packed`);
      } else if (
        !specifier.startsWith("node:") &&
        !builtinModules.includes(specifier) &&
        !known.has(packageOf(specifier))
      ) {
        faults.push(`${path} imports ${specifier}, which is no dependency`);
      }
    }
  }
  return faults;
}

function packageOf(specifier: string): string {
  return specifier
    .split("/")
    .slice(0, specifier.startsWith("@") ? 2 : 1)
    .join("/");
}

const faults = build();
for (const fault of faults) process.stderr.write(`${fault}\n`);
process.exitCode = faults.length === 0 ? 0 : 1;
