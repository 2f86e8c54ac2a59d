/**
 * One core alone. A model signs for everybody else, hands over what they have signed in any order, and looks at what the
 * core makes of it. Payloads are prepared at once, the core's own entries are durable at once, and proofs wait for the
 * model.
 */
import { utf8ToBytes } from "@noble/hashes/utils.js";
import type { Effect } from "../../../src/core/effect.ts";
import type { Event } from "../../../src/core/event.ts";
import { impliedValues } from "../../../src/core/makers.ts";
import type { CoreOptions } from "../../../src/core/options.ts";
import { type Block, createState, type State, type Task } from "../../../src/core/state.ts";
import { step } from "../../../src/core/step.ts";
import { type Batch, type BatchHead, sealBatch } from "../../../src/protocol/batch.ts";
import { artefactHash, type Hash, type Key, ZERO_HASH } from "../../../src/protocol/ids.ts";
import type { Manifest } from "../../../src/protocol/manifest.ts";
import { type Entry, type EntryOf, equalBytes } from "../../../src/protocol/messages.ts";
import type { Equation } from "../../../src/protocol/signing.ts";
import { CHAIN, manifestOf, type NetworkShape } from "../manifest.ts";
import { commitmentAtStart, payloadOf, simSignature, simSigner, valuesOf } from "../provers.ts";

const SEED = 1;
const PREPARATIONS_MAX = 8;
/** The stages of a simulated block, in their order. */
export const STAGES = ["shard", "aggregate"] as const;
export const equation: Equation = (signature, message, key) => equalBytes(signature, simSignature(key, message));

export interface RigOptions extends Partial<NetworkShape> {
  /** Keys beside the nodes of the manifest. */
  readonly others?: readonly string[];
  readonly roles?: Partial<CoreOptions["roles"]>;
  readonly limits?: CoreOptions["limits"];
}

/** An entry that the core has heard, and its place in its author's feed. */
export interface Said {
  readonly author: Key;
  readonly number: number;
  readonly index: number;
  readonly entry: Entry;
}

export class Rig {
  readonly manifest: Manifest;
  readonly state: State;
  readonly self: Key;
  /** The nodes of the manifest, attesters first, and the other keys. */
  readonly keys: readonly Key[];
  /** What the core has signed. */
  readonly said: Entry[] = [];
  readonly refusals: string[] = [];
  readonly heard: Said[] = [];
  nowMs = 0;
  /** Whether payloads are what their announcements say, and how often the core has asked for one. */
  isPayloadTrue = true;
  preparations = 0;
  /** The node has to begin again as this start. */
  onRenew: (counter: number) => void = () => {};
  readonly #signers: ReadonlyMap<Key, ReturnType<typeof simSigner>>;
  readonly #feeds = new Map<Key, Batch[]>();

  constructor({ others = [], roles = {}, limits = {}, ...shape }: RigOptions = {}) {
    const { nodes = 7 } = shape;
    const names = [...Array.from({ length: nodes }, (_, at) => `node ${at}`), ...others];
    const signers = names.map((name) => simSigner(SEED, name));
    this.#signers = new Map(signers.map((signer) => [signer.key, signer]));
    this.keys = signers.map(({ key }) => key);
    this.self = this.keys[0] ?? "";
    const base = {
      nodes,
      attesters: 4,
      attestersOnlyAttest: true,
      joiners: 0,
      shards: 1,
      window: 4,
      retentionBlocks: 16,
    };
    this.manifest = manifestOf({ ...base, ...shape }, this.keys);
    this.state = createState(this.manifest, {
      self: this.self,
      roles: { source: false, attester: true, prover: false, ...roles },
      slots: 1,
      systems: ["sim"],
      seed: 0,
      limits,
    });
  }

  get attesters(): readonly Key[] {
    return [...this.manifest.weights.keys()];
  }

  get provers(): readonly Key[] {
    return this.manifest.json.provers.list.map(({ key }) => key);
  }

  /** A batch that the core has not heard yet. */
  sign(author: Key, ...entries: Entry[]): Batch {
    const feed = this.#feeds.get(author) ?? [];
    this.#feeds.set(author, feed);
    const head = { author, number: feed.length, previous: feed.at(-1)?.hash ?? ZERO_HASH };
    const batch = sealBatch(this.manifest.network, head, entries, (message) => this.#signerOf(author).sign(message));
    feed.push(batch);
    return batch;
  }

  /** A batch that another process signs with the core's own key. A number that is taken gets a second batch. */
  foreign(number: number, start: number): Batch {
    const feed = this.#feeds.get(this.self) ?? [];
    this.#feeds.set(this.self, feed);
    const head = { author: this.self, number, previous: feed[number - 1]?.hash ?? ZERO_HASH, start };
    const entry: Entry = { kind: "beat", tasks: [] };
    const entries = feed[number] === undefined ? [entry] : [entry, entry];
    const sign = (message: Uint8Array) => this.#signerOf(this.self).sign(message);
    const batch = sealBatch(this.manifest.network, head, entries, sign);
    feed[number] ??= batch;
    return batch;
  }

  /** A newcomer whose feed was dropped begins a new one. */
  forgetFeed(author: Key, isDropped: boolean): void {
    if (isDropped) this.#feeds.delete(author);
  }

  seal(head: Pick<BatchHead, "author" | "number" | "previous" | "start">, entries: readonly Entry[]): Batch {
    const sign = (message: Uint8Array) => this.#signerOf(head.author).sign(message);
    const { author, number, previous, start } = head;
    return sealBatch(this.manifest.network, { author, number, previous, start }, entries, sign);
  }

  /** The first prover hands in a proof of the first task of the stage, and all other attesters attest it. */
  complete(block: Hash, stage: string): void {
    const [prover = ""] = this.provers;
    const task = this.block(block)?.tasksByStage.get(stage)?.[0];
    if (task === undefined) return;
    const artefact = artefactHash(utf8ToBytes(`${block} ${stage}`));
    const at = { block, stage, index: 0 };
    this.hear(this.sign(prover, receiptOf(task, prover, artefact, 0)));
    for (const key of this.attesters.slice(1))
      this.hear(this.sign(key, { ...at, attempt: 0, kind: "attest", prover, artefact }));
    const verdict = { kind: "valid", bytes: PROOF_BYTES, possession: new Uint8Array() } as const;
    this.step({ kind: "verified", task: at, artefact, maker: prover, verdict });
  }

  hearFrom(batch: Batch, from: Key): void {
    this.step({ kind: "batch", batch, from });
  }

  hear(batch: Batch): void {
    const { author, number } = batch.head;
    this.heard.push(...batch.entries.map((entry, index) => ({ author, number, index, entry })));
    this.step({ kind: "batch", batch, from: null });
  }

  pass(ms: number): void {
    this.nowMs += ms;
    this.step({ kind: "tick" });
  }

  step(event: Event): void {
    for (const effect of step(this.state, event, this.nowMs, equation)) this.#carryOut(effect);
  }

  /** The first block of the chain. */
  announcement(round = 0): EntryOf<"announce"> {
    const place = { chain: CHAIN, height: 1, hash: artefactHash(new Uint8Array([1])), parent: ZERO_HASH };
    const payload = artefactHash(payloadOf(place));
    return { kind: "announce", ...place, workflow: "block", payload, items: 0, start: true, round };
  }

  block(id: Hash): Block | undefined {
    return this.state.blocks.get(id);
  }

  #signerOf(author: Key): ReturnType<typeof simSigner> {
    const signer = this.#signers.get(author);
    if (signer === undefined) throw new Error(`no key ${author}`);
    return signer;
  }

  #carryOut(effect: Effect): void {
    if (effect.kind === "append") {
      this.said.push(...effect.entries);
      this.hear(this.sign(this.self, ...effect.entries));
    } else if (effect.kind === "prepare") this.#prepare(effect);
    else if (effect.kind === "renew") this.onRenew(effect.counter);
    else if (effect.kind === "refused") this.refusals.push(effect.code);
  }

  #prepare({ block, parent, before: given }: Extract<Effect, { kind: "prepare" }>): void {
    // A core that asks again at once would ask for ever.
    if (++this.preparations > PREPARATIONS_MAX) return;
    if (!this.isPayloadTrue)
      return this.step({ kind: "prepared", block, result: { kind: "invalid", code: "payload.announcement" } });
    const before = given ?? commitmentAtStart(parent);
    const stages = this.state.blocks.get(block)?.stages ?? [];
    const values = Object.fromEntries(
      stages.map(({ name, count }) => [
        name,
        Array.from({ length: count }, (_, index) => valuesOf(block, before, name, index)),
      ]),
    );
    const prepared = { before, after: before, values };
    this.step({ kind: "prepared", block, result: { kind: "ready", prepared } });
  }
}

/** The list in an order that the seed draws. */
export function shuffled<T>(list: readonly T[], next: () => number): T[] {
  return list
    .map((each) => ({ each, by: next() }))
    .sort((a, b) => a.by - b.by)
    .map(({ each }) => each);
}

export const PROOF_BYTES = 32;

/** A true receipt of the prover for the task. */
export function receiptOf(task: Task, prover: Key, artefact: Hash, attempt: number): EntryOf<"receipt"> {
  const { block, stage, index, variant } = task;
  const { system, key } = variant;
  const values = impliedValues(task, prover) ?? new Uint8Array();
  const empty = { inline: new Uint8Array(), possession: new Uint8Array(), nonce: new Uint8Array() };
  const at = { block: block.id, stage: stage.name, index, attempt };
  return { kind: "receipt", ...at, system, key, artefact, bytes: PROOF_BYTES, values, provingMs: 1, ...empty };
}
