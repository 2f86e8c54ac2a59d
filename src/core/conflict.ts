/** Which facts exclude each other, as they arrive; `evidence.ts` says what follows. */
import { conflictOf } from "../protocol/evidence.ts";
import type { Key } from "../protocol/ids.ts";
import { decodeEntry, type Entry } from "../protocol/messages.ts";
import { isEarlier, type Signed } from "./facts.ts";
import type { Attempt, State } from "./state.ts";

/** Whether what this author said at this number is a fact. */
export function counts(state: State, author: Key, number: number): boolean {
  const out = state.out.get(author);
  // mutant: heed-the-guilty
  return out === undefined || number < out.from;
}

/** Notes each vote of the same author that this one excludes; looked at as soon as the entry is applied. */
export function noteConflicts(state: State, attempt: Attempt, signed: Signed, entry: Entry): void {
  for (const other of votesOf(attempt, signed.author)) {
    const said = entryOf(other);
    if (said === null) continue;
    const [before, after] = isEarlier(other, signed) ? [said, entry] : [entry, said];
    if (conflictOf(before, after) !== null) state.conflicts.push([signed, other]);
  }
}

function votesOf(attempt: Attempt, author: Key): Signed[] {
  const maps = [
    attempt.timeouts,
    attempt.regrants,
    attempt.seals,
    ...attempt.grants.values(),
    ...attempt.attests.values(),
  ];
  return maps.flatMap((votes) => votes.get(author) ?? []);
}

/** What was said there. */
export function entryOf({ shown }: Signed): Entry | null {
  return "vote" in shown ? decodeEntry(shown.vote.entry) : (shown.batch.entries[shown.index] ?? null);
}
