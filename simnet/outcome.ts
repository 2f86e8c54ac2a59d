/** How a run ends, and the exit status that says so. */
export const EXIT = {
  green: 0,
  /** A checker found what must never be. */
  safety: 1,
  usage: 2,
  /** What must come at last has not come. */
  liveness: 3,
  /** A node ended by itself, or the simulator broke. */
  crash: 4,
  interrupted: 130,
} as const;

export type Verdict = Exclude<keyof typeof EXIT, "usage">;

/** Ends a run before its time. */
export class RunFault extends Error {
  readonly verdict: Verdict;

  constructor(verdict: Verdict, message: string) {
    super(message);
    this.verdict = verdict;
  }
}
