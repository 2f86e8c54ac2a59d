/**
 * The feed of one attester, heard in any order: a true one, or one that forks by a second batch of a number, by a batch that
 * follows another one than there is, or by one of an earlier start. A fork excludes its author, and nothing else does.
 */
import type { Batch } from "../../../src/protocol/batch.ts";
import { domainHash, type Key, u64, ZERO_HASH } from "../../../src/protocol/ids.ts";
import type { Entry } from "../../../src/protocol/messages.ts";
import { Chance } from "../world.ts";
import { Rig, shuffled } from "./rig.ts";

const STORIES = 120;
const LENGTH = 6;
const OFFENCES = ["none", "second batch", "other batch before", "earlier start"] as const;

export function fuzzFeeds(seed: number): readonly string[] {
  const chance = new Chance(seed, "model/feeds");
  const found: string[] = [];
  for (let story = 0; story < STORIES && found.length < 3; story++) {
    const offence = OFFENCES[chance.between(0, OFFENCES.length - 1)] ?? "none";
    const rig = new Rig();
    const author = rig.attesters[1] ?? "";
    for (const batch of shuffled(feedOf(rig, author, offence, chance), () => chance.next())) rig.hear(batch);
    const isOut = rig.state.out.has(author);
    // BATCH-12, BATCH-13, BATCH-17.
    if (isOut !== (offence !== "none"))
      found.push(`F3: ${isOut ? "excluded" : "not excluded"} is a key for: ${offence}`);
  }
  return found;
}

function feedOf(rig: Rig, author: Key, offence: (typeof OFFENCES)[number], chance: Chance): Batch[] {
  const batches: Batch[] = [];
  const at = chance.between(1, LENGTH - 1);
  for (let number = 0; number < LENGTH; number++) {
    const isWrong = number === at;
    const start = offence === "earlier start" && isWrong ? 1 : 2;
    const before = batches.at(-1)?.hash ?? ZERO_HASH;
    const previous = offence === "other batch before" && isWrong ? domainHash("model-feeds", u64(number)) : before;
    batches.push(rig.seal({ author, number, previous, start }, [beat(number)]));
  }
  const { head } = batches[at] ?? {};
  if (offence === "second batch" && head !== undefined) batches.push(rig.seal(head, [beat(LENGTH)]));
  return batches;
}

function beat(units: number): Entry {
  return { kind: "beat", tasks: [{ block: ZERO_HASH, stage: "shard", index: 0, attempt: 0, units }] };
}
