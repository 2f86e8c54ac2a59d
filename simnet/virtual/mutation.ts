/**
 * Changes the node's source while it is loaded: `node --import ./simnet/virtual/mutation.ts ...` with the name of a
 * mutant in `SIMNET_MUTANT`. Ends the process where the source has moved away under a mutant.
 */
import { readFileSync } from "node:fs";
import { registerHooks } from "node:module";
import { fileURLToPath } from "node:url";
import type { Edit } from "./mutant.ts";
import { MUTANTS } from "./mutants.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const name = process.env["SIMNET_MUTANT"] ?? "";
const mutant = MUTANTS[name];
if (mutant === undefined) throw new Error(`SIMNET_MUTANT is "${name}"; allowed: ${Object.keys(MUTANTS).join(", ")}`);

const changed = new Map<string, string>();
for (const edit of mutant.edits) changed.set(edit.file, change(changed.get(edit.file) ?? read(edit.file), edit));

function read(file: string): string {
  return readFileSync(`${ROOT}${file}`, "utf8");
}

function change(source: string, { file, from, to }: Edit): string {
  const found = source.split(from).length - 1;
  if (found !== 1) throw new Error(`mutant ${name}: "${from}" is in ${file} ${found} times; it has to be there once`);
  return source.replace(from, () => to);
}

registerHooks({
  load(url, context, next) {
    const file = url.startsWith("file:") ? fileURLToPath(url).slice(ROOT.length) : url;
    const source = changed.get(file);
    return source === undefined ? next(url, context) : { format: "module-typescript", source, shortCircuit: true };
  },
});
