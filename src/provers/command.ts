/**
 * A verifier that is any program. Status 0 says that the proof holds, and a status that its operator has named says that it
 * does not. Any other status says that the program is in trouble, which is no verdict: runtimes end with 1 or 101 for a
 * missing file or for want of memory, too, and an attester that refused a true proof for it would be wrong in public.
 *
 * Its arguments may name files (`{proof}`, `{values}`, `{vk}`: the verifying key, `{parts}`: a directory with the public
 * values of what the proof aggregates, as 0, 1, ...), the hash of the key (`{key}`), and of the block its `{hash}`,
 * `{parent}`, `{height}` and `{chain}`, as the chain's own nodes have them. The program has to check the proof against the values: nobody else does.
 */
import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { VerifyJob } from "../ports.ts";
import type { Hash } from "../protocol/ids.ts";
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
  /** The bytes of a verifying key by their hash; `null` for a key that the manifest does not have. */
  readonly keyOf?: (hash: Hash) => Uint8Array | null;
}

/** What an argument may name in braces. */
export const VERIFIER_PLACEHOLDERS = [
  "proof",
  "values",
  "parts",
  "key",
  "vk",
  "hash",
  "parent",
  "height",
  "chain",
] as const;

type Placeholder = (typeof VERIFIER_PLACEHOLDERS)[number];

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
  const known = writeFiles(directory, options, job);
  const args = options.args.map((argument) =>
    argument.replace(/\{([a-z]+)\}/g, (braces, name: string) => (isPlaceholder(name) ? known[name] : braces)),
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

function isPlaceholder(name: string): name is Placeholder {
  const names: readonly string[] = VERIFIER_PLACEHOLDERS;
  return names.includes(name);
}

function writeFiles(directory: string, options: CommandOptions, job: VerifyJob): Readonly<Record<Placeholder, string>> {
  const file = (name: string) => join(directory, name);
  const files = { proof: file("proof.bin"), values: file("values.bin"), vk: file("vk.bin") };
  const parts = join(directory, "parts");
  writeFileSync(files.proof, job.proof);
  writeFileSync(files.values, job.values);
  writeFileSync(files.vk, options.keyOf?.(job.key) ?? new Uint8Array(0));
  mkdirSync(parts);
  for (const [at, part] of job.parts.entries()) writeFileSync(join(parts, String(at)), part);
  const { hash = "", parent = "", height = "", chainId = "" } = job.about ?? {};
  return { ...files, parts, key: job.key, hash, parent, height: String(height), chain: String(chainId) };
}
