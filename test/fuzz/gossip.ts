/**
 * The gossip validator: one real node behind `Runtime.message`, and strangers and members that send it what they like.
 * Messages are mutants of batches, and whole batches of members whose statements are legal in form and anything in content.
 */
import { concatBytes } from "@noble/hashes/utils.js";
import * as fc from "fast-check";
import { accountOf } from "../../src/core/account.ts";
import type { Verdict } from "../../src/protocol/verdict.ts";
import { type Batch, sealBatch } from "../../src/protocol/batch.ts";
import { type Hash, ZERO_HASH } from "../../src/protocol/ids.ts";
import type { Entry } from "../../src/protocol/messages.ts";
import { decodeFrontier, encodeSyncFrame, type Frontier } from "../../src/protocol/sync.ts";
import { simSigner } from "../../simnet/virtual/provers.ts";
import { type FieldRow, fieldsOf, KINDS } from "../protocol/entries.ts";
import { Bench, hashOf, keyOf } from "../runtime/ports.ts";
import { mutants } from "./mutants.ts";

const MEMBERS = ["a", "b", "c", "d"];
const PARTIES = { attesters: MEMBERS, provers: MEMBERS, sources: ["a", "b"] };
/** Blocks that the node has; statements about them get further than those about nothing. */
const HEIGHTS = 3;

export interface GossipTally {
  messages: number;
  readonly verdicts: Map<string, number>;
}

function idOf(bench: Bench, height: number): Hash {
  const blocks = [...bench.runtime.state.blocks.values()];
  return blocks.find((block) => block.height === height)?.id ?? ZERO_HASH;
}

/** A field as somebody might fill it who knows the network: mostly what exists, now and then anything. */
function plausible(field: FieldRow, name: string, ids: readonly Hash[], keys: readonly Hash[]): fc.Arbitrary<unknown> {
  switch (field.type) {
    case "id": {
      const known = name === "prover" ? keys : name === "key" ? [hashOf("mock")] : [...ids, hashOf("x"), ZERO_HASH];
      return fc.constantFrom(...known);
    }
    case "u32":
      return fc.oneof(
        { weight: 8, arbitrary: fc.nat(3) },
        { weight: 1, arbitrary: fc.constantFrom(999, 1000, 2 ** 32 - 1) },
      );
    case "u53":
      return fc.oneof(
        { weight: 8, arbitrary: fc.nat(HEIGHTS + 2) },
        { weight: 1, arbitrary: fc.constant(Number.MAX_SAFE_INTEGER) },
      );
    case "flag":
      return fc.boolean();
    case "text":
      return name === "stage"
        ? fc.constantFrom("shard", "aggregate", "constructor", "other")
        : fc.constantFrom("mock", "block", "constructor", "artefact.unavailable", "hasownproperty");
    case "bytes":
      return fc.uint8Array({
        minLength: field.bytesMin ?? 0,
        maxLength: Math.min(field.bytesMax ?? 0, (field.bytesMin ?? 0) + 8),
      });
    case "bytesList":
      return fc.array(fc.constant(new Uint8Array(field.bytesEach ?? 0)), {
        maxLength: Math.min(3, field.countMax ?? 0),
      });
    case "list":
      return fc.array(recordOf(field.of ?? {}, ids, keys), { maxLength: Math.min(3, field.countMax ?? 0) });
    default:
      throw new Error(`no field of type ${field.type}`);
  }
}

function recordOf(
  shape: Readonly<Record<string, FieldRow>>,
  ids: readonly Hash[],
  keys: readonly Hash[],
): fc.Arbitrary<Record<string, unknown>> {
  return fc.record(
    Object.fromEntries(Object.entries(shape).map(([name, field]) => [name, plausible(field, name, ids, keys)])),
  );
}

type Message =
  | { readonly kind: "mutant"; readonly bytes: Uint8Array }
  | {
      readonly kind: "said";
      readonly who: number;
      readonly skip: number;
      readonly fork: boolean;
      readonly entries: readonly Entry[];
    }
  | { readonly kind: "replay"; readonly at: number }
  | { readonly kind: "time"; readonly ms: number };

function messages(bench: Bench): fc.Arbitrary<readonly Message[]> {
  const ids = Array.from({ length: HEIGHTS }, (_, at) => idOf(bench, at + 1));
  const hashes = Array.from({ length: HEIGHTS }, (_, at) => hashOf(`main ${at + 1}`));
  const keys = [...MEMBERS, "stranger"].map(keyOf);
  const entry = fc.oneof(
    ...KINDS.map((kind) =>
      recordOf(fieldsOf(kind), [...ids, ...hashes], keys).map((fields) => ({ ...fields, kind }) as unknown as Entry),
    ),
  );
  const said = fc.record({
    kind: fc.constant("said" as const),
    who: fc.nat(MEMBERS.length),
    skip: fc.oneof({ weight: 20, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.constantFrom(1, 4095, 5000) }),
    fork: fc.oneof({ weight: 60, arbitrary: fc.constant(false) }, { weight: 1, arbitrary: fc.constant(true) }),
    entries: fc.array(entry, { minLength: 1, maxLength: 8 }),
  });
  const start = simSigner(1, "b");
  const legal = fc
    .sample(entry, { numRuns: 20, seed: 3 })
    .map(
      (one) =>
        sealBatch(bench.manifest.network, { author: start.key, number: 0, previous: ZERO_HASH }, [one], start.sign)
          .bytes,
    );
  return fc.array(
    fc.oneof(
      { weight: 4, arbitrary: mutants(legal).map((bytes): Message => ({ kind: "mutant", bytes })) },
      { weight: 8, arbitrary: said },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant("replay" as const), at: fc.nat() }) },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant("time" as const), ms: fc.constantFrom(10, 500, 3000) }) },
    ),
    { minLength: 1, maxLength: 40 },
  );
}

/** What may be held for others at most, whatever was sent: the state's own limits. */
function checkBounds(bench: Bench): void {
  const { state } = bench.runtime;
  for (const { author, cost } of state.log.feeds()) {
    const { bytesMax } = accountOf(state, author);
    if (cost > bytesMax) throw new Error(`${author} keeps ${cost} bytes; allowed: ${bytesMax}`);
  }
  for (const block of state.blocks.values()) {
    for (const task of block.tasks) {
      if (task.attempts.size > 1000) throw new Error(`${task.attempts.size} attempts`);
      // Two receipts a prover, and what attesters vouch for.
      if (task.proofs.size > 1000) throw new Error(`${task.proofs.size} proofs`);
    }
  }
  if (bench.faults.length > 0) throw new Error(`the node ended: ${JSON.stringify(bench.faults)}`);
}

/** Sends everything to a node that has started; each message is judged, and what it caused is performed. */
function play(bench: Bench, sent: readonly Message[], tally: GossipTally): void {
  const feeds = new Map<string, Batch[]>();
  const before: Uint8Array[] = [];
  for (const message of sent) {
    if (message.kind === "time") {
      bench.pass(message.ms);
      continue;
    }
    const bytes = bytesOf(bench, message, feeds, before);
    before.push(bytes);
    const verdict = bench.runtime.message(bytes, keyOf("peer"));
    tally.messages++;
    const name = nameOf(verdict);
    tally.verdicts.set(name, (tally.verdicts.get(name) ?? 0) + 1);
    bench.flush();
    answerAll(bench);
  }
  checkBounds(bench);
}

function bytesOf(
  bench: Bench,
  message: Exclude<Message, { kind: "time" }>,
  feeds: Map<string, Batch[]>,
  before: readonly Uint8Array[],
): Uint8Array {
  if (message.kind === "mutant") return message.bytes;
  if (message.kind === "replay") return before[message.at % Math.max(before.length, 1)] ?? concatBytes();
  const name = [...MEMBERS.slice(1), "stranger", "nobody"][message.who] ?? "nobody";
  const feed = feeds.get(name) ?? [];
  feeds.set(name, feed);
  const last = message.fork ? undefined : feed.at(-1);
  const number = (last?.head.number ?? -1) + 1 + message.skip;
  const signer = simSigner(1, name);
  const place = { author: signer.key, number, previous: last?.hash ?? ZERO_HASH };
  const batch = sealBatch(bench.manifest.network, place, message.entries, signer.sign);
  feed.push(batch);
  return batch.bytes;
}

function nameOf(verdict: Verdict): string {
  if (verdict.kind !== "accept" && !/^[a-z]+(\.[a-z0-9-]+)+$/.test(verdict.code))
    throw new Error(`no code: ${verdict.code}`);
  return verdict.kind === "accept" ? "accept" : `${verdict.kind} ${verdict.code}`;
}

/** A node that may sign and has a few blocks: its peers have confirmed that they know no more of its feed. */
function started(): Bench {
  const bench = new Bench("a", PARTIES);
  bench.peers = MEMBERS.slice(1).map(keyOf);
  bench.start();
  answerAll(bench);
  for (let height = 1; height <= HEIGHTS; height++) bench.mine(height);
  bench.flush();
  if (bench.runtime.state.mute !== null) throw new Error(`the node is mute: ${bench.runtime.state.mute}`);
  return bench;
}

/** No peer has anything for it. Each has signed something itself, and stored the start record that it was shown. */
function answerAll(bench: Bench): void {
  for (const { body, peer, done } of bench.requests.splice(0)) {
    const { starts = [] } = decodeFrontier(body) ?? {};
    const frontier: Frontier = { feeds: new Map([[peer, 1]]), chains: new Map(), starts };
    done({ ok: true, value: [encodeSyncFrame({ kind: "frontier", frontier })] });
  }
  for (const fetching of bench.fetches.splice(0))
    fetching.done({ ok: false, fault: { code: "artefact.absent", message: "not here" } });
  bench.flush();
}

export function fuzzGossip(runs: number, seed: number): GossipTally {
  const tally: GossipTally = { messages: 0, verdicts: new Map() };
  const first = started();
  fc.assert(
    fc.property(messages(first), (sent) => play(started(), sent, tally)),
    { numRuns: runs, seed },
  );
  return tally;
}
