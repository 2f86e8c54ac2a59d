/**
 * Changes the node's source while it is loaded: `node --import ./simnet/virtual/mutation.ts ...` with the name of a
 * mutant in `SIMNET_MUTANT`. The mutant's rows say what becomes of the code that stands after its markers
 * (`markers.ts`). A marker without a row, a row without a marker, or a name that two markers have ends the process.
 */
import { registerHooks } from "node:module";
import { fileURLToPath } from "node:url";
import { changeSources, checkMarkers, findMarkers, readSources } from "./markers.ts";
import { MUTANTS } from "./mutants.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const name = process.env["SIMNET_MUTANT"] ?? "";
const mutant = MUTANTS[name];
if (mutant === undefined) throw new Error(`SIMNET_MUTANT is "${name}"; allowed: ${Object.keys(MUTANTS).join(", ")}`);

const sources = readSources(ROOT);
const markers = findMarkers(sources);
const faults = checkMarkers(markers, MUTANTS);
if (faults.length > 0) throw new Error(faults.join("\n"));
const changed = changeSources(sources, markers, mutant.edits);

registerHooks({
  load(url, context, next) {
    const file = url.startsWith("file:") ? fileURLToPath(url).slice(ROOT.length) : url;
    const source = changed.get(file);
    return source === undefined ? next(url, context) : { format: "module-typescript", source, shortCircuit: true };
  },
});
