/**
 * What it takes to run a task again elsewhere, and what has gone wrong with it so far: the replay bundle.
 *
 * The bundle names artefacts by hash and carries the signed statements that put the task into quarantine, so that its
 * reader need not believe the node that wrote it.
 */
import { bytesToHex } from "@noble/hashes/utils.js";
import type { Hash, Key } from "../protocol/ids.ts";
import type { Vote } from "../protocol/messages.ts";
import { NOBODY } from "../protocol/payee.ts";
import { chosenProof, impliedValues } from "./makers.ts";
import { inputsOf } from "./graph.ts";
import type { Failure } from "./failures.ts";
import { failuresOf, type Quarantine, quarantineOf } from "./quarantine.ts";
import { show } from "./facts.ts";
import type { OwnFailure } from "./soft.ts";
import type { Block, State, Task } from "./state.ts";

/** How operators name a task. Of two blocks at one height it is the one that has not left the chain and that its payload has proven. */
export interface TaskName {
  readonly chain: number;
  readonly height: number;
  readonly stage: string;
  readonly index: number;
}

export interface ReplayBundle extends TaskName {
  readonly kind: "replay";
  readonly version: 1;
  readonly network: Hash;
  readonly block: Hash;
  readonly hash: Hash;
  readonly parent: Hash;
  /** Starts a run of blocks: its commitment before is derived from its parent's hash. */
  readonly start: boolean;
  readonly workflow: string;
  readonly items: number;
  readonly system: string;
  readonly executor: string;
  readonly key: Hash;
  readonly payload: { readonly artefact: Hash };
  /** In hex, the values for nobody; `null` until this node has derived them from the payload. */
  readonly before: string | null;
  readonly values: string | null;
  /** Accepted proofs that it takes, in their order; none while some are not accepted. */
  readonly inputs: readonly {
    readonly stage: string;
    readonly index: number;
    /** Which item of it, where the task is about one. */
    readonly item: number | null;
    readonly artefact: Hash;
    /** Who made it; nobody where no maker is known. */
    readonly maker: Key | null;
    readonly bytes: number | null;
  }[];
  /** How many tasks the stages have whose number another's output says. */
  readonly counts: Readonly<Record<string, number>>;
  /** How its attempts ended, since operators last requeued it. */
  readonly failures: readonly Failure[];
  /** The last failure of the prover of the node that wrote this, with its last words; `null` where it had none. */
  readonly ownFailure: OwnFailure | null;
  /**
   * Why it is in quarantine, and what was signed about the attempts that put it there, in hex: the timeouts of attesters
   * and how provers ended them.
   */
  readonly quarantine: (Quarantine & { readonly votes: readonly Readonly<Record<keyof Vote, unknown>>[] }) | null;
}

export function findNamed(state: State, name: TaskName): Task | null {
  const blocks = [...state.blocks.values()].filter((block) => isAt(block, name));
  const block =
    blocks.find((each) => each.state !== "cancelled" && each.prepared !== null) ??
    blocks.find((each) => each.state !== "cancelled" && each.invalid === null) ??
    blocks[0];
  return block?.tasks.find((task) => task.stage.name === name.stage && task.index === name.index) ?? null;
}

function isAt(block: Block, { chain, height }: TaskName): boolean {
  return block.chain === chain && block.height === height;
}

export function bundleOf(state: State, task: Task): ReplayBundle {
  const { block, stage, index, variant } = task;
  const values = impliedValues(task, NOBODY);
  return {
    kind: "replay",
    version: 1,
    network: state.manifest.network,
    chain: block.chain,
    height: block.height,
    stage: stage.name,
    index,
    block: block.id,
    hash: block.hash,
    parent: block.parent,
    start: block.start,
    workflow: block.workflow,
    items: block.items,
    system: variant.system,
    executor: variant.executor,
    key: variant.key,
    payload: { artefact: block.payload },
    before: block.prepared === null ? null : bytesToHex(block.prepared.before),
    values: values === null ? null : bytesToHex(values),
    inputs: takenBy(state, task),
    counts: Object.fromEntries(block.counts),
    failures: failuresOf(state, task),
    ownFailure: task.ownFailure,
    quarantine: quarantine(state, task),
  };
}

function takenBy(state: State, task: Task): ReplayBundle["inputs"] {
  const tasks = inputsOf(task, (input) => chosenProof(state, input) !== null) ?? [];
  return tasks.flatMap((input) => {
    const { stage, index } = input.task;
    const chosen = chosenProof(state, input.task);
    if (chosen === null) return [];
    const { artefact } = chosen.proof;
    const { bytes, prover: maker } = chosen.made;
    return [{ stage: stage.name, index, item: input.item, artefact, maker, bytes }];
  });
}

function quarantine(state: State, task: Task): ReplayBundle["quarantine"] {
  const found = quarantineOf(state, task);
  if (found === null) return null;
  const attempts = failuresOf(state, task).flatMap(({ attempt }) => {
    const known = attempt > found.since ? undefined : task.attempts.get(attempt);
    return known === undefined ? [] : [known];
  });
  const votes = attempts.flatMap(({ timeouts, ends }) =>
    [...timeouts.values(), ...ends.values()].sort((a, b) => (a.author < b.author ? -1 : 1)),
  );
  return {
    ...found,
    votes: votes.map(show).map(({ head, signature, index, path, entry }) => ({
      head: bytesToHex(head),
      signature: bytesToHex(signature),
      index,
      path: path.map((sibling) => bytesToHex(sibling)),
      entry: bytesToHex(entry),
    })),
  };
}
