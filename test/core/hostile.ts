/**
 * Hostile facts for one attester, `a`: batches that are legal in form and anything in content, in any order of arrival.
 *
 * At most f hostile: `b` and all provers sign what they like, and `c` and `d` sign what `a` signs, as attesters with the
 * same view do. More than f: `b`, `c` and `d` all sign what they like.
 */
import * as fc from "fast-check";
import { contentOf } from "../../src/core/barrier.ts";
import { openAttempt } from "../../src/core/makers.ts";
import { quotaOf } from "../../src/core/quota.ts";
import { orderOf, ownerOfAttempt } from "../../src/core/standing.ts";
import { isQuorum } from "../../src/core/facts.ts";
import type { State } from "../../src/core/state.ts";
import { type Batch, voteOf } from "../../src/protocol/batch.ts";
import { blockId, type Hash } from "../../src/protocol/ids.ts";
import type { Entry, EntryOf } from "../../src/protocol/messages.ts";
import { hashOf } from "../protocol/fixtures.ts";
import { announceOf, blockAt, Feed, keyOf, type TestBlock, valuesOf } from "./harness.ts";
import { Subject } from "./subject.ts";

const BLOCKS = [blockAt(1), blockAt(2)];
const PROVERS = ["p", "q", "r"];
const PROOFS = ["x", "y", "z"];
const CODES = ["not-claimed", "no-progress", "limit", "released"];
const STAGES = ["constructor", "shard", "shard", "aggregate"];

/** What one entry is made of; each kind takes what it needs. */
const CHOICE = fc.record({
  kind: fc.constantFrom<Entry["kind"]>(
    ...([
      "grant",
      "grant",
      "timeout",
      "timeout",
      "attest",
      "attest",
      "complete",
      "complete",
      "receipt",
      "claim",
    ] as const),
    ...(["reject", "release", "fail", "beat", "barrier", "cancel", "announce", "retract", "admit", "bench"] as const),
    ...(["evidence", "requeue"] as const),
  ),
  block: fc.nat(BLOCKS.length - 1),
  stage: fc.nat(STAGES.length - 1),
  index: fc.nat(1),
  attempt: fc.oneof({ weight: 6, arbitrary: fc.nat(1) }, { weight: 1, arbitrary: fc.nat(4) }),
  prover: fc.nat(PROVERS.length - 1),
  proof: fc.oneof({ weight: 4, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.nat(PROOFS.length - 1) }),
  code: fc.nat(CODES.length - 1),
  isTrue: fc.boolean(),
  at: fc.nat(1000),
});
type Choice = typeof CHOICE extends fc.Arbitrary<infer T> ? T : never;

const ACTION = fc.oneof(
  {
    weight: 12,
    arbitrary: fc.record({
      kind: fc.constant("sign" as const),
      who: fc.nat(1000),
      entries: fc.array(CHOICE, { minLength: 1, maxLength: 4 }),
      /** Other attesters sign the same, so that quorums come about. */
      isCommon: fc.boolean(),
      isLate: fc.boolean(),
      isFork: fc.oneof({ weight: 30, arbitrary: fc.constant(false) }, { weight: 1, arbitrary: fc.constant(true) }),
    }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("arrive" as const), at: fc.nat(1000) }) },
  { weight: 3, arbitrary: fc.constant({ kind: "echo" as const }) },
  { weight: 8, arbitrary: fc.record({ kind: fc.constant("own" as const), of: CHOICE }) },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant("verdict" as const), of: CHOICE, isValid: fc.boolean() }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("time" as const), ms: fc.constantFrom(10, 300, 2500) }) },
  { weight: 1, arbitrary: fc.constant({ kind: "restart" as const }) },
);
export type Action = typeof ACTION extends fc.Arbitrary<infer T> ? T : never;
export const ACTIONS: fc.Arbitrary<Action[]> = fc.array(ACTION, { minLength: 20, maxLength: 100 });

/** How often something came about, so that a test can say that its facts were hostile enough. */
export type Tally = Map<string, number>;

export class Hostile {
  readonly subject: Subject;
  readonly #voices: readonly string[];
  /** Who signs what the subject signs; hostile attesters may do that, too. */
  readonly #honest: readonly string[];
  readonly #late: Batch[] = [];
  readonly #sealed: Batch[] = [];
  readonly #forks = new Map<string, Feed>();
  #echoed = 0;

  constructor(isBeyondModel: boolean) {
    this.subject = new Subject({ checkAllEvery: 1 });
    this.#voices = [...(isBeyondModel ? ["b", "c", "d"] : ["b"]), ...PROVERS];
    this.#honest = isBeyondModel ? ["b", "c", "d"] : ["c", "d"];
    for (const block of BLOCKS.slice(1)) this.subject.announce(block);
  }

  /** `afterEach` is called with the state after each action, once all views have been asked for. */
  play(actions: readonly Action[], tally: Tally, afterEach?: (state: State) => void): void {
    for (const action of actions) {
      this.#perform(action);
      this.#look();
      afterEach?.(this.subject.core.state);
    }
    for (const batch of this.#late.splice(0)) this.subject.core.hear(batch);
    this.subject.tick(100);
    this.#count(tally);
  }

  /** Asks for all views, so that there are memos that the next facts may make stale. */
  #look(): void {
    const { state } = this.subject.core;
    for (const name of PROVERS) quotaOf(state, keyOf(name), 1);
    for (const block of state.blocks.values()) {
      contentOf(state, block);
      for (const task of block.tasks) orderOf(state, task);
    }
  }

  #perform(action: Action): void {
    const { core } = this.subject;
    switch (action.kind) {
      case "sign": {
        const entries = action.entries.map((choice) => this.#entry(choice));
        const who = this.#voices[action.who % this.#voices.length] ?? "b";
        const isAttester = this.subject.parties.attesters.includes(who);
        const all = action.isCommon && isAttester ? this.#voices.filter((each) => !PROVERS.includes(each)) : [who];
        for (const each of all) this.#deliver(this.#seal(each, entries, action.isFork), action.isLate);
        return;
      }
      case "arrive": {
        const [batch] = this.#late.splice(action.at % Math.max(this.#late.length, 1), 1);
        if (batch !== undefined) core.hear(batch);
        return;
      }
      case "echo":
        return this.#echo();
      case "own": {
        this.#work(action.of);
        return;
      }
      case "verdict": {
        const { block, stage, index } = this.#ref(action.of);
        const verdict = action.isValid
          ? ({ kind: "valid", bytes: 100, possession: new Uint8Array() } as const)
          : ({ kind: "invalid", code: "proof.equation" } as const);
        core.verdict(block, stage, index, PROOFS[action.of.proof] ?? "x", verdict);
        return;
      }
      case "time":
        this.subject.tick(action.ms);
        return;
      case "restart":
        this.subject.restart();
        this.#echoed = Math.min(this.#echoed, this.subject.core.feed.batches.length);
        return;
    }
  }

  /** One task goes on as it should: its owner claims it and proves it, and what attesters sign of it is signed by all. */
  #work(choice: Choice): void {
    const { core } = this.subject;
    const ready = [...core.state.blocks.values()].flatMap(({ tasks }) =>
      tasks.filter(({ readyMs, completeMs }) => readyMs !== null && completeMs === null),
    );
    const task = ready[choice.at % Math.max(ready.length, 1)];
    if (task === undefined) return;
    const ref = { block: task.block.id, stage: task.stage.name, index: task.index };
    const { number: attempt } = openAttempt(core.state, task);
    const owner = PROVERS.find((name) => keyOf(name) === ownerOfAttempt(core.state, task, attempt)) ?? "p";
    const timeouts = this.#timeouts(ref, attempt - 1);
    this.#deliver(this.#seal(owner, [{ kind: "claim", ...ref, attempt, timeouts }], false), false);
    this.#echo();
    const values = valuesOf(ref.block, ref.stage, ref.index);
    const proof = `proof of ${owner} for ${ref.stage}/${ref.index} in block ${task.block.height}`;
    const receipt = this.subject.receipt(ref.index, proof, attempt, { ...ref, values });
    this.#deliver(this.#seal(owner, [receipt], false), false);
    if (choice.isTrue)
      core.verdict(ref.block, ref.stage, ref.index, proof, { kind: "valid", bytes: 100, possession: new Uint8Array() });
    this.#echo();
  }

  /** The honest attesters sign what the subject has signed since. */
  #echo(): void {
    const { batches } = this.subject.core.feed;
    const said = batches.slice(this.#echoed).flatMap(({ entries }) => entries);
    this.#echoed = batches.length;
    if (said.length > 0) for (const who of this.#honest) this.#deliver(this.#seal(who, said, false), false);
  }

  #seal(who: string, entries: readonly Entry[], isFork: boolean): Batch {
    const fork = this.#forks.get(who) ?? new Feed(who);
    this.#forks.set(who, fork);
    const batch = isFork ? fork.seal(this.subject.manifest, entries) : this.subject.batch(who, ...entries);
    this.#sealed.push(batch);
    return batch;
  }

  #deliver(batch: Batch, isLate: boolean): void {
    if (isLate) this.#late.push(batch);
    else this.subject.core.hear(batch);
  }

  #ref({ block, stage, index }: Choice): { readonly block: Hash; readonly stage: string; readonly index: number } {
    const name = STAGES[stage] ?? "shard";
    return { block: this.#id(BLOCKS[block] ?? blockAt(1)), stage: name, index: name === "shard" ? index : 0 };
  }

  #id(block: TestBlock): Hash {
    return blockId(this.subject.manifest.network, announceOf(block));
  }

  #receipt(choice: Choice): EntryOf<"receipt"> {
    const ref = this.#ref(choice);
    return this.subject.receipt(ref.index, PROOFS[choice.proof] ?? "x", choice.attempt, {
      ...ref,
      values: choice.isTrue ? valuesOf(ref.block, ref.stage, ref.index) : new Uint8Array(4),
    });
  }

  #entry(choice: Choice): Entry {
    const ref = this.#ref(choice);
    const { attempt, isTrue, at } = choice;
    const code = CODES[choice.code] ?? "limit";
    const prover = keyOf(PROVERS[choice.prover] ?? "p");
    const artefact = hashOf(PROOFS[choice.proof] ?? "x");
    const place = { chain: 1, height: 1 + (at % 4) };
    const round = at % 2;
    switch (choice.kind) {
      case "grant":
        return { kind: "grant", ...ref, attempt, prover };
      case "timeout":
        return { kind: "timeout", ...ref, attempt, code };
      case "attest":
        return { kind: "attest", ...ref, attempt, prover, artefact };
      case "commit":
        return { kind: "commit", ...ref, attempt, hash: artefact };
      case "seal":
        return { kind: "seal", ...ref, attempt, prover, hash: artefact };
      case "complete":
        return { kind: "complete", ...ref, prover, artefact };
      case "reject":
        return { kind: "reject", ...ref, prover, artefact, code: "proof.equation" };
      case "receipt":
        return this.#receipt(choice);
      case "release":
        return { kind: "release", ...ref, attempt };
      case "fail":
        return { kind: "fail", ...ref, attempt, code, logical: isTrue };
      case "beat":
        return { kind: "beat", tasks: [{ ...ref, attempt, units: at }] };
      case "barrier": {
        const known = [...(this.subject.core.state.blocks.get(ref.block)?.contents.keys() ?? [])];
        return {
          kind: "barrier",
          block: ref.block,
          content: known[at % Math.max(known.length, 1)] ?? hashOf(`${at % 3}`),
        };
      }
      case "cancel":
        return { kind: "cancel", block: ref.block, round };
      case "retract":
        return { kind: "retract", block: ref.block, round };
      case "admit":
        return { kind: "admit", prover, ...place, slots: 1 };
      case "bench":
        return { kind: "bench", prover, ...place, turn: isTrue ? 0 : place.height };
      case "requeue":
        return { kind: "requeue", ...ref, attempt };
      case "announce":
        return isTrue ? announceOf(BLOCKS[choice.block] ?? blockAt(1), round) : announceOf(blockAt(2, "fork", "main"));
      case "evidence":
        return { kind: "evidence", shown: this.#shown(at) };
      case "claim":
      case "join":
        return { kind: "claim", ...ref, attempt, timeouts: this.#timeouts(ref, attempt - 1) };
    }
  }

  /** Votes that somebody has signed, whether they show an offence or not. */
  #shown(at: number): EntryOf<"evidence">["shown"] {
    const [one, other] = [this.#sealed[at % Math.max(this.#sealed.length, 1)], this.#sealed.at(-1)];
    return one === undefined || other === undefined ? [] : [voteOf(one, 0), voteOf(other, 0)];
  }

  #timeouts(ref: { readonly block: Hash; readonly stage: string; readonly index: number }, attempt: number) {
    const found = this.#sealed.flatMap((batch) =>
      batch.entries.flatMap((entry, index) =>
        entry.kind === "timeout" &&
        entry.block === ref.block &&
        entry.stage === ref.stage &&
        entry.index === ref.index &&
        entry.attempt === attempt
          ? [voteOf(batch, index)]
          : [],
      ),
    );
    return found.slice(-4);
  }

  #count(tally: Tally): void {
    const { core } = this.subject;
    const { state } = core;
    const add = (name: string, count: number) => tally.set(name, (tally.get(name) ?? 0) + count);
    const isTwice = (votes: ReadonlyMap<string, ReadonlyMap<string, unknown>>) => votes.size > 1;
    for (const batch of core.feed.batches) for (const { kind } of batch.entries) add(`own ${kind}`, 1);
    for (const block of state.blocks.values()) {
      add(`${block.state} block`, 1);
      for (const task of block.tasks) {
        if (task.completeMs !== null) add("complete task", 1);
        for (const attempt of task.attempts.values()) {
          if (isTwice(attempt.grants)) add("attempt granted to two", 1);
          if ([...attempt.grants.values()].some((votes) => isQuorum(state, votes.keys()))) add("assigned attempt", 1);
          if (isQuorum(state, attempt.timeouts.keys())) add("timed out attempt", 1);
        }
      }
    }
    add("certified block", state.closed.size);
    add("key out", state.out.size);
    add("reported credit", state.checks.reported.size);
  }
}
