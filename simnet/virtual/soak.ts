/** Fresh seeds on all cores for a given time: each core has a process of its own at a time, which runs a few seeds. */
import { spawn } from "node:child_process";
import { randomInt } from "node:crypto";
import { availableParallelism } from "node:os";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const SEEDS_AT_ONCE = 10;
const SEED_MAX = 900_000_000;
const MAIN = fileURLToPath(new URL("../main.ts", import.meta.url));

interface Line {
  readonly seed: number;
  readonly verdict: string;
  readonly simulatedMs: number;
  readonly steps: number;
  readonly stepsPerSecond: number;
  readonly command: string;
  readonly violations: readonly string[];
}

interface Totals {
  seeds: number;
  failed: number;
  simulatedMs: number;
  cpuMs: number;
  exit: number;
}

/** Answers with the exit status: the worst of all runs. */
export async function soak(forS: number, say: (line: string) => void): Promise<number> {
  const totals: Totals = { seeds: 0, failed: 0, simulatedMs: 0, cpuMs: 0, exit: 0 };
  const untilMs = performance.now() + forS * 1000;
  await Promise.all(
    Array.from({ length: availableParallelism() }, async () => {
      while (performance.now() < untilMs) await runSome(randomInt(1, SEED_MAX), totals, say);
    }),
  );
  const hours = totals.simulatedMs / 3_600_000;
  const perCpuHour = totals.cpuMs === 0 ? 0 : totals.simulatedMs / totals.cpuMs;
  say(
    `${totals.seeds} seeds, ${totals.failed} failed; ${hours.toFixed(2)} simulated hours, ${perCpuHour.toFixed(1)} per CPU hour`,
  );
  return totals.exit;
}

async function runSome(from: number, totals: Totals, say: (line: string) => void): Promise<void> {
  const args = [MAIN, "virtual", "--swarm", "--json", "--seeds", `${from}..${from + SEEDS_AT_ONCE - 1}`];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
  for await (const text of createInterface({ input: child.stdout })) {
    const line = JSON.parse(text) as Line;
    totals.seeds++;
    totals.simulatedMs += line.simulatedMs;
    totals.cpuMs += (line.steps / line.stepsPerSecond) * 1000;
    if (line.verdict === "green" || line.verdict === "unrecoverable") continue;
    totals.failed++;
    say(`${line.seed} ${line.verdict}: ${line.violations[0] ?? ""}\n  ${line.command}`);
  }
  const exit = child.exitCode ?? (await new Promise<number>((done) => child.once("exit", (code) => done(code ?? 4))));
  totals.exit = Math.max(totals.exit, exit);
}
