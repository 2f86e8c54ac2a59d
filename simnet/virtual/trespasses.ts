/** Hostile nodes that break a rule of feeds, or sign what only others may sign. */
import { show } from "../../src/core/facts.ts";
import { openAttempt } from "../../src/core/makers.ts";
import { ownerOfAttempt } from "../../src/core/standing.ts";
import { voteOf } from "../../src/protocol/batch.ts";
import type { Entry, EntryOf } from "../../src/protocol/messages.ts";
import type { Behaviour, Hostile } from "./byzantine.ts";
import { attemptOf, noise, taskOf } from "./chatter.ts";

const BEAT: Entry = { kind: "beat", tasks: [] };
/** More rounds than a block may have. */
const ROUNDS = 100;
/** By then a quorum has timed out the attempts that have failed. */
const LATER_MS = 1_000;

export const TRESPASSES = {
  // BATCH-13.
  "break-chain": {
    who: "anyone",
    says: "batches that name another batch before them than there is",
    every: {
      ms: 700,
      times: 8,
      run: (node) => {
        for (const face of node.faces) {
          face.previous = noise(node);
          node.say([BEAT], face);
        }
      },
    },
  },
  // BATCH-17.
  "start-again": {
    who: "anyone",
    says: "batches of an earlier start of its key than the batch before",
    every: {
      ms: 700,
      times: 8,
      run: (node) => {
        for (const face of node.faces) for (const start of [9, 2]) node.say([BEAT], face, start);
      },
    },
  },
  // ANNOUNCE-4.
  "announce-rounds": {
    who: "attester",
    says: "each block of the chain in a hundred later rounds",
    hears: (entry, _author, node) => {
      if (entry.kind !== "announce" || !node.isFirst(`rounds ${entry.hash}`)) return;
      node.say(Array.from({ length: ROUNDS }, (_, round) => ({ ...entry, round: round + 1 })));
    },
  },
  // RELEASE-1, FAIL-1.
  "end-others": {
    who: "prover",
    says: "a release and a failure of each attempt that somebody else claims",
    hears: (entry, _author, node) => {
      if (entry.kind !== "claim") return;
      node.say([
        { ...attemptOf(entry), kind: "release" },
        { ...attemptOf(entry), kind: "fail", code: "input.unprovable", logical: true },
      ]);
    },
  },
  // FAIL-1.
  "fail-in-their-words": {
    who: "prover",
    says: "a failure of each attempt that it claims, under a code of attesters",
    rewrite: (entry, _face, node) => {
      if (entry.kind !== "claim") return [entry];
      const code = node.pick(["not-claimed", "no-progress", "limit", "others-timed-out"]) ?? "limit";
      return [entry, { ...attemptOf(entry), kind: "fail", code, logical: false }];
    },
  },
  // PACE-6.
  "claim-what-is-over": {
    who: "prover",
    says: "a claim of each attempt that somebody has failed, long afterwards",
    hears: (entry, _author, node) => {
      if (entry.kind !== "fail") return;
      node.options.world.after(LATER_MS, () => node.say([{ ...attemptOf(entry), kind: "claim", timeouts: [] }]));
    },
  },
  // EVIDENCE-2.
  "accuse-the-honest": {
    who: "anyone",
    says: "evidence that each attest of others is for a proof that does not verify",
    hearsBatch: (batch, node) => {
      if (node.options.fellows.has(batch.head.author)) return;
      const attests = batch.entries.flatMap((entry, index) => (entry.kind === "attest" ? [index] : []));
      node.say(attests.map((index): EntryOf<"evidence"> => ({ kind: "evidence", shown: [voteOf(batch, index)] })));
    },
  },
  // EVIDENCE-6.
  "vote-without-right": {
    who: "prover",
    says: "votes of an attester that exclude each other, about each attempt that somebody claims",
    hears: (entry, author, node) => {
      if (entry.kind === "claim") node.say(twoVotes(node, entry, author));
    },
  },
  // EVIDENCE-6.
  "show-trespasses": {
    who: "anyone",
    says: "evidence against provers that sign votes, which they have no right to",
    hearsBatch: (batch, node) => {
      if (node.options.manifest.weights.has(batch.head.author)) return;
      const grants = batch.entries.flatMap((entry, index) => (entry.kind === "grant" ? [index] : []));
      const [one, other] = grants;
      if (one === undefined || other === undefined) return;
      node.say([{ kind: "evidence", shown: [voteOf(batch, one), voteOf(batch, other)] }]);
    },
  },
  // EVIDENCE-5.
  "offend-backwards": {
    who: "attester",
    says: "twelve batches with two grants each, the last one first",
    hears: (entry, author, node) => {
      if (entry.kind !== "claim" || !node.isFirst("offences")) return;
      for (const face of node.faces) {
        const sealed = Array.from({ length: 12 }, () => {
          const grants = twoVotes(node, entry, author).slice(0, 2);
          const batch = node.seal(face, grants);
          face.next++;
          face.previous = batch.hash;
          return batch;
        });
        for (const [at, batch] of sealed.toReversed().entries())
          node.options.world.after(200 * at, () => {
            face.batches.push(batch);
            node.send(batch.bytes);
          });
      }
    },
  },
  // GRANT-6.
  "claim-copies": {
    who: "prover",
    says: "a claim of each attempt that it owns, whatever else it has in hand, and no release",
    rewrite: (entry) => (entry.kind === "release" ? [] : [entry]),
    every: {
      ms: 100,
      times: 150,
      run: (node) => {
        const { runtime } = node.node;
        if (runtime === null) return;
        for (const task of node.blocks().flatMap(({ state, tasks }) => (state === "open" ? tasks : []))) {
          const { number } = openAttempt(runtime.state, task);
          const at = { block: task.block.id, stage: task.stage.name, index: task.index, attempt: number };
          if (task.completeMs !== null || ownerOfAttempt(runtime.state, task, number) !== node.key) continue;
          if (!node.isFirst(`claim ${at.block} ${at.stage}/${at.index}#${number}`)) continue;
          const before = number === 0 ? [] : [...(task.attempts.get(number - 1)?.timeouts.values() ?? [])];
          node.say([{ ...at, kind: "claim", timeouts: before.map(show) }]);
        }
      },
    },
  },
  // BARRIER-4.
  "sign-many-contents": {
    who: "attester",
    says: "a barrier for twenty contents of each block that nobody has",
    hears: (entry, _author, node) => {
      if (entry.kind !== "announce") return;
      const id = node.blocks().find(({ hash }) => hash === entry.hash)?.id;
      if (id === undefined || !node.isFirst(`contents ${id}`)) return;
      node.say(Array.from({ length: 20 }, () => ({ kind: "barrier", block: id, content: noise(node) })));
    },
  },
} satisfies Record<string, Behaviour>;

function twoVotes(node: Hostile, entry: EntryOf<"claim">, author: string): Entry[] {
  const at = { ...taskOf(entry), attempt: entry.attempt };
  return [
    { ...at, kind: "grant", prover: author },
    { ...at, kind: "grant", prover: node.key },
    { ...at, kind: "timeout", code: "flood" },
    { ...at, kind: "attest", prover: author, artefact: noise(node) },
  ];
}
