/**
 * Counts of changes. Whoever writes a fact counts a change of its kind, and knows nothing of the views that rest on it
 * (`views.ts`).
 */

/** Counts what has changed; a view compares the counts with those that it was computed at. */
export interface Changes {
  /** All changes of any kind, so that a value that was checked since the last one is not checked again. */
  count: number;
  /** Turns, benches, exclusions, discredited keys. */
  roster: number;
  /** Blocks that are announced, certified or forgotten. */
  branches: number;
  /** How often facts were taken back, because their author is out. */
  takenBack: number;
}

/** The same for one block. */
export interface BlockChanges {
  readonly all: Changes;
  /** Facts about the block's tasks, and what this node has found out about their artefacts. */
  facts: number;
  /** Outputs of tasks, numbers of items, and the level, as last settled. */
  settled: number;
}

export interface Memo<T = unknown> {
  value: T;
  inputs: readonly unknown[];
  /** `Changes.count` when the inputs were last compared. */
  checkedAt: number;
}

/** What was computed of one block, by view and key. */
export type Memos = Map<object, Map<string, Memo>>;

export function createChanges(): Changes {
  return { count: 0, roster: 0, branches: 0, takenBack: 0 };
}

/** A fact about the block's tasks has come, or is none any more, or this node has found something out about an artefact. */
export function factsChanged({ changes }: { readonly changes: BlockChanges }): void {
  changes.facts++;
  changes.all.count++;
}

/** A task is complete or is not any more, or the block has another number of tasks. */
export function settledChanged({ changes }: { readonly changes: BlockChanges }): void {
  changes.settled++;
  changes.all.count++;
}

export function rosterMoved({ changes }: { readonly changes: Changes }): void {
  changes.roster++;
  changes.count++;
}

/** A block is announced, certified or forgotten. */
export function branchesChanged({ changes }: { readonly changes: Changes }): void {
  changes.branches++;
  changes.count++;
}
