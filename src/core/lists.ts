/**
 * Outputs that say how many tasks other stages have. Every node reads them once a quorum has accepted them: attesters have made
 * them again themselves, so they are the same for all, and so are the tasks that follow (S6).
 */
import type { Hash } from "../protocol/ids.ts";
import type { Stage } from "../protocol/workflow.ts";
import { touch } from "./blocks.ts";
import { chosenProof, where } from "./makers.ts";
import { tasksOf } from "./graph.ts";
import { type Block, report, type State, type Task } from "./state.ts";
import { settledChanged } from "./changes.ts";

/** An output that cannot be had is asked for again: first after this, then doubling up to a minute. */
const RETRY_MS = 250;

export function settleLists(state: State, block: Block): void {
  if (block.state !== "open" || state.replaying) return;
  for (const stage of block.stages) {
    const [task] = tasksOf(block, stage.name);
    if (stage.itemsMax > 0 && task !== undefined && task.completeMs !== null && !block.counts.has(stage.name))
      read(state, task, stage);
  }
}

function read(state: State, task: Task, { name, itemsMax }: Stage): void {
  const { block, index } = task;
  const chosen = chosenProof(state, task);
  if (chosen === null) return;
  const { artefact, receipts, vouchers } = chosen.proof;
  const known = block.lists.get(name);
  if (known?.artefact === artefact) {
    if (known.retryMs === null) return;
    if (state.nowMs < known.retryMs) {
      block.wakeMs = Math.min(block.wakeMs ?? known.retryMs, known.retryMs);
      return;
    }
  }
  block.lists.set(name, { artefact, tries: known?.artefact === artefact ? known.tries : 0, retryMs: null });
  state.effects.push({
    kind: "count",
    task: { block: block.id, stage: name, index },
    artefact,
    inline: chosen.made.inline,
    itemsMax,
    holders: [...receipts.keys(), ...vouchers.keys()],
  });
}

export function applyCounted(state: State, task: Task, artefact: Hash, items: number | null): void {
  const { block, stage } = task;
  const list = block.lists.get(stage.name);
  if (list === undefined || list.artefact !== artefact) return;
  if (items === null) {
    list.tries++;
    list.retryMs = state.nowMs + Math.min(RETRY_MS * 2 ** Math.min(list.tries, 8), 60_000);
    report(state, "output.unavailable", { ...where(task), artefact, tries: list.tries });
  } else {
    block.counts.set(stage.name, items);
    settledChanged(block);
    report(state, "output.counted", { ...where(task), items });
  }
  touch(state, block);
}
