/**
 * Views: what follows from facts. A view is a pure function; this file is the only place that remembers its values.
 *
 * A view names its inputs: versions of facts, values of other views, or parts of the manifest. The remembered value is
 * valid as long as each input is the same by `Object.is`. So no writer of a fact has to know which views rest on it: it
 * counts a version up (`factsChanged` and the like), and no code ever drops a remembered value by hand.
 *
 * `checkViews` computes values anew, and the assertion of S6 ends the node where a remembered value differs.
 */
import type { BlockFacts, Facts } from "./facts.ts";
import type { Memo } from "./changes.ts";

export interface View<T> {
  readonly name: string;
  /** To compute it anew takes so long that only looks at the whole state do. */
  readonly isCostly?: true;
  /** All that the value rests on. `key` is the stage's name where there is one value for each stage. */
  inputsOf(state: Facts, block: BlockFacts, key: string): readonly unknown[];
  /** A value that equals the `last` one has to be the same object, so that views which rest on it stay valid. */
  compute(state: Facts, block: BlockFacts, key: string, last?: T): T;
}

/** The value of the view, from the memo where its inputs have not changed since. */
export function see<T>(state: Facts, block: BlockFacts, view: View<T>, key = ""): T {
  const { count } = state.changes;
  const memo = find(block, view, key);
  if (memo?.checkedAt === count) return memo.value;
  const inputs = view.inputsOf(state, block, key);
  if (memo === undefined) {
    const value = view.compute(state, block, key);
    remember(block, view, key, { value, inputs, checkedAt: count });
    return value;
  }
  if (!isSame(memo.inputs, inputs)) memo.value = view.compute(state, block, key, memo.value);
  memo.inputs = inputs;
  memo.checkedAt = count;
  return memo.value;
}

/** The remembered value where it is valid; `undefined` where it would have to be computed. */
export function seen<T>(state: Facts, block: BlockFacts, view: View<T>, key = ""): T | undefined {
  const memo = find(block, view, key);
  return memo !== undefined && isValid(state, block, view, key, memo) ? memo.value : undefined;
}

/** The names of valid views of the block whose value is not what is computed anew. `isWhole`: of the costly ones, too. */
export function checkViews(state: Facts, block: BlockFacts, isWhole: boolean): readonly string[] {
  return [...block.memos].flatMap(([of, memos]) => {
    // A memo is kept under its view.
    const view = of as View<unknown>;
    if (view.isCostly === true && !isWhole) return [];
    const isStale = (key: string, memo: Memo): boolean =>
      isValid(state, block, view, key, memo) && print(view.compute(state, block, key)) !== print(memo.value);
    const stale = [...memos].filter(([key, memo]) => isStale(key, memo));
    return stale.map(([key]) => (key === "" ? view.name : `${view.name} of ${key}`));
  });
}

function find<T>(block: BlockFacts, view: View<T>, key: string): Memo<T> | undefined {
  // A memo has the type of the view under which it is kept.
  return block.memos.get(view)?.get(key) as Memo<T> | undefined;
}

function remember<T>(block: BlockFacts, view: View<T>, key: string, memo: Memo<T>): void {
  const memos = block.memos.get(view) ?? new Map<string, Memo>();
  memos.set(key, memo);
  block.memos.set(view, memos);
}

function isValid<T>(state: Facts, block: BlockFacts, view: View<T>, key: string, memo: Memo): boolean {
  return memo.checkedAt === state.changes.count || isSame(memo.inputs, view.inputsOf(state, block, key));
}

function isSame(a: readonly unknown[], b: readonly unknown[]): boolean {
  return a.length === b.length && a.every((each, at) => Object.is(each, b[at]));
}

/** Equal values print alike: keys of maps and members of sets in one order. */
function print(value: unknown): string {
  return JSON.stringify(value, (_, each: unknown) => {
    if (each instanceof Map) return [...each].sort(([a], [b]) => (String(a) < String(b) ? -1 : 1));
    return each instanceof Set ? [...each].map(String).sort() : each;
  });
}
