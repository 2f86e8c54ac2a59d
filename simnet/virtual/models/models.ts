/** The state machines that decide beside the core, each with runs of its own. Mutants of them are sent through these. */
import { fuzzAbilities } from "./abilities.ts";
import { fuzzHearsay } from "./hearsay.ts";
import { fuzzKeepers } from "./keeper.ts";
import type { Model } from "./model.ts";
import { fuzzPartitions } from "./partitions.ts";
import { exhaustSchedules, fuzzSchedules } from "./scheduler.ts";

export const MODELS: Readonly<Record<string, Model>> = {
  "all-schedules": { seed: 0, run: () => exhaustSchedules() },
  schedules: { seed: 1, run: fuzzSchedules },
  partitions: { seed: 1, run: fuzzPartitions },
  abilities: { seed: 1, run: fuzzAbilities },
  hearsay: { seed: 1, run: fuzzHearsay },
  keepers: { seed: 1, run: fuzzKeepers },
};
