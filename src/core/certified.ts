/** Certificates of votes as files: what this node's log holds a quorum for. */
import { encodeEvidence, encodeVotes, type VoteKind } from "../protocol/votes.ts";
import type { Key } from "../protocol/ids.ts";
import { announcementOf } from "./blocks.ts";
import { assignedTo } from "./makers.ts";
import { isQuorum, show, type Signed } from "./facts.ts";
import type { Attempt, State, Task } from "./state.ts";

/**
 * The certificate of this kind for an attempt of the task; without a number the last attempt that has one. `null` where
 * there is none, or where its votes are not kept any more.
 */
export function certificateOf(state: State, task: Task, kind: VoteKind, attempt: number | null): Uint8Array | null {
  const attempts = [...task.attempts.values()].sort((a, b) => b.number - a.number);
  for (const each of attempts) {
    if (attempt !== null && each.number !== attempt) continue;
    const found = votesOf(state, each, kind);
    if (found === null) continue;
    const { block, stage, index } = task;
    const content = {
      network: state.manifest.network,
      ...announcementOf(block),
      stage: stage.name,
      index,
      attempt: each.number,
      prover: found.prover,
    };
    return encodeVotes(kind, content, [...found.votes.values()].map(show));
  }
  return null;
}

function votesOf(
  state: State,
  attempt: Attempt,
  kind: VoteKind,
): { readonly prover: Key | null; readonly votes: ReadonlyMap<Key, Signed> } | null {
  switch (kind) {
    case "timeout":
      return isQuorum(state, attempt.timeouts.keys()) ? { prover: null, votes: attempt.timeouts } : null;
    case "assignment": {
      const prover = assignedTo(state, attempt);
      return prover === null ? null : { prover, votes: attempt.grants.get(prover) ?? new Map<Key, Signed>() };
    }
    case "credit": {
      const paid = [...attempt.attests].find(([, votes]) => isQuorum(state, votes.keys()));
      return paid === undefined ? null : { prover: paid[0], votes: paid[1] };
    }
  }
}

/** What is known against the key, as a file; `null` where nothing is. */
export function evidenceOf(state: State, key: Key): Uint8Array | null {
  const out = state.out.get(key);
  return out === undefined ? null : encodeEvidence(state.manifest.network, out, out.shown);
}
