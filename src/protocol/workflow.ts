/**
 * From a block's announcement to its tasks. Any node derives the same tasks from the announcement alone, so nobody has
 * to publish them.
 *
 * A stage has groups, and each group one output. The tasks of a group are its variants: one proof system, or several side
 * by side of which `need` are enough. Task `index` is variant `index % variants` of group `index / variants`.
 *
 * Where a stage splits, it and what rests on it have levels: a way of their own for each number of pieces, with groups
 * of its own, one level after the other. So what a task takes and proves follows from its index alone, whatever the level
 * that the block is at just then.
 */
import { hexToBytes, utf8ToBytes } from "@noble/hashes/utils.js";
import type { Select } from "./custom.ts";
import { domainDigest, type Hash, u64, ZERO_HASH } from "./ids.ts";
import { BLOCK_TASKS_MAX } from "./limits.ts";
import { eachOf, itemsOf, splitOf, type StageJson, statementOf, takesOf, variantsOf } from "./stages.ts";
import { formOf, type PayloadForm, type Statement } from "./statement.ts";
import { familyOf, type Payee, payeeOf } from "./systems.ts";

/** As much of a manifest as the tasks of a block depend on. */
interface Rules {
  readonly json: {
    readonly workflows: Readonly<Record<string, { readonly stages: readonly StageJson[] }>>;
    readonly timing: { readonly leaseMs: number };
  };
  readonly keyHashes: ReadonlyMap<string, Hash>;
}

/** Who proves one task of a group. */
export interface Variant {
  readonly system: string;
  /** Hash of the verifying key. */
  readonly key: Hash;
  /** The prover in a node's configuration that makes it. */
  readonly executor: string;
  readonly family: string;
  /** What the public values of its proofs must be. */
  readonly statement: Statement;
  /** Where its proofs name their maker. */
  readonly payee: Payee;
}

/** A stage whose outputs another takes: all of them, for each group the one of the same number, or that item of its only one. */
export interface Taken {
  readonly stage: string;
  readonly how: "whole" | "each" | "item";
}

/** What a node has, or a task asks for. */
export interface Resources {
  readonly cpus: number;
  readonly gpus: number;
  readonly memoryBytes: number;
}

/** A function by its module's hash; itself `null` where it has not been handed in. */
export interface Custom {
  readonly name: string;
  readonly sha256: Hash;
  readonly select: Select | null;
}

/** By stages whose output says how many groups others have: how many. */
export type Counts = ReadonlyMap<string, number>;

export interface Stage {
  readonly name: string;
  /** In the order in which a task gets them. */
  readonly takes: readonly Taken[];
  /** How many, or how many at most where `countedBy` names the stage whose output says how many. */
  readonly groups: number;
  readonly countedBy: string | null;
  /** Its output is a list of so many items at most, which other stages' groups are about; 0 where it may be anything. */
  readonly itemsMax: number;
  readonly variants: readonly Variant[];
  /** Tasks: groups times variants. */
  readonly count: number;
  /** Variants of a group that must be complete; 0 where a function says which tasks. */
  readonly need: number;
  /** Whether two of one family, or by one prover, count once. */
  readonly distinct: "families" | "provers" | null;
  /** The function that says which of its tasks close it, where it has one. */
  readonly custom: Custom | null;
  /** Its outputs are taken in the order of their number. */
  readonly sequential: boolean;
  /** Whether its groups are shards of the block, one each, and not about the whole block. */
  readonly isSharded: boolean;
  /** How many groups it has at each level; none where it has no levels. */
  readonly levels: readonly number[];
  /** Whether a task that cannot be proven opens the next level. */
  readonly isSplit: boolean;
  readonly verify: "key" | "recompute" | "agree";
  readonly priority: number;
  readonly attempts: number | null;
  readonly resources: Resources;
  readonly leaseMs: number;
  readonly limitMs: number;
  /** Stages from here to the workflow's end, this one counted: what waits longest behind a task goes first. */
  readonly pathLength: number;
}

/** A stage as far as the public values of its tasks go. */
export interface StageRow {
  readonly name: string;
  /** Proof systems of the tasks of a group, in the order of their index. */
  readonly systems: readonly string[];
  /** Their statements, in the same order; all are "shard-fold" if left out. */
  readonly statements?: readonly Statement[];
  readonly groups: number;
  /** Of each group the shard of the block that it is about; `null` where each is about the whole block. */
  readonly shards: readonly Shard[] | null;
}

/** The shard `at` of so many into which the block is cut. */
export interface Shard {
  readonly of: number;
  readonly at: number;
}

/** The stages of a block with `items` transactions, in the order of the manifest; `null` for more than a block may have. */
export function stagesOf(manifest: Rules, workflow: string, items: number): readonly Stage[] | null {
  const { workflows, timing } = manifest.json;
  // A name from outside may be one that every object has, like "constructor".
  const json = Object.hasOwn(workflows, workflow) ? workflows[workflow] : undefined;
  if (json === undefined || taskCount(json.stages, items) > BLOCK_TASKS_MAX) return null;
  const groups = groupsOf(json.stages, items);
  const paths = pathLengths(json.stages);
  const levels = levelsOf(json.stages);
  return json.stages.map((stage) => {
    const { collect = "match" } = stage;
    const variants = variantsOf(stage).map((variant) => {
      const { system, key, executor } = variant;
      const hash = key === "" ? ZERO_HASH : (manifest.keyHashes.get(key) ?? "");
      const statement = statementOf(stage, variant);
      // RECEIPT-8.
      // mutant: payee-by-system
      const payee = payeeOf(system, statement);
      return { system, key: hash, executor: executor ?? system, family: familyOf(system), statement, payee };
    });
    const count = groups.get(stage.name) ?? 0;
    return {
      name: stage.name,
      takes: takenBy(stage),
      groups: count,
      countedBy: countedBy(json.stages, stage),
      itemsMax: Math.max(
        0,
        ...json.stages.map(({ tasks }) => ("items" in tasks && tasks.items === stage.name ? tasks.max : 0)),
      ),
      variants,
      count: count * variants.length,
      ...collected(collect, variants.length),
      sequential: collect === "sequential",
      isSharded: isSharded(json.stages, stage),
      levels: levels.get(stage.name) ?? [],
      isSplit: splitOf(stage) !== null,
      verify: stage.verify ?? "key",
      priority: stage.priority ?? 0,
      attempts: stage.attempts ?? null,
      resources: resourcesOf(stage),
      leaseMs: stage.leaseMs ?? timing.leaseMs,
      limitMs: stage.limitMs,
      pathLength: paths.get(stage.name) ?? 1,
    };
  });
}

function collected(
  collect: NonNullable<StageJson["collect"]>,
  variants: number,
): Pick<Stage, "need" | "distinct" | "custom"> {
  if (typeof collect === "string") return { need: variants, distinct: null, custom: null };
  if ("any" in collect) return { need: collect.any, distinct: collect.of, custom: null };
  return { need: 0, distinct: null, custom: { name: collect.custom, sha256: collect.sha256, select: null } };
}

function resourcesOf({ resources }: StageJson): Resources {
  return { cpus: resources?.cpus ?? 0, gpus: resources?.gpus ?? 0, memoryBytes: resources?.memoryBytes ?? 0 };
}

/** What it takes one by one, then what it takes whole. */
function takenBy(stage: StageJson): readonly Taken[] {
  const [each, items] = [eachOf(stage), itemsOf(stage)];
  const whole = takesOf(stage).map((name) => ({ stage: name, how: "whole" as const }));
  if (each !== null) return [{ stage: each, how: "each" }, ...whole];
  return items === null ? whole : [{ stage: items, how: "item" }, ...whole];
}

/** Tasks of a block with so many items. */
export function taskCount(stages: readonly StageJson[], items: number): number {
  const groups = groupsOf(stages, items);
  return stages.reduce((sum, stage) => sum + (groups.get(stage.name) ?? 0) * variantsOf(stage).length, 0);
}

function groupsOf(stages: readonly StageJson[], items: number): ReadonlyMap<string, number> {
  const groups = new Map<string, number>();
  const levels = levelsOf(stages);
  for (const { name, tasks } of stages) {
    const byLevel = levels.get(name);
    if (byLevel !== undefined) groups.set(name, totalOf(byLevel));
    else if ("shards" in tasks) groups.set(name, Math.max(tasks.shards, Math.ceil(items / tasks.itemsMax)));
    else if ("items" in tasks) groups.set(name, tasks.max);
    else if ("each" in tasks) groups.set(name, groups.get(tasks.each) ?? 1);
    else groups.set(name, "count" in tasks ? (tasks.count ?? 1) : 1);
  }
  return groups;
}

/** Groups at each level, of the stages that have levels: one that splits, and whatever rests on it. */
export function levelsOf(stages: readonly StageJson[]): ReadonlyMap<string, readonly number[]> {
  const levels = new Map<string, readonly number[]>();
  for (const stage of stages) {
    const { tasks } = stage;
    const each = eachOf(stage);
    const one = each === null ? undefined : levels.get(each);
    const whole = takesOf(stage).find((name) => levels.has(name));
    const count = "count" in tasks ? (tasks.count ?? 1) : 1;
    const own = splitOf(stage) ?? one ?? (whole === undefined ? null : levels.get(whole)?.map(() => count));
    if (own !== null && own !== undefined) levels.set(stage.name, own);
  }
  return levels;
}

function totalOf(numbers: readonly number[]): number {
  return numbers.reduce((total, each) => total + each, 0);
}

/** The stage whose output says how many groups it has. */
function countedBy(stages: readonly StageJson[], stage: StageJson): string | null {
  const each = eachOf(stage);
  if (each === null) return itemsOf(stage);
  const before = stages.slice(0, stages.indexOf(stage)).find(({ name }) => name === each);
  return before === undefined ? null : countedBy(stages, before);
}

/** Before anybody has made it, an output may have as many items as it may have at most. */
export function mostCounts(stages: readonly Stage[]): Counts {
  return new Map(stages.flatMap(({ name, itemsMax }) => (itemsMax > 0 ? [[name, itemsMax] as const] : [])));
}

/** How many groups a stage has; `null` while nobody can know. */
export function groupCount({ groups, countedBy: by }: Stage, counts: Counts): number | null {
  return by === null ? groups : (counts.get(by) ?? null);
}

/** The level that a group is of; 0 where the stage has no levels. */
export function levelOf({ levels }: Pick<Stage, "levels">, group: number): number {
  const level = levels.findIndex((_, at) => group < firstOf(levels, at + 1));
  return Math.max(level, 0);
}

/** The number of a level's first group. */
function firstOf(levels: readonly number[], level: number): number {
  return totalOf(levels.slice(0, level));
}

/** The groups that a block at this level has, in order; `null` while nobody can know. */
export function groupsAt(stage: Stage, counts: Counts, level: number): readonly number[] | null {
  const { levels } = stage;
  if (levels.length > 0) return Array.from({ length: levels[level] ?? 0 }, (_, at) => firstOf(levels, level) + at);
  const length = groupCount(stage, counts);
  return length === null ? null : Array.from({ length }, (_, at) => at);
}

/** Which shard of the block a group is about; `null` where it is about all of it. */
export function shardOf({ isSharded: is, levels, groups }: Stage, group: number): Shard | null {
  if (!is) return null;
  if (levels.length === 0) return { of: groups, at: group };
  const level = levelOf({ levels }, group);
  return { of: levels[level] ?? 0, at: group - firstOf(levels, level) };
}

/** All shards of a block that is cut into so many. */
export function cutInto(shards: number): readonly Shard[] {
  return Array.from({ length: shards }, (_, at) => ({ of: shards, at }));
}

/** Whether its groups are shards of the block, its own or those of a stage that it takes one by one. */
function isSharded(stages: readonly StageJson[], stage: StageJson): boolean {
  const each = eachOf(stage);
  if (each === null) return "shards" in stage.tasks || splitOf(stage) !== null;
  const before = stages.slice(0, stages.indexOf(stage)).find(({ name }) => name === each);
  return before !== undefined && isSharded(stages, before);
}

/** Stages stand behind those that they take, so from the last to the first each finds its own followers done. */
function pathLengths(stages: readonly StageJson[]): ReadonlyMap<string, number> {
  const lengths = new Map<string, number>();
  for (const { name } of stages.toReversed()) {
    const after = stages.filter((other) => takenBy(other).some(({ stage }) => stage === name));
    lengths.set(name, 1 + Math.max(0, ...after.map((other) => lengths.get(other.name) ?? 0)));
  }
  return lengths;
}

export function groupOf(stage: Stage, index: number): number {
  return Math.floor(index / stage.variants.length);
}

export function variantOf(stage: Stage, index: number): Variant {
  const variant = stage.variants[index % stage.variants.length];
  if (variant === undefined) throw new RangeError(`stage ${stage.name} has no variants`);
  return variant;
}

/**
 * The tasks that a group's output rests on: the lowest of those that are complete, as many as are needed and none of a
 * family that is there already. `null` while there are too few. Where provers have to differ, a task that is complete is
 * one whose maker stands for no other of the group; whoever asks sees to that.
 */
export function restsOn(stage: Stage, group: number, isComplete: (index: number) => boolean): readonly number[] | null {
  const chosen: number[] = [];
  const families = new Set<string>();
  for (const [at, { family }] of stage.variants.entries()) {
    const index = group * stage.variants.length + at;
    if ((stage.distinct === "families" && families.has(family)) || !isComplete(index)) continue;
    families.add(family);
    chosen.push(index);
    if (chosen.length === stage.need) return chosen;
  }
  return null;
}

/**
 * What each of a stage's outputs rests on, `null` for one that is not there: of `length` groups, by what each task has made
 * (SHA-256), `null` for nothing yet. Where a function chooses, an output may rest on nothing, for it is not wanted.
 */
export function restsOf(
  stage: Stage,
  length: number,
  outputOf: (index: number) => Hash | null,
): readonly (readonly number[] | null)[] {
  const { custom, variants } = stage;
  const groups = Array.from({ length }, (_, group) => group);
  if (custom === null) return groups.map((group) => restsOn(stage, group, (index) => outputOf(index) !== null));
  const tasks = Array.from({ length: length * variants.length }, (_, index) => {
    return { index, group: groupOf(stage, index), system: variantOf(stage, index).system, output: outputOf(index) };
  });
  const chosen = tasks.length === 0 ? null : (custom.select?.(tasks) ?? null);
  return groups.map((group) => chosen?.filter((index) => groupOf(stage, index) === group) ?? null);
}

/** The stage and groups that a group of a stage takes, in the order in which its tasks get their outputs. */
export function takenGroups(
  stages: readonly Stage[],
  taker: Stage,
  group: number,
  counts: Counts,
): readonly { readonly stage: Stage; readonly groups: readonly number[]; readonly item: number | null }[] {
  return taker.takes.flatMap(({ stage: name, how }) => {
    const stage = stages.find((other) => other.name === name);
    if (stage === undefined) return [];
    const groups = how === "each" ? [group] : groupsAt(stage, counts, levelOf(taker, group));
    return [{ stage, groups: groups ?? [], item: how === "item" ? group : null }];
  });
}

/** The public values of all tasks whose outputs a task may rest on: of each variant, since any may be chosen. */
export function partsOf(
  stages: readonly Stage[],
  stage: Stage,
  index: number,
  values: Readonly<Record<string, readonly Uint8Array[]>>,
  counts: Counts,
): readonly Uint8Array[] {
  return takenGroups(stages, stage, groupOf(stage, index), counts).flatMap(({ stage: taken, groups }) =>
    groups.flatMap((group) =>
      (values[taken.name] ?? []).slice(group * taken.variants.length, (group + 1) * taken.variants.length),
    ),
  );
}

/** What a result that is not proven is bound to: its task, and nothing of what it says. Copies that have to agree are bound to one. */
export function taskValues(block: Hash, { name, verify, variants }: Bound, index: number): Uint8Array {
  const of = verify === "agree" ? index - (index % variants.length) : index;
  return domainDigest("task-values", hexToBytes(block), u64(of), utf8ToBytes(name));
}

type Bound = Pick<Stage, "name" | "verify"> & { readonly variants: readonly unknown[] };

/** What is not verified under a key has no public values. */
export function rowsOf(stages: readonly Stage[]): readonly StageRow[] {
  const proven = stages.filter(({ verify }) => verify === "key");
  return proven.map((stage) => {
    const { name, variants, groups } = stage;
    const cuts = stage.levels.length > 0 ? stage.levels : [groups];
    const shards = stage.isSharded ? cuts.flatMap(cutInto) : null;
    const [systems, statements] = [variants.map(({ system }) => system), variants.map(({ statement }) => statement)];
    return { name, systems, statements, groups, shards };
  });
}

/** What the payloads of a workflow's blocks carry. All nodes derive it from the manifest, so a block has one payload. */
export function payloadForm({ json }: Pick<Rules, "json">, workflow: string): PayloadForm {
  const stages = Object.hasOwn(json.workflows, workflow) ? (json.workflows[workflow]?.stages ?? []) : [];
  return formOf(stages.flatMap((stage) => variantsOf(stage).map((variant) => statementOf(stage, variant))));
}
