/** What is wrong with a workflow as a graph: all of it at once, each with its place. */
import { BLOCK_TASKS_MAX } from "./limits.ts";
import type { ShapeError } from "./shape.ts";
import {
  eachOf,
  itemsOf,
  splitOf,
  type StageJson,
  statementOf,
  takesOf,
  type VariantJson,
  variantsOf,
  type WorkflowJson,
} from "./stages.ts";
import { mistakesOf, SHARD_FOLD, type Statement } from "./statement.ts";
import { familyOf, isOwnCircuit, payeeOf } from "./systems.ts";
import { levelsOf, taskCount } from "./workflow.ts";

/** As much of a manifest as a workflow depends on. */
export interface Surroundings {
  readonly keys: Readonly<Record<string, { readonly system: string }>>;
  readonly timing: { readonly heartbeatMs: number };
}

type Wrong = (field: string, value: unknown, allowed: string) => void;

export function checkWorkflow(path: string, { stages }: WorkflowJson, around: Surroundings): ShapeError[] {
  const errors: ShapeError[] = [];
  const wrong: Wrong = (field, value, allowed) => errors.push({ path: `${path}.stages${field}`, value, allowed });
  stages.forEach((stage, at) => {
    const here: Wrong = (field, value, allowed) => wrong(`[${at}].${field}`, value, allowed);
    checkNames(stages, at, stage, here);
    checkVariants(stage, around, here);
    checkCollect(stage, here);
    checkVerify(stages, at, stage, here);
    checkStatement(stage, here);
    checkSplit(stages, at, stage, here);
    const { leaseMs } = stage;
    const leaseMsMin = 4 * around.timing.heartbeatMs;
    if (leaseMs !== undefined && leaseMs < leaseMsMin)
      here("leaseMs", leaseMs, `at least four heartbeats (${leaseMsMin})`);
  });
  const tasks = taskCount(stages, 0);
  if (tasks > BLOCK_TASKS_MAX) wrong("", `${tasks} tasks`, `stages of at most ${BLOCK_TASKS_MAX} tasks together`);
  return errors;
}

function checkNames(stages: readonly StageJson[], at: number, stage: StageJson, wrong: Wrong): void {
  const earlier = stages.slice(0, at).map(({ name }) => name);
  if (earlier.includes(stage.name)) wrong("name", stage.name, "a name that no earlier stage has");
  const { tasks } = stage;
  const each = eachOf(stage);
  if (each !== null && !earlier.includes(each)) wrong("tasks.each", each, insteadOf(stages, at, each));
  const items = itemsOf(stage);
  if (items !== null && !earlier.includes(items)) wrong("tasks.items", items, insteadOf(stages, at, items));
  const isCustom = (name: string | null) => {
    const collect = stages.slice(0, at).find((other) => other.name === name)?.collect;
    return typeof collect === "object" && "custom" in collect;
  };
  const whole = "a stage that no function collects, since nobody knows which of its outputs there will be";
  if (isCustom(each)) wrong("tasks.each", each, whole);
  if (isCustom(items)) wrong("tasks.items", items, whole);
  const takes = takesOf(stage);
  for (const [place, name] of takes.entries()) {
    const field = "takes" in tasks && typeof tasks.takes === "string" ? "tasks.takes" : `tasks.takes[${place}]`;
    if (!earlier.includes(name)) wrong(field, name, insteadOf(stages, at, name));
    else if (takes.indexOf(name) < place || name === each || name === items)
      wrong(field, name, "a stage that it does not take already");
  }
}

/** What a stage may take instead of one that does not stand before it. */
function insteadOf(stages: readonly StageJson[], at: number, name: string): string {
  const earlier = stages.slice(0, at).map((stage) => stage.name);
  const allowed =
    earlier.length === 0 ? "nothing: the first stage has no earlier one" : `an earlier stage: ${earlier.join(", ")}`;
  const cycle = cycleFrom(stages, stages[at]?.name ?? "", name);
  if (cycle !== null) return `${allowed} (${cycle.join(" takes ")} is a cycle)`;
  return stages.some((stage) => stage.name === name) ? `${allowed}; stages stand behind those that they take` : allowed;
}

/** The way from a stage that is taken back to the one that takes it. */
function cycleFrom(stages: readonly StageJson[], from: string, name: string): readonly string[] | null {
  const ways: string[][] = [[from, name]];
  const seen = new Set<string>();
  for (let way = ways.shift(); way !== undefined; way = ways.shift()) {
    const last = way.at(-1) ?? "";
    if (last === from) return way;
    if (seen.has(last)) continue;
    seen.add(last);
    const stage = stages.find((each) => each.name === last);
    if (stage === undefined) continue;
    for (const next of [eachOf(stage), itemsOf(stage), ...takesOf(stage)]) if (next !== null) ways.push([...way, next]);
  }
  return null;
}

function checkVariants(stage: StageJson, { keys }: Surroundings, wrong: Wrong): void {
  if (stage.variants !== undefined) {
    for (const field of ["system", "key", "executor", "copies"] as const) {
      if (stage[field] !== undefined) wrong(field, stage[field], "nothing beside variants, which have their own");
    }
  } else if (stage.verify !== undefined && stage.verify !== "key") {
    if (stage.executor === undefined) wrong("executor", undefined, "a name: whoever makes the result has to run it");
  } else {
    for (const field of ["system", "key"] as const) {
      if (stage[field] === undefined) wrong(field, undefined, "a name, or variants in its place");
    }
  }
  for (const [at, { system, key }] of variantsOf(stage).entries()) {
    const place = stage.variants === undefined ? "" : `variants[${at}].`;
    const entry = Object.hasOwn(keys, key) ? keys[key] : undefined;
    if (entry === undefined) {
      if (key !== "") wrong(`${place}key`, key, `one of the keys ${Object.keys(keys).join(", ")}`);
    } else if (entry.system !== system && system !== "")
      wrong(`${place}system`, system, `the system of the key "${key}": ${entry.system}`);
  }
}

/** What is recomputed must be a function of the block alone, and what others count by must be the same for everybody. */
function checkVerify(stages: readonly StageJson[], at: number, stage: StageJson, wrong: Wrong): void {
  const before = (name: string) => stages.slice(0, at).find((each) => each.name === name);
  if (stage.verify === "recompute") {
    for (const field of ["system", "key", "variants", "copies"] as const) {
      if (stage[field] !== undefined) wrong(field, stage[field], "nothing: what is recomputed is not proven");
    }
  }
  if (stage.verify === "agree") {
    for (const field of ["system", "key", "variants"] as const) {
      if (stage[field] !== undefined) wrong(field, stage[field], "nothing: what is agreed on is not proven");
    }
    const { collect } = stage;
    if (typeof collect !== "object" || !("any" in collect) || collect.of !== "provers" || collect.any < 2)
      wrong("collect", collect, '{"any": k, "of": "provers"} with a k of 2 or more: so many have to agree');
  }
  for (const name of [eachOf(stage), itemsOf(stage), ...takesOf(stage)]) {
    if (stage.verify === undefined || stage.verify === "key") break;
    if (name !== null && before(name) !== undefined && before(name)?.verify !== "recompute")
      wrong(
        "verify",
        stage.verify,
        `stages that are recomputed themselves as input; ${name} may have several valid results`,
      );
  }
  const items = itemsOf(stage);
  const list = items === null ? undefined : before(items);
  if (list === undefined) return;
  if (list.verify !== "recompute")
    wrong("tasks.items", items, "a stage that is recomputed, so that all count the same");
  const isOne = !(
    "shards" in list.tasks ||
    "each" in list.tasks ||
    "items" in list.tasks ||
    "split" in list.tasks ||
    (list.tasks.count ?? 1) > 1
  );
  if (!isOne) wrong("tasks.items", items, "a stage with one output");
}

/** A level is another way through the whole workflow, so all that rests on what is split needs to have it, and there is one that splits. */
function checkSplit(stages: readonly StageJson[], at: number, stage: StageJson, wrong: Wrong): void {
  const split = splitOf(stage);
  if (split !== null) {
    const known = stages.slice(0, at).find((other) => splitOf(other) !== null);
    if (known !== undefined) wrong("tasks.split", split, `one stage that splits; "${known.name}" does already`);
    const place = split.findIndex((pieces, level) => level > 0 && pieces <= (split[level - 1] ?? 0));
    if (place !== -1) wrong(`tasks.split[${place}]`, split[place], `more pieces than before (${split[place - 1]})`);
  }
  if (!levelsOf(stages.slice(0, at + 1)).has(stage.name)) return;
  const why = "because its tasks are others once the block is split";
  const { collect } = stage;
  if (typeof collect === "object" && "custom" in collect) wrong("collect.custom", collect.custom, `nothing, ${why}`);
  const items = itemsOf(stage);
  if (items !== null) wrong("tasks.items", items, `no list, ${why}`);
  const isList = stages.some((other) => itemsOf(other) === stage.name);
  if (isList) wrong("name", stage.name, `a stage that no other takes as a list, ${why}`);
}

function namesPayee(stage: StageJson, variant: VariantJson): boolean {
  return (stage.verify ?? "key") === "key" && payeeOf(variant.system, statementOf(stage, variant)) !== "none";
}

/** A statement is about the whole block and is what every task proves, so that a stage with one has one output. */
function checkStatement(stage: StageJson, wrong: Wrong): void {
  const named: (readonly [place: string, statement: Statement])[] = [];
  if (stage.statement !== undefined) named.push(["statement", stage.statement]);
  for (const [at, { statement }] of (stage.variants ?? []).entries())
    if (statement !== undefined) named.push([`variants[${at}].statement`, statement]);
  for (const [place, statement] of named) {
    if (stage.verify === "recompute" || stage.verify === "agree")
      wrong(place, statement, "nothing: results that are recomputed or agreed on have no public values");
    for (const { path, value, allowed } of mistakesOf(statement)) wrong(`${place}.${path}`, value, allowed);
  }
  const others = variantsOf(stage).filter((variant) => statementOf(stage, variant) !== SHARD_FOLD);
  const circuit = others.find(({ system }) => isOwnCircuit(system));
  if (circuit !== undefined)
    wrong(
      "statement",
      statementOf(stage, circuit),
      `"shard-fold": ${circuit.system} is a circuit that proves nothing else`,
    );
  const { tasks } = stage;
  const isOne = !(
    "shards" in tasks ||
    "split" in tasks ||
    "items" in tasks ||
    "each" in tasks ||
    (tasks.count ?? 1) > 1
  );
  if (others.length > 0 && !isOne)
    wrong(
      "tasks",
      tasks,
      '{} or {"takes"}: the statement is about the whole block, so one proof would do for all tasks',
    );
}

function checkCollect(stage: StageJson, wrong: Wrong): void {
  const { collect, variants = [], copies } = stage;
  const isOfProvers = typeof collect === "object" && "any" in collect && collect.of === "provers";
  if (copies !== undefined && !isOfProvers)
    wrong("copies", copies, 'nothing without "collect": {"any": k, "of": "provers"}');
  if (collect === undefined || typeof collect === "string" || "custom" in collect) return;
  if (isOfProvers) {
    const count = copies ?? variants.length;
    if (count === 0) wrong("copies", undefined, `at least ${Math.max(collect.any, 2)}, or variants in their place`);
    else if (collect.any > count) wrong("collect.any", collect.any, `at most ${count}: so many tasks make one output`);
    if (stage.verify === "agree") return;
    const nameless = variantsOf(stage).find((variant) => !namesPayee(stage, variant));
    if (nameless !== undefined)
      wrong(
        "collect.of",
        collect.of,
        `"families", or systems whose proofs name their maker: any prover may hand in a copy of a proof of ${nameless.system}`,
      );
    return;
  }
  const families = new Set(variants.map(({ system }) => familyOf(system)));
  if (variants.length === 0) wrong("variants", undefined, `at least ${collect.any} variants to choose from`);
  else if (collect.any > families.size)
    wrong("collect.any", collect.any, `at most ${families.size}: the variants are of ${[...families].join(", ")}`);
}
