/** Provers that want to be paid for what others prove. */
import { impliedValues } from "../../src/core/makers.ts";
import { attemptOf } from "../../src/core/state.ts";
import type { Key } from "../../src/protocol/ids.ts";
import type { EntryOf } from "../../src/protocol/messages.ts";
import { possessionOf } from "../../src/protocol/payee.ts";
import type { Clock, Prover } from "../../src/ports.ts";
import type { Behaviour, Hostile } from "./byzantine.ts";
import { taskOf } from "./chatter.ts";

/** As often as an honest prover that works. */
const BEAT_MS = 200;

export const THIEVES = {
  // RECEIPT-8.
  copy: {
    who: "prover",
    says: "claims and progress, and somebody else's receipt as its own once there is one",
    modules: (modules) => ({ ...modules, provers: modules.provers.map((prover) => idle(prover, modules.clock)) }),
    hears: (entry, _author, node) => {
      if (entry.kind === "receipt") node.say(copies(node, entry));
    },
    rewrite: (entry, _face, node) => {
      if (entry.kind !== "claim") return [entry];
      const known = proofFor(node, entry);
      return known === undefined ? [entry] : [entry, ...copies(node, known, [entry.attempt])];
    },
  },
  // RECEIPT-9, RECEIPT-10, ATTEST-6.
  "copy-whole": {
    who: "prover",
    says: "claims and progress, and somebody else's proof as its own once it has got all of it",
    modules: (modules) => ({ ...modules, provers: modules.provers.map((prover) => idle(prover, modules.clock)) }),
    hears: (entry, author, node) => {
      if (entry.kind === "receipt") handIn(node, entry, author);
    },
    rewrite: (entry, _face, node) => {
      const known = entry.kind === "claim" ? proofFor(node, entry) : undefined;
      if (entry.kind === "claim" && known !== undefined) handIn(node, known, node.key, [entry.attempt]);
      return [entry];
    },
  },
} satisfies Record<string, Behaviour>;

/** A proof that does not name its maker is worth something only to those who have all of it. */
function handIn(node: Hostile, receipt: EntryOf<"receipt">, maker: Key, also: readonly number[] = []): void {
  const peers = [maker, ...node.peers()].filter((peer) => peer !== node.key);
  const fetched = (proof: Uint8Array) => {
    // Only proofs that do not name their maker come with a sign that their holder has them.
    const payee = receipt.possession.length === 0 ? "digest" : "none";
    const possession = possessionOf(payee, proof, node.key);
    node.say(copies(node, { ...receipt, possession }, also));
  };
  node.fetch(receipt.artefact, fetched, peers);
}

/** Says that it gets on, and never ends. */
export function idle(prover: Prover, clock: Clock): Prover {
  return {
    system: prover.system,
    slots: prover.slots,
    close: () => prover.close(),
    prove: (_job, emit) => {
      let [units, over] = [0, false];
      const beat = () => {
        if (over) return;
        emit({ kind: "progress", units: ++units });
        clock.after(BEAT_MS, beat);
      };
      clock.after(BEAT_MS, beat);
      return () => {
        over = true;
      };
    },
  };
}

/** The same proof, handed in for each attempt that this node has claimed. */
function copies(node: Hostile, receipt: EntryOf<"receipt">, also: readonly number[] = []): EntryOf<"receipt">[] {
  const block = node.blocks().find(({ id }) => id === receipt.block);
  const task = block?.tasks.find(({ stage, index }) => stage.name === receipt.stage && index === receipt.index);
  if (task === undefined) return [];
  const claims = [...task.attempts.keys()].filter((number) => attemptOf(task, number).claims.has(node.key));
  const claimed = new Set([...claims, ...also]);
  // Its own public values: those of another would show at once.
  const values = impliedValues(task, node.key) ?? receipt.values;
  return [...claimed].map((attempt) => ({ ...receipt, ...taskOf(receipt), attempt, values }));
}

/** Somebody's receipt for the task that this node has just claimed. */
function proofFor(node: Hostile, { block, stage, index }: EntryOf<"claim">): EntryOf<"receipt"> | undefined {
  return node.heard
    .flatMap(({ entries }) => entries)
    .filter((entry) => entry.kind === "receipt")
    .find((entry) => entry.block === block && entry.stage === stage && entry.index === index);
}
