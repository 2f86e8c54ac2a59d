/** The barrier of a block: what it says by the facts at hand, the votes for that, and the certificate. */
import {
  type BarrierContent,
  type BarrierTask,
  contentHash,
  encodeCertificate,
  type LostAttempt,
} from "../protocol/certificate.ts";
import { LOST_MAX } from "../protocol/limits.ts";
import type { Hash, Key } from "../protocol/ids.ts";
import type { EntryOf } from "../protocol/messages.ts";
import type { Refusal } from "../protocol/verdict.ts";
import { type Stage, groupCount, groupsAt, restsOf, variantOf } from "../protocol/workflow.ts";
import { bytesToHex } from "@noble/hashes/utils.js";
import { heirsOf, isParentCertified, isParentClosed } from "./ancestry.ts";
import { noteCertified } from "./drawing.ts";
import { afterOf, announcementOf, closedOf, settleCertified, touch } from "./blocks.ts";
import { lostBefore } from "./failures.ts";
import { isBlockDone, tasksOf } from "./graph.ts";
import { chosenProof } from "./makers.ts";
import { moveBlock } from "./moves.ts";
import {
  type BlockFacts,
  dropVote,
  dropVotes,
  type Facts,
  isEarlier,
  isQuorum,
  keepVote,
  show,
  type Signed,
  votesFor,
} from "./facts.ts";
import { type Block, type State, report } from "./state.ts";
import { see, seen, type View } from "./views.ts";

/** Contents of one block's barrier that an attester may sign: each is one more fact that came late. */
const CONTENTS_PER_ATTESTER_MAX = 8;

export function applyBarrier(state: State, signed: Signed, entry: EntryOf<"barrier">): Refusal | null {
  const block = state.blocks.get(entry.block);
  if (block === undefined) return state.closed.has(entry.block) ? null : "block.unknown";
  if (!keepVote(votesFor(block.votes, entry.content), signed.author, signed)) return "vote.duplicate";
  const dropped = trimContents(block, signed.author);
  if (signed.author === state.options.self) {
    block.ownContent = entry.content;
    block.votedMs = state.nowMs;
  }
  state.dirtyBlocks.add(block);
  return dropped === entry.content ? "vote.too-many" : null;
}

/**
 * An attester may sign more than one true content while logs converge, but not a stream of them: its first ones count,
 * by the order of its feed. Returns the content that went, if one did.
 */
function trimContents(block: Block, author: Key): Hash | null {
  const said = [...block.votes].flatMap(([content, votes]) => {
    const vote = votes.get(author);
    return vote === undefined ? [] : [{ content, votes, vote }];
  });
  // BARRIER-4.
  // mutant: contents-unbounded
  if (said.length <= CONTENTS_PER_ATTESTER_MAX) return null;
  const last = said.reduce((latest, each) => (isEarlier(latest.vote, each.vote) ? each : latest));
  dropVote(last.votes, author);
  if (last.votes.size === 0) dropVotes(block.votes, last.content);
  return last.content;
}

/** Closes the block when its tasks are complete and its parent is closed; says so; assembles the certificate. */
export function settleBarrier(state: State, block: Block): void {
  if (block.certificate !== null || block.state === "cancelled") return;
  const isClosing =
    block.state === "open" &&
    // mutant: barrier-with-holes
    isBlockDone(state, block) &&
    // S3.
    // mutant: barrier-before-parent, close-early
    isParentClosed(state, block);
  if (isClosing) {
    moveBlock(state, block, "closed");
    block.closedMs = state.nowMs;
    report(state, "block.closed", { chain: block.chain, height: block.height, hash: block.hash });
    for (const heir of heirsOf(state, block)) touch(state, heir);
  }
  if (block.state !== "closed") return;
  const content = contentOf(state, block);
  if (content !== null) block.contents.set(content.hash, content.value);
  if (!isParentCertified(state, block)) return;
  for (const [hash, votes] of block.votes) {
    const known = block.contents.get(hash);
    // BARRIER-5.
    if (known === undefined) continue;
    // mutant: certify-alone
    if (!isQuorum(state, votes.keys())) continue;
    certify(state, block, hash, known, votes);
    return;
  }
}

function certify(
  state: State,
  block: Block,
  hash: Hash,
  content: BarrierContent,
  votes: ReadonlyMap<Key, Signed>,
): void {
  const bytes = encodeCertificate(content, [...votes.values()].map(show));
  const { id, chain, height } = block;
  state.effects.push({ kind: "certify", chain, height, block: id, bytes, closed: closedOf(block, content.after) });
  report(state, "block.certified", {
    chain: block.chain,
    height: block.height,
    hash: block.hash,
    content: hash,
    items: block.items,
    shards: block.stages[0] === undefined ? 0 : (groupsAt(block.stages[0], block.counts, block.level)?.length ?? 0),
    attempts: content.tasks.reduce((sum, task) => sum + task.attempt + 1, 0),
    provers: [...new Set(content.tasks.flatMap((task) => task.prover ?? []))],
    tookMs: block.openedMs === null ? 0 : Math.round(state.nowMs - block.openedMs),
  });
  noteCertified(state, block, hash);
  settleCertified(state, block, hash, content);
}

/** What a barrier says, and the hash that its votes name. */
interface Content {
  readonly value: BarrierContent;
  readonly hash: Hash;
}

const CONTENT: View<Content | null> = {
  name: "the content",
  inputsOf: (_, { changes }) => [changes.facts, changes.settled],
  compute: (state, block, _, last) => {
    const value = foldContent(state, block);
    if (value === null) return null;
    // Most facts that come once a block is closed change nothing, and hashing a content takes longer than comparing two.
    return last && isSameContent(last.value, value) ? last : { value, hash: contentHash(value) };
  },
};

/** What the barrier says, by this node's log; `null` while something is missing. */
export function contentOf(state: Facts, block: BlockFacts): Content | null {
  return see(state, block, CONTENT);
}

/** Whether the barrier may say something else by now, or nothing yet. */
export function isContentOpen(state: Facts, block: BlockFacts): boolean {
  return (seen(state, block, CONTENT) ?? null) === null;
}

/** Of one block, so that only what the facts say of its tasks may differ. */
function isSameContent(a: BarrierContent, b: BarrierContent): boolean {
  if (a.before !== b.before || a.after !== b.after || a.tasks.length !== b.tasks.length) return false;
  if (!isSameLost(a.lost, b.lost)) return false;
  return a.tasks.every((task, at) => {
    const other = b.tasks[at];
    return (
      other !== undefined &&
      task.stage === other.stage &&
      task.index === other.index &&
      task.artefact === other.artefact &&
      task.bytes === other.bytes &&
      task.prover === other.prover &&
      task.attempt === other.attempt &&
      task.credited === other.credited
    );
  });
}

function isSameLost(a: BarrierContent["lost"], b: BarrierContent["lost"]): boolean {
  const line = ({ stage, index, attempt, owner }: LostAttempt) => `${stage}/${index}#${attempt} ${owner}`;
  return a.length === b.length && a.map(line).join() === b.map(line).join();
}

function foldContent(state: Facts, block: BlockFacts): BarrierContent | null {
  const after = afterOf(block);
  if (block.prepared === null || after === null) return null;
  const tasks: BarrierTask[] = [];
  const lost: LostAttempt[] = [];
  for (const stage of block.stages) {
    const chosen = tasksOf(block, stage.name).map((task) => chosenProof(state, task));
    const length = groupCount(stage, block.counts);
    if (length === null || (stage.itemsMax > 0 && !block.counts.has(stage.name))) return null;
    const rests = restsOf(stage, length, (index) => chosen[index]?.proof.artefact ?? null);
    for (const group of groupsAt(stage, block.counts, block.level) ?? []) {
      const chosenOf = rests[group] ?? null;
      // mutant: barrier-with-holes/content
      if (chosenOf === null) return null;
      for (const index of chosenOf) {
        const said = named(block, stage, index, chosen[index] ?? null);
        if (said === null) return null;
        tasks.push(...said);
        const task = tasksOf(block, stage.name)[index];
        for (const { credited, attempt } of said)
          if (task !== undefined && credited) lost.push(...lostBefore(state, task, attempt));
      }
    }
  }
  return {
    format: 1,
    network: state.manifest.network,
    ...announcementOf(block),
    before: bytesToHex(block.prepared.before),
    after,
    tasks,
    lost: lost.slice(0, LOST_MAX),
  };
}

/** How the barrier names a task and the proof that stands for it; `null` where this node does not know enough of it. */
function named(
  block: BlockFacts,
  stage: Stage,
  index: number,
  chosen: ReturnType<typeof chosenProof>,
): BarrierTask[] | null {
  if (chosen === null) return [];
  const { system, key } = variantOf(stage, index);
  const { made, credited, proof } = chosen;
  const { prover, bytes } = made;
  if (bytes === null) return null;
  // BARRIER-7.
  // The credit names the attempt. Where nobody is paid none is named, because only receipts would say which it was.
  const attempt = credited ? made.attempt : 0;
  const items = block.counts.get(stage.name);
  const task = { stage: stage.name, index, system, key, attempt, prover, credited, artefact: proof.artefact, bytes };
  return [items === undefined ? task : { ...task, items }];
}
