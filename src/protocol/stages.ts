/**
 * How a manifest writes a workflow: stages that form a graph, each with what it takes, how many tasks it makes, who proves
 * them and how its outputs are collected. `workflow.ts` has what follows from it, `graph.ts` what is wrong with it.
 */
import { z } from "zod";
import { hash, int, label, LIST } from "./fields.ts";
import { RANGE_BLOCKS_MAX } from "./limits.ts";
import { SHARD_FOLD, STATEMENT, type Statement } from "./statement.ts";

export const STAGES_MAX = 16;
/** Proof systems side by side on one output. */
export const VARIANTS_MAX = 8;
/** Ways to cut a block into pieces, each finer than the one before. */
export const SPLITS_MAX = 4;

const TAKES_WORDS = "an earlier stage, or a list of them";
const takes = z.union(
  [label, z.array(label, TAKES_WORDS).min(1, TAKES_WORDS).max(STAGES_MAX, TAKES_WORDS)],
  TAKES_WORDS,
);

const variant = z.strictObject(
  {
    system: label,
    /** Name of an entry of `keys`. */
    key: label,
    /** The prover that makes it, by the name in a node's configuration; the system's own name if left out. */
    executor: label.optional(),
    /** What its proofs say; the stage's own statement if left out. */
    statement: STATEMENT.optional(),
  },
  '{"system", "key"}',
);

const SPLIT_WORDS = `a list of 2 to ${SPLITS_MAX} numbers of pieces`;

const tasks = z.union(
  [
    /** At least this many shards of the block, and one more for every `itemsMax` items. */
    z.strictObject({ shards: int(1, 256), itemsMax: int(1, 4096) }),
    /** The block as a whole; where that cannot be proven, in so many pieces, then in so many, as often as there are numbers. */
    z.strictObject({ split: z.array(int(1, 256), SPLIT_WORDS).min(2, SPLIT_WORDS).max(SPLITS_MAX, SPLIT_WORDS) }),
    /** One for each item in the output of an earlier stage, which is a JSON list of `max` items at most (`items.ts`). */
    z.strictObject({ items: label, max: int(1, 1024), takes: takes.optional() }),
    /** One for each output of an earlier stage, which it takes; and all outputs of those in `takes`. */
    z.strictObject({ each: label, takes: takes.optional() }),
    /** A fixed number, one if left out; each takes all outputs of the stages named. */
    z.strictObject({ count: int(1, 256).optional(), takes: takes.optional() }),
  ],
  'one of {"shards": n, "itemsMax": n}, {"split": [1, 2, 4]}, {"takes": "an earlier stage", "count": n}, {"each": "an earlier stage"}, {"items": "an earlier stage", "max": n}',
);

const collect = z.union(
  [
    /** All of a group. */
    z.literal("match"),
    /** The same, and whoever takes them one by one gets them in the order of their index. */
    z.literal("sequential"),
    /** As many of the variants as this, of families of their own (`systems.ts`), or each made by another prover. */
    z.strictObject({
      any: int(1, VARIANTS_MAX),
      of: z.enum(["families", "provers"], '"families" or "provers"'),
    }),
    /** Those that a function says (`custom.ts`), by the SHA-256 of the module that has it. */
    z.strictObject({ custom: label, sha256: hash }),
  ],
  '"match", "sequential", {"any": k, "of": "families"}, or of "provers", or {"custom": "name", "sha256": "..."}',
);

export const STAGE = z.strictObject(
  {
    name: label,
    system: label.optional(),
    key: label.optional(),
    executor: label.optional(),
    /** Several proof systems side by side instead of one: each a task of its own, with an owner of its own. */
    variants: z
      .array(variant, LIST)
      .min(2, `2 to ${VARIANTS_MAX} variants`)
      .max(VARIANTS_MAX, `2 to ${VARIANTS_MAX} variants`)
      .optional(),
    /** So many tasks of the same in place of one, for different provers. */
    copies: int(2, VARIANTS_MAX).optional(),
    tasks,
    /** What the public values of its proofs must be (`statement.ts`); "shard-fold" if left out. */
    statement: STATEMENT.optional(),
    collect: collect.optional(),
    /**
     * How a result is verified: under the key, or by every attester running the executor on the same input, which then
     * needs neither system nor key and has to be deterministic; or not at all, where as many provers as the stage collects
     * agree on it to the last byte.
     */
    verify: z.enum(["key", "recompute", "agree"], '"key", "recompute" or "agree"').optional(),
    /** Tasks of a block with a higher one go first; 0 if left out. */
    priority: int(-100, 100).optional(),
    /** Failed attempts after which a task is quarantined, in place of `retry.attempts`. */
    attempts: int(1, 500).optional(),
    /** What a node has to have, by its own configuration, to take a task. */
    resources: z
      .strictObject(
        {
          cpus: int(1, 1024).optional(),
          gpus: int(1, 64).optional(),
          memoryBytes: int(1, Number.MAX_SAFE_INTEGER, "bytes").optional(),
        },
        '{"cpus", "gpus", "memoryBytes"}',
      )
      .optional(),
    /** A prover that shows no progress for this long loses the task. */
    leaseMs: int(200, 3_600_000, "ms").optional(),
    /** No attempt may last longer, whatever its beats say. */
    limitMs: int(500, 86_400_000, "ms"),
  },
  "a stage",
);

export const WORKFLOW = z.strictObject(
  {
    /** How many blocks of a chain may be in proof at once. */
    window: int(1, 1024),
    /** So many blocks of the chain are proven as one (`range.ts`): its heights, the start among them, count ranges. */
    range: int(2, RANGE_BLOCKS_MAX).optional(),
    stages: z.array(STAGE, LIST).min(1, `1 to ${STAGES_MAX} stages`).max(STAGES_MAX, `1 to ${STAGES_MAX} stages`),
  },
  '{"window", "stages"}',
);

export type StageJson = z.infer<typeof STAGE>;
export type WorkflowJson = z.infer<typeof WORKFLOW>;
export type VariantJson = z.infer<typeof variant>;

/** Who proves the tasks of a group, one or several side by side. */
export function variantsOf(stage: StageJson): readonly VariantJson[] {
  if (stage.variants !== undefined) return stage.variants;
  const { system, executor, key = "", copies = 1 } = stage;
  return Array.from({ length: copies }, () => ({ system: system ?? executor ?? "", key, executor }));
}

/** What the proofs of a variant say. */
export function statementOf(stage: StageJson, { statement }: Pick<VariantJson, "statement">): Statement {
  return statement ?? stage.statement ?? SHARD_FOLD;
}

/** The stages whose outputs a stage takes, all of them. */
export function takesOf({ tasks: rule }: StageJson): readonly string[] {
  if (!("takes" in rule) || rule.takes === undefined) return [];
  return typeof rule.takes === "string" ? [rule.takes] : rule.takes;
}

/** The stage whose outputs it takes one by one. */
export function eachOf({ tasks: rule }: StageJson): string | null {
  return "each" in rule ? rule.each : null;
}

/** The stage whose output lists what its tasks are about. */
export function itemsOf({ tasks: rule }: StageJson): string | null {
  return "items" in rule ? rule.items : null;
}

/** Into how many pieces a stage cuts the block, at each of its levels. */
export function splitOf({ tasks: rule }: StageJson): readonly number[] | null {
  return "split" in rule ? rule.split : null;
}
