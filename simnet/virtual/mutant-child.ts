/** One of the mutants' runs, in a process of its own: prints what the checkers found. */
import { MODELS } from "./models/models.ts";
import { RUNS } from "./mutants.ts";
import { runVirtual } from "./run.ts";

const name = process.argv[2] ?? "";
const [options, model] = [RUNS[name], MODELS[name]];
if (options !== undefined) process.stdout.write(JSON.stringify(runVirtual(options).violations));
else if (model !== undefined) process.stdout.write(JSON.stringify(model.run(model.seed)));
else throw new Error(`no run "${name}"`);
