/**
 * Everything that reads bytes from outside, each with legal bytes to start from. A target answers with a code, or with
 * the bytes that what it has read encodes back to; anything else, an exception above all, is a bug.
 */
import fs from "node:fs";
import path from "node:path";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { keccak_256 } from "@noble/hashes/sha3.js";
import { bytesToHex } from "@noble/hashes/utils.js";
import * as fc from "fast-check";
import { ConfigError, readConfig } from "../../src/config.ts";
import { readManifestFile } from "../../src/manifests.ts";
import { parsePeers } from "../../src/network/keeper.ts";
import { openBatch, openVote, sealBatch, voteOf } from "../../src/protocol/batch.ts";
import {
  type BarrierContent,
  checkCertificate,
  contentHash,
  encodeCertificate,
} from "../../src/protocol/certificate.ts";
import { payloadOf, readPayload } from "../../src/protocol/ethereum.ts";
import { readEither } from "../../src/protocol/range.ts";
import { expectedValues } from "../../src/statements/expected.ts";
import { chainOf } from "../protocol/blocks.ts";
import { blockId, ZERO_HASH } from "../../src/protocol/ids.ts";
import { decodeEntry, encodeEntry, type Entry, equalBytes } from "../../src/protocol/messages.ts";
import {
  decode as decodeRlp,
  encode as encodeRlp,
  listAt,
  listOf,
  Malformed,
  orderedRoot,
  itemAt,
} from "../../src/protocol/rlp.ts";
import { canonicalJson } from "../../src/protocol/shape.ts";
import { openEvidence } from "../../src/protocol/evidence.ts";
import { checkEvidence, checkVotes, encodeEvidence, encodeVotes } from "../../src/protocol/votes.ts";
import { decodeFrontier, decodeSyncFrame, encodeFrontier, encodeSyncFrame } from "../../src/protocol/sync.ts";
import { BatchSchema, VoteSchema } from "../../src/protocol/wire_pb.js";
import { readResult } from "../../src/provers/process.ts";
import {
  decodeGroup,
  decodeHeader,
  encodeGroup,
  encodeHeader,
  highestSequence,
} from "../../src/storage/journal-format.ts";
import { createKey, loadKey } from "../../src/storage/keystore.ts";
import { indexKey, unwrap, wrap } from "../../src/storage/keyspace.ts";
import { arbitraryEntry, KINDS } from "../protocol/entries.ts";
import { hashOf, manifestJson, manifestOf, signerNamed } from "../protocol/fixtures.ts";
import { rpcBlock } from "../provers/fixtures.ts";

export type Outcome =
  | { readonly kind: "refused"; readonly code: string }
  /** What was read, written again; `null` where more than one text may say the same. */
  | { readonly kind: "accepted"; readonly bytes: Uint8Array | null };

export interface Target {
  readonly name: string;
  readonly corpus: readonly Uint8Array[];
  read(bytes: Uint8Array): Outcome;
  /** Cases are this many times fewer: reading one touches a disk or a curve. */
  readonly cost?: number;
}

const MALFORMED = refused("message.malformed");
const signers = ["a", "b", "c", "d"].map(signerNamed);
const [author] = signers;
const manifest = manifestOf(signers.map(({ key }) => key));
const { network } = manifest;

function refused(code: string): Outcome {
  return { kind: "refused", code };
}

function accepted(bytes: Uint8Array | null): Outcome {
  return { kind: "accepted", bytes };
}

function text(value: unknown): Uint8Array {
  return Uint8Array.from(Buffer.from(typeof value === "string" ? value : JSON.stringify(value)));
}

/** JSON as the program reads it: bytes that are no text become text that is no JSON. */
function json(bytes: Uint8Array): { readonly value: unknown } | null {
  try {
    return { value: JSON.parse(Buffer.from(bytes).toString("utf8")) as unknown };
  } catch {
    return null;
  }
}

/** What a function that throws faults has thrown; an error without a code is no verdict and goes on up. */
function faulted(error: unknown): Outcome {
  if (error instanceof RangeError || error instanceof TypeError || !(error instanceof Error) || !("code" in error))
    throw error;
  return refused(String(error.code));
}

const entries: readonly Entry[] = KINDS.flatMap((kind) => fc.sample(arbitraryEntry(kind), { numRuns: 4, seed: 7 }));

function seal(said: readonly Entry[]) {
  if (author === undefined) throw new Error("nobody signs");
  return sealBatch(network, { author: author.key, number: 3, previous: ZERO_HASH }, said, author.sign);
}

const batches = [seal(entries.slice(0, 1)), seal(entries.slice(0, 5)), seal(entries)];

const batch: Target = {
  name: "batch",
  corpus: batches.map(({ bytes }) => bytes),
  read(bytes) {
    const opened = openBatch(bytes);
    if (!opened.ok) return refused(opened.code);
    const { headBytes, signature, entries: said } = opened.value;
    const parts = { head: Uint8Array.from(headBytes), signature: Uint8Array.from(signature) };
    const entriesAgain = said.map((entry) => Uint8Array.from(encodeEntry(entry)));
    return accepted(toBinary(BatchSchema, create(BatchSchema, { ...parts, entries: entriesAgain })));
  },
};

const entryTargets: readonly Target[] = KINDS.map((kind) => ({
  name: `entry ${kind}`,
  corpus: entries.filter((entry) => entry.kind === kind).map((entry) => encodeEntry(entry)),
  read(bytes) {
    const entry = decodeEntry(bytes);
    return entry === null ? MALFORMED : accepted(encodeEntry(entry));
  },
}));

/** A vote stands inside a claim; its fields are as the sender likes. The equation says yes, to get past it. */
const vote: Target = {
  name: "vote",
  corpus: batches.flatMap((each) =>
    each.entries.slice(0, 4).map((_, index) => {
      const { head, signature, path: siblings, entry } = voteOf(each, index);
      const own = (bytes: Uint8Array) => Uint8Array.from(bytes);
      const fields = { head: own(head), signature: own(signature), index, path: siblings.map(own), entry: own(entry) };
      return toBinary(VoteSchema, create(VoteSchema, fields));
    }),
  ),
  read(bytes) {
    let shown: Parameters<typeof openVote>[1];
    try {
      shown = fromBinary(VoteSchema, bytes, { readUnknownFields: false });
    } catch {
      return MALFORMED;
    }
    const opened = openVote(network, shown, () => true);
    return opened === null ? refused("certificate.invalid") : accepted(null);
  },
};

const feeds = new Map(signers.map(({ key }, at) => [key, at * 1000]));
const frontier = {
  feeds,
  chains: new Map([
    [1, 7],
    [17_000, 3],
  ]),
};

/** A question of a node with gaps. */
const gapped = {
  ...frontier,
  beyond: new Map([...feeds.keys()].map((key, at) => [key, [{ from: at * 1000 + 3, to: at * 1000 + 9 }]])),
};

const syncFrame: Target = {
  name: "sync frame",
  corpus: [
    encodeSyncFrame({ kind: "frontier", frontier }),
    encodeSyncFrame({ kind: "batch", bytes: batches[0]?.bytes ?? new Uint8Array() }),
    encodeSyncFrame({ kind: "certificate", bytes: text("{}") }),
    encodeSyncFrame({ kind: "forgotten", author: hashOf("x"), from: 2, to: 5 }),
  ],
  read(bytes) {
    const frame = decodeSyncFrame(bytes);
    return frame === null ? MALFORMED : accepted(encodeSyncFrame(frame));
  },
};

const frontierTarget: Target = {
  name: "frontier",
  corpus: [
    encodeFrontier({ ...frontier, wanted: [hashOf("wanted")] }),
    encodeFrontier(gapped),
    encodeFrontier({ feeds: new Map(), chains: new Map() }),
  ],
  read(bytes) {
    const read = decodeFrontier(bytes);
    return read === null ? MALFORMED : accepted(encodeFrontier(read));
  },
};

const content: BarrierContent = {
  format: 1,
  lost: [],
  network,
  chain: 1,
  height: 7,
  hash: hashOf("block"),
  parent: hashOf("parent"),
  start: false,
  workflow: "block",
  items: 3,
  payload: hashOf("payload"),
  before: "00",
  after: "01",
  tasks: (["shard 0", "shard 1", "aggregate 0"] as const).map((name) => {
    const [stage = "", index = ""] = name.split(" ");
    const who = signers[Number(index)]?.key ?? "";
    const made = { artefact: hashOf(name), bytes: 128, attempt: 0, prover: who, credited: true };
    return { stage, index: Number(index), system: "mock", key: hashOf("mock"), ...made };
  }),
};

const certificateFile = encodeCertificate(
  content,
  signers.map(({ key, sign }) => {
    const barrier: Entry = { kind: "barrier", block: blockId(network, content), content: contentHash(content) };
    return voteOf(sealBatch(network, { author: key, number: 0, previous: ZERO_HASH }, [barrier], sign), 0);
  }),
);

const certificate: Target = {
  name: "certificate",
  corpus: [certificateFile, text({ kind: "barrier", version: 1, content, votes: [] })],
  cost: 4,
  read(bytes) {
    const checked = checkCertificate(manifest, bytes, () => true);
    if (!checked.ok) return refused(checked.code);
    const file = json(bytes);
    return accepted(text(`${canonicalJson(file?.value)}\n`));
  },
};

const claimant = signers[1]?.key ?? "";
const attemptOf = { block: blockId(network, content), stage: "shard", index: 0, attempt: 2 };

function signedBy(said: Entry, number = 4) {
  return signers.map(({ key, sign }) =>
    voteOf(sealBatch(network, { author: key, number, previous: ZERO_HASH }, [said], sign), 0),
  );
}

const { format: _format, before: _before, after: _after, tasks: _tasks, lost: _lost, ...announced } = content;
const voteContent = { ...announced, stage: "shard", index: 0, attempt: 2 };
const grants = signedBy({ kind: "grant", ...attemptOf, prover: claimant });

const voteCertificate: Target = {
  name: "certificate of votes",
  corpus: [
    encodeVotes("assignment", { ...voteContent, prover: claimant }, grants),
    encodeVotes(
      "timeout",
      { ...voteContent, prover: null },
      signedBy({ kind: "timeout", ...attemptOf, code: "not-claimed" }),
    ),
  ],
  cost: 4,
  read(bytes) {
    const checked = checkVotes(manifest, bytes, () => true);
    return checked.ok ? accepted(text(`${canonicalJson(json(bytes)?.value)}\n`)) : refused(checked.code);
  },
};

const others = signedBy({ kind: "grant", ...attemptOf, prover: author?.key ?? "" }, 5);

const evidenceFile: Target = {
  name: "evidence",
  corpus: signers.map((_, at) => {
    const shown = [grants[at], others[at]].filter((each) => each !== undefined);
    const evidence = openEvidence(network, shown, () => true);
    if (evidence === null) throw new Error("two grants are no evidence");
    return encodeEvidence(network, evidence, shown);
  }),
  cost: 4,
  read(bytes) {
    const checked = checkEvidence(manifest, bytes, () => true);
    return checked.ok ? accepted(text(`${canonicalJson(json(bytes)?.value)}\n`)) : refused(checked.code);
  },
};

const payloads = ["mainnet-2000004", "anvil-1"].map((name) => rpcBlock(name));

const submitted: Target = {
  name: "block of a chain, as JSON",
  corpus: payloads.map(text),
  cost: 8,
  read(bytes) {
    const parsed = json(bytes);
    if (parsed === null) return refused("http.json");
    const read = payloadOf(parsed.value);
    return read.ok ? accepted(null) : refused(read.fault.code);
  },
};

const payloadBytes = payloads.map((block) => {
  const read = payloadOf(block);
  if (!read.ok) throw new Error(read.fault.message);
  return read.value.payload;
});

/** The hash is that of whatever header stands there, to get past it. */
const payload: Target = {
  name: "payload of a block",
  corpus: payloadBytes,
  cost: 8,
  read(bytes) {
    let hash = hashOf("another");
    try {
      const { from } = listAt(bytes, 0);
      hash = bytesToHex(keccak_256(bytes.subarray(from, listAt(bytes, from).end)));
    } catch (error) {
      if (!(error instanceof Malformed)) throw error;
    }
    const read = readPayload(bytes, hash);
    return read.ok ? accepted(null) : refused(read.fault.code);
  },
};

const FULL = JSON.parse(
  fs.readFileSync(new URL("../../config/qualification-full.json", import.meta.url), "utf8"),
) as unknown;

/** A payload of version 2, and what statements say of the block in it. */
const fullPayload: Target = {
  name: "payload of a block with its body",
  corpus: [
    { source: FULL, form: { body: true, parent: true } },
    { source: payloads[1], form: { body: true, parent: false } },
  ].map(({ source, form }) => {
    const read = payloadOf(source, form);
    if (!read.ok) throw new Error(read.fault.message);
    return read.value.payload;
  }),
  cost: 8,
  read(bytes) {
    let hash = hashOf("another");
    try {
      const at = itemAt(bytes, listAt(bytes, 0).from, bytes.length).end;
      hash = bytesToHex(keccak_256(bytes.subarray(at, listAt(bytes, at).end)));
    } catch (error) {
      if (!(error instanceof Malformed)) throw error;
    }
    const read = readPayload(bytes, hash);
    if (!read.ok) return refused(read.fault.code);
    const block = read.value.bytes;
    const subject = { chainId: 1, first: block, last: block, isRange: false };
    for (const statement of ["header", { kind: "stateless-result", schema: 1 }] as const) {
      const said = expectedValues(statement, subject, () => new Uint8Array());
      if (!said.ok) return refused(said.fault.code);
    }
    return accepted(null);
  },
};

/** The hash is that of whatever header its last block has. */
const range: Target = {
  name: "payload of a range of blocks",
  corpus: [listOf(chainOf(8, 4).map((block) => block.payload))],
  cost: 8,
  read(bytes) {
    let hash = hashOf("another");
    try {
      const frame = listAt(bytes, 0);
      let last = frame.from;
      for (let at = frame.from; at < frame.end; at = listAt(bytes, at).end) last = at;
      const { from } = listAt(bytes, last);
      hash = bytesToHex(keccak_256(bytes.subarray(from, listAt(bytes, from).end)));
    } catch (error) {
      if (!(error instanceof Malformed)) throw error;
    }
    const read = readEither(bytes, hash);
    return read.ok ? accepted(null) : refused(read.fault.code);
  },
};

const NOBODY = "00".repeat(20);

/** In a block that names it, so that it is read. */
const transaction: Target = {
  name: "transaction of a block",
  corpus: payloadBytes.flatMap((bytes) => (decodeRlp(bytes)[1] as Uint8Array[]).slice(0, 4)),
  cost: 8,
  read(bytes) {
    const fields = [0, 1, 2, 3].map(() => new Uint8Array(32));
    const named = encodeRlp([
      ...fields,
      orderedRoot([bytes]),
      ...[5, 6, 7].map(() => new Uint8Array(1)),
      Uint8Array.of(9),
    ]);
    const read = readPayload(listOf([named, encodeRlp([bytes])]), bytesToHex(keccak_256(named)));
    // Whatever the bytes, the block can be read; what nobody can have signed is an item of nobody.
    if (!read.ok) throw new Error(read.fault.message);
    return read.value.items[0]?.sender === NOBODY ? refused("item.opaque") : accepted(null);
  },
};

const rlp: Target = {
  name: "recursive length prefix",
  corpus: [
    ...payloadBytes.map((bytes) => bytes.slice(0, 600)),
    encodeRlp([[], [[], [new Uint8Array(60)]], new Uint8Array(3)]),
  ],
  read(bytes) {
    try {
      return accepted(encodeRlp(decodeRlp(bytes)));
    } catch (error) {
      if (error instanceof Malformed) return refused("payload.malformed");
      throw error;
    }
  },
};

const peers: Target = {
  name: "list of peers",
  corpus: [
    text([
      [hashOf("p"), ["/ip4/127.0.0.1/tcp/4600", "/dns/example.org/tcp/1"]],
      [hashOf("q"), []],
    ]),
  ],
  read(bytes) {
    const known = parsePeers(bytes);
    if (known.length > 64) throw new Error(`${known.length} peers`);
    return known.length === 0 ? refused("peers.none") : accepted(null);
  },
};

const proved: Target = {
  name: "result of a prover process",
  corpus: [
    text({ block: 7, proof: "0xabcd", prover: "p", values: "0x00" }),
    text({ block: 7, proof: "q83v", prover: "p" }),
  ],
  read(bytes) {
    const names = { block: ZERO_HASH, hash: ZERO_HASH, parent: ZERO_HASH };
    const id = { chain: 1, chainId: 1, height: 7, ...names, stage: "shard", index: 0 };
    const read = readResult(Buffer.from(bytes).toString("utf8"), { id, values: new Uint8Array() });
    return read.ok ? accepted(null) : refused(read.fault.code);
  },
};

const key = hashOf("journal key");
const header = encodeHeader(key, 3, { next: 5, previous: ZERO_HASH, closed: { "1": 4 } });

const journalHeader: Target = {
  name: "header of a journal",
  corpus: [header, encodeHeader(key, 0, null)],
  read(bytes) {
    const read = decodeHeader(Buffer.from(bytes));
    return read === null ? refused("journal.damaged") : accepted(null);
  },
};

const salt = Buffer.alloc(16, 5);
const start = { offset: 0, sequence: 0, previous: Buffer.alloc(16) };
const groups = [
  encodeGroup(salt, start, [text("record"), new Uint8Array(), text("x".repeat(300))]).bytes,
  encodeGroup(salt, start, [text("one")]).bytes,
];

const journalGroup: Target = {
  name: "group of a journal",
  corpus: groups,
  read(bytes) {
    const file = Buffer.from(bytes);
    highestSequence(file, salt, 0);
    const read = decodeGroup(file, salt, start);
    if (read === null) return refused("journal.damaged");
    const again = encodeGroup(salt, start, read.records).bytes;
    // What follows a group is the next one's affair.
    return equalBytes(again, bytes.subarray(0, again.length)) ? accepted(null) : refused("journal.other-bytes");
  },
};

const storeKey = indexKey(hashOf("stored"));

const storeValue: Target = {
  name: "value of the store",
  corpus: [wrap(storeKey, text("what was stored")), wrap(storeKey, new Uint8Array())],
  read(bytes) {
    const read = unwrap(storeKey, Buffer.from(bytes));
    return read === null ? refused("store.damaged") : accepted(wrap(storeKey, read));
  },
};

/** Targets that read a file; the directory is the caller's to remove. */
export function fileTargets(directory: string): readonly Target[] {
  const keyFile = path.join(directory, "key");
  createKey(keyFile);
  const read = (name: string, bytes: Uint8Array, load: (file: string) => unknown): Outcome => {
    const file = path.join(directory, name);
    fs.writeFileSync(file, bytes, { mode: 0o600 });
    try {
      load(file);
      return accepted(null);
    } catch (error) {
      if (error instanceof ConfigError) return refused(error.code);
      return faulted(error);
    }
  };
  const config = { listen: ["/ip4/127.0.0.1/tcp/0"], http: "off", provers: [{ kind: "mock", provingMs: 5 }], slots: 2 };
  return [
    {
      name: "key file",
      corpus: [Uint8Array.from(fs.readFileSync(keyFile))],
      cost: 8,
      read: (bytes) => read("key-mutant", bytes, loadKey),
    },
    {
      name: "manifest file",
      corpus: [text(manifestJson(signers.map((each) => each.key)))],
      cost: 8,
      read: (bytes) => read("manifest.json", bytes, readManifestFile),
    },
    {
      name: "configuration file",
      corpus: [text({ ...config, data: directory })],
      cost: 8,
      read: (bytes) => read("config.json", bytes, (file) => readConfig(file, {}, {})),
    },
  ];
}

export const TARGETS: readonly Target[] = [
  batch,
  ...entryTargets,
  vote,
  syncFrame,
  frontierTarget,
  certificate,
  voteCertificate,
  evidenceFile,
  submitted,
  payload,
  fullPayload,
  range,
  transaction,
  rlp,
  peers,
  proved,
  journalHeader,
  journalGroup,
  storeValue,
];
