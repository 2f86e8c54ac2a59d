/** Hostile provers that waste the time of everybody else: they claim, hold back, fail or lie about proofs. */
import { endOf, foundEnd } from "../../src/core/ends.ts";
import { openAttempt } from "../../src/core/makers.ts";
import { ownerOfAttempt } from "../../src/core/standing.ts";
import { show } from "../../src/core/facts.ts";
import type { ProveEvent, Prover } from "../../src/ports.ts";
import { artefactHash, type Hash } from "../../src/protocol/ids.ts";
import type { EntryOf } from "../../src/protocol/messages.ts";
import type { RuntimeModules } from "../../src/runtime/runtime.ts";
import type { Behaviour, Hostile } from "./byzantine.ts";
import { attemptOf, taskAt } from "./chatter.ts";
import { wrongProof } from "./provers.ts";

export const WASTERS = {
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

/** By node: how late it claims. It tries how much the others learn to wait. */
const lateness = new WeakMap<Hostile, { ms: number }>();
const LATE_MS = 420;
const LATE_MS_MAX = 3900;

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
