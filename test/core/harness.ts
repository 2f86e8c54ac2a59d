/**
 * Cores without a runtime: an event goes in, what it says comes out as lines, and a test delivers by hand.
 *
 * Appended entries are sealed at once and come back as an event, as if the disk took no time. Payloads are prepared at
 * once as well; verdicts and proofs wait for the test.
 */
import type { Effect } from "../../src/core/effect.ts";
import type { Event, VerifiedResult } from "../../src/core/event.ts";
import type { CoreOptions } from "../../src/core/options.ts";
import { type Block, createState, type Proof, type State } from "../../src/core/state.ts";
import { begin } from "../../src/core/own-feed.ts";
import { replayLog, resume, step } from "../../src/core/step.ts";
import { type Batch, sealBatch } from "../../src/protocol/batch.ts";
import { blockId, domainDigest, type Hash, type Key, u64, ZERO_HASH } from "../../src/protocol/ids.ts";
import type { Manifest, ManifestJson } from "../../src/protocol/manifest.ts";
import { type Entry, type EntryOf, equalBytes } from "../../src/protocol/messages.ts";
import type { Resources } from "../../src/protocol/workflow.ts";
import type { Equation } from "../../src/protocol/signing.ts";
import { simSignature, simSigner } from "../../simnet/virtual/provers.ts";
import { hashOf, manifestJson, manifestOf } from "../protocol/fixtures.ts";

export const equation: Equation = (signature, message, key) => equalBytes(signature, simSignature(key, message));

export function keyOf(name: string): Key {
  return simSigner(1, name).key;
}

export interface Parties {
  readonly attesters: readonly string[];
  readonly provers: readonly string[];
  readonly sources: readonly string[];
}

export function network(parties: Parties, change: Partial<ManifestJson> = {}): Manifest {
  const attesters = parties.attesters.map(keyOf);
  const { provers } = manifestJson([]);
  return manifestOf(attesters, {
    sources: parties.sources.map(keyOf),
    provers: { ...provers, list: parties.provers.map((name) => ({ key: keyOf(name), slots: 1, weight: 1 })) },
    ...change,
  });
}

/** A network whose proof system has no room for a payee: a proof is as good in one prover's receipt as in another's. */
export function withoutPayee(): Partial<ManifestJson> {
  const text = JSON.stringify(manifestJson([])).replaceAll('"system":"mock"', '"system":"opaque"');
  const { keys, workflows } = JSON.parse(text) as ManifestJson;
  return { keys, workflows };
}

/** How many items every list has that stages are counted by. */
export const LISTED = 3;

/** A block of the test chain; forks differ by their name. */
export interface TestBlock {
  readonly height: number;
  readonly hash: Hash;
  readonly parent: Hash;
}

export function blockAt(height: number, fork = "main", parentFork = fork): TestBlock {
  const parent = height === 1 ? hashOf("genesis") : hashOf(`${parentFork} ${height - 1}`);
  return { height, hash: hashOf(`${fork} ${height}`), parent };
}

/** The only public values that a task of a block may have. */
export function valuesOf(block: Hash, stage: string, index: number): Uint8Array {
  return domainDigest("test-values", new TextEncoder().encode(`${block}/${stage}`), u64(index));
}

/** What one party has signed so far. Two feeds of one party are a party that says two things. */
export class Feed {
  readonly name: string;
  readonly batches: Batch[] = [];

  constructor(name: string, batches: readonly Batch[] = []) {
    this.name = name;
    this.batches.push(...batches);
  }

  seal(manifest: Manifest, entries: readonly Entry[]): Batch {
    const signer = simSigner(1, this.name);
    const previous = this.batches.at(-1)?.hash ?? ZERO_HASH;
    const feed = { author: signer.key, number: this.batches.length, previous };
    const batch = sealBatch(manifest.network, feed, entries, signer.sign);
    this.batches.push(batch);
    return batch;
  }
}

export interface CoreSetup {
  readonly name: string;
  readonly manifest: Manifest;
  readonly roles?: Partial<CoreOptions["roles"]>;
  readonly slots?: number;
  /** What it can prove. */
  readonly systems?: readonly string[];
  readonly resources?: Resources;
  /** Functions that stages are collected by. */
  readonly selects?: CoreOptions["selects"];
  readonly limits?: CoreOptions["limits"];
  readonly checkAllEvery?: number;
  readonly names: readonly string[];
}

export class Core {
  readonly name: string;
  readonly manifest: Manifest;
  readonly state: State;
  readonly feed: Feed;
  /** Other batches it was given, for a restart. */
  readonly heard: Batch[] = [];
  readonly effects: Effect[] = [];
  nowMs = 0;
  /** Whether the block's payload is what its announcement says. */
  isAnnouncedTruly: (block: Hash) => boolean = () => true;
  readonly #setup: CoreSetup;
  readonly #names: ReadonlyMap<Key, string>;

  constructor(setup: CoreSetup, feed = new Feed(setup.name)) {
    const { name, manifest, names, roles = {}, slots = 1, systems = ["mock"] } = setup;
    this.#setup = setup;
    this.name = name;
    this.manifest = manifest;
    this.feed = feed;
    this.#names = new Map(names.map((each) => [keyOf(each), each]));
    const options: CoreOptions = {
      self: keyOf(name),
      roles: { source: false, attester: false, prover: false, ...roles },
      slots,
      systems,
      ...(setup.resources === undefined ? {} : { resources: setup.resources }),
      ...(setup.selects === undefined ? {} : { selects: setup.selects }),
      ...(setup.limits === undefined ? {} : { limits: setup.limits }),
      seed: 0,
      checkAllEvery: setup.checkAllEvery ?? 8,
    };
    this.state = createState(manifest, options);
  }

  /** What it said because of the event, a line an entry. */
  step(event: Event): string[] {
    const before = this.feed.batches.length;
    this.#run(step(this.state, event, this.nowMs, equation));
    return this.#saidSince(before);
  }

  tick(afterMs: number): string[] {
    this.nowMs += afterMs;
    return this.step({ kind: "tick" });
  }

  hear(batch: Batch): string[] {
    this.heard.push(batch);
    return this.step({ kind: "batch", batch, from: null });
  }

  /** A verdict on the proof with this name. */
  verdict(block: Hash, stage: string, index: number, proof: string, verdict: VerifiedResult): string[] {
    const artefact = hashOf(proof);
    const task = this.state.blocks.get(block)?.tasks.find((each) => each.stage.name === stage && each.index === index);
    const named = [...(task?.proofs.values() ?? [])].filter((each) => each.artefact === artefact);
    const maker = (named.find(({ asked }) => asked) ?? named[0])?.maker ?? null;
    return this.step({ kind: "verified", task: { block, stage, index }, artefact, maker, verdict });
  }

  /** The process died and is back: its own feed survived, and of what it heard as much as is given. */
  restart(heard: readonly Batch[], isLost = false): { readonly core: Core; readonly said: string[] } {
    const core = new Core(this.#setup, new Feed(this.name, this.feed.batches));
    begin(core.state, { counter: this.state.start.counter + 1, nonce: "5a".repeat(16) }, isLost);
    core.heard.push(...heard);
    replayLog(core.state, [...this.feed.batches, ...heard], equation);
    const before = core.feed.batches.length;
    core.nowMs = this.nowMs;
    core.#run(resume(core.state, core.nowMs, equation));
    return { core, said: core.#saidSince(before) };
  }

  /** Everything it has said so far. */
  said(): string[] {
    return this.#saidSince(0);
  }

  /** Effects of one kind since the last call. */
  take<K extends Effect["kind"]>(kind: K): Extract<Effect, { kind: K }>[] {
    const taken = this.effects.filter((effect): effect is Extract<Effect, { kind: K }> => effect.kind === kind);
    for (const effect of taken) this.effects.splice(this.effects.indexOf(effect), 1);
    return taken;
  }

  refusals(): string[] {
    return this.take("refused").map(({ code }) => code);
  }

  reports(event: string): Readonly<Record<string, unknown>>[] {
    return this.effects.flatMap((effect) =>
      effect.kind === "report" && effect.event === event ? [effect.fields] : [],
    );
  }

  /** The proof with this name that is in one of the block's tasks; of several makers' the first that was heard of. */
  proof(block: TestBlock, name: string): Proof | undefined {
    const proofs = this.block(block).tasks.flatMap((task) => [...task.proofs.values()]);
    return proofs.find(({ artefact }) => artefact === hashOf(name));
  }

  block(block: TestBlock): Block {
    const found = this.state.blocks.get(blockId(this.manifest.network, announceOf(block)));
    if (found === undefined) throw new Error(`${this.name} knows no block ${block.height}`);
    return found;
  }

  #saidSince(batch: number): string[] {
    const entries = this.feed.batches.slice(batch).flatMap((each) => each.entries);
    return entries.filter(({ kind }) => kind !== "beat").map((entry) => this.line(entry));
  }

  line(entry: Entry): string {
    const words: string[] = [entry.kind];
    if ("stage" in entry) words.push(`${entry.stage}/${entry.index}${"attempt" in entry ? `#${entry.attempt}` : ""}`);
    if ("prover" in entry && entry.kind !== "complete") words.push(this.#names.get(entry.prover) ?? "stranger");
    if ("code" in entry) words.push(entry.code);
    if (entry.kind === "announce" || entry.kind === "admit") words.push(`height ${entry.height}`);
    if ("round" in entry && entry.kind !== "announce") words.push(`round ${entry.round}`);
    return words.join(" ");
  }

  #run(effects: readonly Effect[]): void {
    for (const effect of effects) {
      if (effect.kind === "append") {
        const batch = this.feed.seal(this.manifest, effect.entries);
        this.#run(step(this.state, { kind: "batch", batch, from: null }, this.nowMs, equation));
      } else if (effect.kind === "count") {
        const { task, artefact } = effect;
        this.#run(step(this.state, { kind: "counted", task, artefact, items: LISTED }, this.nowMs, equation));
      } else if (effect.kind === "prepare") {
        this.#run(step(this.state, this.#prepared(effect), this.nowMs, equation));
      } else {
        this.effects.push(effect);
      }
    }
  }

  #prepared(effect: Extract<Effect, { kind: "prepare" }>): Event {
    if (!this.isAnnouncedTruly(effect.block))
      return { kind: "prepared", block: effect.block, result: { kind: "invalid", code: "payload.items-mismatch" } };
    const block = this.state.blocks.get(effect.block);
    const values = Object.fromEntries(
      (block?.stages ?? []).map(({ name, count }) => [
        name,
        Array.from({ length: count }, (_, index) => valuesOf(effect.block, name, index)),
      ]),
    );
    const before = effect.before ?? new Uint8Array(32);
    const after = domainDigest("test-after", before);
    return { kind: "prepared", block: effect.block, result: { kind: "ready", prepared: { before, after, values } } };
  }
}

export function announceOf(block: TestBlock, round = 0): EntryOf<"announce"> {
  const payload = hashOf(`payload ${block.hash}`);
  const place = { chain: 1, height: block.height, hash: block.hash, parent: block.parent };
  const start = block.height === 1;
  return { kind: "announce", ...place, workflow: "block", payload, items: 0, start, round };
}
