/**
 * What it takes to run a task again elsewhere, and what has gone wrong with it so far: the replay bundle.
 *
 * It names artefacts by hash and carries the votes of its quarantine with their signatures, so that whoever gets it needs
 * to believe nobody.
 */
import { bytesToHex } from "@noble/hashes/utils.js";
import type { Hash, Key } from "../protocol/ids.ts";
import type { Vote } from "../protocol/messages.ts";
import { NOBODY } from "../protocol/payee.ts";
import { chosenProof, impliedValues } from "./makers.ts";
import { inputsOf } from "./graph.ts";
import { type Failure, failuresOf, quarantineOf, type Reason, roundOf } from "./failures.ts";
import { type Block, type OwnFailure, show, type State, type Task } from "./state.ts";

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
  readonly round: number;
  readonly failures: readonly Failure[];
  /** The last failure of the prover of the node that wrote this, with its last words; `null` where it had none. */
  readonly ownFailure: OwnFailure | null;
  /** Why it is in quarantine, and the votes that put it there, in hex. */
  readonly quarantine: (Reason & { readonly votes: readonly Readonly<Record<keyof Vote, unknown>>[] }) | null;
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
    round: roundOf(state, task),
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
  const reason = quarantineOf(state, task);
  if (reason === null) return null;
  const votes = [...(task.quarantines.get(roundOf(state, task))?.values() ?? [])];
  return {
    ...reason,
    votes: votes
      .sort((a, b) => (a.author < b.author ? -1 : 1))
      .map(show)
      .map(({ head, signature, index, path, entry }) => ({
        head: bytesToHex(head),
        signature: bytesToHex(signature),
        index,
        path: path.map((sibling) => bytesToHex(sibling)),
        entry: bytesToHex(entry),
      })),
  };
}
