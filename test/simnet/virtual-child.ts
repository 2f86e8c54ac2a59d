/** Runs one scenario in a process of its own and prints what came of it. */
import { runVirtual } from "../../simnet/virtual/run.ts";
import { SCENARIOS } from "./scenarios.ts";

const options = SCENARIOS[process.argv[2] ?? ""];
if (options === undefined) throw new Error(`no scenario "${process.argv[2]}"`);
process.stdout.write(JSON.stringify({ ...runVirtual(options), stepsPerSecond: 0 }));
