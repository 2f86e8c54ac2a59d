/**
 * Completes package-lock.json, and that of the opt-in packages, with the binaries for other platforms.
 *
 * A registry mirror may lack them; npm then leaves them out of the lock, and `npm ci` refuses such a lock everywhere.
 * What their packages declare is enough: name and version from the parent, platform from the name. They carry no
 * integrity, so a platform other than the one that wrote the lock trusts its registry for them.
 *
 * Run after every change of a dependency: `node scripts/lock.ts`; `--check` only says what is missing, and ends with 1.
 */
import { readFileSync, writeFileSync } from "node:fs";

interface Entry {
  version?: string;
  optional?: boolean;
  dev?: boolean;
  os?: string[];
  cpu?: string[];
  libc?: string[];
  optionalDependencies?: Record<string, string>;
}

const FILES = ["package-lock.json", "config/halo2/package-lock.json", "config/pickles/package-lock.json"];
const SYSTEMS = ["android", "darwin", "freebsd", "linux", "openharmony", "win32"];
const PROCESSORS: Readonly<Record<string, string>> = {
  amd64: "x64",
  x64: "x64",
  arm64: "arm64",
  arm: "arm",
  armv7: "arm",
  ia32: "ia32",
  ppc64: "ppc64",
  riscv64: "riscv64",
  s390x: "s390x",
};

const isCheck = process.argv.includes("--check");
let isComplete = true;
for (const name of FILES) {
  const file = new URL(`../${name}`, import.meta.url);
  const lock = JSON.parse(readFileSync(file, "utf8")) as { packages: Record<string, Entry> };
  const missing = findMissing(lock.packages);
  if (isCheck) {
    for (const [path] of missing) process.stdout.write(`${name} lacks ${path}; run node scripts/lock.ts\n`);
    isComplete &&= missing.length === 0;
    continue;
  }
  for (const [path, entry] of missing) lock.packages[path] = entry;
  lock.packages = Object.fromEntries(Object.entries(lock.packages).sort(([a], [b]) => (a < b ? -1 : 1)));
  writeFileSync(file, `${JSON.stringify(lock, null, 2)}\n`);
  process.stdout.write(`${name}: added ${missing.length} packages for other platforms\n`);
}
process.exitCode = isComplete ? 0 : 1;

function findMissing(packages: Readonly<Record<string, Entry>>): [string, Entry][] {
  const found: [string, Entry][] = [];
  for (const [parent, entry] of Object.entries(packages)) {
    for (const [name, version] of Object.entries(entry.optionalDependencies ?? {})) {
      const known = [`node_modules/${name}`, `${parent}/node_modules/${name}`].some((path) =>
        Object.hasOwn(packages, path),
      );
      if (!known)
        found.push([
          `node_modules/${name}`,
          { version, ...platform(name), optional: true, ...(entry.dev === true ? { dev: true } : {}) },
        ]);
    }
  }
  return found;
}

function platform(name: string): Pick<Entry, "os" | "cpu" | "libc"> {
  const words = name.split(/[-/]/);
  const os = words.find((word) => SYSTEMS.includes(word));
  const cpu = words.map((word) => PROCESSORS[word]).find((word) => word !== undefined);
  if (os === undefined || cpu === undefined) throw new Error(`${name}: its name does not say which platform it is for`);
  const libc = words.some((word) => word.startsWith("musl"))
    ? ["musl"]
    : words.some((word) => word.startsWith("gnu"))
      ? ["glibc"]
      : undefined;
  return { cpu: [cpu], ...(libc === undefined ? {} : { libc }), os: [os] };
}
