/**
 * Follows the canonical branch of a chain through a view of it that may lag, flip and change between two questions.
 *
 * Told blocks form one path at any moment: a block is emitted only if its parent is the last one told, and before a
 * block of another branch everything above the common ancestor is taken back, newest first. A head that is merely
 * behind retracts nothing: behind a load balancer that happens all day. What is gone is seen by its hash.
 */
import type { Hash } from "../protocol/ids.ts";
import type { Fault, Result, SourceBlock, Tell } from "../ports.ts";
import { type BlockName, Branch, newestCanonical } from "./branch.ts";

export interface BlockHeader extends BlockName {
  readonly parent: Hash;
}

/** What the chain's node says. `null`: it has no such block. */
export interface ChainView {
  head(): Promise<Result<BlockHeader>>;
  header(height: number): Promise<Result<BlockHeader | null>>;
  headerByHash(hash: Hash): Promise<Result<BlockHeader | null>>;
  block(height: number): Promise<Result<SourceBlock | null>>;
}

export interface FollowOptions {
  readonly chain: number;
  /** First height ever told; "latest" is the head (less confirmations) at the first look. */
  readonly start: number | "latest";
  /** Blocks that must lie on top of one before it is told. */
  readonly confirmations: number;
  /** Blocks fetched at once while catching up. */
  readonly inFlightMax: number;
  readonly after: BlockName | null;
  /** The highest that may be told by now, whatever the chain has; left out, any. */
  readonly until?: () => number;
}

/**
 * Where a branch is lost, as many blocks are told again as a reorg commonly drops (two epochs): its receiver knows a
 * block by its hash, so a block told twice is a repetition, while one never told would be a hole in the chain.
 */
const REPEAT_BLOCKS = 64;

/** How far the nodes behind one address commonly lag each other. */
const LAG_BLOCKS = 2;

/** A block this far below the head that the node does not have is no matter of lag. */
const FAR_BLOCKS = 16;

/** Rounds in a row without a block near the head that are not a lag any more. */
const MISSING_ROUNDS_MAX = 10;

/** Contradictions in a row that are not a reorg between two questions any more. */
const CONTRADICTIONS_MAX = 3;

const DONE: Result<void> = { ok: true, value: undefined };

export class Follower {
  readonly #options: FollowOptions;
  readonly #view: ChainView;
  readonly #emit: Tell;
  readonly #pace: () => Promise<void>;
  readonly #branch: Branch = new Branch();
  #next: number | null;
  #compared: Hash | null = null;
  #contradictions = 0;
  /** The block that the last round did not get, and in how many rounds in a row. */
  #missing: { readonly height: number; readonly rounds: number; readonly first?: number | null } | null = null;

  constructor(options: FollowOptions, view: ChainView, emit: Tell, pace: () => Promise<void> = async () => {}) {
    this.#options = options;
    this.#view = view;
    this.#emit = emit;
    this.#pace = pace;
    if (options.after !== null) this.#branch.push(options.after);
    this.#next = options.after === null ? null : options.after.height + 1;
  }

  /** One look at the chain. Answers whether there is more to tell at once. */
  async round(): Promise<Result<"more" | "caught-up">> {
    const head = await this.#view.head();
    if (!head.ok) return head;
    const { confirmations, until = () => Number.POSITIVE_INFINITY } = this.#options;
    const target = Math.min(head.value.height - confirmations, until());
    this.#next ??= this.#options.start === "latest" ? Math.max(0, target) : this.#options.start;
    if (this.#next > target) {
      const compared = await this.#compare(head.value);
      if (!compared.ok) return compared;
      return { ok: true, value: this.#next <= target ? "more" : "caught-up" };
    }
    return this.#tell(this.#next, target, head.value.height);
  }

  /** Tells the blocks from `from` on, a few at a time; the first that does not fit turns it back. */
  async #tell(from: number, target: number, head: number): Promise<Result<"more" | "caught-up">> {
    const count = Math.min(this.#options.inFlightMax, target - from + 1);
    const found = await Promise.all(Array.from({ length: count }, (_, index) => this.#view.block(from + index)));
    for (const [index, result] of found.entries()) {
      if (!result.ok) return result;
      if (result.value === null) return this.#lacks(from + index, head);
      const newest = this.#branch.newest;
      if (newest !== undefined && result.value.parent !== newest.hash) {
        const rewound = await this.#rewind();
        return rewound.ok ? { ok: true, value: "more" } : rewound;
      }
      await this.#pace();
      this.#branch.push(result.value);
      this.#next = result.value.height + 1;
      this.#contradictions = 0;
      this.#missing = null;
      await this.#emit({ kind: "block", block: result.value });
    }
    return { ok: true, value: from + count <= target ? "more" : "caught-up" };
  }

  /**
   * The node has no such block. Near the head a neighbour knows it and this node does not yet; far below the head, or
   * after many rounds, the node will not have it.
   */
  async #lacks(height: number, head: number): Promise<Result<"caught-up">> {
    const before = this.#missing?.height === height ? this.#missing : { height, rounds: 0 };
    const rounds = before.rounds + 1;
    this.#missing = { ...before, rounds };
    if (head - height < FAR_BLOCKS && rounds < MISSING_ROUNDS_MAX) return { ok: true, value: "caught-up" };
    // The search takes a question for each half, so it is made once a block.
    const { first = await this.#firstAbove(height, head) } = before;
    this.#missing = { height, rounds, first };
    const begin = first === null ? "" : `; its blocks begin at ${first} (pruned?)`;
    return lost("source.missing-block", `the node has no block ${height}, but its head is ${head}${begin}`);
  }

  /** The lowest block above one that the node lacks, found by halves; `null` where the node has none or fails. */
  async #firstAbove(lacking: number, head: number): Promise<number | null> {
    let [below, first] = [lacking, head + 1];
    while (first - below > 1) {
      const middle = below + Math.floor((first - below) / 2);
      const header = await this.#view.header(middle);
      if (!header.ok) return null;
      if (header.value === null) below = middle;
      else first = middle;
    }
    return first > head ? null : first;
  }

  /** With nothing new to tell: is what was told still there? */
  async #compare(head: BlockHeader): Promise<Result<void>> {
    const { newest, oldest } = this.#branch;
    if (newest === undefined || oldest === undefined || head.hash === this.#compared) return DONE;
    if (head.height < oldest.height) {
      if (head.height >= oldest.height - LAG_BLOCKS) return DONE;
      return lost("source.behind", `the chain's head ${head.height} is far behind block ${newest.height} told before`);
    }
    const height = Math.min(head.height, newest.height);
    const header = height === head.height ? { ok: true as const, value: head } : await this.#view.header(height);
    if (!header.ok) return header;
    if (header.value !== null && header.value.hash !== this.#branch.atHeight(height)?.hash) return this.#rewind();
    this.#compared = head.hash;
    return DONE;
  }

  /** Takes back what is not canonical any more. */
  async #rewind(): Promise<Result<void>> {
    let fault: Fault | null = null;
    const kept = await newestCanonical(this.#branch.length, async (index) => {
      const canonical = await this.#isCanonical(this.#branch.at(index));
      if (canonical.ok) return canonical.value;
      fault = canonical.fault;
      return null;
    });
    if (kept === null) return { ok: false, fault: fault ?? { code: "source.unreachable", message: "no answer" } };
    if (kept === this.#branch.length - 1) return this.#contradicted();
    this.#contradictions = 0;
    this.#compared = null;
    const oldest = this.#branch.at(0);
    const told = this.#branch.length;
    while (this.#branch.length > kept + 1) this.#retract(this.#branch.pop()?.hash);
    const newest = this.#branch.newest;
    if (newest === undefined) return this.#rewindBeyond(oldest, told);
    this.#next = newest.height + 1;
    return DONE;
  }

  /**
   * All that is remembered is gone. Most nodes still know an orphaned block by its hash, so its ancestors can be
   * followed to a canonical one; where they do not, the common ancestor cannot be known.
   */
  async #rewindBeyond(oldest: BlockName, told: number): Promise<Result<void>> {
    const first = this.#options.start === "latest" ? 0 : this.#options.start;
    let name = oldest;
    for (let steps = 0; steps < REPEAT_BLOCKS; steps++) {
      this.#next = name.height;
      if (name.height <= first) return DONE;
      const header = await this.#view.headerByHash(name.hash);
      if (!header.ok || header.value === null) break;
      const parent: BlockName = { height: name.height - 1, hash: header.value.parent };
      const canonical = await this.#isCanonical(parent);
      if (!canonical.ok) break;
      if (canonical.value) {
        this.#branch.push(parent);
        return DONE;
      }
      this.#retract(parent.hash);
      name = parent;
    }
    this.#next = Math.max(first, name.height - Math.max(0, REPEAT_BLOCKS - told));
    return lost(
      "source.reorg-too-deep",
      `no common ancestor is known below block ${name.height}; going on from height ${this.#next}`,
    );
  }

  async #isCanonical(name: BlockName): Promise<Result<boolean>> {
    const header = await this.#view.header(name.height);
    return header.ok ? { ok: true, value: header.value?.hash === name.hash } : header;
  }

  #retract(hash: Hash | undefined): void {
    if (hash !== undefined) void this.#emit({ kind: "retract", chain: this.#options.chain, hash });
  }

  /** The next block names another parent than the block that the same node has below it. */
  #contradicted(): Result<void> {
    if (++this.#contradictions < CONTRADICTIONS_MAX) return DONE;
    const height = this.#branch.newest?.height ?? 0;
    return lost("source.inconsistent", `the node's block ${height + 1} does not follow the node's block ${height}`);
  }
}

function lost(code: string, message: string): { readonly ok: false; readonly fault: Fault } {
  return { ok: false, fault: { code, message } };
}
