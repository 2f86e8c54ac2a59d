/**
 * The barrier certificate: one file that says which proofs complete a block, signed by a quorum of attesters, and that
 * anybody checks with nothing but the manifest.
 *
 * The file has one legal form (canonical JSON and one newline), every signature in it must hold and every signer must
 * be an attester, so no byte of it can change unnoticed.
 */
import { bytesToHex, hexToBytes, utf8ToBytes } from "@noble/hashes/utils.js";
import { z } from "zod";
import { openVote } from "./batch.ts";
import { type Announced, blockId, domainHash, type Hash, type Key } from "./ids.ts";
import { CERTIFICATE_BYTES_MAX, LOST_MAX } from "./limits.ts";
import type { Manifest } from "./manifest.ts";
import { encodeEntry, type Vote } from "./messages.ts";
import { partitionOfChain, partitionsOf } from "./partition.ts";
import { canonicalJson, checkShape, describeShapeError } from "./shape.ts";
import type { Equation } from "./signing.ts";
import { groupCount, groupOf, groupsAt, levelOf, restsOn, type Stage, stagesOf, variantOf } from "./workflow.ts";

export const hash = z.string("64 lower-case hex digits").regex(/^[0-9a-f]{64}$/, "64 lower-case hex digits");
export const bytes = z.string("lower-case hex").regex(/^(?:[0-9a-f]{2})*$/, "lower-case hex");
export const count = z
  .number("a whole number")
  .int("a whole number")
  .min(0, "a whole number, 0 or more")
  .max(Number.MAX_SAFE_INTEGER, "a safe whole number");
export const text = z.string("a name").regex(/^[a-z0-9][a-z0-9._-]{0,31}$/, "a name");

const CONTENT = z.strictObject({
  /** Which fields the content has. */
  format: z.literal(1, "1"),
  network: hash,
  chain: count,
  height: count,
  /** The block's hash and its parent's, as the chain names them. */
  hash,
  parent: hash,
  /** Starts a run of blocks: no certificate of its parent exists. */
  start: z.boolean("true or false"),
  workflow: text,
  items: count,
  /** SHA-256 of the block's own bytes. */
  payload: hash,
  /** The chain's running commitment before and after the block. */
  before: bytes,
  after: bytes,
  tasks: z.array(
    z.strictObject({
      stage: text,
      index: count,
      system: text,
      /** SHA-256 of the verifying key. */
      key: hash,
      attempt: count,
      /** `null` where whoever handed it in is out, and so few attested that nobody can be named. */
      prover: hash.nullable(),
      /** Whether a quorum certified that this prover was assigned the task and is to be paid. */
      credited: z.boolean("true or false"),
      /** SHA-256 of the proof, and its size in bytes. */
      artefact: hash,
      bytes: count,
      /** Where the output is a list that says how many tasks other stages have: its length. */
      items: count.optional(),
    }),
  ),
  /** Attempts that their owner had, kept and did not prove, of tasks that are credited in a later attempt. */
  lost: z.array(z.strictObject({ stage: text, index: count, attempt: count, owner: hash })),
});

const FILE = z.strictObject({
  kind: z.literal("barrier", '"barrier"'),
  version: z.literal(1, "1"),
  content: CONTENT,
  votes: z.array(z.strictObject({ head: bytes, index: count, path: z.array(hash), signature: bytes })),
});

/** A block whose barrier is certified, as far as its children need to know it. The store keeps it for good. */
export interface Closed {
  /** The block's id. */
  readonly id: Hash;
  readonly chain: number;
  readonly height: number;
  readonly hash: Hash;
  /** As the chain names the parent; `null` where a run starts. */
  readonly parent: Hash | null;
  /** The chain's running commitment after the block, in hex. */
  readonly after: string;
}

/** Proofs of a block's tasks that nobody has signed for: what it takes to verify them, and no more. */
const PROOFS = z.strictObject({
  kind: z.literal("proofs", '"proofs"'),
  version: z.literal(1, "1"),
  content: CONTENT.omit({ format: true, lost: true }).extend({
    tasks: z.array(CONTENT.shape.tasks.element.omit({ attempt: true, prover: true, credited: true })),
  }),
});

export type ProofsContent = z.infer<typeof PROOFS>["content"];

export type BarrierContent = z.infer<typeof CONTENT>;
export type BarrierTask = BarrierContent["tasks"][number];
export type LostAttempt = BarrierContent["lost"][number];

export interface Certificate {
  readonly content: BarrierContent;
  /** Hash of the content: two certificates with one content certify the same, whoever signed them. */
  readonly contentHash: Hash;
  readonly block: Hash;
  readonly signers: readonly Key[];
}

export type CertificateFault =
  | "certificate.too-large"
  | "certificate.malformed"
  | "certificate.not-canonical"
  | "certificate.other-network"
  | "certificate.tasks"
  | "certificate.signature"
  | "certificate.signer"
  | "certificate.quorum";

export type CheckedCertificate =
  | { readonly ok: true; readonly value: Certificate }
  | { readonly ok: false; readonly code: CertificateFault; readonly message: string };

export function contentHash(content: BarrierContent): Hash {
  return domainHash("barrier", utf8ToBytes(canonicalJson(content)));
}

/** The file's bytes. Votes are put in the order of their heads, so that one set of votes makes one file. */
export function encodeCertificate(content: BarrierContent, votes: readonly Vote[]): Uint8Array {
  const shown = votes
    .map((vote) => ({
      head: bytesToHex(vote.head),
      index: vote.index,
      path: vote.path.map((sibling) => bytesToHex(sibling)),
      signature: bytesToHex(vote.signature),
    }))
    .sort((a, b) => (a.head < b.head ? -1 : 1));
  return utf8ToBytes(`${canonicalJson({ kind: "barrier", version: 1, content, votes: shown })}\n`);
}

/** Reads and checks a certificate against the manifest alone. The proofs it names are checked by whoever has them. */
export function checkCertificate(manifest: Manifest, file: Uint8Array, equation: Equation): CheckedCertificate {
  const no = (code: CertificateFault, message: string): CheckedCertificate => ({ ok: false, code, message });
  const read = readCanonical(FILE, file);
  if (!read.ok) return read;
  const { content, votes } = read.value;
  if (content.network !== manifest.network) {
    return no("certificate.other-network", `it is of network ${content.network}; the manifest is ${manifest.network}`);
  }
  const tasks = checkTasks(manifest, content) ?? checkLost(content);
  if (tasks !== null) return no("certificate.tasks", tasks);
  return checkVotes(manifest, content, votes, equation);
}

/** Reads a list of proofs against the manifest alone. That they verify is checked by whoever has them. */
export function readProofs(
  manifest: Manifest,
  file: Uint8Array,
): { readonly ok: true; readonly value: ProofsContent } | Extract<CheckedCertificate, { readonly ok: false }> {
  const read = readCanonical(PROOFS, file);
  if (!read.ok) return read;
  const { content } = read.value;
  if (content.network === manifest.network) return { ok: true, value: content };
  const message = `it is of network ${content.network}; the manifest is ${manifest.network}`;
  return { ok: false, code: "certificate.other-network", message };
}

/** What a certificate that was checked before says; `null` for a file that is none. */
export function readContent(file: Uint8Array): { readonly content: BarrierContent; readonly contentHash: Hash } | null {
  const read = readCanonical(FILE, file);
  if (!read.ok) return null;
  const { content } = read.value;
  return { content, contentHash: contentHash(content) };
}

/** Reads a file that has one legal form: canonical JSON of this shape and one newline. */
export function readCanonical<T>(
  shape: z.ZodType<T>,
  file: Uint8Array,
):
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly code: CertificateFault; readonly message: string } {
  const no = (code: CertificateFault, message: string) => ({ ok: false, code, message }) as const;
  if (file.length > CERTIFICATE_BYTES_MAX) {
    return no("certificate.too-large", `the file has ${file.length} bytes; allowed: ${CERTIFICATE_BYTES_MAX}`);
  }
  const json = parse(file);
  if (json === undefined) return no("certificate.malformed", `the file's ${file.length} bytes are not JSON`);
  const shaped = checkShape(shape, json);
  if (!shaped.ok) {
    const [first] = shaped.errors;
    return no(
      "certificate.malformed",
      first === undefined ? "no certificate" : describeShapeError(first, "certificate"),
    );
  }
  if (!sameText(file, `${canonicalJson(shaped.value)}\n`)) {
    return no("certificate.not-canonical", "the file is not canonical JSON followed by one newline");
  }
  return shaped;
}

/** The kind that a file says it is of; `null` for a file that says none. */
export function kindOf(file: Uint8Array): string | null {
  const json = file.length > CERTIFICATE_BYTES_MAX ? undefined : parse(file);
  if (typeof json !== "object" || json === null || !("kind" in json)) return null;
  return typeof json.kind === "string" ? json.kind : null;
}

/** The block that a certificate says it is of, unchecked: what decides whether to check it at all. */
export function subjectOf(file: Uint8Array): Announced | null {
  const json = file.length > CERTIFICATE_BYTES_MAX ? undefined : parse(file);
  const found = SUBJECT.safeParse(json);
  return found.success ? found.data.content : null;
}

/**
 * The manifest by which a file of any kind is to be checked: that of the partition whose chain it is about. What is
 * about no chain, which is evidence, names its partition itself.
 */
export function manifestFor(manifest: Manifest, file: Uint8Array): Manifest {
  const found = PLACE.safeParse(file.length > CERTIFICATE_BYTES_MAX ? undefined : parse(file));
  const { content, network } = found.data ?? {};
  const partition =
    content === undefined
      ? partitionsOf(manifest).find((each) => each.manifest.network === network)
      : partitionOfChain(manifest, content.chain);
  return partition?.manifest ?? manifest;
}

const PLACE = z.object({ content: z.object({ chain: count }).optional(), network: hash.optional() });
const SUBJECT = z.object({
  content: CONTENT.pick({
    chain: true,
    height: true,
    hash: true,
    parent: true,
    start: true,
    workflow: true,
    items: true,
    payload: true,
  }).loose(),
});

function checkVotes(
  manifest: Manifest,
  content: BarrierContent,
  votes: z.infer<typeof FILE>["votes"],
  equation: Equation,
): CheckedCertificate {
  const block = blockId(manifest.network, content);
  const digest = contentHash(content);
  const entry = encodeEntry({ kind: "barrier", block, content: digest });
  const signers: Key[] = [];
  let before = "";
  for (const [at, vote] of votes.entries()) {
    const opened = openVote(manifest.network, { ...fromHex(vote), entry }, equation);
    if (opened === null) {
      return { ok: false, code: "certificate.signature", message: `votes[${at}] does not sign this content` };
    }
    if (!manifest.weights.has(opened.author) || signers.includes(opened.author)) {
      const why = signers.includes(opened.author) ? "has signed before" : "is no attester of this network";
      return { ok: false, code: "certificate.signer", message: `votes[${at}]: ${opened.author} ${why}` };
    }
    if (vote.head <= before)
      return { ok: false, code: "certificate.not-canonical", message: `votes[${at}] is out of order` };
    before = vote.head;
    signers.push(opened.author);
  }
  const weight = signers.reduce((sum, key) => sum + (manifest.weights.get(key) ?? 0), 0);
  // CERT-1.
  // mutant: certificates-of-few
  if (weight < manifest.quorum) {
    return {
      ok: false,
      code: "certificate.quorum",
      message: `signed by weight ${weight}; a quorum is ${manifest.quorum}`,
    };
  }
  return { ok: true, value: { content, contentHash: digest, block, signers } };
}

/**
 * Whether the content names what the manifest's workflow asks for: of each group the tasks that its output rests on, in
 * their order; a sentence if not.
 */
function checkTasks(manifest: Manifest, content: BarrierContent): string | null {
  // A quorum says nothing about a chain of another partition.
  const { chains } = manifest.json;
  if (!chains.some(({ id }) => id === content.chain))
    return `it is of chain ${content.chain}; its attesters' chains are ${chains.map(({ id }) => id).join(", ")}`;
  const stages = stagesOf(manifest, content.workflow, content.items);
  if (stages === null) return `the manifest has no workflow "${content.workflow}" for ${content.items} items`;
  let at = 0;
  const counts = new Map<string, number>();
  const level = levelNamed(stages, content.tasks);
  for (const stage of stages) {
    if (stage.custom !== null) {
      const named = chosenOf(stage, content.tasks.slice(at));
      const wrong = checkChosen(stage, named, (groupCount(stage, counts) ?? 0) * stage.variants.length);
      if (wrong !== null) return `tasks[${at}] ${wrong}`;
      at += named.length;
      continue;
    }
    for (const group of groupsAt(stage, counts, level) ?? []) {
      const named = content.tasks.slice(at, at + stage.need);
      const wrong = checkGroup(stage, group, named) ?? countItems(stage, named, counts);
      if (wrong !== null) return `tasks[${at}] ${wrong}`;
      at += stage.need;
    }
  }
  if (at !== content.tasks.length) return `it names ${content.tasks.length} tasks; the workflow asks for ${at}`;
  const nameless = content.tasks.findIndex((task) => task.prover === null && isProven(stages, task));
  return nameless === -1 ? null : `tasks[${nameless}] has no prover, though votes about a proof name its maker`;
}

/** Whether a task is done by a proof, and not by a result that attesters make again or that provers agree on. */
function isProven(stages: readonly Stage[], task: BarrierTask): boolean {
  return (stages.find(({ name }) => name === task.stage)?.verify ?? "key") === "key";
}

/** Whether the lost attempts are those of tasks that the content credits later, each once and in their order; a sentence if not. */
function checkLost({ tasks, lost }: BarrierContent): string | null {
  if (lost.length > LOST_MAX) return `it names ${lost.length} lost attempts; allowed: ${LOST_MAX}`;
  let [task, attempt] = [-1, -1];
  for (const [at, each] of lost.entries()) {
    const found = tasks.findIndex(({ stage, index }) => stage === each.stage && index === each.index);
    const credited = tasks[found];
    if (credited === undefined || !credited.credited || each.attempt >= credited.attempt)
      return `lost[${at}] is attempt ${each.attempt} of ${each.stage} ${each.index}, which no later attempt is credited for`;
    if (found < task || (found === task && each.attempt <= attempt)) return `lost[${at}] is out of order`;
    [task, attempt] = [found, each.attempt];
  }
  return null;
}

/** In how many pieces the block was proven: all that it names has to be of the level of the first that has one. */
function levelNamed(stages: readonly Stage[], tasks: readonly BarrierTask[]): number {
  for (const task of tasks) {
    const stage = stages.find(({ name }) => name === task.stage);
    if (stage !== undefined && stage.levels.length > 0) return levelOf(stage, groupOf(stage, task.index));
  }
  return 0;
}

/** Takes in how many items the output of a stage has, which its own stages have as groups. */
function countItems(
  { name, itemsMax }: Stage,
  named: readonly BarrierTask[],
  counts: Map<string, number>,
): string | null {
  for (const { items } of named) {
    if (itemsMax === 0 ? items !== undefined : items === undefined || items < 1 || items > itemsMax)
      return `has ${items ?? "no"} items; stage "${name}" has ${itemsMax === 0 ? "none" : `1 to ${itemsMax}`}`;
    if (items !== undefined) counts.set(name, items);
  }
  return null;
}

/** The tasks from the first on that are of the stage. */
function chosenOf({ name }: Stage, tasks: readonly BarrierTask[]): readonly BarrierTask[] {
  const end = tasks.findIndex(({ stage }) => stage !== name);
  return end === -1 ? tasks : tasks.slice(0, end);
}

/** Which tasks a function chose is the attesters' word: here it is only checked that it may have chosen them. */
function checkChosen(stage: Stage, named: readonly BarrierTask[], length: number): string | null {
  if (named.length === 0) return `is of another stage than "${stage.name}", of which a function chooses one at least`;
  for (const [at, { index, system, key, items }] of named.entries()) {
    if (index >= length || index <= (named[at - 1]?.index ?? -1))
      return `names task ${index} of stage "${stage.name}", which is not there or not in order`;
    const variant = variantOf(stage, index);
    if (system !== variant.system || key !== variant.key || items !== undefined)
      return `is not task ${index} of stage "${stage.name}" under the manifest's key`;
  }
  return null;
}

function checkGroup(stage: Stage, group: number, named: readonly BarrierTask[]): string | null {
  const of = `output ${group} of stage "${stage.name}"`;
  for (const { stage: name, index, system, key, prover, credited } of named) {
    if (name !== stage.name || groupOf(stage, index) !== group) return `belongs to another than ${of}`;
    if (credited && prover === null) return "credits nobody";
    const variant = variantOf(stage, index);
    if (system !== variant.system || key !== variant.key)
      return `is not task ${index} of stage "${stage.name}" under the manifest's key`;
  }
  const makers = new Set(named.flatMap(({ prover }) => prover ?? []));
  if (stage.distinct === "provers" && makers.size < named.length)
    return `is by nobody, or by a prover that has made another, of ${of}`;
  if (stage.verify === "agree" && new Set(named.map(({ artefact }) => artefact)).size > 1)
    return `says something else than another of ${of}, on which all have to agree`;
  // What is named must be what it rests on if nothing else were complete: enough, none twice, in order.
  const indices = named.map(({ index }) => index);
  const rests = restsOn(stage, group, (index) => indices.includes(index));
  if (rests?.join() === indices.join()) return null;
  const { distinct, need, variants } = stage;
  const rule = need === variants.length ? `all ${need}` : `${need} of ${variants.length}`;
  return `is not what ${rule}${distinct === null ? "" : ` ${distinct}`} asks for in ${of}`;
}

function fromHex(vote: z.infer<typeof FILE>["votes"][number]): Omit<Vote, "entry"> {
  return {
    head: hexToBytes(vote.head),
    signature: hexToBytes(vote.signature),
    index: vote.index,
    path: vote.path.map((sibling) => hexToBytes(sibling)),
  };
}

/** The JSON in the file; certificates are ASCII, so no decoder is needed and no other byte is legal. */
function parse(file: Uint8Array): unknown {
  try {
    return JSON.parse(ascii(file)) as unknown;
  } catch {
    return undefined;
  }
}

function ascii(file: Uint8Array): string {
  let out = "";
  // Spread, the bytes would go through an iterator, which takes seven times as long.
  for (let at = 0; at < file.length; at += 8192)
    out += String.fromCharCode.apply(null, file.subarray(at, at + 8192) as unknown as number[]);
  return out;
}

function sameText(file: Uint8Array, expected: string): boolean {
  return file.length === expected.length && file.every((byte, at) => byte === expected.charCodeAt(at));
}
