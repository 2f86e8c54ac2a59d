/** How a configuration names provers, verifiers and the devices of a machine. */
import { z } from "zod";

export const path: z.ZodString = z.string("a path").min(1, "a path");
export const count = (min: number, max: number, what: string): z.ZodType<number> => {
  const allowed = `a whole number from ${min} to ${max} (${what})`;
  return z.number(allowed).int(allowed).min(min, allowed).max(max, allowed);
};
const share = z.number("a number from 0 to 1").min(0, "a number from 0 to 1").max(1, "a number from 0 to 1");

export const RESOURCES = z.strictObject(
  {
    cpus: count(1, 1024, "CPUs").optional(),
    gpus: count(0, 64, "GPUs").optional(),
    memoryBytes: count(1 << 20, Number.MAX_SAFE_INTEGER, "bytes").optional(),
  },
  '{"cpus", "gpus", "memoryBytes"}',
);

/** `id`: what CUDA_VISIBLE_DEVICES (a UUID or an index) or ROCR_VISIBLE_DEVICES (an index) calls it. */
export const DEVICE = z.strictObject(
  {
    vendor: z.enum(["nvidia", "amd"], '"nvidia" or "amd"'),
    id: z.string("a device's id").regex(/^[A-Za-z0-9-]{1,64}$/, "an index, or a UUID such as GPU-8932f937-d72c"),
  },
  '{"vendor": "nvidia" | "amd", "id"}',
);

/** What one task of a prover has for itself alone as long as it runs; left out, nothing that would be counted. */
const resources = RESOURCES.optional();

/** Where the program or guest takes no block but its chain's own, its first task shows whether it works, and not a trial. */
const qualification = z.literal("first-task", '"first-task"').optional();

/** `keys`: a directory with proving keys other than the package's. */
function builtIn<Kind extends string>(kind: Kind) {
  return z.strictObject({
    kind: z.literal(kind),
    timeoutMs: count(1000, 3_600_000, "ms"),
    memoryBytesMax: count(1 << 20, Number.MAX_SAFE_INTEGER, "bytes").optional(),
    keys: path.optional(),
    resources,
  });
}

/**
 * Exit statuses by which a program of the operator's says something about its input, and not about its machine. None by
 * default: status 1 is what a shell, Python and Node end with for a missing file as well, and 101 is what any Rust program
 * ends with when it panics, for want of GPU memory, too. To take a failure of the machine for a verdict costs a task its
 * proof, or a true proof its acceptance; to take a verdict for a failure of the machine costs a few more tries.
 */
const verdictStatuses = z.array(count(1, 125, "exit statuses"), "a list of exit statuses").max(125, "125 statuses");

const system = z.string("a proof system").min(1, "a proof system").max(32, "a proof system of at most 32 characters");
const httpUrl = z
  .string("a URL")
  .regex(/^https?:\/\/[^/?#\s]+(\/[^?#\s]*)?$/, "a URL that starts with http:// or https://, without a query");
const proverMs = count(1000, 86_400_000, "ms");
const verifierMs = count(100, 600_000, "ms");
export const PROVER = z.discriminatedUnion(
  "kind",
  [
    builtIn("groth16"),
    builtIn("ultrahonk"),
    builtIn("stark"),
    builtIn("halo2"),
    builtIn("pickles"),
    /** Computes nothing: a list of `items` items, or what it was given. */
    z.strictObject({
      kind: z.literal("echo"),
      system: z.string("an executor's name").min(1, "an executor's name"),
      delayMs: count(0, 3_600_000, "ms").optional(),
      items: count(1, 1024, "items").optional(),
      resources,
    }),
    z.strictObject({
      kind: z.literal("mock"),
      /** `mock`, or any `mock-...`: each is a family of its own. */
      system: z
        .string('"mock", or a name that starts with "mock-"')
        .regex(/^mock(-[a-z0-9._-]{1,27})?$/, '"mock", or a name that starts with "mock-"')
        .optional(),
      provingMs: count(0, 3_600_000, "ms"),
      infrastructure: share.optional(),
      logical: share.optional(),
      wrong: share.optional(),
      /** Of a block or shard with more transactions it says that it is too large. */
      itemsMax: count(0, 1 << 20, "transactions").optional(),
      seed: z.string("a seed").max(64, "at most 64 characters").optional(),
      resources,
    }),
    z.strictObject({
      kind: z.literal("process"),
      system,
      command: path,
      /** May name what the job has: `{input}`, `{output}` and more (`provers/process.ts`). */
      args: z.array(z.string("text"), "a list of arguments").max(256, "at most 256 arguments").optional(),
      /** What the files are: push0's JSON (the default), or the bytes themselves. */
      form: z.enum(["json", "raw"], '"json" or "raw"').optional(),
      timeoutMs: proverMs,
      /** The task cannot be proven, here or elsewhere. With any other status but 0 this machine has failed. */
      verdictStatuses: verdictStatuses.optional(),
      memoryBytesMax: count(1 << 20, Number.MAX_SAFE_INTEGER, "bytes").optional(),
      /** `alive`: the program waits for a machine elsewhere, so that it has not ended is all the sign of life there is. */
      progress: z.enum(["cpu", "alive"], '"cpu" or "alive"').optional(),
      /** How long a cancelled program has to end, between SIGTERM and SIGKILL. */
      graceMs: count(0, 60_000, "ms").optional(),
      /** How GPUs are named to the program: by UUID (the default), or by their index on this machine. */
      gpuNames: z.enum(["uuid", "index"], '"uuid" or "index"').optional(),
      directory: path.optional(),
      environment: z.record(z.string(), z.string("text"), "an object of texts").optional(),
      resources,
      qualification,
    }),
    /** A zkVM behind ere-server; `input` is what its guest reads. */
    z.strictObject({
      kind: z.literal("ere"),
      system,
      url: httpUrl,
      input: z.enum(["payload", "json"], '"payload" or "json"').optional(),
      timeoutMs: proverMs,
      resources,
      qualification,
    }),
  ],
  'a prover: {"kind": "groth16" | "ultrahonk" | "stark" | "halo2" | "pickles" | "mock" | "echo" | "process" | "ere", ...}',
);

/** Servers that verify what the node has no verifier of its own for. */
export const VERIFIER = z.discriminatedUnion(
  "kind",
  [
    z.strictObject({ kind: z.literal("ere"), system, url: httpUrl, timeoutMs: verifierMs }),
    /**
     * Any program: status 0 for a proof that holds, one of `verdictStatuses` for one that does not, any other for no verdict.
     * Its arguments name `{proof}`, `{values}`, `{parts}`, `{key}`.
     */
    z.strictObject({
      kind: z.literal("process"),
      system,
      command: path,
      args: z.array(z.string("text"), "a list of arguments").max(256, "at most 256 arguments"),
      directory: path.optional(),
      /** Without any it accepts proofs and refuses none. */
      verdictStatuses: verdictStatuses.optional(),
      timeoutMs: verifierMs,
    }),
  ],
  'a verifier: {"kind": "ere" | "process", "system", "timeoutMs", ...}',
);
