/**
 * A verifier that is any program. Status 0 says that the proof holds, and a status that its operator has named says that it
 * does not. Any other status says that the program is in trouble, which is no verdict: runtimes end with 1 or 101 for a
 * missing file or for want of memory, too, and an attester that refused a true proof for it would be wrong in public.
 *
 * Its arguments may name files (`{proof}`, `{values}`, `{parts}`: a directory with the public values of what the proof
 * aggregates, as 0, 1, ...) and the verifying key's hash (`{key}`). The program has to check the proof against the values: nobody else does.
 */
import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { VerifyJob } from "../ports.ts";
import { startGroup } from "./group.ts";
import type { OutsideVerifier } from "./outside.ts";
import type { Check } from "./statement.ts";

export interface CommandOptions {
  readonly system: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly timeoutMs: number;
  /** Exit statuses that say that the proof does not hold. */
  readonly verdictStatuses?: readonly number[];
  readonly directory?: string;
}

/** What an argument may name in braces. */
export const VERIFIER_PLACEHOLDERS = ["proof", "values", "parts", "key"] as const;

const HOLDS = 0;

export function createCommandVerifier(options: CommandOptions): OutsideVerifier {
  return {
    system: options.system,
    verify: async (job, signal) => {
      const directory = mkdtempSync(join(tmpdir(), "proofmesh-verifier-"));
      try {
        return await run(options, job, directory, signal);
      } finally {
        // A verdict does not depend on whether the directory can be removed.
        await rm(directory, { recursive: true, force: true, maxRetries: 3 }).catch(() => {});
      }
    },
  };
}

async function run(options: CommandOptions, job: VerifyJob, directory: string, signal: AbortSignal): Promise<Check> {
  const known = writeFiles(directory, job);
  const args = options.args.map((argument) =>
    argument.replace(/\{(proof|values|parts|key)\}/g, (_, name: keyof typeof known) => known[name]),
  );
  const group = startGroup({
    command: options.command,
    args,
    remove: directory,
    ...(options.directory === undefined ? {} : { directory: options.directory }),
  });
  group.child.stdin?.end();
  // What it prints is its own affair, but a full pipe would stop it.
  group.child.stdout?.resume();
  const stop = AbortSignal.any([signal, AbortSignal.timeout(options.timeoutMs)]);
  const kill = () => group.kill();
  stop.addEventListener("abort", kill, { once: true });
  const status = await new Promise<number | null>((resolve) => {
    group.child.once("error", () => resolve(null));
    group.ended(resolve);
    if (stop.aborted) kill();
  });
  stop.removeEventListener("abort", kill);
  if (stop.aborted) throw new Error(`${options.command} gave no verdict within ${options.timeoutMs} ms`);
  if (status === HOLDS) return { valid: true };
  if (status !== null && options.verdictStatuses?.includes(status) === true)
    return { valid: false, code: "proof.command" };
  throw new Error(`${options.command} ended with status ${status}: ${group.complaint()}`);
}

function writeFiles(
  directory: string,
  job: VerifyJob,
): Readonly<Record<(typeof VERIFIER_PLACEHOLDERS)[number], string>> {
  const files = { proof: join(directory, "proof.bin"), values: join(directory, "values.bin") };
  const parts = join(directory, "parts");
  writeFileSync(files.proof, job.proof);
  writeFileSync(files.values, job.values);
  mkdirSync(parts);
  for (const [at, part] of job.parts.entries()) writeFileSync(join(parts, String(at)), part);
  return { ...files, parts, key: job.key };
}
