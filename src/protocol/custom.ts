/**
 * `custom` collection: which of a stage's tasks close it is said by a function that the network brings along. The manifest has
 * the hash of its module, so all nodes ask the same one; whoever starts the node hands it in.
 */
import type { Hash } from "./ids.ts";
import { shorten } from "./shape.ts";

/** A task of the stage as the function sees it. */
export interface CollectedTask {
  readonly index: number;
  /** The output that it makes, where several variants make one: tasks of one group stand side by side. */
  readonly group: number;
  readonly system: string;
  /** SHA-256 of its accepted result; `null` while there is none. */
  readonly output: Hash | null;
}

/**
 * The indices of the tasks that the stage's output rests on, ascending; `null` while it is not closed. All tasks are given, in
 * their order. It must be a function of them alone, and one that has closed a stage should not open it again when more come.
 */
export type Select = (tasks: readonly CollectedTask[]) => readonly number[] | null;

/** A function nobody has looked at: what it throws, or says that cannot be, closes nothing and is told once. */
export function guardSelect(
  run: (tasks: readonly CollectedTask[]) => unknown,
  complain: (why: string) => void,
): Select {
  let told = false;
  const refuse = (why: string): null => {
    if (!told) complain(why);
    told = true;
    return null;
  };
  return (tasks) => {
    let said: unknown;
    try {
      said = run(Object.freeze(tasks.map((task) => Object.freeze({ ...task }))));
    } catch (error) {
      return refuse(`it threw ${messageOf(error)}`);
    }
    if (said === null) return null;
    return (
      readSelection(said, tasks) ??
      refuse(`it said ${shown(said)}; allowed: null, or ascending indices of tasks with an output`)
    );
  };
}

function readSelection(said: unknown, tasks: readonly CollectedTask[]): readonly number[] | null {
  if (!Array.isArray(said) || said.length === 0 || said.length > tasks.length) return null;
  const indices: number[] = [];
  for (const index of said as readonly unknown[]) {
    if (typeof index !== "number" || (tasks[index]?.output ?? null) === null) return null;
    if (index <= (indices.at(-1) ?? -1)) return null;
    indices.push(index);
  }
  return indices;
}

function shown(said: unknown): string {
  return Array.isArray(said) ? `a list of ${said.length}` : shorten(said);
}

/** What comes from another realm is no instance of this one's errors. */
export function messageOf(error: unknown): string {
  const isTold = typeof error === "object" && error !== null && "message" in error;
  return isTold ? String(error.message) : shorten(error);
}
