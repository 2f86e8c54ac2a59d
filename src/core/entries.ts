/**
 * Adds the facts of a batch to the state, entry by entry: who may say what, where an entry is applied, why it is refused, and
 * what an entry waits for that cannot be judged yet.
 */
import { type Batch, openVote, readVote } from "../protocol/batch.ts";
import { blockId, type Hash } from "../protocol/ids.ts";
import { readEvidence } from "../protocol/evidence.ts";
import { type Entry, MESSAGES } from "../protocol/messages.ts";
import type { Equation } from "../protocol/signing.ts";
import type { Refusal } from "../protocol/verdict.ts";
import * as admission from "./admission.ts";
import * as blocks from "./blocks.ts";
import * as branch from "./branch.ts";
import * as collector from "./collector.ts";
import { applyBarrier } from "./barrier.ts";
import { counts } from "./conflict.ts";
import * as evidence from "./evidence.ts";
import { learnLock } from "./locks.ts";
import { addPending, takePending } from "./pending.ts";
import { applyRequeue } from "./quarantine.ts";
import * as standing from "./standing.ts";
import type { Signed } from "./facts.ts";
import type { State, Task } from "./state.ts";

export function applyEntries(
  state: State,
  batch: Batch,
  equation: Equation,
  isWanted: (entry: Entry) => boolean = () => true,
): void {
  const { author, number } = batch.head;
  for (const [index, entry] of batch.entries.entries())
    if (isWanted(entry)) applyEntry(state, { author, number, index, shown: { batch, index } }, entry, equation);
}

/** What was hidden by facts that are none any more. Said before, so nobody hears of it as news. */
export function applyAgain(state: State, equation: Equation): void {
  for (let batch = state.again.pop(); batch !== undefined; batch = state.again.pop()) {
    const { author, number } = batch.head;
    for (const [index, entry] of batch.entries.entries()) {
      if (entry.kind === "reject" || !counts(state, author, number)) continue;
      refusalOf(state, { author, number, index, shown: { batch, index } }, entry, equation);
      evidence.settleConflicts(state);
    }
  }
}

function applyEntry(state: State, signed: Signed, entry: Entry, equation: Equation): void {
  const code = refusalOf(state, signed, entry, equation);
  evidence.settleConflicts(state);
  if (code === null) return;
  // ENTRY-7.
  if (code === "proof.unknown" && "artefact" in entry) return addPending(state, entry.artefact, { signed, entry });
  // ENTRY-6.
  if (code === "attempt.ahead") return waitForAttempt(state, signed, entry);
  // ENTRY-3.
  const isEarly = code === "block.unknown" || code === "block.unprepared";
  const waitsFor = isEarly || entry.kind === "evidence" ? subjectOf(entry, code) : null;
  if (waitsFor !== null) {
    if (code === "block.unprepared" || !state.closed.has(waitsFor)) addPending(state, waitsFor, { signed, entry });
    return;
  }
  // Saying again what was said is how gossip works; it is no news.
  if (
    code !== "vote.duplicate" &&
    code !== "claim.duplicate" &&
    code !== "commit.duplicate" &&
    code !== "task.complete"
  )
    refused(state, signed.author, entry.kind, code);
}

/** What has to be known before the entry can be judged: its block, or the accused prover's admission. */
function subjectOf(entry: Entry, code: Refusal): Hash | null {
  if (entry.kind !== "evidence") return "block" in entry ? entry.block : null;
  const read = readEvidence(entry.shown);
  if (code === "author.unknown") return read?.offender ?? null;
  return code === "block.unknown" || code === "block.unprepared" ? (read?.about?.block ?? null) : null;
}

/** Applies what was signed about a block or a prover before this node could judge it. */
export function applyPending(state: State, subject: Hash, equation: Equation): void {
  for (const { signed, entry } of takePending(state, subject)) applyEntry(state, signed, entry, equation);
}

function waitForAttempt(state: State, signed: Signed, entry: Entry): void {
  if ("stage" in entry) collector.findTask(state, entry)?.ahead.push({ signed, entry });
}

/** Applies what was signed about attempts that the open one has come near to since. */
export function settleAhead(state: State, task: Task, equation: Equation): void {
  while (task.ahead.some(({ entry }) => "attempt" in entry && !collector.isAhead(state, task, entry.attempt))) {
    const ahead = task.ahead;
    task.ahead = [];
    for (const { signed, entry } of ahead) applyEntry(state, signed, entry, equation);
  }
}

export function refused(state: State, author: string, entry: string, code: Refusal): void {
  if (!state.replaying) state.effects.push({ kind: "refused", code, author, entry });
}

function refusalOf(state: State, signed: Signed, entry: Entry, equation: Equation): Refusal | null {
  // ENTRY-1, S7.
  // mutant: roles-unchecked
  if (!mayHold(state, signed.author, entry)) return "author.role";
  if (!counts(state, signed.author, signed.number)) return "author.out";
  // ENTRY-2.
  if (signed.author === state.options.self) learnLock(state, entry);
  switch (entry.kind) {
    case "announce":
      return applyAnnounce(state, signed, entry, equation);
    case "retract":
      return branch.applyRetract(state, signed, entry);
    case "cancel":
      return branch.applyCancel(state, signed, entry);
    case "join":
      return admission.applyJoin(state, signed, entry);
    case "admit":
      return applyAdmit(state, signed, entry, equation);
    case "bench":
      return standing.applyBench(state, signed, entry);
    case "claim":
      // CLAIM-1.
      applyShown(state, entry.timeouts, equation);
      // Its author may have voted against itself in what it shows.
      if (!counts(state, signed.author, signed.number)) return "author.out";
      return collector.applyClaim(state, signed, entry);
    case "grant":
      return collector.applyGrant(state, signed, entry);
    case "beat":
      return collector.applyBeat(state, signed, entry);
    case "release":
    case "fail":
      return collector.applyEnd(state, signed, entry);
    case "receipt":
      return applyReceipt(state, signed, entry, equation);
    case "commit":
      return collector.applyCommit(state, signed, entry);
    case "seal":
      return collector.applySeal(state, signed, entry);
    case "attest":
      return collector.applyAttest(state, signed, entry);
    case "complete":
      return collector.applyComplete(state, signed, entry);
    case "reject":
      return collector.applyReject(state, signed, entry);
    case "timeout":
      return collector.applyTimeout(state, signed, entry);
    case "requeue":
      return applyRequeue(state, signed, entry);
    case "barrier":
      return applyBarrier(state, signed, entry);
    case "evidence":
      return evidence.applyEvidence(state, signed, entry, equation);
  }
}

function mayHold(state: State, author: string, entry: Entry): boolean {
  switch (MESSAGES[entry.kind].by) {
    case "source":
      return state.manifest.sources.has(author);
    case "attester":
      return state.manifest.weights.has(author);
    case "prover":
      return state.roster.has(author);
    case "anyone":
      return true;
  }
}

/** Facts that came before the announcement of their block are applied with it. */
function applyAnnounce(
  state: State,
  signed: Signed,
  entry: Extract<Entry, { kind: "announce" }>,
  equation: Equation,
): Refusal | null {
  const code = blocks.applyAnnounce(state, signed, entry);
  const id = blockId(state.manifest.network, entry);
  if (state.blocks.has(id)) applyPending(state, id, equation);
  return code;
}

/** Votes about a proof that nobody had handed in are counted with its receipt. */
function applyReceipt(
  state: State,
  signed: Signed,
  entry: Extract<Entry, { kind: "receipt" }>,
  equation: Equation,
): Refusal | null {
  const code = collector.applyReceipt(state, signed, entry);
  if (state.pending.has(entry.artefact)) applyPending(state, entry.artefact, equation);
  return code;
}

/** What was shown against a stranger counts once it is on the roster. */
function applyAdmit(
  state: State,
  signed: Signed,
  entry: Extract<Entry, { kind: "admit" }>,
  equation: Equation,
): Refusal | null {
  const code = admission.applyAdmit(state, signed, entry);
  if (!state.roster.has(entry.prover)) return code;
  applyPending(state, entry.prover, equation);
  return code;
}

/** Votes that a claim carries are as good as heard from their authors. What was heard before costs no signature. */
function applyShown(state: State, votes: readonly Parameters<typeof openVote>[1][], equation: Equation): void {
  for (const vote of votes) {
    const read = readVote(vote);
    if (read === null || read.entry.kind !== "timeout" || !state.manifest.weights.has(read.author)) continue;
    // While its block has no tasks the claim waits, and shows its votes again then.
    if (collector.findTask(state, read.entry) === undefined) continue;
    if (collector.hasTimeout(state, read, read.entry)) continue;
    const opened = openVote(state.manifest.network, vote, equation);
    if (opened === null) continue;
    const { author, number, index, entry } = opened;
    applyEntry(state, { author, number, index, shown: { vote } }, entry, equation);
  }
}
