/**
 * Many seeds on several cores: each core has a process of its own at a time, which runs a few of them.
 *
 * Every run is a whole one in its own right: the command that is printed with a failure repeats it alone.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { randomInt } from "node:crypto";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { EXIT } from "../outcome.ts";

const SEED_MAX = 900_000_000;
/** Seeds of one process: a process takes about a second to start. */
const SEEDS_AT_ONCE = 5;
const PROGRESS_MS = 10_000;
const MAIN = fileURLToPath(new URL("../main.ts", import.meta.url));

export interface CampaignOptions {
  /** What each run gets besides its seed. */
  readonly flags: readonly string[];
  /** These are run whatever it takes. */
  readonly fixed: readonly number[];
  /** How many seeds more, of which nobody knows yet how they end; as many as there is time for where it says infinity. */
  readonly fresh: number;
  /** No fresh seed is begun later than this, by the clock on the wall and by the processors' time. */
  readonly forMs: number;
  readonly cpuMs: number;
  readonly jobs: number;
  readonly say: (line: string) => void;
  /** Takes each run as it ended, a JSON object on a line. */
  readonly report: (json: string) => void;
  readonly progress: (line: string) => void;
}

interface Line {
  readonly seed: number;
  readonly verdict: string;
  readonly simulatedMs: number;
  readonly steps: number;
  readonly stepsPerSecond: number;
  readonly command: string;
  readonly violations: readonly string[];
}

export class Campaign {
  readonly #options: CampaignOptions;
  readonly #beganMs: number = performance.now();
  readonly #children = new Set<ChildProcess>();
  readonly #failed: Line[] = [];
  #stopped = false;
  #next: number;
  #freshLeft: number;
  #seeds = 0;
  #unrecoverable = 0;
  #simulatedMs = 0;
  #cpuMs = 0;
  #exit = 0;

  constructor(options: CampaignOptions) {
    this.#options = options;
    this.#freshLeft = options.fresh;
    this.#next = randomInt(1, SEED_MAX);
  }

  /** Answers with the exit status: the worst of all runs. */
  async run(): Promise<number> {
    const { fixed, fresh, jobs, flags, say, progress } = this.#options;
    if (fresh > 0) {
      const last = Number.isFinite(fresh) ? String(this.#next + fresh - 1) : "";
      say(`fresh seeds from ${this.#next}${last === "" ? "" : ` to ${last}`} (virtual ${flags.join(" ")})`);
    }
    const ticking = setInterval(() => progress(this.#soFar()), PROGRESS_MS);
    const queue = chunks(fixed);
    await Promise.all(
      Array.from({ length: jobs }, async () => {
        for (let seeds = this.#take(queue); seeds !== null; seeds = this.#take(queue)) await this.#runSome(seeds);
      }),
    );
    clearInterval(ticking);
    this.#sum();
    if (this.#stopped && this.#exit === 0) return EXIT.interrupted;
    return this.#exit;
  }

  /** Begins nothing more, and ends what runs; the second time the process ends at once. */
  stop(): void {
    if (this.#stopped) process.exit(EXIT.interrupted);
    this.#stopped = true;
    for (const child of this.#children) child.kill("SIGKILL");
  }

  #take(queue: (readonly number[])[]): readonly number[] | null {
    if (this.#stopped) return null;
    const fixed = queue.shift();
    if (fixed !== undefined) return fixed;
    const { forMs, cpuMs } = this.#options;
    if (this.#freshLeft <= 0 || performance.now() - this.#beganMs >= forMs || this.#cpuMs >= cpuMs) return null;
    const count = Math.min(this.#freshLeft, SEEDS_AT_ONCE);
    const from = this.#next;
    this.#next += count;
    this.#freshLeft -= count;
    return Array.from({ length: count }, (_, at) => from + at);
  }

  async #runSome(seeds: readonly number[]): Promise<void> {
    const range = `${seeds[0]}..${seeds.at(-1)}`;
    const args = [MAIN, "virtual", ...this.#options.flags, "--json", "--seeds", range];
    const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
    this.#children.add(child);
    const ended = new Promise<number | null>((done) => child.once("close", done));
    for await (const text of createInterface({ input: child.stdout })) {
      if (this.#stopped) continue;
      this.#options.report(text);
      this.#count(JSON.parse(text) as Line);
    }
    const code = await ended;
    this.#children.delete(child);
    if (!this.#stopped) this.#exit = Math.max(this.#exit, code ?? EXIT.crash);
  }

  #count(line: Line): void {
    this.#seeds++;
    this.#simulatedMs += line.simulatedMs;
    this.#cpuMs += (line.steps / line.stepsPerSecond) * 1000;
    if (line.verdict === "unrecoverable") this.#unrecoverable++;
    if (line.verdict === "green" || line.verdict === "unrecoverable") return;
    this.#failed.push(line);
    this.#options.say(`seed ${line.seed} ${line.verdict}: ${line.violations[0] ?? ""}`);
    this.#options.say(`  repeat: ${line.command}`);
  }

  #soFar(): string {
    const tookS = Math.round((performance.now() - this.#beganMs) / 1000);
    const minutes = (this.#simulatedMs / 60_000).toFixed(1);
    return `after ${tookS} s: ${this.#seeds} seeds, ${this.#failed.length} failed, ${minutes} min simulated`;
  }

  #sum(): void {
    const { say } = this.#options;
    const perCpuHour = this.#cpuMs === 0 ? 0 : this.#simulatedMs / this.#cpuMs;
    const lost =
      this.#unrecoverable === 0 ? "" : `, ${this.#unrecoverable} lost too many attesters to go on, and said so`;
    say(`${this.#seeds} seeds, ${this.#failed.length} failed${lost}${this.#stopped ? "; interrupted" : ""}`);
    const [minutes, cpuS] = [this.#simulatedMs / 60_000, this.#cpuMs / 1000];
    say(
      `${minutes.toFixed(1)} min simulated in ${cpuS.toFixed(0)} s of CPU time: ${perCpuHour.toFixed(1)} h a CPU hour`,
    );
    if (this.#failed.length > 0)
      say(`failed: ${this.#failed.map(({ seed, verdict }) => `${seed} (${verdict})`).join(", ")}`);
  }
}

function chunks(seeds: readonly number[]): (readonly number[])[] {
  const parts: (readonly number[])[] = [];
  for (let at = 0; at < seeds.length; at += SEEDS_AT_ONCE) parts.push(seeds.slice(at, at + SEEDS_AT_ONCE));
  return parts;
}
