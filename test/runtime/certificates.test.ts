import { beforeEach, describe, expect, it } from "vitest";
import type { Done, StoredCertificate, Transport } from "../../src/ports.ts";
import { sealBatch, voteOf } from "../../src/protocol/batch.ts";
import { type BarrierContent, contentHash, encodeCertificate } from "../../src/protocol/certificate.ts";
import { type Announced, blockId, ZERO_HASH } from "../../src/protocol/ids.ts";
import type { Manifest } from "../../src/protocol/manifest.ts";
import { partitionsOf } from "../../src/protocol/partition.ts";
import { decodeFrontier } from "../../src/protocol/sync.ts";
import { Certificates } from "../../src/runtime/certificates.ts";
import { nativeEquation } from "../../src/storage/keystore.ts";
import { memoryStore } from "../../src/storage/memory.ts";
import { hashOf, manifestOf, signerNamed } from "../protocol/fixtures.ts";

const WEST = 1;
const EAST = 2;
const names = ["a", "b", "c", "d", "e"];
const signers = names.map(signerNamed);
const keys = signers.map(({ key }) => key);
const whole = manifestOf(keys, {
  chains: [WEST, EAST].map((id) => ({ id, start: 1, confirmations: 0, workflow: "block" })),
  partitions: [
    { name: "west", chains: [WEST], attesters: [keys[0] ?? ""] },
    { name: "east", chains: [EAST], attesters: keys.slice(1) },
  ],
});
const partitions = partitionsOf(whole);
const [west, east] = partitions;
if (west === undefined || east === undefined) throw new Error("no partitions");

function announced(chain: number, height: number): Announced {
  return {
    chain,
    height,
    hash: hashOf(`${chain} ${height}`),
    parent: hashOf(`${chain} ${height - 1}`),
    start: height === 1,
    workflow: "block",
    items: 1,
    payload: hashOf("payload"),
  };
}

/** A certificate that the given attesters have signed. */
function certificateOf(
  { network }: Manifest,
  chain: number,
  height: number,
  by: readonly string[],
  placed: Announced = announced(chain, height),
): Uint8Array {
  const content: BarrierContent = {
    format: 1,
    lost: [],
    network,
    ...placed,
    before: "",
    after: "",
    tasks: ["shard 0", "shard 1", "aggregate 0"].map((name) => ({
      stage: name.split(" ")[0] ?? "",
      index: Number(name.split(" ")[1]),
      system: "mock",
      key: hashOf("mock"),
      attempt: 0,
      prover: keys[1] ?? "",
      credited: true,
      artefact: hashOf(name),
      bytes: 1,
    })),
  };
  const block = blockId(network, content);
  const entry = { kind: "barrier", block, content: contentHash(content) } as const;
  const votes = by.map((name) => {
    const { key, sign } = signerNamed(name);
    return voteOf(sealBatch(network, { author: key, number: 0, previous: ZERO_HASH }, [entry], sign), 0);
  });
  return encodeCertificate(content, votes);
}

const ofEast = (height: number, by: readonly string[] = ["b", "c", "d"]): Uint8Array =>
  certificateOf(east.manifest, EAST, height, by);

/** The other branch has left the first one after height 1. */
function onBranchOf(height: number): Announced {
  const hash = (at: number) => (at < 2 ? hashOf(`${EAST} ${at}`) : hashOf(`branch ${at}`));
  return { ...announced(EAST, height), hash: hash(height), parent: hash(height - 1) };
}

const onBranch = (height: number): Uint8Array =>
  certificateOf(east.manifest, EAST, height, ["b", "c", "d"], onBranchOf(height));

function stored(
  chain: number,
  height: number,
  bytes: Uint8Array,
  placed: Announced = announced(chain, height),
): StoredCertificate {
  const { network } = chain === EAST ? (east?.manifest ?? whole) : (west?.manifest ?? whole);
  return { chain, height, block: blockId(network, placed), bytes };
}

/** A node's channel on ports that do what the test says. */
class Node {
  readonly delivered: number[] = [];
  readonly faults: string[] = [];
  readonly published: Uint8Array[] = [];
  readonly asked: { readonly peer: string; readonly body: Uint8Array; readonly done: Done<readonly Uint8Array[]> }[] =
    [];
  readonly own = memoryStore({ defer: (run) => run() });
  readonly others;
  readonly certificates: Certificates;
  certified = -1;
  nowMs = 0;
  #timers: { readonly atMs: number; readonly run: () => void }[] = [];

  constructor(
    self: string,
    own: string,
    others: ReturnType<typeof memoryStore> = memoryStore({ defer: (run) => run() }),
  ) {
    this.others = others;
    this.certificates = new Certificates(
      { self: signerNamed(self).key, syncMs: 1000, partitions, own: new Set([own]) },
      {
        clock: {
          now: () => this.nowMs,
          wall: () => 0,
          after: (delayMs, run) => {
            const timer = { atMs: this.nowMs + delayMs, run };
            this.#timers.push(timer);
            return () => void (this.#timers = this.#timers.filter((each) => each !== timer));
          },
        },
        equation: nativeEquation,
        store: this.others,
        partition: () => ({ store: this.own, certified: () => this.certified }),
        sinks: new Map(),
        fatal: ({ code }) => void this.faults.push(code),
        telemetry: {
          emit: (event, fields) => {
            if (event === "certificate.heard") this.delivered.push(Number(fields?.["height"]));
          },
          count: () => {},
        },
      },
    );
    this.certificates.start(() => {});
    this.certificates.connect(this.#transport());
  }

  pass(ms: number): void {
    this.nowMs += ms;
    for (const timer of this.#timers.filter(({ atMs }) => atMs <= this.nowMs)) {
      this.#timers = this.#timers.filter((each) => each !== timer);
      timer.run();
    }
  }

  /** The certificate of a block of its own partition, as its core hands it on. */
  certifies(chain: number, height: number, bytes: Uint8Array, placed?: Announced): void {
    this.certified = height;
    const certificate = stored(chain, height, bytes, placed);
    this.own.write({ certificates: [certificate] }, () => {});
    const partition = chain === EAST ? east : west;
    if (partition !== undefined) this.certificates.certified(partition, certificate);
  }

  /** Answers the question that is open from another node's store. */
  answerFrom(other: Node): number {
    const question = this.asked.shift();
    if (question === undefined) throw new Error("nothing was asked");
    let answered = -1;
    other.certificates.request("asker", "sync", question.body, (frames) => {
      answered = frames.length;
      question.done({ ok: true, value: frames });
    });
    return answered;
  }

  #transport(): Transport {
    return {
      publish: (bytes) => void this.published.push(bytes),
      peers: () => [],
      request: (peer, _request, body, _bytesMax, _timeoutMs, done) => {
        this.asked.push({ peer, body, done });
        return () => {};
      },
      fetch: () => () => {},
    };
  }
}

describe("certificates of another partition", () => {
  let node: Node;
  beforeEach(() => {
    node = new Node("a", "west");
  });

  it("are kept and handed on in the order of heights, and known when they come again (CHANNEL-2)", () => {
    expect(node.certificates.message(ofEast(1), "peer")).toEqual({ kind: "accept" });
    expect(node.certificates.message(ofEast(2), "peer")).toEqual({ kind: "accept" });
    expect(node.delivered).toEqual([1, 2]);
    expect(node.certificates.heights().get(EAST)).toBe(2);
    // With other votes it is another file of the same block.
    expect(node.certificates.message(ofEast(2, ["c", "d", "e"]), "peer")).toEqual({
      kind: "ignore",
      code: "certificate.known",
    });
    expect(node.delivered).toEqual([1, 2]);
  });

  it("that come early are told on, and what is missing is asked for", () => {
    const whoHasAll = new Node("b", "east");
    for (const height of [1, 2, 3]) whoHasAll.certifies(EAST, height, ofEast(height));
    expect(node.certificates.message(ofEast(3), "peer")).toEqual({ kind: "accept" });
    expect(node.delivered).toEqual([]);
    expect(node.asked.map(({ peer }) => peer)).toEqual(["peer"]);
    expect(node.answerFrom(whoHasAll)).toBe(3);
    expect(node.delivered).toEqual([1, 2, 3]);
    // There might have been more.
    expect(node.answerFrom(whoHasAll)).toBe(0);
    expect(node.asked).toEqual([]);
  });

  it("of a branch that goes on after a reorg are asked for from the fork, where nobody was heard to tell them (CHANNEL-4)", () => {
    const whoHasAll = new Node("b", "east");
    for (const height of [1, 2, 3]) {
      whoHasAll.certifies(EAST, height, ofEast(height));
      node.certificates.message(ofEast(height), "peer");
    }
    const branch = [2, 3, 4].map((height) => onBranch(height));
    for (const [at, bytes] of branch.entries()) whoHasAll.certifies(EAST, at + 2, bytes, onBranchOf(at + 2));
    expect(node.certificates.message(onBranch(4), "peer")).toEqual({ kind: "accept" });
    while (node.asked.length > 0) node.answerFrom(whoHasAll);
    expect(node.delivered).toEqual([1, 2, 3, 2, 3, 4]);
  });

  it("are there after a restart, and only the ones after them are asked for", () => {
    for (const height of [1, 2]) node.certificates.message(ofEast(height), "peer");
    const again = new Node("a", "west", node.others);
    again.certificates.peer("peer", "up");
    const chains = decodeFrontier(again.asked[0]?.body ?? new Uint8Array())?.chains;
    expect([...(chains ?? [])]).toEqual([
      [WEST, Number.MAX_SAFE_INTEGER],
      [EAST, 2],
    ]);
  });

  it("end the node where the disk does not take one, which nobody would tell it again", () => {
    const full = memoryStore({ defer: (run) => run() });
    const fault = { code: "disk.full", message: "no room" };
    full.write = (_batch, done) => done({ ok: false, fault });
    const onFullDisk = new Node("a", "west", full);
    onFullDisk.certificates.message(ofEast(1), "peer");
    expect(onFullDisk.faults).toEqual(["disk.full"]);
    expect(onFullDisk.delivered).toEqual([]);
  });

  it("come in so many answers as it takes, a chain beside the other", () => {
    const whoHasAll = new Node("b", "east");
    for (let height = 1; height <= 70; height++) whoHasAll.certifies(EAST, height, ofEast(height));
    node.certificates.peer("peer", "up");
    const answers: number[] = [];
    while (node.asked.length > 0) answers.push(node.answerFrom(whoHasAll));
    expect(answers).toEqual([64, 6, 0]);
    expect(node.certificates.heights().get(EAST)).toBe(70);
  });

  it("are refused without a quorum of that partition, for a chain of another, and for a chain of nobody (CHANNEL-1)", () => {
    const invalid = { kind: "reject", code: "certificate.invalid" };
    expect(node.certificates.message(ofEast(1, ["b", "c"]), "peer")).toEqual(invalid);
    expect(node.certificates.message(ofEast(1, ["a", "b", "c"]), "peer")).toEqual(invalid);
    // All attesters of the east, about a chain of the west.
    const usurped = certificateOf(east.manifest, WEST, 1, ["b", "c", "d", "e"]);
    expect(node.certificates.message(usurped, "peer")).toEqual(invalid);
    const nobodys = certificateOf(east.manifest, 9, 1, ["b", "c", "d"]);
    expect(node.certificates.message(nobodys, "peer")).toEqual({ kind: "reject", code: "message.malformed" });
    expect(node.certificates.message(Buffer.from("{}"), "peer")).toEqual({ kind: "reject", code: "message.malformed" });
    expect(node.delivered).toEqual([]);
  });

  it("from long ago are known by their height alone (CHANNEL-3)", () => {
    for (let height = 1; height <= 65; height++) node.certificates.message(ofEast(height), "peer");
    const again = new Node("a", "west", node.others);
    expect(again.certificates.message(ofEast(1, ["c", "d", "e"]), "peer")).toEqual({
      kind: "ignore",
      code: "certificate.known",
    });
  });
});

describe("certificates of a node's own partition", () => {
  it("are told by one attester, and by the next where that one is silent (CHANNEL-5)", () => {
    const nodes = names.slice(1).map((name) => new Node(name, "east"));
    for (const node of nodes) node.certifies(EAST, 1, ofEast(1));
    const first = nodes.filter(({ published }) => published.length > 0);
    expect(first).toHaveLength(1);
    // Two of four hold an honest one; the second has not heard the first.
    for (const node of nodes) node.pass(250);
    expect(nodes.filter(({ published }) => published.length > 0)).toHaveLength(2);
    for (const node of nodes) node.pass(60_000);
    expect(nodes.filter(({ published }) => published.length > 0)).toHaveLength(2);
  });

  it("are not told again where somebody was heard", () => {
    const nodes = names.slice(1).map((name) => new Node(name, "east"));
    for (const node of nodes) node.certifies(EAST, 1, ofEast(1));
    const told = nodes.flatMap(({ published }) => published);
    for (const node of nodes) for (const bytes of told) node.certificates.message(bytes, "peer");
    for (const node of nodes) node.pass(60_000);
    expect(nodes.flatMap(({ published }) => published)).toHaveLength(1);
  });

  it("are told at most so many a second, for a node that catches up has thousands", () => {
    const node = new Node("a", "west");
    for (let height = 1; height <= 40; height++)
      node.certifies(WEST, height, certificateOf(west.manifest, WEST, height, ["a"]));
    expect(node.published).toHaveLength(16);
  });
});
