/** Hostile attesters: against the vote rules, and about blocks and the roster. */
import { hexToBytes } from "@noble/hashes/utils.js";
import { openAttempt } from "../../src/core/makers.ts";
import { domainDigest, type Hash, type Key, u64 } from "../../src/protocol/ids.ts";
import type { Entry } from "../../src/protocol/messages.ts";
import type { Behaviour, Hostile } from "./byzantine.ts";
import { type AttemptRef, attemptOf, noise, provers, taskOf, taskAt } from "./chatter.ts";
import { CHAIN } from "./manifest.ts";

const LOCKED: ReadonlySet<string> = new Set(["grant", "timeout", "attest", "complete", "barrier", "reject"]);

export const VOTERS = {
  equivocate: {
    who: "attester",
    says: "two batches with one number, to different peers",
    faces: 2,
    rewrite: (entry, face, node) => {
      if (face.index === 0 || !LOCKED.has(entry.kind)) return [entry];
      if (entry.kind === "grant") return [{ ...entry, prover: otherProver(node, entry.prover) }];
      if (entry.kind === "timeout") return [{ ...entry, code: "equivocated" }];
      return node.chance.next() < 0.5 ? [] : [entry];
    },
  },
  "withhold-votes": {
    who: "attester",
    says: "votes that it keeps to itself",
    rewrite: (entry) => (LOCKED.has(entry.kind) ? [] : [entry]),
  },
  "forget-votes": {
    who: "attester",
    says: "every other vote left out",
    rewrite: (entry, _face, node) => (LOCKED.has(entry.kind) && node.chance.next() < 0.5 ? [] : [entry]),
  },
  "tell-some": {
    who: "anyone",
    says: "batches for half of the peers, and answers for none of the others",
    sends: (peer, node) => isFavoured(node, peer),
    answers: (frames, peer, node) => (isFavoured(node, peer) ? frames : frames.filter(({ kind }) => kind !== "batch")),
  },
  "grant-twice": {
    who: "attester",
    says: "a grant for the owner and one for somebody else",
    rewrite: (entry, _face, node) =>
      entry.kind === "grant" ? [entry, { ...entry, prover: otherProver(node, entry.prover) }] : [entry],
  },
  "grant-all": {
    who: "attester",
    says: "a grant for whoever claims, owner or not, open or not",
    hears: (entry, author, node) => {
      if (entry.kind === "claim") node.say([{ ...attemptOf(entry), kind: "grant", prover: author }]);
    },
  },
  "vote-both": {
    who: "attester",
    says: "a timeout with every attest, and an attest with every timeout",
    rewrite: (entry, _face, node) => {
      if (entry.kind === "attest") return [entry, { ...attemptOf(entry), kind: "timeout", code: "both" }];
      if (entry.kind !== "timeout") return [entry];
      const receipt = receiptOf(node, entry);
      return receipt === null ? [entry] : [entry, { ...attemptOf(entry), kind: "attest", ...receipt }];
    },
  },
  "timeout-twice": {
    who: "attester",
    says: "each timeout a second time, with another code",
    rewrite: (entry) => (entry.kind === "timeout" ? [entry, { ...entry, code: "again" }] : [entry]),
  },
  "rash-timeout": {
    who: "attester",
    says: "a timeout for every attempt that is claimed, and for the one after it",
    hears: (entry, _author, node) => {
      if (entry.kind !== "claim") return;
      const { attempt } = entry;
      node.say(
        [attempt, attempt + 1].map((each) => ({ ...attemptOf(entry), attempt: each, kind: "timeout", code: "rash" })),
      );
    },
  },
  vouch: {
    who: "attester",
    says: "an attest for every receipt, whether its proof verifies or not",
    modules: (modules) => ({
      ...modules,
      verifier: { ...modules.verifier, verify: (_job, done) => modules.clock.after(1, () => done(VALID)) },
    }),
    hears: (entry, author, node) => {
      if (entry.kind === "receipt")
        node.say([{ ...attemptOf(entry), kind: "attest", prover: author, artefact: entry.artefact }]);
    },
  },
  // REJECT-3.
  slander: {
    who: "attester",
    says: "a reject for every receipt",
    hears: (entry, author, node) => {
      const { artefact } = entry.kind === "receipt" ? entry : { artefact: "" };
      if (entry.kind === "receipt")
        node.say([{ ...taskOf(entry), kind: "reject", prover: author, artefact, code: "slander" }]);
    },
  },
  // BARRIER-4, BARRIER-5.
  "hasty-barriers": {
    who: "attester",
    says: "a barrier for whatever content others sign, and for contents that nobody has",
    hears: (entry, _author, node) => {
      if (entry.kind === "barrier") node.say([{ ...entry }, { ...entry, content: noise(node) }]);
      if (entry.kind !== "announce") return;
      const id = node.blocks().find(({ hash }) => hash === entry.hash)?.id;
      if (id !== undefined) node.say([{ kind: "barrier", block: id, content: noise(node) }]);
    },
  },
  // CANCEL-2, RETRACT-2, RETRACT-3.
  "cancel-all": {
    who: "attester",
    says: "a cancel and a retract for every block",
    every: {
      ms: 500,
      times: 200,
      run: (node) => {
        const blocks = node.blocks().filter(({ certificate }) => certificate === null);
        node.say(
          blocks.flatMap(({ id, round }): Entry[] => [
            { kind: "cancel", block: id, round },
            { kind: "retract", block: id, round },
          ]),
        );
      },
    },
  },
  // BENCH-1, ADMIT-1.
  "bench-all": {
    who: "attester",
    says: "a vote to bench every prover from a height of its own on, and to admit some at other heights",
    every: {
      ms: 2000,
      times: 20,
      run: (node) =>
        node.say(
          // Where all were last in the order, the order would be as before.
          provers(node).flatMap((prover): Entry[] => {
            const height = node.chance.between(0, 8);
            return [
              { kind: "bench", prover, chain: CHAIN, height, turn: 0 },
              { kind: "admit", prover, chain: CHAIN, height, slots: 4 },
            ];
          }),
        ),
    },
  },
  // ADMIT-2, BENCH-2.
  "admit-nobody": {
    who: "attester",
    says: "votes to admit and to suspend keys that nobody has, hundreds of them",
    every: {
      ms: 500,
      times: 20,
      run: (node) => {
        const height = 16 * node.chance.between(1, 4);
        const keys = Array.from({ length: 40 }, () => noise(node));
        node.say(
          keys.flatMap((prover): Entry[] => [
            { kind: "admit", prover, chain: CHAIN, height, slots: 1 },
            { kind: "bench", prover, chain: CHAIN, height, turn: 0 },
          ]),
        );
      },
    },
  },
  // REQUEUE-2.
  "requeue-all": {
    who: "attester",
    says: "a vote to requeue the open attempt of each task, and one far above it",
    every: {
      ms: 700,
      times: 100,
      run: (node) => {
        const { runtime } = node.node;
        const open = node.blocks().filter(({ state }) => state === "open");
        const tasks = open.flatMap((block) => block.tasks).filter(({ completeMs }) => completeMs === null);
        if (runtime === null) return;
        node.say(
          tasks.slice(0, 50).flatMap((task): Entry[] => {
            const { number } = openAttempt(runtime.state, task);
            const at = { block: task.block.id, stage: task.stage.name, index: task.index };
            return [number, number + 1000].map((attempt) => ({ ...at, kind: "requeue", attempt }));
          }),
        );
      },
    },
  },
  // ANNOUNCE-12.
  "poison-blocks": {
    who: "attester",
    says: "announcements of true blocks with another payload, parent, height or size",
    rewrite: (entry, _face, node) => {
      if (entry.kind !== "announce") return [entry];
      const lies = [
        { payload: noise(node) },
        { parent: noise(node) },
        { items: 40 },
        { start: !entry.start },
        { height: entry.height + 1 },
      ];
      return [{ ...entry, ...node.pick(lies) }];
    },
  },
  // ANNOUNCE-13, BATCH-9.
  "invent-blocks": {
    who: "attester",
    says: "announcements of blocks that are not on the chain, and of true ones with another payload",
    every: {
      ms: 700,
      times: 60,
      run: (node) => {
        const known = node.pick(node.blocks());
        if (known === undefined) return;
        const { chain, height, hash, workflow, payload, items, start } = known;
        const base = { kind: "announce", chain, workflow, items, start, round: 0 } as const;
        node.say([
          { ...base, height: height + 1, parent: hash, hash: noise(node), payload },
          { ...base, height, hash, parent: known.parent, payload: noise(node) },
        ]);
        // A batch of its own, because the whole batch stays with the peers.
        node.say([{ ...base, height: height + 5000, hash: noise(node), parent: hash, payload, start: false }]);
      },
    },
  },
} satisfies Record<string, Behaviour>;

const VALID = { ok: true, value: { valid: true } } as const;

function otherProver(node: Hostile, prover: Key): Key {
  return node.pick(provers(node).filter((key) => key !== prover)) ?? prover;
}

/** Half of the peers, by their keys: the same half for every hostile node, which is worse. */
function isFavoured(node: Hostile, peer: Key): boolean {
  const [first = 0] = domainDigest("sim-favour", u64(node.options.world.seed), hexToBytes(peer));
  return first % 2 === 0;
}

function receiptOf(node: Hostile, at: AttemptRef): { readonly prover: Key; readonly artefact: Hash } | null {
  const task = taskAt(node, at);
  for (const proof of task?.proofs.values() ?? [])
    for (const [prover, receipt] of proof.receipts)
      if (receipt.some(({ attempt }) => attempt === at.attempt)) return { prover, artefact: proof.artefact };
  return null;
}
