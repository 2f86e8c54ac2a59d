/** `simnet twins`: every partition of four attesters, one of which is doubled. */
import { Command, InvalidArgumentError } from "commander";
import { whole } from "../../src/cli/flags.ts";
import { EXIT } from "../outcome.ts";
import type { VirtualReport } from "../virtual/options.ts";
import { describeScenario, runTwinScenario, type TwinScenario, twinScenarios } from "../virtual/twin-scenarios.ts";

interface Flags {
  readonly phases: number;
  readonly seed: number;
  readonly slice?: readonly [number, number];
  readonly only?: readonly number[];
  readonly json?: boolean;
}

/** Three phases are 8,748 scenarios already. */
const PHASES_MAX = 3;
const SECONDS_EACH = 1.5;

const HELP = `
Each line has the copy's disk and, for each phase, whom each of the other three attesters hears: o the original, c the
copy, - nobody. A scenario takes about ${SECONDS_EACH} s. Ends with 0 if all is well, 1 if a checker found a broken rule, 3 if
something did not happen in time.

Examples:
  $ npm run simnet -- twins                             # ${twinScenarios(2).length} scenarios
  $ npm run simnet -- twins --phases 3 --slice 1/100    # every hundredth, beginning with the first
  $ npm run simnet -- twins --only 174`;

export function twinsCommand(): Command {
  return new Command("twins")
    .description("Four attesters, one of them doubled: all partitions of the five processes, in phases.")
    .option("--phases <n>", `how often the partition changes: 1 to ${PHASES_MAX}`, phases, 2)
    .option("--seed <n>", "decides everything that is left to chance", whole, 1)
    .option("--slice <k/n>", "of n slices only the k-th", slice)
    .option("--only <numbers>", "only these scenarios", numbers)
    .option("--json", "one JSON object for each scenario")
    .addHelpText("after", HELP)
    .action((flags: Flags) => {
      const chosen = chosenOf(flags);
      const all = chosen.map((scenario, at) => {
        const report = runTwinScenario(scenario, flags.seed);
        tell(flags, scenario, report, `${at + 1} of ${chosen.length}`);
        return report;
      });
      const [red, guilty] = [
        all.filter(({ ok }) => !ok),
        all.filter((report) => Object.keys(report.guilty).length > 0),
      ];
      if (flags.json !== true)
        process.stdout.write(
          `${all.length} scenarios, ${red.length} with a fault; the doubled key was convicted in ${guilty.length}\n`,
        );
      if (red.length > 0)
        process.exitCode = red.every(({ verdict }) => verdict === "liveness") ? EXIT.liveness : EXIT.safety;
    });
}

function chosenOf({ phases: count, slice: [k, n] = [1, 1], only }: Flags): readonly TwinScenario[] {
  return twinScenarios(count).filter(({ number }) => (only?.includes(number) ?? true) && number % n === k - 1);
}

function tell(flags: Flags, scenario: TwinScenario, report: VirtualReport, where: string): void {
  const { ok, verdict, violations, guilty, simulatedMs } = report;
  const described = describeScenario(scenario);
  if (flags.json === true) {
    const { number } = scenario;
    process.stdout.write(
      `${JSON.stringify({ number, scenario: described, verdict, violations, guilty, simulatedMs })}\n`,
    );
    return;
  }
  const grounds = Object.values(guilty).flat();
  const end = grounds.length > 0 ? `convicted of ${grounds.join(", ")}` : "nothing to convict of";
  process.stdout.write(`${where}: scenario ${scenario.number} (${described}) ${verdict}; ${end}\n`);
  if (!ok) for (const violation of violations) process.stdout.write(`  ${violation}\n`);
}

function phases(text: string): number {
  const count = whole(text);
  if (count < 1 || count > PHASES_MAX) throw new InvalidArgumentError(`"${text}"; allowed: 1 to ${PHASES_MAX}.`);
  return count;
}

function slice(text: string): readonly [number, number] {
  const [, k = "", n = ""] = /^([0-9]{1,6})\/([0-9]{1,6})$/.exec(text) ?? [];
  const [at, of] = [Number(k), Number(n)];
  if (at < 1 || at > of) throw new InvalidArgumentError(`"${text}"; allowed: k/n with k from 1 to n, such as 1/100.`);
  return [at, of];
}

function numbers(text: string): readonly number[] {
  return text.split(",").map(whole);
}
