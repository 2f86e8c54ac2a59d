/**
 * S6: equal facts give equal state, whatever the order of arrival.
 *
 * At the end of a run the checker folds a node's log into an empty state: once author by author, and once in turns from
 * the last batch of each author to the first. All that follows from facts must equal the node's own. A log lacks what the
 * node has computed from bytes (payloads, proofs, lists, openings), so the checker hands these findings in.
 */
import type { Effect } from "../../../src/core/effect.ts";
import type { Event } from "../../../src/core/event.ts";
import { contentOf } from "../../../src/core/barrier.ts";
import { recallClosed } from "../../../src/core/blocks.ts";
import { chosenProof, creditOf, openNumber } from "../../../src/core/makers.ts";
import { baseOf, quarantineOf } from "../../../src/core/quarantine.ts";
import { MERITS } from "../../../src/core/quota.ts";
import { findProof } from "../../../src/core/receipts.ts";
import { isIn, orderOf } from "../../../src/core/standing.ts";
import { type Block, createState, type State, type Task } from "../../../src/core/state.ts";
import { isKnownAuthor, step } from "../../../src/core/step.ts";
import { see } from "../../../src/core/views.ts";
import type { Batch } from "../../../src/protocol/batch.ts";
import type { Certificate } from "../../../src/protocol/certificate.ts";
import type { Key } from "../../../src/protocol/ids.ts";
import { NOBODY } from "../../../src/protocol/payee.ts";
import type { Equation } from "../../../src/protocol/signing.ts";

/** The log's batches were accepted once, so no limit that depends on time or order may refuse one of them now. */
const MANY = 2 ** 40;
const UNLIMITED = {
  batchAheadMax: MANY,
  blockAheadMax: MANY,
  announcedMax: MANY,
  siblingsMax: MANY,
  closedMax: MANY,
  authorBytes: MANY,
  membersBytes: MANY,
  strangerBytes: MANY,
  strangersBytes: MANY,
  strangerFeedsMax: MANY,
  authorChecksPerSecond: MANY,
  membersChecksPerSecond: MANY,
  strangersChecksPerSecond: MANY,
};

const ORDERS: Readonly<Record<string, (feeds: readonly (readonly Batch[])[]) => Batch[]>> = {
  "author by author": (feeds) => feeds.flat(),
  "from the last batch to the first": (feeds) => {
    const longest = Math.max(0, ...feeds.map(({ length }) => length));
    const turns = Array.from({ length: longest }, (_, turn) => turn);
    return turns.flatMap((turn) => feeds.toReversed().flatMap((feed) => feed[feed.length - 1 - turn] ?? []));
  },
};

// ENTRY-5.
/** What differs between the node and its log folded anew; `certified` are the certificates that the node holds. */
export function checkRefold(
  node: string,
  state: State,
  certified: readonly Certificate[],
  equation: Equation,
): string[] {
  // The node has noticed an offence that nobody has published yet, so no log has it.
  if ([...state.out.values()].some(({ accuser }) => accuser === null)) return [];
  const own = viewsOf(state, state);
  return Object.entries(ORDERS).flatMap(([name, order]) => {
    const other = viewsOf(fold(state, order, certified, equation), state);
    const differing = [...new Set([...own.keys(), ...other.keys()])].filter(
      (view) => own.get(view) !== other.get(view),
    );
    return differing.map(
      (view) =>
        `S6: ${node} has ${view} ${own.get(view) ?? "none"}; its log, ${name}, says ${other.get(view) ?? "none"}`,
    );
  });
}

function fold(
  state: State,
  order: (typeof ORDERS)[string],
  certified: readonly Certificate[],
  equation: Equation,
): State {
  const { checkAllEvery: _, ...options } = state.options;
  const fresh = createState(state.manifest, { ...options, limits: { ...options.limits, ...UNLIMITED } });
  fresh.mute = "draining";
  const { nowMs } = state;
  const run = (event: Event): void => {
    const effects = step(fresh, event, nowMs, equation);
    for (const answer of effects.flatMap((effect) => answerOf(state, effect))) run(answer);
  };
  for (const [id, tally] of state.tallies) if (!state.blocks.has(id)) fresh.tallies.set(id, tally);
  const gone = [...state.closed.values()].filter(({ id }) => !state.blocks.has(id));
  for (const closed of gone) recallClosed(fresh, closed);
  for (const { canonical, follows } of state.chains.values())
    if (follows) for (const block of canonical.values()) run({ kind: "source-block", block });
  // A batch waits until the statements of others have made its author known, as with gossip.
  const feeds = [...state.log.feeds()].sort((a, b) => (a.author < b.author ? -1 : 1)).map((feed) => feed.kept());
  let waiting = order(feeds);
  for (let before = -1; waiting.length !== before; ) {
    before = waiting.length;
    const next: Batch[] = [];
    for (const batch of waiting)
      if (isKnownAuthor(fresh, batch)) run({ kind: "batch", batch, from: null });
      else next.push(batch);
    waiting = next;
  }
  for (const certificate of certified)
    if (!fresh.closed.has(certificate.block) && state.closed.has(certificate.block))
      run({ kind: "certificate", certificate, bytes: new Uint8Array() });
  for (const event of findings(state)) run(event);
  return fresh;
}

/** The node's own finding, where it has one. */
function answerOf(state: State, effect: Effect): Event[] {
  if (effect.kind === "prepare") return preparedOf(state.blocks.get(effect.block));
  if (effect.kind !== "count") return [];
  const { task, artefact } = effect;
  const items = state.blocks.get(task.block)?.counts.get(task.stage);
  return items === undefined ? [] : [{ kind: "counted", task, artefact, items }];
}

function preparedOf(block: Block | undefined): Event[] {
  if (block === undefined) return [];
  const { id, prepared, invalid } = block;
  if (prepared !== null) return [{ kind: "prepared", block: id, result: { kind: "ready", prepared } }];
  return invalid === null ? [] : [{ kind: "prepared", block: id, result: { kind: "invalid", code: invalid } }];
}

function findings(state: State): Event[] {
  return [...state.blocks.values()].flatMap((block) => [
    ...preparedOf(block),
    ...block.tasks.flatMap(openedOf),
    ...block.tasks.flatMap((task) => [...task.proofs.values()].flatMap((proof) => verdictOf(task, proof))),
  ]);
}

/** What the node has read behind the commitments of a task. */
function openedOf({ block, stage, index, attempts }: Task): Event[] {
  const task = { block: block.id, stage: stage.name, index };
  return [...attempts.values()].flatMap(({ number: attempt, opened }): Event[] => {
    if (opened === null || opened.commitment === null) return [];
    const { artefact, bytes, commitment, nonce, signed } = opened;
    const opening = { prover: signed.author, artefact, bytes, nonce };
    return [{ kind: "opened", task, attempt, commitment, opening }];
  });
}

function verdictOf(
  { block, stage, index }: Task,
  { artefact, maker, verdict, bytes, possession, fault }: NonNullable<ReturnType<typeof findProof>>,
): Event[] {
  const event = { kind: "verified", task: { block: block.id, stage: stage.name, index }, artefact, maker } as const;
  if (verdict === "valid" && bytes !== null) return [{ ...event, verdict: { kind: "valid", bytes, possession } }];
  if (verdict === "invalid") return [{ ...event, verdict: { kind: "invalid", code: fault ?? "proof.equation" } }];
  return [];
}

/** All that follows from facts, in words, for the blocks that `kept` keeps. */
function viewsOf(state: State, kept: State): Map<string, string> {
  const views = new Map<string, string>();
  for (const [key, { from, offence }] of state.out) views.set(`the exclusion of ${short(key)}`, `${offence} ${from}`);
  for (const key of state.discredited.keys()) views.set(`the discredit of ${short(key)}`, "discredited");
  for (const { key, turns } of state.roster.values())
    for (const [chain, heights] of turns) {
      // The node forgets turns that ended before every kept block.
      const retired = kept.chains.get(chain)?.retired ?? -1;
      const first = heights.findLastIndex((height) => height <= retired);
      views.set(`the turns of ${short(key)} on chain ${chain}`, heights.slice(Math.max(first, 0)).join(" "));
    }
  for (const { id, announcers } of kept.blocks.values()) {
    // Announced by keys that are out alone: remembered or not, by when that was known. Nothing follows from such a block.
    if (announcers.size === 0) continue;
    const block = state.blocks.get(id);
    if (block !== undefined) viewsOfBlock(state, block, isFixed(kept, id), views);
    else views.set(`block ${short(id)}`, "unknown");
  }
  return views;
}

/** A certificate outweighs later facts, so a certified block stays as it was. */
function isFixed(kept: State, id: string): boolean {
  return kept.blocks.get(id)?.certificate !== null;
}

function viewsOfBlock(state: State, block: Block, isCertified: boolean, views: Map<string, string>): void {
  if (isCertified && state.out.size > 0) return;
  const { height, id } = block;
  const say = (what: string, value: unknown): void => {
    views.set(`${what} of block ${height} (${short(id)})`, JSON.stringify(value));
  };
  const isSplit = block.stages.some(({ levels }) => levels.length > 0);
  if (!isCertified) {
    say("the round", [block.round, block.state === "cancelled", block.level]);
    say("the provers on duty", onDuty(state, block));
  }
  say(
    "the merits",
    [...see(state, block, MERITS)].sort(([a], [b]) => (a < b ? -1 : 1)),
  );
  if (!isCertified || !isSplit) say("the content", contentOf(state, block)?.hash ?? null);
  for (const task of block.tasks) {
    const name = `${task.stage.name}/${task.index}`;
    const chosen = chosenProof(state, task);
    const { artefact } = chosen?.proof ?? {};
    say(`the credit of ${name}`, creditOf(state, task));
    say(`the proof of ${name}`, chosen && [artefact, chosen.made.prover, chosen.made.attempt, chosen.credited]);
    say(`the open attempt of ${name}`, openNumber(state, task));
    say(`the timeouts of ${name}`, timeoutsOf(task));
    say(`the ends of ${name}`, endsOf(task));
    if (isCertified) continue;
    say(`the owners of ${name}`, orderOf(state, task));
    say(`the quarantine of ${name}`, [baseOf(state, task), quarantineOf(state, task)]);
  }
}

function timeoutsOf(task: Task): string[] {
  const votes = [...task.attempts.values()].flatMap(({ number, timeouts }) =>
    [...timeouts].map(([author, { code }]) => `${number} ${short(author)} ${code}`),
  );
  return votes.sort((a, b) => (a < b ? -1 : 1));
}

function endsOf(task: Task): string[] {
  const said = [...task.attempts.values()].flatMap(({ number, ends }) =>
    [...ends].map(([author, { code }]) => `${number} ${short(author)} ${code}`),
  );
  return said.sort((a, b) => (a < b ? -1 : 1));
}

// ADMIT-2, BENCH-2.
/** The members that have a turn at the block's height which no quorum has ended. */
function onDuty(state: State, { chain, height }: Block): string[] {
  const members = [...state.roster.values()].filter((member) => isIn(state, member, chain, height));
  return members.map(({ key }) => short(key)).sort((a, b) => (a < b ? -1 : 1));
}

function short(key: Key): string {
  return key === NOBODY ? "nobody" : key.slice(0, 8);
}
