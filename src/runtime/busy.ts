/** Waits for an artefact store whose disk is slow. */
import type { Clock, Done } from "../ports.ts";

/** A busy store is asked again after this time: a synced write takes a few milliseconds. */
const AGAIN_MS = 50;

/** Calls `attempt` again for as long as it ends with `artefact.busy`, at most for `waitMsMax`. */
export function whenFree<T>(clock: Clock, attempt: (done: Done<T>) => void, waitMsMax: number, done: Done<T>): void {
  const untilMs = clock.now() + waitMsMax;
  const ask = (): void =>
    attempt((result) => {
      if (result.ok || result.fault.code !== "artefact.busy" || clock.now() >= untilMs) return done(result);
      clock.after(AGAIN_MS, ask);
    });
  ask();
}
