/** One of the mutants' runs, in a process of its own: prints what the checkers found. */
import { RUNS } from "./mutants.ts";
import { runVirtual } from "./run.ts";

const options = RUNS[process.argv[2] ?? ""];
if (options === undefined) throw new Error(`no run "${process.argv[2]}"`);
process.stdout.write(JSON.stringify(runVirtual(options).violations));
