/**
 * What a node does about one sink on one chain, decided without a port.
 *
 * A lane waits for one answer at a time. Each function takes an answer and returns the lane's next move, with what
 * the move rests on (`Outcome`). The position moves only where the place has acknowledged a block, so a crash between
 * the two repeats a block and skips none. `runtime/proposer.ts` carries the moves out.
 */
import type { Hash, Key } from "../protocol/ids.ts";
import { ownersOf } from "../protocol/owner.ts";

const RETRY_MS_MIN = 250;
const RETRY_MS_MAX = 60_000;
/** A place that asks for a longer pause is asked again after this one. */
const RETRY_AFTER_MS_MAX = 3_600_000;
/** While it is another node's turn the place is looked at so many times. */
const LOOKS_A_TURN = 4;
const LOOK_MS_MIN = 100;
const LOOK_MS_MAX = 15_000;

/** As much of a certified block as the decisions need. */
export interface Handed {
  readonly height: number;
  readonly content: { readonly hash: Hash };
}

export interface LaneOptions {
  readonly network: Hash;
  readonly self: Key;
  /** Nodes that serve the same place, this one among them. */
  readonly nodes: readonly Key[];
  /** How long the second node waits for the first; the third waits three times as long, the fourth six times. */
  readonly takeoverMs: number;
}

export interface LaneStatus {
  /** `idle`: nothing is certified that is not there; `waiting`: for another node's turn to end. */
  readonly state: "idle" | "waiting" | "delivering" | "failing";
  /** The height it is at, where it is at one. */
  readonly height: number | null;
  readonly why: string;
}

export interface Lane<B extends Handed> {
  readonly options: LaneOptions;
  /** The last block that the place has acknowledged. */
  last: B | null;
  /** The block that is next, and since when it has been. */
  facing: { readonly block: B; readonly sinceMs: number } | null;
  status: LaneStatus;
  /** Failures in a row. */
  failures: number;
  /** Nothing more is certified. */
  idle: boolean;
  /** A certificate has come since the lane last looked for one. */
  woken: boolean;
}

export interface Trouble {
  readonly code: string;
  readonly message: string;
  /** How long the place asked to be left alone. */
  readonly retryAfterMs?: number;
  /** This node lacks what it takes and will not get it. */
  readonly hopeless?: true;
}

type Answer<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly fault: Trouble };

type There =
  | { readonly kind: "there" }
  | { readonly kind: "missing" }
  | { readonly kind: "behind"; readonly from: number };

/** What the lane waits for next. */
export type Move<B> =
  /** The certified block that follows. */
  | { readonly kind: "seek"; readonly after: B | null }
  /** Whether the place has the block. */
  | { readonly kind: "look"; readonly block: B }
  | { readonly kind: "deliver"; readonly block: B }
  /** The block's ancestor at a height. */
  | { readonly kind: "descend"; readonly block: B; readonly height: number }
  | { readonly kind: "rest"; readonly ms: number }
  /** The next certificate. */
  | { readonly kind: "idle" };

/** What has come of the last move; `arrived` moves the position. */
export type Outcome<B> =
  | {
      readonly kind: "arrived";
      readonly block: B;
      readonly how: "delivered" | "skipped" | "passed";
      readonly fault?: Trouble;
    }
  | { readonly kind: "failed"; readonly height: number | null; readonly fault: Trouble; readonly retryMs: number }
  | { readonly kind: "rewound"; readonly height: number };

export interface Step<B> {
  readonly outcome?: Outcome<B>;
  readonly move: Move<B>;
}

export function createLane<B extends Handed>(options: LaneOptions): Lane<B> {
  const status: LaneStatus = { state: "idle", height: null, why: "it has not begun" };
  return { options, last: null, facing: null, status, failures: 0, idle: false, woken: false };
}

/** `position`: the block that the cursor names; `null` where it names none that has a certificate here. */
export function begin<B extends Handed>(lane: Lane<B>, position: B | null): Step<B> {
  lane.last = position;
  return seek(lane);
}

/** A certificate of the chain is in the store. `null`: the lane waits for something else, and remembers it. */
export function wake<B extends Handed>(lane: Lane<B>): Step<B> | null {
  if (lane.idle) return seek(lane);
  // SINK-7.
  // mutant: miss-certificates
  lane.woken = true;
  return null;
}

/** The answer to `seek`. */
export function found<B extends Handed>(lane: Lane<B>, answer: Answer<B | null>, nowMs: number): Step<B> {
  if (!answer.ok) return fail(lane, answer.fault, null);
  if (answer.value !== null) return face(lane, answer.value, nowMs);
  // A certificate that came in the meantime may be the one.
  if (lane.woken) return seek(lane);
  lane.idle = true;
  const awaited = lane.last === null ? "the first certificate" : `the certificate of ${lane.last.height + 1}`;
  lane.status = { state: "idle", height: null, why: `waits for ${awaited}` };
  return { move: { kind: "idle" } };
}

/** The answer to `look`. */
export function looked<B extends Handed>(lane: Lane<B>, answer: Answer<There>, nowMs: number): Step<B> {
  const { facing } = lane;
  if (facing === null) return seek(lane);
  const { block } = facing;
  if (!answer.ok) return refused(lane, answer.fault, nowMs);
  switch (answer.value.kind) {
    case "there":
      return arrive(lane, block, "skipped");
    case "missing":
      return take(lane, nowMs);
    case "behind": {
      const { from } = answer.value;
      // SINK-5.
      // mutant: never-rewind
      if (from < block.height) return { move: { kind: "descend", block, height: from } };
      return fail(lane, gap(from), block.height);
    }
  }
}

/** The answer to `descend`: the place has lost blocks, or never had them, and goes on with this one. */
export function descended<B extends Handed>(
  lane: Lane<B>,
  height: number,
  answer: Answer<B | null>,
  nowMs: number,
): Step<B> {
  const above = lane.facing?.block.height ?? null;
  if (!answer.ok) return fail(lane, answer.fault, above);
  if (answer.value === null) return fail(lane, gap(height), above);
  return { outcome: { kind: "rewound", height }, ...face(lane, answer.value, nowMs) };
}

/** The answer to `deliver`. */
export function delivered<B extends Handed>(lane: Lane<B>, answer: Answer<void>, nowMs: number): Step<B> {
  const { facing } = lane;
  if (facing === null) return seek(lane);
  if (!answer.ok) return refused(lane, answer.fault, nowMs);
  return arrive(lane, facing.block, "delivered");
}

/** The pause is over. */
export function rested<B extends Handed>(lane: Lane<B>): Step<B> {
  return lane.facing === null ? seek(lane) : { move: { kind: "look", block: lane.facing.block } };
}

/** This node's place in the order for the block; all that serve the place agree on it. */
export function turnOf({ network, self, nodes }: LaneOptions, block: Hash): number {
  if (nodes.length < 2) return 0;
  const candidates = nodes.map((key) => ({ key, weight: 1 }));
  const [order = []] = ownersOf(network, block, "sink", 1, candidates);
  return order.indexOf(self);
}

/** Looks for the block after the last one. */
function seek<B extends Handed>(lane: Lane<B>): Step<B> {
  lane.facing = null;
  lane.idle = false;
  lane.woken = false;
  return { move: { kind: "seek", after: lane.last } };
}

function face<B extends Handed>(lane: Lane<B>, block: B, nowMs: number): Step<B> {
  lane.facing = { block, sinceMs: nowMs };
  // SINK-3.
  // mutant: hand-over-unasked
  return { move: { kind: "look", block } };
}

/** Hands the block over when it is this node's turn; until then it looks whether another node has. */
function take<B extends Handed>(lane: Lane<B>, nowMs: number): Step<B> {
  const { facing, options } = lane;
  if (facing === null) return seek(lane);
  const { block, sinceMs } = facing;
  const turn = turnOf(options, block.content.hash);
  const leftMs = leftOf(options, turn, sinceMs, nowMs);
  // SINK-6.
  // mutant: hand-over-out-of-turn
  if (leftMs > 0) {
    const why = `is number ${turn + 1} to hand it on, in ${Math.ceil(leftMs / 1000)} s`;
    lane.status = { state: "waiting", height: block.height, why };
    return { move: { kind: "rest", ms: Math.min(leftMs, lookMs(options)) } };
  }
  lane.status = { state: "delivering", height: block.height, why: "is handing it on" };
  // SINK-1, S9.
  // mutant: position-before-answer
  return { move: { kind: "deliver", block } };
}

function refused<B extends Handed>(lane: Lane<B>, fault: Trouble, nowMs: number): Step<B> {
  const { facing, options } = lane;
  if (facing === null) return seek(lane);
  const { block, sinceMs } = facing;
  // SINK-2.
  // mutant: pass-over-refused
  if (fault.hopeless !== true) return fail(lane, fault, block.height);
  // Whoever else serves this place may have what it takes.
  const leftMs = options.nodes.length < 2 ? 0 : leftOf(options, options.nodes.length, sinceMs, nowMs);
  if (leftMs <= 0) return arrive(lane, block, "passed", fault);
  lane.status = { state: "waiting", height: block.height, why: `cannot, others may: ${fault.message}` };
  return { move: { kind: "rest", ms: Math.min(leftMs, lookMs(options)) } };
}

function fail<B extends Handed>(lane: Lane<B>, fault: Trouble, height: number | null): Step<B> {
  // L5.
  // Each failure is followed by another try, for ever.
  const backOffMs = Math.min(RETRY_MS_MIN * 2 ** Math.min(lane.failures, 16), RETRY_MS_MAX);
  const retryMs = Math.max(backOffMs, Math.min(fault.retryAfterMs ?? 0, RETRY_AFTER_MS_MAX));
  lane.failures++;
  lane.status = { state: "failing", height, why: `${fault.message} [${fault.code}]` };
  return { outcome: { kind: "failed", height, fault, retryMs }, move: { kind: "rest", ms: retryMs } };
}

function arrive<B extends Handed>(
  lane: Lane<B>,
  block: B,
  how: "delivered" | "skipped" | "passed",
  fault?: Trouble,
): Step<B> {
  lane.last = block;
  lane.failures = 0;
  return { outcome: { kind: "arrived", block, how, ...(fault === undefined ? {} : { fault }) }, ...seek(lane) };
}

function gap(height: number): Trouble {
  return { code: "sink.gap", message: `its place goes on at height ${height}, which this node has no certificate of` };
}

/** How long it is until a turn; growing, so that nodes that are slow alike do not all come at once. */
function leftOf({ takeoverMs }: LaneOptions, turn: number, sinceMs: number, nowMs: number): number {
  return sinceMs + (takeoverMs * turn * (turn + 1)) / 2 - nowMs;
}

function lookMs({ takeoverMs }: LaneOptions): number {
  return Math.min(Math.max(takeoverMs / LOOKS_A_TURN, LOOK_MS_MIN), LOOK_MS_MAX);
}
