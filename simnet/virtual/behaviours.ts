/** Every way to be hostile that the simulator knows, by name. A hostile node has one or several of them. */
import { hexToBytes } from "@noble/hashes/utils.js";
import { endOf, foundEnd } from "../../src/core/ends.ts";
import { openAttempt } from "../../src/core/makers.ts";
import { ownerOfAttempt } from "../../src/core/standing.ts";
import { show } from "../../src/core/facts.ts";
import type { Task } from "../../src/core/state.ts";
import type { ProveEvent, Prover } from "../../src/ports.ts";
import { artefactHash, domainDigest, type Hash, type Key, u64 } from "../../src/protocol/ids.ts";
import type { Entry, EntryOf } from "../../src/protocol/messages.ts";
import type { RuntimeModules } from "../../src/runtime/runtime.ts";
import type { Behaviour, Hostile } from "./byzantine.ts";
import { type AttemptRef, attemptOf, chatter, forge, malleated, noise, provers, taskOf } from "./chatter.ts";
import { CHAIN } from "./manifest.ts";
import { FAKES } from "./fakes.ts";
import { FLOODS } from "./floods.ts";
import { LIES } from "./lies.ts";
import { wrongProof } from "./provers.ts";
import { RECEIPTS } from "./receipts.ts";
import { SYBILS } from "./sybils.ts";
import { THIEVES } from "./thieves.ts";
import { TRESPASSES } from "./trespasses.ts";
import { ECHOES } from "./echoes.ts";

const LOCKED: ReadonlySet<string> = new Set(["grant", "timeout", "attest", "complete", "barrier", "reject"]);

/** Attesters against the vote rules. */
const VOTERS = {
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

/** Provers against everybody's time. */
const PROVERS = {
  // RELEASE-1.
  "claim-and-drop": {
    who: "prover",
    says: "claims, and no work",
    modules: (modules) => ({ ...modules, provers: modules.provers.map((prover) => proving(prover, () => () => {})) }),
  },
  // BEAT-1.
  "beat-forever": {
    who: "prover",
    says: "progress without end, and never a proof",
    modules: (modules) => ({
      ...modules,
      provers: modules.provers.map((prover) => proving(prover, (_job, emit) => beating(modules, emit))),
    }),
  },
  // PACE-2.
  "fail-logically": {
    who: "prover",
    says: "that the input of each task cannot be proven",
    modules: (modules) => ({
      ...modules,
      provers: modules.provers.map((prover) =>
        proving(prover, (_job, emit) =>
          modules.clock.after(50, () =>
            emit({ kind: "failed", logical: true, fault: { code: "input.unprovable", message: "simulated" } }),
          ),
        ),
      ),
    }),
  },
  // FAIL-1.
  "fail-early": {
    who: "prover",
    says: "a claim and a failure for each attempt of its own as soon as that is open, whatever its pause",
    hears: (entry, _author, node) => {
      const { runtime } = node.node;
      const task = entry.kind === "timeout" ? taskAt(node, entry) : undefined;
      if (runtime === null || task === undefined || task.completeMs !== null) return;
      const attempt = openAttempt(runtime.state, task);
      const { number } = attempt;
      if (endOf(attempt, node.key) !== null || ownerOfAttempt(runtime.state, task, number) !== node.key) return;
      foundEnd(attempt, node.key, "early");
      const at = { block: task.block.id, stage: task.stage.name, index: task.index, attempt: number };
      const before = number === 0 ? [] : [...(task.attempts.get(number - 1)?.timeouts.values() ?? [])];
      node.say([
        { ...at, kind: "claim", timeouts: before.map(show) },
        { ...at, kind: "fail", code: "input.unprovable", logical: true },
      ]);
    },
  },
  "lose-some": {
    who: "prover",
    says: "a proof of every other task, and for the rest progress without end",
    modules: (modules) => ({
      ...modules,
      provers: modules.provers.map((prover) => {
        let jobs = 0;
        return proving(prover, (job, emit) => (++jobs % 2 === 0 ? prover.prove(job, emit) : beating(modules, emit)));
      }),
    }),
  },
  "wrong-proof": {
    who: "prover",
    says: "proofs that do not verify",
    modules: (modules, node) => ({
      ...modules,
      provers: altered(modules, (event) => ({ ...event, proof: wrongProof(node.options.world, event.values) })),
    }),
  },
  // RECEIPT-6.
  "wrong-values": {
    who: "prover",
    says: "true proofs under public values of something else",
    // A node signs no values but those that it derives itself, so its prover cannot make it lie.
    rewrite: (entry) => (entry.kind === "receipt" ? [{ ...entry, values: new Uint8Array(32) }] : [entry]),
  },
  "withhold-receipts": {
    who: "prover",
    says: "claims and beats, and receipts for nobody",
    rewrite: (entry) => (entry.kind === "receipt" ? [] : [entry]),
  },
  "receipt-some": {
    who: "prover",
    says: "two batches with one number: with its receipt for some peers, without for the others",
    faces: 2,
    rewrite: (entry, face) => (face.index === 1 && entry.kind === "receipt" ? [] : [entry]),
  },
  // CLAIM-2.
  "claim-all": {
    who: "prover",
    says: "a claim of everything that anybody claims",
    hears: (entry, _author, node) => {
      if (entry.kind === "claim") node.say([{ ...entry }]);
    },
  },
  hoard: {
    who: "prover",
    says: "a claim of all that it owns as soon as the block is announced, and little work",
    hears: (entry, _author, node) => {
      if (entry.kind !== "announce") return;
      node.options.world.after(50, () => hoard(node, entry.hash));
    },
    modules: (modules) => ({ ...modules, provers: modules.provers.map((prover) => proving(prover, () => () => {})) }),
  },
  steal: {
    who: "prover",
    says: "receipts with somebody else's proof, for the same task and for the next",
    hears: (entry, _author, node) => {
      if (entry.kind === "receipt") node.say([{ ...entry }, { ...entry, index: entry.index + 1 }]);
    },
  },
  "claim-late": {
    who: "prover",
    says: "a claim at the last moment, as late as the others allow it by then, a release right behind it, and no proof",
    modules: (modules) => ({ ...modules, provers: modules.provers.map((prover) => proving(prover, () => () => {})) }),
    rewrite: (entry, face, node) => {
      if (entry.kind !== "claim") return [entry];
      const state = lateness.get(node) ?? { ms: LATE_MS };
      lateness.set(node, state);
      node.options.world.after(state.ms, () => {
        const task = taskAt(node, entry);
        const { runtime } = node.node;
        if (task === undefined || runtime === null) return;
        const isInTime = openAttempt(runtime.state, task).number === entry.attempt;
        state.ms = Math.min(Math.max(state.ms * (isInTime ? 1.2 : 0.8), LATE_MS), LATE_MS_MAX);
        node.say([entry, { ...attemptOf(entry), kind: "release" }], face);
      });
      return [];
    },
  },
  // RELEASE-1, RELEASE-3.
  "claim-and-release": {
    who: "prover",
    says: "a release right behind each claim, and a failure behind each receipt",
    rewrite: (entry) => {
      if (entry.kind === "claim") return [entry, { ...attemptOf(entry), kind: "release" }];
      if (entry.kind !== "receipt") return [entry];
      return [entry, { ...attemptOf(entry), kind: "fail", code: "regret", logical: true }];
    },
  },
  // RECEIPT-3.
  "inline-lies": {
    who: "prover",
    says: "receipts whose inline proof is another one than they name",
    rewrite: (entry, _face, node) => {
      if (entry.kind !== "receipt") return [entry];
      return [{ ...entry, artefact: artefactHash(wrongProof(node.options.world, entry.values)) }];
    },
  },
} satisfies Record<string, Behaviour>;

/** Anybody against the network. */
const ANYONE = {
  silence: { who: "anyone", says: "nothing at all", rewrite: () => [], sends: () => false },
  // BATCH-6.
  replay: {
    who: "anyone",
    says: "what others said, again",
    every: {
      ms: 300,
      times: 200,
      run: (node) => {
        for (let i = 0; i < 8; i++) {
          const batch = node.pick(node.heard);
          if (batch !== undefined) node.send(batch.bytes);
        }
      },
    },
  },
  // BATCH-10.
  forge: {
    who: "anyone",
    says: "batches of others under signatures that do not hold, and votes that it has no right to",
    every: { ms: 300, times: 200, run: (node) => forge(node) },
    hearsBatch: (batch, node) => node.send(malleated(node, batch)),
  },
  flood: {
    who: "anyone",
    says: "statements about everything and nothing, as many as go into a batch",
    every: {
      ms: 250,
      times: 80,
      run: (node) => node.say(Array.from({ length: 100 }, () => chatter(node))),
    },
  },
  leap: {
    who: "anyone",
    says: "batches of its own thousands of numbers above all others, and nothing in between",
    every: {
      ms: 2_000,
      times: 20,
      run: (node) => {
        const next = 1000 * (node.chance.between(1, 1000) + 1000 * node.heard.length);
        node.send(node.seal({ next, previous: noise(node) }, [chatter(node)]).bytes);
      },
    },
  },
  // REJECT-2.
  "wrong-artefacts": {
    who: "anyone",
    says: "other bytes than those that are asked for",
    artefacts: (artefacts) => ({
      has: (hash, done) => artefacts.has(hash, done),
      read: (hash, _bytesMax, done) => artefacts.has(hash, () => done({ ok: true, value: new Uint8Array(64) })),
      size: (hash, done) => artefacts.has(hash, () => done({ ok: true, value: 64 })),
      readPart: (hash, _offset, _bytesMax, done) =>
        artefacts.has(hash, () => done({ ok: true, value: new Uint8Array(64) })),
      receive: (hash, length, done) => artefacts.receive(hash, length, done),
      write: (bytes, done) => artefacts.write(bytes, done),
      keep: (bytes, done) => artefacts.keep(bytes, done),
      forget: (hashes, done) => artefacts.forget(hashes, done),
    }),
  },
  conspire: {
    who: "anyone",
    says: "whatever helps the other hostile nodes: grants, attests, and timeouts for everybody else",
    hearsFellows: true,
    hears: (entry, author, node) => {
      const isFellow = node.options.fellows.has(author);
      if (entry.kind === "claim")
        node.say([
          isFellow
            ? { ...attemptOf(entry), kind: "grant", prover: author }
            : { ...attemptOf(entry), kind: "timeout", code: "conspiracy" },
        ]);
      if (entry.kind === "receipt" && isFellow)
        node.say([{ ...attemptOf(entry), kind: "attest", prover: author, artefact: entry.artefact }]);
    },
  },
} satisfies Record<string, Behaviour>;

export const BEHAVIOURS: Readonly<Record<string, Behaviour>> = {
  ...VOTERS,
  ...PROVERS,
  ...ANYONE,
  ...LIES,
  ...RECEIPTS,
  ...FLOODS,
  ...FAKES,
  ...THIEVES,
  ...SYBILS,
  ...ECHOES,
  ...TRESPASSES,
};

/** By node: how late it claims. It tries how much the others learn to wait. */
const lateness = new WeakMap<Hostile, { ms: number }>();
const LATE_MS = 420;
const LATE_MS_MAX = 3900;

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

function taskAt(node: Hostile, at: Omit<AttemptRef, "attempt">): Task | undefined {
  const block = node.blocks().find(({ id }) => id === at.block);
  return block?.tasks.find(({ stage, index }) => stage.name === at.stage && index === at.index);
}

/** Work that shows progress and has no end. */
function beating({ clock }: Pick<RuntimeModules, "clock">, emit: (event: ProveEvent) => void): () => void {
  let [units, over] = [0, false];
  const beat = () => {
    if (over) return;
    emit({ kind: "progress", units: ++units });
    clock.after(200, beat);
  };
  clock.after(200, beat);
  return () => {
    over = true;
  };
}

function proving(prover: Prover, prove: Prover["prove"]): Prover {
  return { system: prover.system, slots: prover.slots, prove, close: () => prover.close() };
}

function altered(
  modules: { readonly provers: readonly Prover[] },
  alter: (event: Extract<ProveEvent, { kind: "proved" }>) => ProveEvent,
): Prover[] {
  return modules.provers.map((prover) =>
    proving(prover, (job, emit) => prover.prove(job, (event) => emit(event.kind === "proved" ? alter(event) : event))),
  );
}

/** With the attempts that come later as well, which nobody may open yet. */
function hoard(node: Hostile, hash: Hash): void {
  const { runtime } = node.node;
  const block = node.blocks().find((each) => each.hash === hash);
  if (runtime === null || block === undefined) return;
  const claims = block.tasks.flatMap((task) =>
    [0, 1, 2].flatMap((attempt): EntryOf<"claim">[] => {
      if (ownerOfAttempt(runtime.state, task, attempt) !== node.key) return [];
      return [{ kind: "claim", block: block.id, stage: task.stage.name, index: task.index, attempt, timeouts: [] }];
    }),
  );
  node.say(claims.slice(0, 100));
}
