/** The state machines that decide beside the core, each with runs of its own. Mutants of them are sent through these. */
import { fuzzAbilities } from "./abilities.ts";
import { fuzzAttempts } from "./attempts.ts";
import { fuzzCertificates } from "./certificates.ts";
import { fuzzFeeds } from "./feeds.ts";
import { fuzzHearsay } from "./hearsay.ts";
import { fuzzKeepers } from "./keeper.ts";
import { fuzzIds } from "./ids.ts";
import type { Model } from "./model.ts";
import { fuzzOwnStarts } from "./own-starts.ts";
import { fuzzPartitions } from "./partitions.ts";
import { fuzzRoster } from "./roster.ts";
import { fuzzRounds } from "./rounds.ts";
import { exhaustSchedules, fuzzSchedules } from "./scheduler.ts";
import { fuzzShares } from "./shares.ts";
import { fuzzStarts } from "./starts.ts";

export const MODELS: Readonly<Record<string, Model>> = {
  "all-schedules": { seed: 0, run: () => exhaustSchedules() },
  schedules: { seed: 1, run: fuzzSchedules },
  partitions: { seed: 1, run: fuzzPartitions },
  abilities: { seed: 1, run: fuzzAbilities },
  hearsay: { seed: 1, run: fuzzHearsay },
  keepers: { seed: 1, run: fuzzKeepers },
  "rounds-of-one": { seed: 1, run: fuzzRounds },
  shares: { seed: 1, run: fuzzShares },
  starts: { seed: 1, run: fuzzStarts },
  "own-starts": { seed: 1, run: fuzzOwnStarts },
  "feeds-of-one": { seed: 1, run: fuzzFeeds },
  certificates: { seed: 1, run: fuzzCertificates },
  roster: { seed: 1, run: fuzzRoster },
  "ids-of-one": { seed: 1, run: fuzzIds },
  "attempts-of-one": { seed: 1, run: fuzzAttempts },
};
