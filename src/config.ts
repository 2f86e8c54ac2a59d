/**
 * A node's configuration: a file, then the environment, then flags; every error at once, each with its value, where it
 * came from and what is allowed.
 */
import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { z } from "zod";
import { hasCredentials, publicUrl } from "./address.ts";
import { count, DEVICE, path, PROVER, RESOURCES, VERIFIER } from "./config/provers.ts";
import { PARTITIONS_MAX } from "./protocol/limits.ts";
import { checkShape, describeShapeError, type ShapeError } from "./protocol/shape.ts";

const url = z
  .string("a URL")
  .regex(/^(https?|wss?):\/\/.+/, "a URL that starts with http://, https://, ws:// or wss://");
const address = z.string("a multiaddr").startsWith("/", "a multiaddr such as /ip4/0.0.0.0/tcp/4600");
const chain = count(1, Number.MAX_SAFE_INTEGER, "a chain id");

const SOURCE = z.discriminatedUnion(
  "kind",
  [
    z.strictObject({
      kind: z.literal("rpc"),
      chain,
      url,
      /** A consensus node (HTTP), for execution requests where a statement needs them. */
      beacon: z
        .string("a URL")
        .regex(/^https?:\/\/.+/, "a URL that starts with http:// or https://")
        .optional(),
    }),
    z.strictObject({ kind: z.literal("file"), chain, path }),
    z.strictObject({
      kind: z.literal("dev"),
      blockTimeS: z.number("seconds").min(0.1, "0.1 to 3600 seconds").max(3600, "0.1 to 3600 seconds"),
      transactionsPerBlock: count(0, 500, "transactions"),
    }),
  ],
  'a source: {"kind": "rpc", "chain", "url"}, {"kind": "file", "chain", "path"} or {"kind": "dev", "blockTimeS", "transactionsPerBlock"}',
);

/** Never the secret itself: a configuration is copied, shown and kept in repositories. */
const SECRET = z.union(
  [
    z.strictObject({
      env: z
        .string("a variable's name")
        .regex(/^(?!PROOFMESH_)[A-Za-z_][A-Za-z0-9_]*$/, "a variable's name that does not start with PROOFMESH_"),
    }),
    z.strictObject({ file: path }),
  ],
  '{"env": "NAME"} of a variable that does not start with PROOFMESH_, or {"file": "path"}',
);
const webAddress = z.string("a URL").regex(/^https?:\/\/[^\s]+$/, "a URL that starts with http:// or https://");
/** What all sinks may say. */
const LINE = {
  /** Names it in status and logs, and the file that says how far it is; if it has none, its kind does. */
  name: z
    .string("a name")
    .regex(/^[a-z0-9][a-z0-9-]{0,31}$/, "up to 32 of a-z, 0-9 and -")
    .optional(),
  /** The height to begin at. */
  from: count(0, Number.MAX_SAFE_INTEGER, "height").optional(),
  /** Nodes that serve the same place, which then take turns. */
  nodes: z
    .array(z.string("a key").regex(/^[0-9a-f]{64}$/, "64 lower-case hex digits"), "a list of keys")
    .max(64, "at most 64 keys")
    .optional(),
  /** How long the second node waits for the first to hand a block on. */
  takeoverMs: count(100, 86_400_000, "ms").optional(),
};
const CHAINS = { chains: z.array(chain, "a list of chain ids").min(1, "one chain or more").max(64, "64").optional() };
const timeoutMs = count(100, 600_000, "ms").optional();

/** How a sink sends transactions. */
const TRANSACTIONS = {
  /** Providers put keys into addresses. */
  rpc: z.union([webAddress, SECRET], 'a URL, {"env": "NAME"} or {"file": "path"}'),
  evmChain: chain,
  address: z.string("an address").regex(/^0x[0-9a-fA-F]{40}$/, "0x and 40 hex digits"),
  /** The private key of the account that pays, for this sink alone. */
  account: SECRET,
  confirmations: count(1, 1024, "blocks").optional(),
  stuckMs: count(1000, 3_600_000, "ms").optional(),
  gasPriceGweiMax: z.number("gwei").positive("more than 0").max(1e9, "at most a billion").optional(),
};
/** Which of a block's proofs is meant. */
const PROOF = {
  stage: z.string("a stage's name").min(1, "a stage's name").max(32, "at most 32 characters").optional(),
  /** Of the proof systems side by side in the stage. */
  system: z.string("a proof system").min(1, "a proof system").max(64, "at most 64 characters").optional(),
};
const FUNCTION = z.string("a function").min(1, "a function").max(1024, "at most 1,024 characters");
const ARGUMENT = z.string("text").max(65_536, "at most 65,536 characters");
const ARGUMENTS = z.array(ARGUMENT, "a list of texts").max(32, "at most 32 arguments");

const SINK = z.discriminatedUnion(
  "kind",
  [
    z.strictObject({ kind: z.literal("file"), ...LINE, ...CHAINS, path }),
    z.strictObject({
      kind: z.literal("webhook"),
      ...LINE,
      ...CHAINS,
      url: webAddress,
      lookup: webAddress.regex(/\{block\}|\{height\}/, "a URL with {height} or {block} in it").optional(),
      /** What the receiver shares. Without it requests are signed with the node's key. */
      secret: SECRET.optional(),
      timeoutMs,
    }),
    z.strictObject({
      kind: z.literal("contract"),
      ...LINE,
      ...CHAINS,
      ...TRANSACTIONS,
      timeoutMs,
    }),
    z.strictObject({
      kind: z.literal("call"),
      ...LINE,
      ...CHAINS,
      ...TRANSACTIONS,
      /** The function that takes the block, and its arguments (`sinks/template.ts`). */
      call: z.strictObject({ function: FUNCTION, args: ARGUMENTS }, '{"function", "args"}'),
      /** A view function, and what it returns once the contract has the block. */
      done: z.strictObject({ function: FUNCTION, args: ARGUMENTS, is: ARGUMENT }, '{"function", "args", "is"}'),
      timeoutMs,
    }),
    z.strictObject({
      kind: z.literal("relay"),
      ...LINE,
      ...CHAINS,
      url: webAddress.regex(/^[^?#]*$/, "a URL without a query"),
      proofType: z
        .string("a proof type")
        .regex(/^[a-z0-9-]{1,64}$/, "a proof type such as reth-zisk (a-z, 0-9, '-', at most 64 characters)"),
      ...PROOF,
      /** For an Authorization header. */
      token: SECRET.optional(),
      timeoutMs,
    }),
    z.strictObject({
      kind: z.literal("ethproofs"),
      ...LINE,
      chain,
      url: webAddress
        .refine((text) => !hasCredentials(text), "a URL without user and password, because apiKey is what is sent")
        .optional(),
      apiKey: SECRET,
      cluster: count(0, Number.MAX_SAFE_INTEGER, "the team's number of the cluster"),
      ...PROOF,
      every: count(1, 1_000_000, "blocks").optional(),
      requestsPerMinute: count(4, 100_000, "requests").optional(),
      timeoutMs,
    }),
  ],
  'a sink: {"kind": "file" | "webhook" | "contract" | "call" | "relay" | "ethproofs", ...}',
);

const ROLE = z.enum(["source", "prover", "attester"], '"source", "prover" or "attester"');

const SCHEMA = z.strictObject(
  {
    /** Everything the node keeps but its key: journal, store, artefacts, certificates. */
    data: path,
    /** The node's key and how far it has signed. Without it: beside the data directory. */
    keys: path,
    /** The network's manifest. Without it: the one in the data directory, or a new network of this node alone. */
    manifest: path.optional(),
    /** `<network id>@<multiaddr>` of a node that serves the manifest. */
    join: z
      .string("<network id>@<multiaddr>")
      .regex(/^[0-9a-f]{64}@\/.+/, "<network id of 64 hex digits>@<multiaddr>, as a running node prints it")
      .optional(),
    listen: z.array(address, "a list of multiaddrs").max(16, "at most 16 addresses"),
    announce: z.array(address, "a list of multiaddrs").max(16, "at most 16 addresses"),
    bootstrap: z.array(address, "a list of multiaddrs").max(64, "at most 64 addresses"),
    http: z.union(
      [z.literal("off"), z.string().regex(/^[^\s/]+:\d{1,5}$/)],
      '"off" or host:port, such as 127.0.0.1:4680',
    ),
    roles: z.array(ROLE, "a list of roles").max(3, "at most 3 roles"),
    slots: count(0, 64, "proofs at once"),
    /** Partitions whose tasks the node proves. Without it: all. Where it attests it takes part anyway. */
    partitions: z
      .array(
        z.string("a partition's name").min(1, "a partition's name").max(32, "at most 32 characters"),
        "a list of names",
      )
      .max(PARTITIONS_MAX, `at most ${PARTITIONS_MAX} partitions`)
      .optional(),
    /** What this machine has; what is left out is what the system says, and its GPUs are its devices. */
    resources: RESOURCES.optional(),
    /** Its GPUs. Left out, those that nvidia-smi or rocm-smi finds. */
    devices: z.array(DEVICE, "a list of devices").max(64, "at most 64 devices").optional(),
    provers: z.array(PROVER, "a list of provers").max(16, "at most 16 provers"),
    /** For proof systems without a verifier in the node: who is asked. Each node trusts its own. */
    verifiers: z.array(VERIFIER, "a list of verifiers").max(16, "at most 16 verifiers"),
    /** Modules of functions that stages are collected by: by the name in the manifest, the path of the file. */
    collectors: z
      .record(
        z.string("a name").regex(/^[a-z0-9][a-z0-9._-]{0,31}$/, "a collector's name, as the manifest has it"),
        path,
        "an object of paths",
      )
      .optional(),
    sources: z.array(SOURCE, "a list of sources").max(16, "at most 16 sources"),
    sinks: z.array(SINK, "a list of sinks").max(16, "at most 16 sinks"),
    artefactBytesMax: count(1 << 20, Number.MAX_SAFE_INTEGER, "bytes"),
    verifierThreads: count(1, 64, "threads"),
    /** `local` lifts the limits by host: many nodes on one machine. */
    profile: z.enum(["local", "public"], '"local" or "public"'),
    log: z.enum(["pretty", "json", "auto"], '"pretty", "json" or "auto"'),
  },
  "a configuration object",
);

export type NodeConfig = Readonly<z.infer<typeof SCHEMA>>;
export type SourceConfig = NodeConfig["sources"][number];
export type SinkConfig = NodeConfig["sinks"][number];
export type SecretConfig = z.infer<typeof SECRET>;
export type ProverConfig = NodeConfig["provers"][number];
/** What one layer sets; later layers win, lists are replaced whole. */
export type ConfigLayer = { -readonly [K in keyof NodeConfig]?: NodeConfig[K] | undefined };

export class ConfigError extends Error {
  readonly code = "config.invalid";
}

const DEFAULTS: Omit<NodeConfig, "data" | "keys"> = {
  listen: ["/ip4/0.0.0.0/tcp/4600"],
  announce: [],
  bootstrap: [],
  http: "127.0.0.1:4680",
  roles: ["source", "prover", "attester"],
  slots: 1,
  // Of these a node opens what its manifest asks for.
  provers: [
    { kind: "groth16", timeoutMs: 120_000 },
    { kind: "ultrahonk", timeoutMs: 120_000 },
    { kind: "stark", timeoutMs: 120_000 },
    { kind: "halo2", timeoutMs: 300_000 },
    { kind: "pickles", timeoutMs: 1_800_000 },
  ],
  verifiers: [],
  sources: [],
  sinks: [],
  artefactBytesMax: 10 * 1024 ** 3,
  verifierThreads: 1,
  profile: "public",
  log: "auto",
};

/** A dev chain's id is known only by its kind. */
export const DEV_CHAIN = 31_337;

/** The directory for a network whose name is known before its manifest is: `dev`, or the id that a node joins by. */
export function defaultData(name: string): string {
  return join(homedir(), ".proofmesh", name);
}

/** Where the key and the signing state are if nothing else is said: never inside the data directory. */
export function defaultKeys(data: string): string {
  return `${resolve(data)}-keys`;
}

/** A node's manifest: where it was given, or with all else that the node keeps. */
export function manifestFile({ manifest, data }: Pick<NodeConfig, "manifest" | "data">): string {
  return manifest ?? join(data, "manifest.json");
}

/** Puts the layers together. Throws a `ConfigError` that names every mistake of every layer. */
export function readConfig(file: string | undefined, environment: NodeJS.ProcessEnv, flags: ConfigLayer): NodeConfig {
  const layers: { readonly where: string; readonly values: Record<string, unknown> }[] = [];
  if (file !== undefined) layers.push({ where: file, values: readFile(file) });
  layers.push({ where: "the environment", values: readEnvironment(environment) });
  layers.push({ where: "the command line", values: defined(flags) });
  const merged: Record<string, unknown> = { ...DEFAULTS };
  const origin = new Map<string, string>();
  for (const { where, values } of layers) {
    for (const [key, value] of Object.entries(values)) {
      merged[key] = value;
      origin.set(key, where);
    }
  }
  merged["data"] ??= defaultData(typeof merged["join"] === "string" ? `join-${merged["join"].slice(0, 12)}` : "dev");
  if (typeof merged["data"] === "string") merged["keys"] ??= defaultKeys(merged["data"]);
  const shaped = checkShape(SCHEMA, merged);
  if (!shaped.ok) throw new ConfigError(shaped.errors.map((error) => describe(error, origin)).join("\n"));
  const [data, keys] = [resolve(shaped.value.data), resolve(shaped.value.keys)];
  if (`${keys}/`.startsWith(`${data}/`)) {
    const where = origin.get("keys") ?? "the default";
    const why = "a copy of the data directory must not bring an old signing state with it";
    throw new ConfigError(
      `${where}: keys is ${keys}, inside the data directory ${data}; allowed: outside of it, because ${why}`,
    );
  }
  return Object.freeze({ ...shaped.value, data, keys });
}

function describe(error: ShapeError, origin: ReadonlyMap<string, string>): string {
  const [top = ""] = error.path.split(/[.[]/);
  return describeShapeError({ ...error, value: shownValue(error) }, origin.get(top) ?? "configuration");
}

/** Where an address or a secret belongs, the value may be a secret or hold one. */
const SECRETIVE = /^(sinks|sources|provers|verifiers)\[\d+\](\.|$)/;
const HARMLESS = /\.(kind|name|chain|chains|from|path)\b/;

function shownValue({ path: at, value }: ShapeError): unknown {
  if (!SECRETIVE.test(at) || HARMLESS.test(at)) return value;
  if (typeof value === "string" && /\.(url|rpc|lookup|beacon)$/.test(at)) {
    const shown = publicUrl(value);
    return shown === "(not a URL)" ? "(not shown)" : shown;
  }
  const isSecret = /^sinks\[\d+\]\.(account|apiKey|secret)\b/.test(at) || /secret|token|password|key$/i.test(at);
  const hasAddress = typeof value !== "number" && /:\/\/|@/.test(JSON.stringify(value) ?? "");
  return isSecret || hasAddress ? "(not shown)" : value;
}

function readFile(file: string): Record<string, unknown> {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    throw new ConfigError(`${file}: cannot be read: ${error instanceof Error ? error.message : String(error)}`);
  }
  try {
    const json: unknown = JSON.parse(text);
    if (json !== null && typeof json === "object" && !Array.isArray(json)) return json as Record<string, unknown>;
  } catch (error) {
    throw new ConfigError(`${file}: is not JSON: ${error instanceof Error ? error.message : String(error)}`);
  }
  throw new ConfigError(`${file}: is not a JSON object; allowed: {"listen": [...], ...}`);
}

/** `PROOFMESH_<NAME>` by setting; lists by comma. A name that no setting has is an error, not a surprise. */
const ENVIRONMENT: Readonly<Record<string, (text: string) => readonly [string, unknown]>> = {
  PROOFMESH_DATA: (text) => ["data", text],
  PROOFMESH_MANIFEST: (text) => ["manifest", text],
  PROOFMESH_JOIN: (text) => ["join", text],
  PROOFMESH_KEYS: (text) => ["keys", text],
  PROOFMESH_LISTEN: (text) => ["listen", text.split(",")],
  PROOFMESH_ANNOUNCE: (text) => ["announce", text.split(",")],
  PROOFMESH_BOOTSTRAP: (text) => ["bootstrap", text.split(",")],
  PROOFMESH_HTTP: (text) => ["http", text],
  PROOFMESH_ROLES: (text) => ["roles", text.split(",")],
  PROOFMESH_SLOTS: (text) => ["slots", Number(text)],
  PROOFMESH_PARTITIONS: (text) => ["partitions", text.split(",")],
  PROOFMESH_PROFILE: (text) => ["profile", text],
  PROOFMESH_LOG: (text) => ["log", text],
};

function readEnvironment(environment: NodeJS.ProcessEnv): Record<string, unknown> {
  const values: Record<string, unknown> = {};
  for (const [name, text] of Object.entries(environment)) {
    if (!name.startsWith("PROOFMESH_") || text === undefined) continue;
    const read = ENVIRONMENT[name];
    if (read === undefined) {
      throw new ConfigError(
        `the environment: ${name} is ${JSON.stringify(text)}; allowed: ${Object.keys(ENVIRONMENT).join(", ")}`,
      );
    }
    const [key, value] = read(text);
    values[key] = value;
  }
  return values;
}

function defined(layer: ConfigLayer): Record<string, unknown> {
  return Object.fromEntries(Object.entries(layer).filter(([, value]) => value !== undefined));
}
