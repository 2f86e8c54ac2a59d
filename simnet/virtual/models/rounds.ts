/**
 * The rounds of one block: announcements, retracts and cancels by everybody, signed in one order and heard in another.
 *
 * The judge works out the block's round, and whether the block is given up, from the statements alone. Nothing here knows
 * the core's own way.
 */
import { blockId, type Hash, type Key } from "../../../src/protocol/ids.ts";
import type { Batch } from "../../../src/protocol/batch.ts";
import type { Entry } from "../../../src/protocol/messages.ts";
import { Chance } from "../world.ts";
import { Rig, shuffled } from "./rig.ts";

const STORIES = 150;
const STATEMENTS = 14;
const ROUNDS = 3;
const VIOLATIONS_MAX = 5;

export function fuzzRounds(seed: number): readonly string[] {
  const chance = new Chance(seed, "model/rounds");
  const found: string[] = [];
  for (let story = 0; story < STORIES && found.length < VIOLATIONS_MAX; story++) found.push(...tell(chance));
  return found;
}

function tell(chance: Chance): readonly string[] {
  const rig = new Rig();
  rig.isPayloadTrue = chance.next() < 0.7;
  const id = blockId(rig.manifest.network, rig.announcement());
  const others = rig.attesters.filter((key) => key !== rig.self);
  const signed = Array.from({ length: STATEMENTS }, () => {
    const author = others[chance.between(0, others.length - 1)] ?? "";
    return rig.sign(author, statement(rig, id, chance));
  });
  const heard: Batch[] = [];
  const found: string[] = [];
  const cancelled = new Set<number>();
  for (const batch of shuffled(signed, () => chance.next())) {
    heard.push(batch);
    const before = rig.said.length;
    rig.hear(batch);
    const own = rig.said.slice(before).flatMap((entry) => (entry.kind === "cancel" ? entry.round : []));
    found.push(...judge(rig, id, heard, own, cancelled));
    // ANNOUNCE-12.
    if (!rig.isPayloadTrue && (rig.preparations > 1 || (rig.block(id)?.tasks.length ?? 0) > 0))
      found.push(`F1: the node asks ${rig.preparations} times for a payload that is not what was announced`);
  }
  return found.slice(0, 1);
}

function statement(rig: Rig, block: Hash, chance: Chance): Entry {
  const round = chance.between(0, ROUNDS);
  const what = chance.next();
  if (what < 0.3) return rig.announcement(round);
  return { kind: what < 0.7 ? "cancel" : "retract", block, round };
}

function judge(rig: Rig, id: Hash, heard: readonly Batch[], own: readonly number[], cancelled: Set<number>): string[] {
  const facts = heard.flatMap(({ head, entries }) =>
    entries.map((entry) => ({ author: head.author, number: head.number, entry })),
  );
  const announced = new Set(facts.flatMap(({ entry }) => (entry.kind === "announce" ? entry.round : [])));
  const block = rig.block(id);
  if (block === undefined) return announced.size === 0 ? [] : ["F1: a block that a source has announced is unknown"];
  const found: string[] = [];
  // RETRACT-1, RETRACT-5: each source's first retract, of the present round.
  const retracts = new Map<Key, { readonly number: number; readonly round: number }>();
  for (const { author, number, entry } of facts) {
    if (entry.kind !== "retract") continue;
    const known = retracts.get(author);
    if (known === undefined || number < known.number) retracts.set(author, { number, round: entry.round });
  }
  const isTakenBack = (round: number) => [...retracts.values()].filter((each) => each.round === round).length >= 2;
  for (const round of own) {
    if (!isTakenBack(round)) found.push(`F1: the node cancels round ${round}, which one source or none takes back`);
    cancelled.add(round);
  }
  // CANCEL-1: the latest round of each attester. CANCEL-2, CANCEL-3, ANNOUNCE-8: a quorum, and an announcement of the next.
  const latest = new Map<Key, number>();
  const cancel = (key: Key, round: number) => latest.set(key, Math.max(latest.get(key) ?? -1, round));
  for (const { author, entry } of facts) if (entry.kind === "cancel") cancel(author, entry.round);
  for (const round of cancelled) cancel(rig.self, round);
  const isGivenUp = (round: number) => [...latest.values()].filter((each) => each >= round).length >= 3;
  let round = 0;
  while (isGivenUp(round) && announced.has(round + 1)) round++;
  if (block.round !== round) found.push(`F1: the block is in round ${block.round}, and its votes say ${round}`);
  else if ((block.state === "cancelled") !== isGivenUp(round))
    found.push(`F1: the block is ${block.state}, and ${isGivenUp(round) ? "a" : "no"} quorum gives up round ${round}`);
  else if (isTakenBack(round) && !isGivenUp(round) && !cancelled.has(round))
    found.push(`F1: the node does not cancel round ${round}, which more than a third of the sources take back`);
  return found;
}
