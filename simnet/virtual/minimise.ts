/** Looks for the fewest faults with which a run still fails in the same way: delta debugging (Zeller's ddmin). */
import { type Dials, NO_FAULTS, type VirtualOptions, type VirtualReport } from "./options.ts";
import { runVirtual } from "./run.ts";
import { scheduleOf } from "./schedule.ts";

const RUNS_MAX = 300;
/** Dials that no schedule depends on: turning one off leaves the others' faults what they were. */
const RATES: readonly (keyof Dials)[] = ["loss", "duplicate", "replay", "wan", "delayMs", "wrong", "failing", "drift"];

export interface Fewest {
  readonly options: VirtualOptions;
  readonly report: VirtualReport;
}

export function minimise(options: VirtualOptions, report: VirtualReport, say: (line: string) => void): Fewest {
  return new Search(options, report, say).run();
}

class Search {
  #best: Fewest;
  #runs = 0;
  readonly #kind: string;
  readonly #say: (line: string) => void;

  constructor(options: VirtualOptions, report: VirtualReport, say: (line: string) => void) {
    this.#best = { options, report };
    this.#kind = kindOf(report);
    this.#say = say;
  }

  run(): Fewest {
    const { options } = this.#best;
    const untilMs = 100 + options.blocks * (options.blockMs ?? 1000);
    const all = scheduleOf(options, untilMs).map(({ number }) => number);
    if (all.length > 0 && !this.#holds({ only: [] })) this.#reduce(all);
    for (const rate of RATES)
      if ((options[rate] ?? NO_FAULTS[rate]) !== NO_FAULTS[rate]) this.#holds({ [rate]: NO_FAULTS[rate] });
    return this.#best;
  }

  /** Takes the smaller options if the run fails with them as before. */
  #holds(smaller: Partial<VirtualOptions>): boolean {
    if (this.#runs >= RUNS_MAX) return false;
    this.#runs++;
    const options = { ...this.#best.options, ...smaller };
    const report = runVirtual(options);
    if (kindOf(report) !== this.#kind) return false;
    this.#best = { options, report };
    return true;
  }

  /** Leaves out parts, ever smaller ones, for as long as the rest is enough. */
  #reduce(all: readonly number[]): void {
    let [left, size] = [all, Math.ceil(all.length / 2)];
    while (size >= 1 && this.#runs < RUNS_MAX) {
      const rest = this.#without(left, size);
      this.#say(`minimise: ${rest?.length ?? left.length} faults left after ${this.#runs} runs`);
      if (rest !== null) left = rest;
      else if (size === 1) return;
      size = Math.min(rest === null ? Math.ceil(size / 2) : size, left.length);
    }
  }

  #without(left: readonly number[], size: number): readonly number[] | null {
    for (let at = 0; at < left.length; at += size) {
      const rest = left.toSpliced(at, size);
      if (this.#holds({ only: rest })) return rest;
    }
    return null;
  }
}

/** Which rule was broken: another failure than the one that was looked for is another bug. */
function kindOf({ verdict, violations }: VirtualReport): string {
  return `${verdict} ${violations[0]?.slice(0, 2) ?? ""}`;
}
