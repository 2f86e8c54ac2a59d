/** One attester under test; everybody else is a voice that says what the test wants. */
import type { VerifiedResult } from "../../src/core/event.ts";
import { type Batch, voteOf } from "../../src/protocol/batch.ts";
import { blockId, type Hash, type Key } from "../../src/protocol/ids.ts";
import type { Manifest, ManifestJson } from "../../src/protocol/manifest.ts";
import { type Entry, type EntryOf, equalBytes, type Vote } from "../../src/protocol/messages.ts";
import { valuesFor } from "../../src/protocol/payee.ts";
import { payeeOf } from "../../src/protocol/systems.ts";
import { ownerOf, ownersOf } from "../../src/protocol/owner.ts";
import type { StartRecord } from "../../src/protocol/start.ts";
import type { Twin } from "../../src/protocol/sync.ts";
import { hashOf } from "../protocol/fixtures.ts";
import {
  announceOf,
  blockAt,
  Core,
  type CoreSetup,
  Feed,
  keyOf,
  network,
  type Parties,
  type TestBlock,
  valuesOf,
} from "./harness.ts";

export const PARTIES: Parties = { attesters: ["a", "b", "c", "d"], provers: ["p", "q", "r"], sources: ["s"] };
const VALID: VerifiedResult = { kind: "valid", bytes: 100, possession: new Uint8Array() };

export interface SubjectOptions {
  readonly parties?: Parties;
  readonly change?: Partial<ManifestJson>;
  readonly roles?: CoreSetup["roles"];
  readonly name?: string;
  readonly limits?: CoreSetup["limits"];
  readonly checkAllEvery?: number;
  /** Announce block 1 at once. */
  readonly announced?: boolean;
}

/** What else a peer's answer says. */
interface Answered {
  readonly recovers: boolean;
  readonly starts: readonly StartRecord[];
  readonly peerNext: number;
}

export class Subject {
  readonly manifest: Manifest;
  readonly parties: Parties;
  core: Core;
  readonly #feeds = new Map<string, Feed>();

  constructor({
    parties = PARTIES,
    change = {},
    roles = { attester: true },
    name = "a",
    announced = true,
    limits = {},
    checkAllEvery = 8,
  }: SubjectOptions = {}) {
    this.parties = parties;
    this.manifest = network(parties, change);
    const names = [...new Set([...parties.attesters, ...parties.provers, ...parties.sources])];
    this.core = new Core({ name, manifest: this.manifest, roles, names, limits, checkAllEvery });
    if (announced) this.announce(blockAt(1));
  }

  announce(block: TestBlock, round = 0): string[] {
    return this.hear("s", announceOf(block, round));
  }

  hear(who: string, ...entries: Entry[]): string[] {
    return this.core.hear(this.batch(who, ...entries));
  }

  /** A signed batch that nobody has heard yet. */
  batch(who: string, ...entries: Entry[]): Batch {
    const feed = this.#feeds.get(who) ?? new Feed(who);
    this.#feeds.set(who, feed);
    return feed.seal(
      this.manifest,
      entries.map((entry) => (entry.kind === "receipt" ? ownReceipt(entry, keyOf(who)) : entry)),
    );
  }

  tick(afterMs: number): string[] {
    return this.core.tick(afterMs);
  }

  /** Time passes in small steps, as it does: what was said on the way. */
  pass(totalMs: number): string[] {
    const said: string[] = [];
    for (let left = totalMs; left > 0; left -= 50) said.push(...this.tick(Math.min(left, 50)));
    return said;
  }

  id(block: TestBlock = blockAt(1)): Hash {
    return blockId(this.manifest.network, announceOf(block));
  }

  /** Who owns an attempt, by the owner function alone. */
  owner(stage: string, index: number, attempt = 0, block: TestBlock = blockAt(1)): string {
    const candidates = this.manifest.json.provers.list.map(({ key, weight }) => ({ key, weight }));
    const count = stage === "shard" ? 2 : 1;
    const order = ownersOf(this.manifest.network, this.id(block), stage, count, candidates)[index] ?? [];
    const key = ownerOf(order, attempt);
    return this.parties.provers.find((name) => keyOf(name) === key) ?? "";
  }

  /** A prover that does not own the attempt. */
  other(stage: string, index: number, attempt = 0): string {
    return this.parties.provers.find((name) => name !== this.owner(stage, index, attempt)) ?? "";
  }

  task(index: number, stage = "shard", block: TestBlock = blockAt(1)) {
    return { block: this.id(block), stage, index };
  }

  claim(index: number, attempt = 0, timeouts: readonly Vote[] = [], stage = "shard"): EntryOf<"claim"> {
    return { kind: "claim", ...this.task(index, stage), attempt, timeouts };
  }

  /** The owner's claim, heard. */
  claimed(index: number, attempt = 0): string[] {
    return this.hear(this.owner("shard", index, attempt), this.claim(index, attempt));
  }

  grant(index: number, prover: string, attempt = 0, stage = "shard"): EntryOf<"grant"> {
    return { kind: "grant", ...this.task(index, stage), attempt, prover: keyOf(prover) };
  }

  timeout(index: number, attempt = 0): EntryOf<"timeout"> {
    return { kind: "timeout", ...this.task(index), attempt, code: "not-claimed" };
  }

  attest(index: number, prover: string, proof: string, attempt = 0, stage = "shard"): EntryOf<"attest"> {
    return { kind: "attest", ...this.task(index, stage), attempt, prover: keyOf(prover), artefact: hashOf(proof) };
  }

  complete(index: number, proof: string, stage = "shard", prover = this.owner(stage, index)): EntryOf<"complete"> {
    return { kind: "complete", ...this.task(index, stage), prover: keyOf(prover), artefact: hashOf(proof) };
  }

  /** The values that a task implies for a prover. */
  values(index: number, prover: string, stage = "shard", block = this.id()): Uint8Array {
    return valuesFor("digest", valuesOf(block, stage, index), keyOf(prover));
  }

  receipt(index: number, proof: string, attempt = 0, change: Partial<EntryOf<"receipt">> = {}): EntryOf<"receipt"> {
    const stage = change.stage ?? "shard";
    return {
      kind: "receipt",
      ...this.task(index, stage),
      attempt,
      system: this.manifest.json.keys["mock"]?.system ?? "",
      key: hashOf("mock"),
      artefact: hashOf(proof),
      bytes: 100,
      values: valuesOf(change.block ?? this.id(), stage, index),
      provingMs: 10,
      inline: new Uint8Array(),
      possession: new Uint8Array(),
      nonce: new Uint8Array(),
      ...change,
    };
  }

  verdict(index: number, proof: string, verdict: VerifiedResult = VALID, stage = "shard"): string[] {
    return this.core.verdict(this.id(), stage, index, proof, verdict);
  }

  /** The others' grants, with the subject's own a quorum. */
  assigned(index: number, attempt = 0): string[] {
    const owner = this.owner("shard", index, attempt);
    return ["b", "c"].flatMap((who) => this.hear(who, this.grant(index, owner, attempt)));
  }

  /** A timeout certificate of the others, as a claim carries it. */
  timeoutVotes(index: number, attempt: number, who: readonly string[] = ["b", "c", "d"]): Vote[] {
    return who.map((name) => voteOf(this.batch(name, this.timeout(index, attempt)), 0));
  }

  /** It dies and is back, and its peers confirm that it has all of its feed. */
  restart(heard: readonly Batch[] = this.core.heard): string[] {
    return [...this.restartUnconfirmed(heard), ...this.confirm()];
  }

  restartUnconfirmed(heard: readonly Batch[] = this.core.heard, isLost = false): string[] {
    const { core, said } = this.core.restart(heard, isLost);
    this.core = core;
    return said;
  }

  /** A peer has answered: it has heard this much of our feed, and shows the record of this start. */
  synced(peer: string, seen: number, twins: readonly Twin[] = [], change: Partial<Answered> = {}): string[] {
    const { recovers = false, starts = [this.startRecord()], peerNext = 1 } = change;
    const feeds = new Map([
      [keyOf(this.core.name), seen],
      [keyOf(peer), peerNext],
    ]);
    const frontier = { feeds, chains: new Map<number, number>(), recovers };
    return this.core.step({ kind: "synced", peer: keyOf(peer), frontier, twins, starts });
  }

  /** The record of the subject's start, or another one of its key. */
  startRecord(change: Partial<StartRecord> = {}): StartRecord {
    const own = { author: keyOf(this.core.name), ...this.core.state.start };
    return { ...own, number: 0, head: hashOf("head"), bytes: new Uint8Array(), ...change };
  }

  /** All the others know as much of its feed as it does itself. */
  confirm(): string[] {
    const others = this.parties.attesters.filter((name) => name !== this.core.name);
    return others.flatMap((peer) => this.synced(peer, this.core.feed.batches.length));
  }
}

/** With the values for its author, where it has those that the task implies for nobody. */
function ownReceipt(entry: EntryOf<"receipt">, author: Key): EntryOf<"receipt"> {
  const values = valuesOf(entry.block, entry.stage, entry.index);
  return equalBytes(values, entry.values)
    ? { ...entry, values: valuesFor(payeeOf(entry.system), values, author) }
    : entry;
}
