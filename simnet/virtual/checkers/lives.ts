/**
 * What has become of each task, told by what was said and by nothing else: the ground on which L2 and L4 are judged.
 *
 * A moment here is the first at which anybody can have known, so every node is at most a few hops behind it.
 */
import { blockId, type Hash, type Key } from "../../../src/protocol/ids.ts";
import type { Manifest } from "../../../src/protocol/manifest.ts";
import type { Entry, EntryOf } from "../../../src/protocol/messages.ts";
import type { Stage } from "../../../src/protocol/workflow.ts";
import { stagesAnnounced } from "../provers.ts";
import { haveGivenUp, levelFrom, levelOfIndex } from "./levels.ts";

export interface Life {
  readonly number: number;
  /** When it began, for whoever owns it to claim; what failed before it may still make it wait. */
  readonly openedMs: number;
  /** By who claimed it: when, and when it last said that it got on. */
  readonly claims: Map<Key, { readonly atMs: number; movedMs: number; units: number }>;
  /** Who gave it back or failed, when. */
  readonly ends: Map<
    Key,
    { readonly atMs: number; readonly kind: "release" | "fail"; readonly code: string; readonly isLogical: boolean }
  >;
  /** By prover: attesters that granted it the attempt. */
  readonly grants: Map<Key, Set<Key>>;
  readonly timeouts: Map<Key, string>;
  overMs: number | null;
  /** Something about it was not sent when it was said: its author died, and peers get it in time. */
  isUnsent: boolean;
}

export interface TaskLife {
  readonly block: BlockLife;
  readonly stage: Stage;
  readonly index: number;
  readonly vouchers: Map<string, Set<Key>>;
  readonly attempts: Life[];
  readyMs: number | null;
  completeMs: number | null;
}

export interface BlockLife {
  readonly id: Hash;
  readonly announce: EntryOf<"announce">;
  readonly saidMs: number;
  readonly tasks: readonly TaskLife[];
  closedMs: number | null;
  isCancelled: boolean;
}

/** An attempt that something was just said about. */
export type Heard = (task: TaskLife, attempt: Life, author: Key, kind: "claim" | "over") => void;

export interface LivesOptions {
  readonly manifest: Manifest;
  readonly now: () => number;
  readonly isHostile: (key: Key) => boolean;
  readonly heard: Heard;
  /** Told of each claim, and of each timeout that its author judged itself. */
  readonly judged: (task: TaskLife, attempt: Life, author: Key, what: "claimed" | "timed out") => void;
}

export class Lives {
  readonly blocks = new Map<Hash, BlockLife>();
  /** By chain and hash: honest sources say the same of a block, and what others say of it nobody proves. */
  readonly #named = new Map<string, BlockLife>();
  /** While what is told was never sent. */
  isUnsent = false;
  readonly #unclosed = new Set<BlockLife>();
  readonly #manifest: Manifest;
  readonly #now: () => number;
  readonly #isHostile: (key: Key) => boolean;
  readonly #heard: Heard;
  readonly #judged: LivesOptions["judged"];
  readonly #cancels = new Map<Hash, Set<Key>>();
  /** What was said of a block before its announcement. */
  readonly #early = new Map<Hash, (readonly [Key, Entry])[]>();

  constructor({ manifest, now, isHostile, heard, judged }: LivesOptions) {
    this.#manifest = manifest;
    this.#now = now;
    this.#isHostile = isHostile;
    this.#heard = heard;
    this.#judged = judged;
  }

  said(author: Key, entry: Entry): void {
    if (entry.kind === "announce") return this.#announce(author, entry);
    if (entry.kind === "beat") return this.#beat(author, entry);
    if (!("block" in entry)) return;
    const block = this.blocks.get(entry.block);
    if (block === undefined) {
      const early = this.#early.get(entry.block) ?? [];
      this.#early.set(entry.block, [...early, [author, entry]]);
    } else if (entry.kind === "cancel") this.#cancel(author, block);
    else this.#about(author, entry, block);
  }

  isQuorum(keys: Iterable<Key>): boolean {
    const { all, weight } = this.#weightOf(keys);
    return weight > Math.floor((2 * all) / 3);
  }

  #isOneHonest(keys: Iterable<Key>): boolean {
    const { all, weight } = this.#weightOf(keys);
    return weight > Math.floor((all - 1) / 3);
  }

  #weightOf(keys: Iterable<Key>): { readonly all: number; readonly weight: number } {
    const { weights } = this.#manifest;
    let [all, weight] = [0, 0];
    for (const each of weights.values()) all += each;
    for (const key of new Set(keys)) weight += weights.get(key) ?? 0;
    return { all, weight };
  }

  #announce(author: Key, entry: EntryOf<"announce">): void {
    if (this.#isHostile(author)) return;
    const id = blockId(this.#manifest.network, entry);
    const stages = stagesAnnounced(this.#manifest, entry);
    if (this.blocks.has(id) || stages === null || !this.#manifest.sources.has(author)) return;
    const tasks: TaskLife[] = [];
    const saidMs = this.#now();
    const block = { id, announce: entry, saidMs, tasks, closedMs: null, isCancelled: false };
    for (const stage of stages)
      for (let index = 0; index < stage.count; index++)
        tasks.push({
          block,
          stage,
          index,
          vouchers: new Map(),
          attempts: [],
          readyMs: null,
          completeMs: null,
        });
    this.blocks.set(id, block);
    this.#named.set(`${entry.chain}/${entry.hash}`, block);
    this.#unclosed.add(block);
    for (const [who, early] of this.#early.get(id) ?? []) this.said(who, early);
    this.#early.delete(id);
    this.#settle();
  }

  #beat(author: Key, { tasks }: EntryOf<"beat">): void {
    for (const { block, stage, index, attempt, units } of tasks) {
      const claim = this.#task(this.blocks.get(block), stage, index)?.attempts[attempt]?.claims.get(author);
      if (claim === undefined || units <= claim.units) continue;
      claim.units = units;
      claim.movedMs = this.#now();
    }
  }

  #cancel(author: Key, block: BlockLife): void {
    const voters = (this.#cancels.get(block.id) ?? new Set<Key>()).add(author);
    this.#cancels.set(block.id, voters);
    if (this.isQuorum(voters)) block.isCancelled = true;
  }

  #about(author: Key, entry: Entry, block: BlockLife): void {
    if (!("stage" in entry)) return;
    const task = this.#task(block, entry.stage, entry.index);
    if (task === undefined) return;
    if (entry.kind === "attest" || entry.kind === "complete") return this.#vouch(author, task, entry);
    const attempt = "attempt" in entry ? task.attempts[entry.attempt] : undefined;
    if (attempt === undefined) return;
    attempt.isUnsent ||= this.isUnsent;
    const atMs = this.#now();
    if (entry.kind === "claim" && !attempt.claims.has(author)) {
      // Its first beat says that it has begun.
      attempt.claims.set(author, { atMs, movedMs: atMs, units: -1 });
      this.#heard(task, attempt, author, "claim");
      this.#judged(task, attempt, author, "claimed");
    }
    if ((entry.kind === "release" || entry.kind === "fail") && !attempt.ends.has(author))
      attempt.ends.set(author, {
        atMs,
        kind: entry.kind,
        code: entry.kind === "fail" ? entry.code : "released",
        isLogical: entry.kind === "fail" && entry.logical,
      });
    if (entry.kind === "grant")
      attempt.grants.set(entry.prover, new Set([...(attempt.grants.get(entry.prover) ?? []), author]));
    if (entry.kind === "timeout") this.#timeout(author, task, attempt, entry.code);
  }

  #timeout(author: Key, task: TaskLife, attempt: Life, code: string): void {
    // An attester may follow others, whose word binds nobody else.
    const others = [...attempt.timeouts.keys()].filter((key) => key !== author);
    if (!this.#isOneHonest(others)) this.#judged(task, attempt, author, "timed out");
    if (!attempt.timeouts.has(author)) attempt.timeouts.set(author, code);
    if (attempt.overMs !== null || !this.isQuorum(attempt.timeouts.keys())) return;
    attempt.overMs = this.#now();
    this.#open(task);
    if (task.stage.isSplit) this.#settle();
    this.#heard(task, attempt, author, "over");
  }

  #vouch(author: Key, task: TaskLife, { artefact, prover }: Pick<EntryOf<"attest">, "artefact" | "prover">): void {
    const proof = task.stage.verify === "key" ? `${artefact} ${prover}` : artefact;
    const voters = (task.vouchers.get(proof) ?? new Set<Key>()).add(author);
    task.vouchers.set(proof, voters);
    if (task.completeMs !== null || !this.isQuorum(voters)) return;
    task.completeMs = this.#now();
    // Where enough of a group are complete the others are wanted no more.
    const group = groupOf(task);
    if (isEnough(task.block, task.stage, group))
      for (const other of task.block.tasks)
        if (other.stage === task.stage && groupOf(other) === group) other.completeMs ??= this.#now();
    this.#settle();
  }

  #levelOf(block: BlockLife): number {
    return levelFrom(
      block.tasks.map(({ stage, index, completeMs, attempts }) => ({
        stage,
        index,
        isComplete: completeMs !== null,
        isGivenUp: stage.isSplit && haveGivenUp(attempts, this.#manifest, stage),
      })),
    );
  }

  #task(block: BlockLife | undefined, stage: string, index: number): TaskLife | undefined {
    return block?.tasks.find((task) => task.index === index && task.stage.name === stage);
  }

  /** Makes tasks ready, and closes blocks, which may open others. */
  #settle(): void {
    for (const block of this.#unclosed) {
      if (block.isCancelled || !this.#isOpen(block)) continue;
      const level = this.#levelOf(block);
      const wanted = block.tasks.filter(({ stage, index }) => isAt(level, stage, index));
      for (const task of block.tasks) {
        if (!wanted.includes(task)) task.readyMs = null;
        if (task.readyMs !== null || !wanted.includes(task) || !isReady(task)) continue;
        task.readyMs = this.#now();
        if (task.attempts.length === 0) this.#open(task);
      }
      const isDone = wanted.every(({ completeMs }) => completeMs !== null);
      if (!isDone || (!block.announce.start && this.#parentOf(block)?.closedMs == null)) continue;
      block.closedMs = this.#now();
      this.#unclosed.delete(block);
      return this.#settle();
    }
  }

  #open(task: TaskLife): void {
    const number = task.attempts.length;
    task.attempts.push({
      number,
      openedMs: this.#now(),
      claims: new Map(),
      ends: new Map(),
      grants: new Map(),
      timeouts: new Map(),
      overMs: null,
      isUnsent: false,
    });
  }

  /** Within the window above the last closed block of its branch. */
  #isOpen(block: BlockLife): boolean {
    const window = this.#manifest.json.workflows[block.announce.workflow]?.window ?? 1;
    let at = block;
    for (let unclosed = 1; !at.announce.start; unclosed++) {
      const parent = this.#parentOf(at);
      if (parent === undefined || (parent.closedMs === null && unclosed >= window)) return false;
      if (parent.closedMs !== null) return true;
      at = parent;
    }
    return true;
  }

  #parentOf({ announce: { chain, parent } }: BlockLife): BlockLife | undefined {
    return this.#named.get(`${chain}/${parent}`);
  }
}

/** Whether what the task takes is there: whole stages, or the group of its own number. */
function isReady(task: TaskLife): boolean {
  const { block, stage } = task;
  return stage.takes.every((taken) =>
    block.tasks.every(
      (other) =>
        other.stage.name !== taken.stage ||
        !isAt(levelOfIndex(stage, task.index), other.stage, other.index) ||
        (taken.how === "each" && groupOf(other) !== groupOf(task)) ||
        other.completeMs !== null,
    ),
  );
}

/** Whether the block has such a task at a level: one of a stage without levels always. */
function isAt(level: number, stage: Stage, index: number): boolean {
  return stage.levels.length === 0 || levelOfIndex(stage, index) === level;
}

function groupOf({ stage, index }: TaskLife): number {
  return Math.floor(index / stage.variants.length);
}

/** Whether so many variants of a group are complete as its stage asks for; of one family one counts. */
function isEnough(block: BlockLife, stage: Stage, group: number): boolean {
  const done = block.tasks.filter(
    (task) => task.stage === stage && groupOf(task) === group && task.completeMs !== null,
  );
  const families = done.map(({ index }) => stage.variants[index % stage.variants.length]?.family);
  return (stage.distinct === "families" ? new Set(families).size : done.length) >= stage.need;
}
