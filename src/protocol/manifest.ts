/**
 * The network manifest: one file, equal on every node, that says who may do what and how blocks are proven.
 *
 * Its hash is the network id, which is in every signing domain, topic and stream protocol, so nothing signed for one
 * network is valid on another. The hash is taken over the canonical JSON, so how the file is laid out does not matter.
 */
import { bytesToHex, utf8ToBytes } from "@noble/hashes/utils.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { z } from "zod";
import { hash, int, key, label, LIST as list } from "./fields.ts";
import { checkWorkflow } from "./graph.ts";
import { domainHash, type Hash, type Key } from "./ids.ts";
import { ATTESTERS_MAX, MANIFEST_BYTES_MAX } from "./limits.ts";
import { checkPartitions, PARTITIONS, weigh, type Weights } from "./partition.ts";
import { canonicalJson, checkShape, type Shaped, type ShapeError } from "./shape.ts";
import { WORKFLOW } from "./stages.ts";

/** What workflows name as the keys that proofs are verified under. */
export const KEYS = z.record(
  label,
  z.strictObject(
    {
      system: label,
      /** The verifying key's own bytes. */
      verifyingKey: z.base64("base64").max(200_000, "at most 200,000 characters"),
      /** Larger files a prover needs, by the name its adapter knows; fetched from peers by hash. */
      files: z.record(
        label,
        z.strictObject({ hash, bytes: int(1, 1 << 30) }, '{"hash", "bytes"}'),
        "an object of files",
      ),
    },
    '{"system", "verifyingKey", "files"}',
  ),
  "an object of keys",
);

const SOURCE = 'a key, or {"key", "weight"}';

const SCHEMA = z.strictObject(
  {
    format: z.literal(1, "1"),
    name: label,
    attesters: z
      .array(z.strictObject({ key, weight: int(1, 1000) }, '{"key", "weight"}'), list)
      .min(1, `1 to ${ATTESTERS_MAX} attesters`)
      .max(ATTESTERS_MAX, `1 to ${ATTESTERS_MAX} attesters`),
    /**
     * Keys that may announce blocks, each with a weight of 1 unless it is written as `{"key", "weight"}`. Nodes without a
     * source of their own act on what more than a third of the weight has announced. With fewer than four sources of
     * equal weight that is one source, so the network trusts each of them.
     */
    sources: z
      .array(z.union([key, z.strictObject({ key, weight: int(1, 1000) }, SOURCE)], SOURCE), list)
      .max(100, "at most 100 sources"),
    provers: z.strictObject(
      {
        admission: z.enum(["open", "list"], '"open" or "list"'),
        list: z
          .array(z.strictObject({ key, slots: int(1, 64), weight: int(1, 16) }, '{"key", "slots", "weight"}'), list)
          .max(1000, "at most 1000 provers"),
      },
      '{"admission", "list"}',
    ),
    chains: z
      .array(
        z.strictObject(
          {
            id: int(1, Number.MAX_SAFE_INTEGER),
            /** The height where proving starts, or "any": each announced run of blocks starts where it starts. */
            start: z.union([int(0, Number.MAX_SAFE_INTEGER), z.literal("any")], 'a height, or "any"'),
            confirmations: int(0, 10_000),
            workflow: label,
            /**
             * The blocks of that chain, from the height `start` on, once more: by another workflow, with certificates and
             * credits of their own, after everything else.
             */
            reproves: int(1, Number.MAX_SAFE_INTEGER).optional(),
          },
          "a chain",
        ),
        list,
      )
      .min(1, "1 to 100 chains")
      .max(100, "1 to 100 chains"),
    /** Networks within the network; left out, all chains and attesters are one. */
    partitions: PARTITIONS.optional(),
    workflows: z.record(label, WORKFLOW, "an object of workflows"),
    keys: KEYS,
    timing: z.strictObject(
      {
        /** An owner that has not claimed by then loses its turn; grows 1.5 times an attempt up to the maximum. */
        claimWindowMs: int(50, 60_000, "ms"),
        claimWindowMsMax: int(50, 600_000, "ms"),
        heartbeatMs: int(50, 60_000, "ms"),
        leaseMs: int(200, 3_600_000, "ms"),
        /** How often two nodes compare what they have. */
        syncMs: int(100, 60_000, "ms"),
      },
      "timing",
    ),
    limits: z.strictObject(
      {
        proofBytesMax: int(1, 1 << 24, "bytes"),
        /** Claims of one prover that may be open at once, per slot. */
        claimsPerSlotMax: int(1, 64),
        /** Certified blocks whose entries are kept for peers that lag. */
        retentionBlocks: int(1, 100_000),
      },
      "limits",
    ),
    /** How failed attempts are retried; what is left out has the defaults of `RETRY`. */
    retry: z
      .strictObject(
        {
          /** Failed attempts after which a task is in quarantine; never before each prover on duty had its turn. */
          attempts: int(1, 500).optional(),
          /** Provers of the task's order that must fail with one logical code: so many, or all that are able. */
          logicalProvers: int(1, 1000).optional(),
          /** A failure in quarantine makes the next attempt wait so long, each further one twice as long. */
          pauseMs: int(1, 3_600_000, "ms").optional(),
          pauseMsMax: int(1, 86_400_000, "ms").optional(),
          /** The second failure of a machine waits so long before the next attempt, each further one twice as long. */
          backoffMs: int(0, 600_000, "ms").optional(),
          backoffMsMax: int(0, 3_600_000, "ms").optional(),
          /**
           * A task that takes longer than so many percent of those before it is begun by the next owner as well, where
           * that stands idle. Left out it is not: what is slow on one machine is mostly slow on all, and the work is done twice.
           */
          hedgePercentile: int(50, 100).optional(),
        },
        "an object of retry limits",
      )
      .optional(),
    bootstrap: z
      .array(z.string("a multiaddr").min(1, "a multiaddr").max(256, "a multiaddr"), list)
      .max(64, "at most 64 addresses"),
  },
  "a manifest object",
);

export type ManifestJson = z.infer<typeof SCHEMA>;

/** A manifest whose every rule was checked, and what follows from it. */
export interface Manifest extends Weights {
  readonly json: ManifestJson;
  readonly network: Hash;
  /** The canonical JSON, as served to nodes that join. */
  readonly bytes: Uint8Array;
  readonly sources: ReadonlySet<Key>;
  readonly sourceWeights: ReadonlyMap<Key, number>;
  /** So much of the sources' weight has an honest source in it: more than a third (`floor((n-1)/3)+1`). */
  readonly oneHonestSource: number;
  readonly retry: Retry;
  /** Hash of the verifying key, by the key's name. */
  readonly keyHashes: ReadonlyMap<string, Hash>;
}

export type Retry = { readonly [K in keyof typeof RETRY]: number } & { readonly hedgePercentile: number | null };

/** Sixteen failures of provers that did take the task say more about the task than about them. */
const RETRY = {
  attempts: 16,
  logicalProvers: 16,
  pauseMs: 30_000,
  pauseMsMax: 3_600_000,
  backoffMs: 500,
  backoffMsMax: 60_000,
} as const;

/** The JSON Schema of a manifest, for editors. */
export function manifestSchema(): unknown {
  return z.toJSONSchema(SCHEMA, { unrepresentable: "any" });
}

/** Reads a manifest from its JSON value; all errors at once, each with its place. */
export function readManifest(input: unknown): Shaped<Manifest> {
  const shaped = checkShape(SCHEMA, input);
  if (!shaped.ok) return shaped;
  const errors = crossCheck(shaped.value);
  if (errors.length > 0) return { ok: false, errors };
  return { ok: true, value: derive(shaped.value) };
}

function derive(json: ManifestJson): Manifest {
  const bytes = utf8ToBytes(canonicalJson(json));
  return {
    json,
    network: domainHash("manifest", bytes),
    bytes,
    ...weigh(json.attesters),
    ...weighSources(json.sources),
    retry: retryOf(json),
    keyHashes: keyHashesOf(json.keys),
  };
}

/** What the nodes of a chain answer to `eth_chainId`. A chain that re-proves another has a number of its own here. */
export function chainIdOf({ json }: Pick<Manifest, "json">, chain: number): number {
  return json.chains.find(({ id }) => id === chain)?.reproves ?? chain;
}

function weighSources(
  sources: ManifestJson["sources"],
): Pick<Manifest, "sources" | "sourceWeights" | "oneHonestSource"> {
  const weighed = sources.map(weighedSource);
  const { weights, weight, oneHonest } = weigh(weighed);
  return { sources: new Set(weights.keys()), sourceWeights: weights, oneHonestSource: weight === 0 ? 1 : oneHonest };
}

/** In one line: how many sources it takes to have a block proven that is on no chain. */
export function trustInSources({ sourceWeights, oneHonestSource }: Manifest): string {
  const { size } = sourceWeights;
  const lightest = Math.min(...sourceWeights.values());
  const noun = size === 1 ? "source" : "sources";
  if (size === 0 || lightest < oneHonestSource)
    return `${size} ${noun}; nodes without a source wait for a weight of ${oneHonestSource} of them`;
  return `${size} ${noun}; the network trusts each of them: it takes four of equal weight to bear a false one`;
}

function weighedSource(source: ManifestJson["sources"][number]): { readonly key: Key; readonly weight: number } {
  return typeof source === "string" ? { key: source, weight: 1 } : source;
}

function retryOf(json: ManifestJson): Retry {
  return { ...RETRY, ...defined(json.retry), hedgePercentile: json.retry?.hedgePercentile ?? null };
}

/** A field that is there without a value has the default like one that is not there. */
function defined(fields: ManifestJson["retry"]): Partial<Record<keyof typeof RETRY, number>> {
  return Object.fromEntries(Object.entries(fields ?? {}).filter(([, value]) => value !== undefined));
}

/** What the protocol calls each verifying key: SHA-256 of its bytes. */
export function keyHashesOf(keys: ManifestJson["keys"]): ReadonlyMap<string, Hash> {
  const hashOf = (base64: string) => bytesToHex(sha256(decodeBase64(base64)));
  return new Map(Object.entries(keys).map(([name, { verifyingKey }]) => [name, hashOf(verifyingKey)]));
}

/** Base64 without an ambient decoder: the pure folders have none. */
export function decodeBase64(text: string): Uint8Array {
  const bytes: number[] = [];
  let [buffer, bits] = [0, 0];
  for (const char of text.replace(/=+$/, "")) {
    buffer = ((buffer << 6) | BASE64.indexOf(char)) & 0xffffff;
    bits += 6;
    if (bits < 8) continue;
    bits -= 8;
    bytes.push((buffer >> bits) & 0xff);
  }
  return Uint8Array.from(bytes);
}

const BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/** What one field alone cannot say: duplicates, names that lead nowhere, times that contradict each other. */
function crossCheck(json: ManifestJson): ShapeError[] {
  const errors: ShapeError[] = [];
  const wrong = (path: string, value: unknown, allowed: string) => errors.push({ path, value, allowed });
  duplicates(json.attesters.map((attester) => attester.key)).forEach((at) =>
    wrong(`attesters[${at}].key`, json.attesters[at]?.key, "a key that is not listed before"),
  );
  duplicates(json.sources.map((source) => weighedSource(source).key)).forEach((at) =>
    wrong(`sources[${at}]`, json.sources[at], "a key that is not listed before"),
  );
  duplicates(json.provers.list.map((prover) => prover.key)).forEach((at) =>
    wrong(`provers.list[${at}].key`, json.provers.list[at]?.key, "a key that is not listed before"),
  );
  duplicates(json.chains.map((chain) => chain.id)).forEach((at) =>
    wrong(`chains[${at}].id`, json.chains[at]?.id, "a chain id that is not listed before"),
  );
  json.chains.forEach((chain, at) => {
    if (!Object.hasOwn(json.workflows, chain.workflow)) {
      wrong(`chains[${at}].workflow`, chain.workflow, `one of the workflows ${names(json.workflows)}`);
    }
  });
  json.chains.forEach(({ id, start, reproves }, at) => {
    if (reproves === undefined) return;
    const others = json.chains.filter((other) => other.id !== id && other.reproves === undefined);
    if (!others.some((other) => other.id === reproves))
      wrong(
        `chains[${at}].reproves`,
        reproves,
        `a chain that re-proves none itself: ${others.map((other) => other.id).join(", ") || "there is none"}`,
      );
    if (start === "any") wrong(`chains[${at}].start`, start, "the height from which on blocks are proven again");
  });
  errors.push(...checkPartitions(json));
  for (const [name, workflow] of Object.entries(json.workflows)) {
    errors.push(...checkWorkflow(`workflows.${name}`, workflow, json));
  }
  const { timing } = json;
  if (timing.claimWindowMsMax < timing.claimWindowMs) {
    wrong("timing.claimWindowMsMax", timing.claimWindowMsMax, `at least claimWindowMs (${timing.claimWindowMs})`);
  }
  if (timing.leaseMs < 4 * timing.heartbeatMs) {
    wrong("timing.leaseMs", timing.leaseMs, `at least four heartbeats (${4 * timing.heartbeatMs})`);
  }
  const { backoffMs, backoffMsMax } = retryOf(json);
  if (backoffMsMax < backoffMs) {
    wrong("retry.backoffMsMax", backoffMsMax, `at least backoffMs (${backoffMs})`);
  }
  if (canonicalJson(json).length > MANIFEST_BYTES_MAX) {
    wrong("", canonicalJson(json).length, `a manifest of at most ${MANIFEST_BYTES_MAX} bytes`);
  }
  return errors;
}

function duplicates(values: readonly unknown[]): number[] {
  return values.flatMap((value, at) => (values.indexOf(value) < at ? [at] : []));
}

function names(record: object): string {
  return Object.keys(record).join(", ");
}
