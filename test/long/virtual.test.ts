import { describe, it } from "vitest";
import { SLOW_SCENARIOS } from "../simnet/scenarios.ts";
import { expectSound } from "../simnet/sound.ts";

describe("the virtual cluster certifies every block everywhere, and breaks no rule on the way, with", () => {
  for (const [name, options] of Object.entries(SLOW_SCENARIOS))
    it(`${name} (seed ${options.seed})`, () => expectSound(options));
});
