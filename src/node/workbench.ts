/**
 * One machine's provers and verifiers without a network: what `prove`, `tasks replay` and `doctor` run tasks on, and what a
 * node tries its provers on. They are the adapters that a node with the same configuration uses.
 */
import type { Preparation, PrepareJob, ProveEvent, ProveJob, Prover, Verifier, VerifyJob } from "../ports.ts";
import type { Key } from "../protocol/ids.ts";
import { itemsIn } from "../protocol/items.ts";
import { NOBODY } from "../protocol/payee.ts";
import {
  type Counts,
  groupsAt,
  groupOf,
  levelOf,
  mostCounts,
  partsOf,
  restsOn,
  shardOf,
  type Stage,
  takenGroups,
  taskValues,
  variantOf,
} from "../protocol/workflow.ts";
import { NodeFault, settled } from "./fault.ts";

export interface Made {
  readonly system: string;
  readonly executor: string;
  readonly proof: Uint8Array;
  readonly provingMs: number;
  readonly verifyingMs: number;
  /** What the proof was verified as; `null` for a result that others recompute. */
  readonly checked: VerifyJob | null;
}

/** A block as far as its proofs depend on it. */
export type ProvenBlock = Pick<PrepareJob, "chain" | "chainId" | "height" | "block" | "hash" | "parent" | "payload">;

export type Prepared = Preparation & { readonly before: Uint8Array };

/** What is to be made. */
interface MakeTask {
  readonly stage: Stage;
  readonly index: number;
  readonly attempt: number;
  /** Of each input who made it; nobody, where left out. */
  readonly makers?: readonly Key[];
}

export class Workbench {
  readonly #provers: readonly Prover[];
  readonly #verifier: Verifier;
  readonly #closers: readonly (() => Promise<void>)[];

  /** `closers`: where they are its own. */
  constructor(provers: readonly Prover[], verifier: Verifier, closers: readonly (() => Promise<void>)[] = []) {
    this.#provers = provers;
    this.#verifier = verifier;
    this.#closers = closers;
  }

  /** Throws `config.provers` where none is configured. */
  prover(executor: string): Prover {
    const found = this.#provers.find(({ system }) => system === executor);
    if (found !== undefined) return found;
    const allowed = this.#provers.map(({ system }) => system).join(", ");
    throw new NodeFault(
      "config.provers",
      `the task is made by ${executor}; the configured provers make ${allowed === "" ? "none" : allowed}`,
    );
  }

  get executors(): readonly string[] {
    return this.#provers.map(({ system }) => system);
  }

  /** What the block's tasks have to prove. Throws `payload.*` where the payload is not the block's. */
  prepare(job: PrepareJob): Promise<Prepared> {
    return settled((done) => this.#verifier.prepare(job, done));
  }

  /**
   * Proves one task and verifies the proof. Throws `replay.failed` and `replay.invalid`, with the prover's own code, and
   * `replay.stopped` when the signal stops it.
   */
  async make(
    block: ProvenBlock,
    stages: readonly Stage[],
    task: MakeTask,
    prepared: Prepared & { readonly counts: Counts },
    inputs: readonly Uint8Array[],
    signal?: AbortSignal,
  ): Promise<Made> {
    if (signal?.aborted === true) throw new NodeFault("replay.stopped", "it was stopped");
    const { stage, index, attempt } = task;
    const { chain, chainId, height, hash, parent, payload } = block;
    const { system, key, executor, statement } = variantOf(stage, index);
    const isProven = stage.verify === "key";
    const values = isProven ? prepared.values[stage.name]?.[index] : taskValues(block.block, stage, index);
    if (values === undefined)
      throw new NodeFault("replay.values", `the block implies nothing for task ${index} of stage ${stage.name}`);
    const id = { chain, chainId, height, block: block.block, hash, parent, stage: stage.name, index };
    const shard = shardOf(stage, groupOf(stage, index));
    const place = { group: shard?.at ?? groupOf(stage, index), shards: shard?.of ?? 0 };
    const makers = inputs.map((_, at) => task.makers?.[at] ?? NOBODY);
    // Nobody is paid for what no network has asked for.
    const paid = { prover: NOBODY, values, makers };
    const job = { id, attempt, system, key, statement, payload, before: prepared.before, ...paid, ...place, inputs };
    const { proof, provingMs } = await proven(this.prover(executor), job, signal);
    const parts = partsOf(stages, stage, index, prepared.values, prepared.counts);
    const about = { chainId, height, hash, parent };
    const checked = { system, key, statement, about, values, parts, proof };
    const beganMs = performance.now();
    // What is not proven is right where others make the same; there are none here.
    const code = isProven ? await this.check(checked) : null;
    if (code !== null) throw new NodeFault("replay.invalid", `the proof does not verify: ${code}`);
    const verifyingMs = performance.now() - beganMs;
    return { system, executor, proof, provingMs, verifyingMs, checked: isProven ? checked : null };
  }

  /**
   * Makes the tasks that are wanted in the order of the manifest, in which each stage stands behind those that it takes. A
   * block that cannot be proven whole is cut into as many pieces as its workflow says next.
   */
  async makeAll(
    stages: readonly Stage[],
    wanted: ReadonlySet<string>,
    block: ProvenBlock,
    prepared: Prepared,
    said: Said,
    signal?: AbortSignal,
  ): Promise<ReadonlyMap<string, Made>> {
    const made = new Map<string, Made>();
    const counts = new Map<string, number>();
    let [level = 0, ...finer] = levelsWanted(stages, wanted);
    const makeStage = async (stage: Stage): Promise<void> => {
      const groups = groupsAt(stage, counts, level) ?? [];
      for (const index of groups.flatMap((group) => tasksIn(stage, group))) {
        const name = nameOf(stage, index);
        // Of several proof systems side by side this machine makes those that it has a prover for.
        const { executor } = variantOf(stage, index);
        const isSpare = stage.need < stage.variants.length && !this.executors.includes(executor);
        if (!wanted.has(name) || isSpare) continue;
        const inputs = inputsOf(stages, stage, index, made, counts);
        const task = { stage, index, attempt: 0 };
        const result = await this.make(block, stages, task, { ...prepared, counts }, inputs, signal);
        if (stage.itemsMax > 0) counts.set(stage.name, listIn(result.proof, stage.itemsMax).length);
        made.set(name, result);
        said.made(name, result);
      }
    };
    for (const stage of stages) {
      for (let isMade = false; !isMade; ) {
        try {
          await makeStage(stage);
          isMade = true;
        } catch (error) {
          const [next] = finer;
          if (!stage.isSplit || next === undefined || !(error instanceof NodeFault) || error.code !== "replay.failed")
            throw error;
          said.split?.(stage.levels[next] ?? 0, error.message);
          [level, ...finer] = [next, ...finer.slice(1)];
        }
      }
    }
    return made;
  }

  /** Why a proof does not verify, or `null` where it does. */
  async check(job: VerifyJob): Promise<string | null> {
    const verdict = await settled<{ readonly valid: true } | { readonly valid: false; readonly code: string }>((done) =>
      this.#verifier.verify(job, done),
    );
    return verdict.valid ? null : verdict.code;
  }

  async close(): Promise<void> {
    await Promise.all(this.#closers.map((close) => close()));
  }
}

/** Told of each task that was made, and of a block that is cut into so many pieces, and why. */
export interface Said {
  readonly made: (name: string, made: Made) => void;
  readonly split?: (pieces: number, why: string) => void;
}

/** The levels of which tasks are wanted, the coarsest first. */
function levelsWanted(stages: readonly Stage[], wanted: ReadonlySet<string>): readonly number[] {
  const tasks = stages.flatMap((stage) =>
    stage.levels.length === 0 ? [] : Array.from({ length: stage.count }, (_, index) => ({ stage, index })),
  );
  const levels = tasks
    .filter(({ stage, index }) => wanted.has(nameOf(stage, index)))
    .map(({ stage, index }) => levelOf(stage, groupOf(stage, index)));
  return [...new Set(levels)].sort((a, b) => a - b);
}

/** How a task of a block is named on the command line. */
export function nameOf(stage: Stage, index: number): string {
  return `${stage.name}/${index}`;
}

/** Names of a task and of all that it takes, and that these take. */
export function withTaken(stages: readonly Stage[], stage: Stage, index: number): ReadonlySet<string> {
  const names = new Set<string>();
  const add = (of: Stage, at: number): void => {
    const name = nameOf(of, at);
    if (names.has(name)) return;
    names.add(name);
    for (const { taken, indices } of takenTasks(stages, of, at)) for (const each of indices) add(taken, each);
  };
  add(stage, index);
  return names;
}

/** Whether the executors make a task out of nothing: it, and of all that it takes as many variants as are needed. */
export function isMadeBy(executors: readonly string[], stages: readonly Stage[], stage: Stage, index: number): boolean {
  if (!executors.includes(variantOf(stage, index).executor)) return false;
  return takenTasks(stages, stage, index).every(
    ({ taken, indices }) => indices.filter((each) => isMadeBy(executors, stages, taken, each)).length >= taken.need,
  );
}

/** The tasks that a task takes, as many as there may be: by the group that each is a variant of. */
function takenTasks(
  stages: readonly Stage[],
  stage: Stage,
  index: number,
): readonly { readonly taken: Stage; readonly indices: readonly number[] }[] {
  return takenGroups(stages, stage, groupOf(stage, index), mostCounts(stages)).flatMap(({ stage: taken, groups }) =>
    groups.map((group) => {
      return { taken, indices: taken.variants.map((_, variant) => group * taken.variants.length + variant) };
    }),
  );
}

function inputsOf(
  stages: readonly Stage[],
  stage: Stage,
  index: number,
  made: ReadonlyMap<string, Made>,
  counts: Counts,
): readonly Uint8Array[] {
  return takenGroups(stages, stage, groupOf(stage, index), counts).flatMap(({ stage: taken, groups, item }) =>
    groups.flatMap((group) => {
      const isMade = (at: number) => made.has(nameOf(taken, at));
      // What a function chooses a network knows; alone a machine gives all that it has made.
      const rests = taken.custom === null ? restsOn(taken, group, isMade) : tasksIn(taken, group).filter(isMade);
      if (rests === null)
        throw new NodeFault(
          "config.provers",
          `${nameOf(stage, index)} takes group ${group} of ${taken.name}, which needs ${taken.need} of its ${taken.variants.length} proof systems proven here`,
        );
      return rests.map((at) => outputOf(made.get(nameOf(taken, at))?.proof ?? new Uint8Array(), item));
    }),
  );
}

function tasksIn({ variants }: Stage, group: number): readonly number[] {
  return variants.map((_, at) => group * variants.length + at);
}

/** What a task takes: a whole output, or an item of it. */
export function outputOf(bytes: Uint8Array, item: number | null): Uint8Array {
  if (item === null) return bytes;
  const text = listIn(bytes, Number.POSITIVE_INFINITY)[item];
  if (text === undefined) throw new NodeFault("replay.inputs", `the list that the task takes has no item ${item}`);
  return new Uint8Array(Buffer.from(text, "utf8"));
}

/** Throws `replay.inputs` for what is no list. */
export function listIn(bytes: Uint8Array, itemsMax: number): readonly string[] {
  const items = itemsIn(Buffer.from(bytes).toString("utf8"), itemsMax);
  if (items === null) throw new NodeFault("replay.inputs", `the result is no JSON list of 1 to ${itemsMax} items`);
  return items;
}

function proven(prover: Prover, job: ProveJob, signal?: AbortSignal): Promise<Extract<ProveEvent, { kind: "proved" }>> {
  return new Promise((resolve, reject) => {
    const stopped = (): void => {
      cancel();
      reject(new NodeFault("replay.stopped", "it was stopped"));
    };
    const cancel = prover.prove(job, (event) => {
      if (event.kind === "progress") return;
      signal?.removeEventListener("abort", stopped);
      if (event.kind === "proved") return resolve(event);
      const { code, message } = event.fault;
      const where = event.logical ? "the input" : "this machine";
      reject(new NodeFault("replay.failed", `${where} fails with ${code}: ${message}`));
    });
    signal?.addEventListener("abort", stopped, { once: true });
  });
}
