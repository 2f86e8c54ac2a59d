/** A run of the simulator told to a person. */
import type { VirtualOptions, VirtualReport } from "../virtual/options.ts";
import { attestersOf } from "../virtual/options.ts";
import { commandOf } from "./dials.ts";

const WIDTH = 14;

export function told(options: VirtualOptions, report: VirtualReport): string[] {
  const { nodes, blocks, shards } = options;
  const { seed, verdict, traceHash } = report;
  return [
    `seed ${seed}: ${verdict}${MEANING[verdict]}`,
    row("network", `${nodes} nodes, ${attestersOf(options)} of them attest; ${blocks} blocks of ${shards} shards`),
    ...figures(report),
    ...costs(report),
    ...people(report),
    row("trace", traceHash),
    row("again", commandOf(options)),
    ...failure(report),
  ];
}

/** One line for one of many runs; what failed is told whole. */
export function toldShort(options: VirtualOptions, report: VirtualReport): string[] {
  const { seed, verdict, simulatedMs, steps, faults, crashes, reclaims, ok } = report;
  const counts = `${counted(steps)} steps, ${faults} faults, ${crashes} deaths, ${reclaims} reclaims`;
  const line = `${seed} ${verdict}: ${seconds(simulatedMs)} simulated, ${counts}`;
  return ok ? [line] : [line, row("again", commandOf(options)), ...failure(report)];
}

const MEANING: Readonly<Record<VirtualReport["verdict"], string>> = {
  green: ", no checker found anything",
  safety: ", a rule was broken",
  liveness: ", something did not happen in time after the faults had ended",
  unrecoverable: ", so many attesters are out for good that nothing can be certified, and the nodes say so",
  crash: ", a node or the simulator ended by itself",
};

function figures(report: VirtualReport): string[] {
  const { simulatedMs, steps, stepsPerSecond, messages, bytes, requests, certificates, faults, crashes } = report;
  const cpuS = (steps / Math.max(stepsPerSecond, 1)).toFixed(1);
  return [
    row(
      "simulated",
      `${seconds(simulatedMs)} in ${cpuS} s of CPU time: ${counted(steps)} steps, ${counted(stepsPerSecond)}/s`,
    ),
    row("certificates", `${counted(certificates)} on all honest nodes together`),
    row(
      "traffic",
      `${counted(messages)} messages, ${(bytes / 1e6).toFixed(1)} MB; ${counted(requests)} questions between logs`,
    ),
    row("faults", `${faults} drawn from the seed; nodes died ${times(crashes)}`),
  ];
}

function costs({ reclaims, wastedProofs, wastedMs, contentSplits, delays, starvedMs }: VirtualReport): string[] {
  const wasted = `${wastedProofs} proofs made besides, ${seconds(wastedMs)} of proving`;
  return [
    row("reclaims", `${reclaims} attempts ended by a quorum of timeouts; ${wasted}`),
    ...Object.entries(delays).map(([cause, { times: count, medianMs, worstMs, boundMs }]) =>
      row("delay (L4)", `${cause}: ${times(count)}, median ${medianMs} ms, worst ${worstMs} ms, allowed ${boundMs} ms`),
    ),
    ...(starvedMs === 0
      ? []
      : [
          row(
            "waiting (L2)",
            `a ready task, while provers were free, once the faults were over: ${seconds(starvedMs)}`,
          ),
        ]),
    ...(contentSplits === 0 ? [] : [row("contents", `${contentSplits} blocks certified with two true contents`)]),
  ];
}

function people({ hostile, guilty, retired }: VirtualReport): string[] {
  return [
    ...Object.entries(hostile).map(([name, ways]) => row("hostile", `${name}: ${ways.join(", ")}`)),
    ...Object.entries(guilty).map(([name, grounds]) => row("convicted", `${name}: ${grounds.join(", ")}`)),
    ...retired.map((name) => row("ended", `${name}: another process has its key`)),
  ];
}

export function failure({ violations, story }: VirtualReport): string[] {
  if (violations.length === 0) return [];
  const last = story.length === 0 ? [] : ["  the last that happened to it:", ...story.map((line) => `    ${line}`)];
  return ["  what was found:", ...violations.map((line) => `    ${line}`), ...last];
}

function row(name: string, text: string): string {
  return `  ${name.padEnd(WIDTH)}${text}`;
}

function counted(value: number): string {
  return value.toLocaleString("en-US");
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}

function times(count: number): string {
  return count === 1 ? "once" : `${count} times`;
}
