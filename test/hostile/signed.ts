/** What members of the manifest do that are hostile: they sign sound batches, as many as the target reads. */
import { createHash, randomBytes } from "node:crypto";
import { bytesToHex } from "@noble/hashes/utils.js";
import { exchange, collect } from "../../src/network/streams.ts";
import { protocolOf } from "../../src/network/serve.ts";
import { openBatch, sealBatch } from "../../src/protocol/batch.ts";
import { blockId, type Hash, ZERO_HASH } from "../../src/protocol/ids.ts";
import type { Entry, EntryOf } from "../../src/protocol/messages.ts";
import { decodeSyncFrame, encodeFrontier } from "../../src/protocol/sync.ts";
import type { Attack, Sent } from "./attacks.ts";
import { type Class, type HostileKey, keysOf } from "./keys.ts";
import { Peer, type Target } from "./peer.ts";
import { framed, publication } from "./wire.ts";

const TICK_MS = 50;
/** A little below what a peer may send: what is above is dropped unread, which costs the target less. */
const MESSAGES_PER_TICK = 9;
const BYTES_PER_TICK = 95_000;
const LEARN_MS = 1_000;
const ANSWER_BYTES_MAX = 4 * 1024 * 1024;

/** The feed of one hostile member. */
class Feed {
  readonly #network: Hash;
  readonly #key: HostileKey;
  #number: number;
  #previous: Hash;

  constructor(network: Hash, key: HostileKey, number: number) {
    this.#network = network;
    this.#key = key;
    this.#number = number;
    this.#previous = number === 0 ? ZERO_HASH : random();
  }

  next(entries: readonly Entry[]): Uint8Array {
    const place = { author: this.#key.key, number: this.#number++, previous: this.#previous };
    const batch = sealBatch(this.#network, place, entries, this.#key.sign);
    this.#previous = batch.hash;
    return batch.bytes;
  }
}

/** What the hostile member has learned from the target: blocks that are worked on, and an honest receipt. */
export interface Known {
  readonly key: string;
  readonly blocks: readonly Hash[];
  readonly receipt: EntryOf<"receipt"> | null;
  readonly announced: EntryOf<"announce"> | null;
}

class Learned {
  readonly #feeds = new Map<string, number>();
  readonly #network: Hash;
  blocks: Hash[] = [];
  receipt: EntryOf<"receipt"> | null = null;
  announced: EntryOf<"announce"> | null = null;

  constructor(network: Hash) {
    this.#network = network;
  }

  /** Asks the target for what is new, as an honest node does. */
  async ask(peer: Peer): Promise<number> {
    const body = encodeFrontier({ feeds: this.#feeds, chains: new Map([[31_337, 1_000_000]]) });
    const frames = await asked(peer, body);
    for (const frame of frames) {
      const opened = decodeSyncFrame(frame);
      if (opened?.kind !== "batch") continue;
      const batch = openBatch(opened.bytes);
      if (!batch.ok) continue;
      const { author, number } = batch.value.head;
      this.#feeds.set(author, Math.max(this.#feeds.get(author) ?? 0, number + 1));
      for (const entry of batch.value.entries) {
        if (entry.kind === "receipt") this.receipt = entry;
        if (entry.kind !== "announce") continue;
        this.announced = entry;
        this.blocks = [blockId(this.#network, entry), ...this.blocks].slice(0, 4);
      }
    }
    return frames.length;
  }
}

async function asked(peer: Peer, body: Uint8Array): Promise<readonly Uint8Array[]> {
  const connection = await peer.connect();
  const signal = AbortSignal.timeout(5_000);
  const limits = { bytesMax: ANSWER_BYTES_MAX, code: "too-large", signal };
  return exchange(connection, protocolOf(peer.target.network, "sync"), body, limits, collect);
}

const turn = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

type Write = (known: Known, round: number) => readonly Entry[];

/** Signs and sends what `write` makes, as fast as a peer may send, with one key or with all of the attack at once. */
function signing(name: string, by: Class, what: string, write: Write, first = 0): Attack {
  return {
    what,
    by,
    run: async (target, sent, signal) => {
      await Promise.all(keysOf(name, by).map((key) => one(target, key, { write, first }, sent, signal)));
    },
  };
}

async function one(
  target: Target,
  key: HostileKey,
  { write, first }: { readonly write: Write; readonly first: number },
  sent: Sent,
  signal: AbortSignal,
): Promise<void> {
  const peer = await Peer.start(target, key.seed);
  const feed = new Feed(target.network, key, first);
  const learned = new Learned(target.network);
  let learnAt = 0;
  for (let round = 0; !signal.aborted; ) {
    const began = performance.now();
    try {
      if (began >= learnAt) {
        learnAt = began + LEARN_MS;
        await learned.ask(peer);
      }
      const stream = await peer.gossip();
      for (let count = 0, bytes = 0; count < MESSAGES_PER_TICK && bytes < BYTES_PER_TICK; count++) {
        const batch = feed.next(write({ key: key.key, ...pick(learned) }, round++));
        bytes += batch.length;
        stream.send(framed(publication(peer.topic, batch)));
        sent.count++;
      }
    } catch {
      sent.refused++;
      await turn(100);
    }
    await turn(Math.max(0, began + TICK_MS - performance.now()));
  }
  await peer.close();
}

function pick({ blocks, receipt, announced }: Learned): Omit<Known, "key"> {
  return { blocks, receipt, announced };
}

function random(): Hash {
  return bytesToHex(randomBytes(32));
}

function many<T>(count: number, make: (at: number) => T): readonly T[] {
  return Array.from({ length: count }, (_, at) => make(at));
}

/** A task of a block that is worked on, or of none, and an attempt that nobody has opened. */
function attemptOf({ blocks }: Known, at: number) {
  const block = blocks[at % (blocks.length + 1)] ?? random();
  return { block, stage: "shard", index: at % 2, attempt: 2 + (at % 990) };
}

const claims: Write = (known, round) =>
  many(200, (at) => {
    const place = attemptOf(known, round * 200 + at);
    if (at % 4 === 0)
      return { kind: "beat", tasks: many(8, (more) => ({ ...attemptOf(known, at + more), units: at })) };
    if (at % 4 === 1) return { kind: "fail", ...place, code: "prover.crash", logical: at % 8 === 1 };
    return at % 4 === 2 ? { kind: "release", ...place } : { kind: "claim", ...place, timeouts: [] };
  });

const receipts: Write = (known, round) =>
  many(24, (at) => {
    const inline = randomBytes(900);
    const proof = { artefact: createHash("sha256").update(inline).digest("hex"), bytes: inline.length, inline };
    const { receipt } = known;
    const base = receipt ?? {
      system: "mock",
      key: random(),
      values: randomBytes(64),
      possession: new Uint8Array(),
      nonce: new Uint8Array(),
    };
    const { system, key, values, possession, nonce } = base;
    const place = { ...attemptOf(known, round * 24 + at), attempt: at % 3 };
    return { kind: "receipt", ...place, system, key, values, possession, nonce, provingMs: 1, ...proof };
  });

const votes: Write = (known, round) =>
  many(200, (at) => {
    // A lock that is taken twice excludes the key, and the attack would be over: locks are about blocks that nobody knows.
    const place = { ...attemptOf(known, at), block: random() };
    const { block, stage, index } = attemptOf(known, round * 200 + at);
    const proof = { prover: random(), artefact: random() };
    if (at % 5 === 0) return { kind: "grant", ...place, prover: random() };
    if (at % 5 === 1) return { kind: "attest", ...place, ...proof };
    if (at % 5 === 2) return { kind: "timeout", ...place, code: "no-progress" };
    if (at % 5 === 3) return { kind: "reject", block, stage, index, ...proof, code: "proof.invalid" };
    return { kind: "complete", block, stage, index, ...proof };
  });

/** Evidence that shows nothing: two entries that say the same, under signatures that do not hold. */
const evidence: Write = ({ key }, round) => {
  const batch = sealBatch(ZERO_HASH, { author: key, number: round, previous: ZERO_HASH }, junk(round), () =>
    randomBytes(64),
  );
  const [entry = new Uint8Array(1)] = batch.entryBytes;
  const shown = { head: batch.headBytes, signature: batch.signature, index: 0, path: [], entry };
  return many(32, () => ({ kind: "evidence", shown: [shown, { ...shown, signature: randomBytes(64) }] }));
};

function junk(round: number): readonly Entry[] {
  return [{ kind: "grant", block: random(), stage: "shard", index: 0, attempt: round % 900, prover: random() }];
}

/** Blocks of the highest number of items, above the chain's head and beside it. */
const announcements: Write = ({ announced }, round) =>
  many(8, (at) => {
    const height = (announced?.height ?? 1) + 1 + ((round * 8 + at) % 900);
    const names = { workflow: announced?.workflow ?? "block", chain: announced?.chain ?? 31_337 };
    const block = { height, hash: random(), parent: random(), payload: random(), items: 4_000_000 };
    return { kind: "announce", ...names, ...block, start: false, round: 0 };
  });

/** Questions for all that there is, as often as a peer may ask. */
function asking(name: string, by: Class, what: string, peers: number): Attack {
  return {
    what,
    by,
    run: async (target, sent, signal) => {
      const seeds = by === "strangers" ? many(peers, () => randomBytes(32)) : keysOf(name, by).map(({ seed }) => seed);
      const body = encodeFrontier({ feeds: new Map(), chains: new Map() });
      await Promise.all(
        seeds.map(async (seed) => {
          const peer = await Peer.start(target, seed);
          while (!signal.aborted) {
            const began = performance.now();
            await asked(peer, body).then(
              () => sent.count++,
              () => sent.refused++,
            );
            // 8 requests a second are answered.
            await turn(Math.max(0, began + 130 - performance.now()));
          }
          await peer.close();
        }),
      );
    },
  };
}

export const SIGNED: Readonly<Record<string, Attack>> = {
  claims: signing("claims", "prover", "a prover's claims, beats and fails about attempts that nobody opened", claims),
  receipts: signing("receipts", "prover", "a prover's receipts of wrong proofs", receipts),
  gap: signing("gap", "prover", "a prover's batches behind a number that never comes", claims, 1),
  asks: asking("asks", "prover", "a prover that asks for the whole log, as often as it may", 1),
  provers: signing("provers", "provers", "claims, beats and fails of all hostile provers at once", claims),
  proofs: signing("proofs", "provers", "receipts of wrong proofs of all hostile provers at once", receipts),
  votes: signing("votes", "attester", "an attester's votes about proofs and attempts that nobody knows", votes),
  evidence: signing("evidence", "attester", "an attester's evidence that shows nothing", evidence),
  announced: signing("announced", "source", "a source's blocks of many items that are on no chain", announcements),
  askers: asking("askers", "strangers", "32 strangers that ask for the whole log, as often as they may", 32),
};
