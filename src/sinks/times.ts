/**
 * How long blocks took to prove, until they are handed on.
 *
 * Who proved what, and how long it took, is in the log for a while only; a sink that is away for longer would never know
 * it. One line a block is appended, and the file begins anew when nothing in it is needed any more.
 */
import { appendFileSync, readFileSync, rmSync } from "node:fs";

/** Two weeks of a chain with a block in 12 seconds; then the oldest are forgotten. */
const BLOCKS_MAX = 100_000;
const LINES_MIN = 256;

export class ProvingTimes {
  readonly #file: string;
  readonly #ms = new Map<string, number>();
  #lines = 0;

  constructor(file: string) {
    this.#file = file;
    for (const line of read(file).split("\n")) {
      const [, block, ms] = /^([0-9a-f]{64}) (\d+|-)$/.exec(line) ?? [];
      if (block === undefined) continue;
      this.#lines++;
      if (ms === "-") this.#ms.delete(block);
      else this.#ms.set(block, Number(ms));
    }
  }

  get(block: string): number | null {
    return this.#ms.get(block) ?? null;
  }

  /** A line that a power cut takes is noted again after the restart, where the log still has it. */
  note(block: string, ms: number): void {
    if (this.#ms.has(block)) return;
    this.#ms.set(block, ms);
    const [oldest] = this.#ms.keys();
    if (this.#ms.size > BLOCKS_MAX && oldest !== undefined) this.#ms.delete(oldest);
    this.#append(`${block} ${ms}`);
  }

  forget(block: string): void {
    if (!this.#ms.delete(block)) return;
    if (this.#ms.size > 0 || this.#lines < LINES_MIN) return this.#append(`${block} -`);
    if (write(() => rmSync(this.#file, { force: true }))) this.#lines = 0;
  }

  #append(line: string): void {
    if (write(() => appendFileSync(this.#file, `${line}\n`))) this.#lines++;
  }
}

/** A disk that takes nothing costs the times of the blocks that are not handed on before a restart, and no more. */
function write(run: () => void): boolean {
  try {
    run();
    return true;
  } catch {
    return false;
  }
}

function read(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}
