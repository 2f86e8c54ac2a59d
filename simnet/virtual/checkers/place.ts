/** How the checkers name a task. */
import type { Hash } from "../../../src/protocol/ids.ts";

export type TaskRef = { readonly block: Hash; readonly stage: string; readonly index: number };

export function placeOf(task: TaskRef, attempt?: number): string {
  return `${task.block.slice(0, 8)} ${task.stage}/${task.index}${attempt === undefined ? "" : `#${attempt}`}`;
}
