/**
 * From a block's announcement to its tasks. Any node derives the same tasks from the announcement alone, so nobody has
 * to publish them.
 */
import type { Hash } from "./ids.ts";
import { BLOCK_TASKS_MAX } from "./limits.ts";

/** What the manifest says of a stage. */
interface StageRule {
  readonly name: string;
  readonly system: string;
  readonly key: string;
  readonly tasks: { readonly shards: number; readonly itemsMax: number } | { readonly takes: string };
  readonly leaseMs?: number | undefined;
  readonly limitMs: number;
}

/** As much of a manifest as the tasks of a block depend on. */
interface Rules {
  readonly json: {
    readonly workflows: Readonly<Record<string, { readonly stages: readonly StageRule[] }>>;
    readonly timing: { readonly leaseMs: number };
  };
  readonly keyHashes: ReadonlyMap<string, Hash>;
}

export interface Stage {
  readonly name: string;
  readonly system: string;
  /** Hash of the verifying key. */
  readonly key: Hash;
  /** The stage whose outputs this one takes, if any. */
  readonly takes: string | null;
  readonly count: number;
  readonly leaseMs: number;
  readonly limitMs: number;
  /** Stages from here to the workflow's end, this one counted: what waits longest behind a task goes first. */
  readonly pathLength: number;
}

/** The stages of a block with `items` transactions, in the order of the manifest; `null` for more than a block may have. */
export function stagesOf(manifest: Rules, workflow: string, items: number): readonly Stage[] | null {
  const { workflows } = manifest.json;
  // A name from outside may be one that every object has, like "constructor".
  const json = Object.hasOwn(workflows, workflow) ? workflows[workflow] : undefined;
  if (json === undefined || taskCount(json.stages, items) > BLOCK_TASKS_MAX) return null;
  return json.stages.map((stage) => ({
    name: stage.name,
    system: stage.system,
    key: manifest.keyHashes.get(stage.key) ?? "",
    takes: "takes" in stage.tasks ? stage.tasks.takes : null,
    count: countTasks(stage, items),
    leaseMs: stage.leaseMs ?? manifest.json.timing.leaseMs,
    limitMs: stage.limitMs,
    pathLength: pathLength(json.stages, stage.name),
  }));
}

/** Tasks of a block with so many items. */
export function taskCount(stages: readonly StageRule[], items: number): number {
  return stages.reduce((sum, stage) => sum + countTasks(stage, items), 0);
}

function countTasks(stage: StageRule, items: number): number {
  return "takes" in stage.tasks ? 1 : Math.max(stage.tasks.shards, Math.ceil(items / stage.tasks.itemsMax));
}

function pathLength(stages: readonly StageRule[], name: string): number {
  const after = stages.filter((stage) => "takes" in stage.tasks && stage.tasks.takes === name);
  return 1 + Math.max(0, ...after.map((stage) => pathLength(stages, stage.name)));
}
