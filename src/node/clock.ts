/** The real clock. */
import type { Clock } from "../ports.ts";

export const CLOCK: Clock = {
  now: () => performance.now(),
  wall: () => performance.timeOrigin + performance.now(),
  after: (delayMs, run) => {
    const timer = setTimeout(run, delayMs);
    return () => clearTimeout(timer);
  },
};
