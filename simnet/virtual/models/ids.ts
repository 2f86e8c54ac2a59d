/**
 * One block under two ids: sources of more than a third of the weight announce both, and attesters complete the tasks of
 * both. The node signs the barrier of one.
 */
import { artefactHash, blockId } from "../../../src/protocol/ids.ts";
import { Chance } from "../world.ts";
import { Rig, shuffled, STAGES } from "./rig.ts";

const STORIES = 40;

export function fuzzIds(seed: number): readonly string[] {
  const chance = new Chance(seed, "model/ids");
  for (let story = 0; story < STORIES; story++) {
    const found = tell(chance);
    if (found !== null) return [`F2: ${found}`];
  }
  return [];
}

// BARRIER-2.
function tell(chance: Chance): string | null {
  const rig = new Rig();
  const announcements = [rig.announcement(), { ...rig.announcement(), payload: artefactHash(new Uint8Array([2])) }];
  const ids = announcements.map((entry) => blockId(rig.manifest.network, entry));
  const sources = rig.attesters.slice(1, 3);
  const said = announcements.flatMap((entry) => sources.map((source) => ({ source, entry })));
  for (const { source, entry } of shuffled(said, () => chance.next())) rig.hear(rig.sign(source, entry));
  for (const stage of STAGES) for (const id of shuffled(ids, () => chance.next())) rig.complete(id, stage);
  rig.pass(1_000);
  const signed = new Set(rig.said.flatMap((entry) => (entry.kind === "barrier" ? entry.block : [])));
  return signed.size === 1 ? null : `the node signs the barriers of ${signed.size} ids of one block`;
}
