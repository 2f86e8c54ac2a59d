/**
 * Who has left the roster, counted once more: from the certificates and the turns, for the newest blocks of each honest
 * node. What a node believes is read from the owners that it names.
 *
 * Judged at the end of runs in which links lose nothing, because all nodes have the same certificates then.
 */
import type { BarrierContent } from "../../../src/protocol/certificate.ts";
import type { Key } from "../../../src/protocol/ids.ts";
import type { Manifest } from "../../../src/protocol/manifest.ts";
import { orderOf } from "../../../src/core/standing.ts";
import type { Block, State } from "../../../src/core/state.ts";
import { CHAIN } from "../manifest.ts";

/** Tasks that a member owned on average before it leaves without a credit. */
const CHANCES = 8;
/** Blocks at the end of a run that are judged. */
const JUDGED_BLOCKS = 16;
/** The longest roster whose orders name everybody. */
const WHOLE_ORDER_MAX = 64;

/** The contents are those of one node's certificates, in the order of heights. */
export function checkLeaving(
  name: string,
  state: State,
  manifest: Manifest,
  contents: readonly BarrierContent[],
): string[] {
  const { provers, chains } = manifest.json;
  const listed = new Set(provers.list.map(({ key }) => key));
  const isAny = chains.find(({ id }) => id === CHAIN)?.start === "any";
  // Where every listed prover is excluded or suspended, all members own tasks again.
  const suspended = new Set([...state.benches.values()].map(({ prover }) => prover));
  const isWithoutProvers = [...listed].every((key) => state.out.has(key) || suspended.has(key));
  if (provers.admission !== "open" || isAny || isWithoutProvers || state.roster.size > WHOLE_ORDER_MAX) return [];
  // A node that has let go of certificates counts fewer.
  if (contents.length > state.limits.closedMax) return [];
  const blocks = [...state.blocks.values()].filter((block) => block.chain === CHAIN && block.tasks.length > 0);
  return contents.slice(-JUDGED_BLOCKS).flatMap((content) => {
    const block = blocks.find(({ hash }) => hash === content.hash);
    return block === undefined ? [] : checkBlock(name, state, block, { manifest, contents, listed });
  });
}

function checkBlock(
  name: string,
  state: State,
  block: Block,
  known: {
    readonly manifest: Manifest;
    readonly contents: readonly BarrierContent[];
    readonly listed: ReadonlySet<Key>;
  },
): string[] {
  const { height } = block;
  const owners = new Set(block.tasks.flatMap((task) => orderOf(state, task)));
  const { retentionBlocks } = known.manifest.json.limits;
  const below = height - (known.manifest.json.workflows[block.workflow]?.window ?? 1) - 1;
  const before = known.contents.filter((each) => each.height < below && each.height >= below - retentionBlocks);
  const begun = [...state.roster.values()].filter(({ turns }) => (turns.get(CHAIN)?.[0] ?? Infinity) <= height);
  const total = begun.reduce((sum, { weight }) => sum + weight, 0);
  const isCrowd = before.length >= retentionBlocks && isCrowdOf(begun, before);
  return begun.flatMap(({ key, weight, turns }) => {
    if (state.out.has(key)) return [];
    const who = `${key.slice(0, 8)}, by ${name}`;
    // LEAVE-3.
    if (known.listed.has(key))
      return owners.has(key) ? [] : [`S1: ${who}, owns nothing of height ${height}, though the manifest lists it`];
    const since = Math.max(...(turns.get(CHAIN) ?? []).filter((from) => from <= height));
    const credits = before.flatMap((each) =>
      each.height < since ? [] : each.tasks.filter(({ credited }) => credited),
    );
    const hadChance = credits.length * weight >= CHANCES * total;
    // LEAVE-4.
    const hadRetention = isCrowd && since <= Math.min(...before.map((each) => each.height));
    const isLeft = (hadChance || hadRetention) && credits.every(({ prover }) => prover !== key);
    // LEAVE-1.
    if (isLeft && owners.has(key)) return [`L4: ${who}, owns tasks of height ${height} and was credited for none`];
    if (!isLeft && !owners.has(key)) return [`S1: ${who}, owns nothing of height ${height} and has not had its chance`];
    return [];
  });
}

/** Whether fewer members were credited than half of those that would be if all proved. */
function isCrowdOf(
  members: readonly { readonly key: Key; readonly weight: number }[],
  contents: readonly BarrierContent[],
): boolean {
  const tasks = contents.flatMap((each) => each.tasks.filter(({ credited }) => credited));
  const proved = new Set(tasks.map(({ prover }) => prover));
  const sumOf = (all: typeof members) => all.reduce((sum, { weight }) => sum + weight, 0);
  const total = sumOf(members);
  const fewest = (total * tasks.length) / (total + tasks.length) / 2;
  return sumOf(members.filter(({ key }) => proved.has(key))) < fewest;
}
