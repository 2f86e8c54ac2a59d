/**
 * One node that starts: peers answer, or lie, or show what another process has signed with its key, in an order that the
 * seed draws. The judge works out from the answers alone whether the node may sign, and why it stops for good.
 */
import { askBeforeSigning, begin } from "../../../src/core/own-feed.ts";
import type { Key } from "../../../src/protocol/ids.ts";
import { ZERO_HASH } from "../../../src/protocol/ids.ts";
import type { StartRecord } from "../../../src/protocol/start.ts";
import type { Twin } from "../../../src/protocol/sync.ts";
import { Chance } from "../world.ts";
import { Rig } from "./rig.ts";

const STORIES = 250;
const EVENTS = 25;
const LEASE_MS = 2_000;
const FIRST_COUNTER = 5;
/** Peers that heard another process before that say nothing of the present. */
const LATE_MS = 3_000;
const LINGER_MS = 10_000;

type Phase = "asks" | "waits" | "signs" | "key.in-use" | "key.copied" | "key.cloned";

/** What a peer says. */
interface Answer {
  readonly peer: Key;
  readonly isShown: boolean;
  readonly starts: readonly StartRecord[];
  readonly twins: readonly Twin[];
  /** It has signed nothing, it recovers itself, or it has heard more of the node's feed than the node has. */
  readonly isEmpty: boolean;
  readonly recovers: boolean;
  readonly knowsMore: boolean;
}

export function fuzzOwnStarts(seed: number): readonly string[] {
  const chance = new Chance(seed, "model/own-starts");
  const found: string[] = [];
  for (let story = 0; story < STORIES && found.length < 3; story++) found.push(...new Story(chance).tell());
  return found;
}

class Story {
  readonly #rig: Rig;
  readonly #chance: Chance;
  #phase: Phase = "asks";
  #counter = FIRST_COUNTER;
  #nonces = 0;
  #isLost: boolean;
  #next = 0;
  /** The start of the last batch. */
  #lowest = 0;
  #untilMs = 0;
  readonly #confirmed = new Set<Key>();
  readonly #elders = new Set<Key>();
  #last = "";

  constructor(chance: Chance) {
    this.#chance = chance;
    this.#rig = new Rig({ nodes: 5 });
    this.#isLost = chance.next() < 0.3;
    this.#rig.onRenew = (counter) => this.#begin(counter);
    this.#begin(FIRST_COUNTER);
    askBeforeSigning(this.#rig.state);
  }

  tell(): readonly string[] {
    for (let turn = 0; turn < EVENTS; turn++) {
      this.#happen();
      const wrong = this.#judge();
      if (wrong !== null) return [`H2: ${wrong}, after ${this.#last}`];
    }
    return [];
  }

  #begin(counter: number): void {
    this.#counter = counter;
    begin(this.#rig.state, { counter, nonce: this.#nonce() }, this.#isLost);
    this.#confirmed.clear();
  }

  #nonce(): string {
    return String(++this.#nonces).padStart(32, "0");
  }

  #happen(): void {
    const what = this.#chance.next();
    if (what < 0.25) this.#pass(this.#chance.between(1, 1_500));
    else if (what < 0.33) this.#foreignBatch();
    else this.#answer();
  }

  #pass(ms: number): void {
    this.#last = `${ms} ms`;
    this.#rig.pass(ms);
    if (this.#phase === "waits" && this.#rig.nowMs >= this.#untilMs) this.#phase = "signs";
  }

  // START-6, FEED-2, FEED-4.
  /** Another process has signed with the key. */
  #foreignBatch(): void {
    const { manifest, state } = this.#rig;
    const isSecond = this.#next > 0 && this.#chance.next() < 0.3;
    const start = Math.max(this.#counter + this.#chance.between(-2, 1), this.#lowest);
    const number = isSecond ? this.#next - 1 : this.#next;
    this.#last = `batch ${number} of start ${start} of ${this.#counter}`;
    const batch = this.#rig.foreign(number, start);
    this.#rig.hearFrom(batch, [...manifest.weights.keys()][1] ?? "");
    if (isSecond) {
      this.#phase = "key.cloned";
      return;
    }
    this.#next++;
    this.#lowest = start;
    if (this.#phase === "signs" && start >= this.#counter) this.#phase = "key.in-use";
    if (this.#isStopped) return;
    this.#isLost = true;
    this.#phase = "asks";
    this.#confirmed.clear();
    if (start >= this.#counter) this.#counter = state.start.counter;
  }

  get #isStopped(): boolean {
    return this.#phase.startsWith("key.");
  }

  #answer(): void {
    const { state, manifest } = this.#rig;
    const peers = [...manifest.weights.keys()].slice(1);
    const peer = peers[this.#chance.between(0, peers.length - 1)] ?? "";
    const own = this.#record(state.start.counter, state.start.nonce);
    const other = this.#chance.next();
    const isShown = this.#chance.next() < 0.7;
    const starts = [
      ...(isShown ? [own] : []),
      ...(other < 0.03 ? [this.#record(own.counter, this.#nonce())] : []),
      ...(other > 0.95 ? [this.#record(own.counter + this.#chance.between(1, 3), this.#nonce())] : []),
    ];
    const twins = this.#chance.next() < 0.12 ? [this.#elder()] : [];
    const [isEmpty, recovers] = [this.#chance.next() < 0.2, this.#chance.next() < 0.15];
    const knowsMore = this.#chance.next() < 0.1;
    const seen = this.#next + (knowsMore ? 1 : 0);
    this.#last = `an answer ${JSON.stringify({ isShown, other: starts.length, twins: twins.length, isEmpty, recovers, knowsMore })}`;
    const feeds = new Map([
      [this.#rig.self, seen],
      [peer, isEmpty ? 0 : 1],
    ]);
    this.#note({ peer, isShown, starts, twins, isEmpty, recovers, knowsMore });
    this.#rig.step({ kind: "synced", peer, frontier: { feeds, chains: new Map(), recovers }, twins, starts });
  }

  #record(counter: number, nonce: string): StartRecord {
    return { author: this.#rig.self, counter, nonce, number: 0, head: ZERO_HASH, bytes: new Uint8Array() };
  }

  #elder(): Twin {
    const agoMs = this.#chance.between(0, 12_000);
    return { instance: "0", upMs: 1_000_000, agoMs };
  }

  #note({ peer, isShown, starts, twins, isEmpty, recovers, knowsMore }: Answer): void {
    const own = this.#counter;
    // FEED-3.
    if (twins.some(({ agoMs }) => agoMs + LATE_MS < Math.floor(this.#rig.nowMs))) {
      const before = this.#elders.size;
      this.#elders.add(peer);
      if (before < 2 && this.#elders.size >= 2) this.#phase = "key.in-use";
    }
    for (const { counter, nonce } of starts) {
      // START-5.
      if (counter > own && (this.#phase === "asks" || this.#phase === "waits")) {
        this.#isLost = true;
        this.#phase = "asks";
        this.#counter = counter + 1;
        this.#confirmed.clear();
        // START-4.
      } else if (counter === own && nonce !== this.#rig.state.start.nonce && !this.#isStopped)
        this.#phase = "key.copied";
    }
    const isOfUse = !knowsMore && !(this.#isLost && (isEmpty || recovers));
    const isHeard = twins.some(({ agoMs }) => agoMs < LINGER_MS);
    // START-3, FEED-1, LOST-2.
    if (this.#phase !== "asks" || !isShown || !isOfUse || isHeard) return;
    this.#confirmed.add(peer);
    if (this.#confirmed.size < (this.#isLost ? 3 : 2)) return;
    this.#phase = this.#isLost ? "waits" : "signs";
    this.#untilMs = this.#rig.nowMs + LEASE_MS;
  }

  #judge(): string | null {
    const { mute, start } = this.#rig.state;
    if (this.#isStopped)
      return mute === this.#phase
        ? null
        : `the node ${mute === null ? "signs" : `is mute by ${mute}`}; by the answers it stops (${this.#phase})`;
    if ((mute === null) !== (this.#phase === "signs"))
      return `the node ${mute === null ? "signs" : `does not sign (${mute})`}; by the answers it ${this.#phase}`;
    if (start.counter !== this.#counter)
      return `the node is start ${start.counter}; the shown records ask for ${this.#counter}`;
    return null;
  }
}
