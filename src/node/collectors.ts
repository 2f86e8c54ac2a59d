/** The modules that a manifest's stages with `custom` collection name: found, checked by their hash, and loaded. */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { createContext, runInContext } from "node:vm";
import type { NodeConfig } from "../config.ts";
import type { Telemetry } from "../ports.ts";
import { type CollectedTask, guardSelect, messageOf, type Select } from "../protocol/custom.ts";
import type { Hash } from "../protocol/ids.ts";
import type { Manifest } from "../protocol/manifest.ts";
import { NodeFault } from "./fault.ts";

/** A module is one file, and small enough to be read whole by whoever trusts it. */
const MODULE_BYTES_MAX: number = 1 << 20;

/** By far more than a choice among a few hundred tasks takes; one that never ends must not take the node along. */
const CALL_MS_MAX = 1_000;

/** What differs from one machine to the next is not there: a function of the tasks has no use for it. */
const PRELUDE = `
  for (const name of ["Date", "Intl", "WeakRef", "FinalizationRegistry", "SharedArrayBuffer", "Atomics"])
    delete globalThis[name];
  delete Math.random;
  var module = { exports: {} };
`;

/**
 * By its module's SHA-256, each function that some stage of the manifest names. Throws `config.collector-missing` for a module
 * that the configuration does not name or that cannot be read, `config.collector-hash` for another than the manifest's, and
 * `config.collector-module` for one without a function to call.
 */
export function openSelects(
  { json }: { readonly json: Pick<Manifest["json"], "workflows"> },
  { collectors = {} }: Pick<NodeConfig, "collectors">,
  telemetry: Pick<Telemetry, "emit">,
): ReadonlyMap<Hash, Select> {
  const stages = Object.values(json.workflows).flatMap((workflow) => workflow.stages);
  const selects = new Map<Hash, Select>();
  for (const { collect } of stages) {
    if (typeof collect !== "object" || !("custom" in collect) || selects.has(collect.sha256)) continue;
    const { custom: name, sha256 } = collect;
    const run = load(name, Object.hasOwn(collectors, name) ? collectors[name] : undefined, sha256);
    selects.set(
      sha256,
      guardSelect(run, (why) => telemetry.emit("collector.failed", { name, sha256, why })),
    );
  }
  return selects;
}

function load(name: string, path: string | undefined, sha256: Hash): (tasks: readonly CollectedTask[]) => unknown {
  if (path === undefined)
    throw new NodeFault(
      "config.collector-missing",
      `configuration: collectors has no "${name}"; allowed: the path of the module whose SHA-256 is ${sha256}`,
    );
  const bytes = read(name, path);
  const found = createHash("sha256").update(bytes).digest("hex");
  if (found !== sha256)
    throw new NodeFault(
      "config.collector-hash",
      `${path}: the module of collector "${name}" has the SHA-256 ${found}; allowed: ${sha256}, which the manifest names`,
    );
  const wrong = (why: string) =>
    new NodeFault(
      "config.collector-module",
      `${path}: the module of collector "${name}" ${why}; allowed: a script that sets module.exports to a function of the tasks`,
    );
  // What was hashed is what runs, in a world of its own: no clock, no files, nothing that nodes could differ by.
  const world = createContext(Object.create(null) as object, { codeGeneration: { strings: false, wasm: false } });
  const kind = attempt(() => {
    runInContext(PRELUDE, world);
    runInContext(bytes.toString("utf8"), world, { filename: path, timeout: CALL_MS_MAX });
    return runInContext("typeof module.exports", world) as unknown;
  }, wrong);
  if (kind !== "function") throw wrong(`exports ${String(kind)}`);
  let stuck: unknown = null;
  return (tasks) => {
    // What once took all its time would take it at each step, and the node's with it.
    if (stuck !== null) throw stuck;
    // As text both ways, so that neither world has hold of the other's objects.
    const call = `JSON.stringify(module.exports(JSON.parse(${JSON.stringify(JSON.stringify(tasks))})))`;
    let said: unknown;
    try {
      said = runInContext(call, world, { timeout: CALL_MS_MAX });
    } catch (error) {
      const { code } = error as { readonly code?: string };
      if (code === "ERR_SCRIPT_EXECUTION_TIMEOUT") stuck = error;
      throw error;
    }
    return typeof said === "string" ? (JSON.parse(said) as unknown) : undefined;
  };
}

function attempt<T>(run: () => T, wrong: (why: string) => NodeFault): T {
  try {
    return run();
  } catch (error) {
    throw wrong(`does not load: ${messageOf(error)}`);
  }
}

function read(name: string, path: string): Buffer {
  try {
    const bytes = readFileSync(path);
    if (bytes.length <= MODULE_BYTES_MAX) return bytes;
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new NodeFault(
      "config.collector-missing",
      `${path}: the module of collector "${name}" cannot be read: ${why}`,
    );
  }
  throw new NodeFault(
    "config.collector-module",
    `${path}: the module of collector "${name}" has over ${MODULE_BYTES_MAX} bytes; allowed: at most that many`,
  );
}
