import { createHash } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { readConfig } from "../../src/config.ts";
import { type NodeStatus, openNode, openVerifier, type ProofmeshNode } from "../../src/node.ts";
import { valuesFor } from "../../src/protocol/payee.ts";
import { mockProof } from "../../src/provers/mock.ts";
import { payloadOf } from "../../src/protocol/ethereum.ts";
import { artefactHash, blockId } from "../../src/protocol/ids.ts";
import type { Entry, EntryOf } from "../../src/protocol/messages.ts";
import { rowsOf, stagesOf } from "../../src/protocol/workflow.ts";
import { createKeyFrom } from "../keys.ts";
import { value } from "../provers/fixtures.ts";
import { CHAIN, nextBlock, type RpcBlock, submit } from "./blocks.ts";
import { makeMembers, type Members } from "./members.ts";
import { eventually, type LogLine } from "./processes.ts";
import { Stranger } from "./stranger.ts";

/** Roster prover and attester in the manifest, with keys that the tests hold; the real node alone is a quorum. */
const SEEDS = { prover: seedOf("prover"), attester: seedOf("attester"), nobody: seedOf("nobody") };
/** Long enough that no attempt of the stranger's ends by itself before the test has ended it. */
const CLAIM_WINDOW_MS = 20_000;

let members: Members;
let node: ProofmeshNode;
let prover: Stranger;
let tip: RpcBlock | null = null;
const log: LogLine[] = [];
const cleanups: (() => void | Promise<void>)[] = [];

beforeAll(async () => {
  const dir = mkdtempSync(path.join(os.tmpdir(), "proofmesh-"));
  cleanups.push(() => rmSync(dir, { recursive: true, force: true }));
  members = makeMembers(
    1,
    { shards: 2 },
    (json) => ({
      ...json,
      attesters: [
        ...json.attesters.map((attester) => ({ ...attester, weight: 9 })),
        { key: createKeyFrom(SEEDS.attester).key, weight: 1 },
      ],
      provers: {
        admission: "list",
        list: [...json.provers.list, { key: createKeyFrom(SEEDS.prover).key, slots: 4, weight: 1 }],
      },
      timing: { ...json.timing, claimWindowMs: CLAIM_WINDOW_MS, claimWindowMsMax: CLAIM_WINDOW_MS },
    }),
    dir,
  );
  const config = readConfig(
    undefined,
    {},
    {
      data: members.list[0]?.data,
      manifest: members.manifest,
      listen: ["/ip4/127.0.0.1/tcp/0"],
      http: "127.0.0.1:0",
      provers: [{ kind: "mock", provingMs: 50 }],
      profile: "local",
      log: "json",
    },
  );
  node = await openNode(config, (line) => log.push(JSON.parse(line) as LogLine));
  prover = await stranger("prover");
});

afterAll(async () => {
  await prover.close();
  await node.close();
  for (const run of cleanups) await run();
});

describe("what strangers send is refused before it changes anything", () => {
  test("message.malformed: bytes that are no batch", () =>
    refusedWhole("message.malformed", "nobody", (peer) => peer.send(Buffer.from("no batch at all"))));

  test("message.malformed: a batch with one bit flipped in its framing", () =>
    refusedWhole("message.malformed", "nobody", (peer) => {
      const bytes = Uint8Array.from(peer.seal([join()]).bytes);
      bytes[0] = (bytes[0] ?? 0) ^ 0x40;
      peer.send(bytes);
    }));

  test("message.too-large: more bytes than a message may have", () =>
    refusedWhole("message.too-large", "nobody", (peer) => peer.send(new Uint8Array(65 * 1024).fill(7))));

  test("message.root-mismatch: an entry that the signed head does not cover", () =>
    refusedWhole("message.root-mismatch", "attester", (peer) => {
      const { bytes } = peer.seal([grantOf(5)]);
      // The attempt is the last number of a grant before the prover's key; another attempt is another entry.
      const at = Buffer.from(bytes).indexOf(Buffer.from([0x20, 5, 0x2a]));
      peer.send(bytes.with(at + 1, 6));
    }));

  test("signature.invalid: an attester's vote that is signed for another network", () =>
    refusedWhole("signature.invalid", "attester", (peer) => peer.send(peer.seal([grantOf(0)], "ab".repeat(32)).bytes)));

  test("author.unknown: a vote that is signed by nobody whom the manifest or the roster knows", () =>
    refusedWhole("author.unknown", "nobody", (peer) => peer.say(grantOf(0))));
});

describe("what a member may not say is refused and has no effect", () => {
  test("author.role: a vote of a prover that is no attester", async () => {
    const { id, shard } = await openBlock();
    prover.say({ ...ref(id, shard), kind: "attest", attempt: 0, prover: prover.key, artefact: "cd".repeat(32) });
    await refusal("author.role", prover.key, "attest");
    await finish(id, shard, "release");
  });

  test("claim.not-owner: a claim of an attempt that is somebody else's", async () => {
    const { id, shard } = await openBlock();
    prover.say({ ...ref(id, shard), kind: "claim", attempt: 1, timeouts: [] });
    await refusal("claim.not-owner", prover.key, "claim");
    await finish(id, shard, "release");
  });

  test("proof.equation: a roster prover's proof that does not verify; another prover does the task", async () => {
    const { id, shard, values } = await openBlock();
    const proof = mockProof(values).map((byte) => byte ^ 1);
    prover.say({ ...ref(id, shard), kind: "claim", attempt: 0, timeouts: [] });
    prover.say(receipt(id, shard, proof, values));
    await refusal("proof.equation", prover.key, "receipt");
    await finish(id, shard, "proof.equation");
  });

  test("receipt.other-task: a receipt with the public values of the block's other shard", async () => {
    const { id, shard } = await openBlock();
    if (tip === null) throw new Error("no block");
    const others = await valuesOf(tip, id, 1 - shard);
    prover.say({ ...ref(id, shard), kind: "claim", attempt: 0, timeouts: [] });
    prover.say(receipt(id, shard, mockProof(others), others));
    await refusal("receipt.other-task", prover.key, "receipt");
    await finish(id, shard, "receipt.other-task");
  });

  test("receipt.wrong-values: a receipt with other public values than the task implies", async () => {
    const { id, shard, values } = await openBlock();
    const others = values.map((byte) => byte ^ 1);
    prover.say({ ...ref(id, shard), kind: "claim", attempt: 0, timeouts: [] });
    prover.say(receipt(id, shard, mockProof(others), others));
    await refusal("receipt.wrong-values", prover.key, "receipt");
    await finish(id, shard, "receipt.wrong-values");
  });
});

async function stranger(name: keyof typeof SEEDS): Promise<Stranger> {
  return new Stranger(members.network, SEEDS[name]).connect(SEEDS[name], node.addresses[0] ?? "");
}

/** Sends what must be refused before it is taken in: the log and everything else in the status stay as they are. */
async function refusedWhole(code: string, name: keyof typeof SEEDS, send: (peer: Stranger) => void): Promise<void> {
  const peer = await stranger(name);
  onTestFinished(() => peer.close());
  const before = unchanging(node.status());
  const counted = count(code);
  send(peer);
  await eventually(`${code} is counted`, () => (count(code) > counted ? true : null));
  expect(log.some((line) => line.event === "refused" && line["code"] === code)).toBe(true);
  expect(unchanging(node.status())).toEqual(before);
  expect(await ownLog()).not.toContain(peer.key);
}

/** Waits for the log line that names the refusal, and checks that it is counted. */
async function refusal(code: string, author: string, entry: string): Promise<void> {
  await eventually(`${code} of ${entry} is logged`, () => {
    const fits = (line: LogLine): boolean =>
      line.event === "refused" && line["code"] === code && line["author"] === author;
    return log.some((line) => fits(line) && String(line["entry"]).startsWith(entry)) ? true : null;
  });
  expect(count(code)).toBeGreaterThan(0);
}

interface Opened {
  readonly id: string;
  /** The shard that the stranger owns. */
  readonly shard: number;
  readonly values: Uint8Array;
}

/** A new block of which the stranger owns one shard, as the shards are dealt evenly. */
async function openBlock(): Promise<Opened> {
  const block = nextBlock(tip);
  tip = block;
  await submit(node.http ?? "", block);
  const hash = block.hash.slice(2);
  const id = blockId(node.manifest.network, await prover.hears("announce", (entry) => entry.hash === hash));
  const shard = await eventually("the stranger owns a shard", () => {
    const tasks = node.status().blocks.find((each) => each.hash === hash)?.tasks ?? [];
    return tasks.find((task) => task.owner === prover.key && task.state === "ready")?.index ?? null;
  });
  return { id, shard, values: await valuesOf(block, id, shard) };
}

const verifier = { current: null as ReturnType<typeof openVerifier> | null };

/** What the shard must prove, by the verifier's own reading of the block. */
async function valuesOf(block: RpcBlock, id: string, shard: number): Promise<Uint8Array> {
  if (verifier.current === null) {
    const opened = openVerifier(node.manifest, 1, []);
    verifier.current = opened;
    cleanups.push(() => opened.close());
  }
  const encoded = payloadOf(block);
  if (!encoded.ok) throw new Error(encoded.fault.message);
  const { height, hash, parent, items, payload } = encoded.value;
  const before = height === 1 ? null : await afterOf(height - 1);
  const stages = rowsOf(stagesOf(node.manifest, "block", items) ?? []);
  const job = {
    chain: CHAIN,
    chainId: CHAIN,
    height,
    block: id,
    hash,
    parent,
    items,
    payload,
    range: 1,
    before,
    stages,
  };
  const prepared = await value<{ readonly values: Readonly<Record<string, readonly Uint8Array[]>> }>((done) =>
    verifier.current?.prepare(job, done),
  );
  return valuesFor("digest", prepared.values["shard"]?.[shard] ?? new Uint8Array(), prover.key);
}

async function afterOf(height: number): Promise<Uint8Array> {
  const { after } = (await certificate(height)).content;
  return Buffer.from(after, "hex");
}

/** The stranger's attempt is over and the real node does the task: the certificate names it for all of them. */
async function finish(id: string, shard: number, code: string): Promise<void> {
  if (code === "release") prover.say({ ...ref(id, shard), kind: "release", attempt: 0 });
  const height = Number(tip?.number);
  let gaveBack = false;
  const { content } = await eventually(`block ${height} is certified`, () => {
    // The aggregate may be the stranger's too.
    const tasks = node.status().blocks.find((block) => block.height === height)?.tasks ?? [];
    const owned = tasks.some(
      (task) => task.stage === "aggregate" && task.owner === prover.key && task.state === "ready",
    );
    if (owned && !gaveBack) prover.say({ block: id, stage: "aggregate", index: 0, kind: "release", attempt: 0 });
    gaveBack ||= owned;
    return certificate(height).catch(() => null);
  });
  const over = log.find(
    (line) =>
      line.event === "attempt.over" &&
      line["height"] === height &&
      line["stage"] === "shard" &&
      line["index"] === shard,
  );
  expect(over).toMatchObject({ owner: prover.key, code: code === "release" ? "released" : code });
  expect(content.tasks.map((task) => task.prover)).toEqual(content.tasks.map(() => node.key));
  expect(content.tasks.find((task) => task.stage === "shard" && task.index === shard)?.attempt).toBe(1);
}

interface CertificateJson {
  readonly content: {
    readonly after: string;
    readonly tasks: readonly {
      readonly stage: string;
      readonly index: number;
      readonly prover: string;
      readonly attempt: number;
    }[];
  };
}

async function certificate(height: number): Promise<CertificateJson> {
  const response = await fetch(`${node.http}/certificates/${CHAIN}/${height}`);
  if (!response.ok) throw new Error(await response.text());
  return (await response.json()) as CertificateJson;
}

async function ownLog(): Promise<string> {
  return (await fetch(`${node.http}/log`)).text();
}

/** All that a refusal must leave alone; peers come and go, and the node's own beats move its feed. */
function unchanging(status: NodeStatus): unknown {
  const { chains, blocks, provers, mute, log: logStatus } = status;
  return { chains, blocks, provers, mute, feeds: logStatus.feeds, gaps: logStatus.gaps };
}

function count(code: string): number {
  return node.status().counters["refused"]?.[code] ?? 0;
}

function ref(block: string, index: number): { readonly block: string; readonly stage: string; readonly index: number } {
  return { block, stage: "shard", index };
}

function receipt(block: string, index: number, proof: Uint8Array, values: Uint8Array): EntryOf<"receipt"> {
  const key = node.manifest.keyHashes.get("mock") ?? "";
  const made = {
    artefact: artefactHash(proof),
    bytes: proof.length,
    values,
    provingMs: 1,
    inline: proof,
    possession: new Uint8Array(),
    nonce: new Uint8Array(),
  };
  return { ...ref(block, index), kind: "receipt", attempt: 0, system: "mock", key, ...made };
}

function grantOf(attempt: number): Entry {
  return { ...ref("ef".repeat(32), 0), kind: "grant", attempt, prover: createKeyFrom(SEEDS.prover).key };
}

function join(): Entry {
  return { kind: "join", slots: 1, chain: CHAIN, proofs: [] };
}

function seedOf(name: string): Uint8Array {
  return createHash("sha256").update(`refusals ${name}`).digest();
}
