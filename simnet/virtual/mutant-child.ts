/** One of the mutants' runs, in a process of its own: prints what the checkers found. */
import { MODELS } from "./models/models.ts";
import { MUTANTS, RUNS } from "./mutants.ts";
import { runVirtual } from "./run.ts";

const [, , name = "", seed = ""] = process.argv;
const given = seed === "" ? {} : { seed: Number(seed) };
const [options, model] = [RUNS[name], MODELS[name]];
// A node that is flooded costs a minute more, and its mutant is caught already.
const endsAt = MUTANTS[process.env["SIMNET_MUTANT"] ?? ""]?.expected;
if (options !== undefined) {
  const { violations } = runVirtual({ ...options, ...given, ...(endsAt === undefined ? {} : { endsAt }) });
  process.stdout.write(JSON.stringify(violations));
} else if (model !== undefined) process.stdout.write(JSON.stringify(model.run(given.seed ?? model.seed)));
else throw new Error(`no run "${name}"`);
