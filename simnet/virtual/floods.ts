/**
 * Hostile nodes that make others keep or compute as much as they can, for as few bytes as they can send. Each tries one
 * container that a limit of its own would bound badly; the account of the author has to bound them all.
 */
import { concatBytes } from "@noble/hashes/utils.js";
import { impliedValues } from "../../src/core/makers.ts";
import { sealBatch } from "../../src/protocol/batch.ts";
import { showHead } from "../../src/protocol/evidence.ts";
import { artefactHash } from "../../src/protocol/ids.ts";
import type { Entry, EntryOf } from "../../src/protocol/messages.ts";
import { BATCH_ENTRIES_MAX } from "../../src/protocol/limits.ts";
import type { Behaviour, Hostile } from "./byzantine.ts";
import { noise, taskOf } from "./chatter.ts";
import { CHAIN } from "./manifest.ts";
import { wrongProof } from "./provers.ts";

/** A proof that no receipt carries. */
const LARGE_BYTES: number = 4 << 10;
/** Entries that a flood signs at once: fewer than a batch may have, so that it always fits into a message. */
const ENTRIES = 100;

export const FLOODS = {
  "flood-attempts": {
    who: "prover",
    says: "claims, failures and releases of attempts that are far from open",
    every: { ms: 250, times: 16, run: (node) => say(node, () => aboutAttempts(node)) },
  },
  "flood-nothing": {
    who: "prover",
    says: "claims of tasks of blocks that nobody has announced",
    every: {
      ms: 250,
      times: 16,
      run: (node) =>
        say(node, () => ({ kind: "claim", block: noise(node), stage: "shard", index: 0, attempt: 0, timeouts: [] })),
    },
  },
  "flood-proofs": {
    who: "attester",
    says: "that proofs verify, or do not, that nobody has",
    every: {
      ms: 250,
      times: 16,
      run: (node) =>
        say(node, () => {
          const at = anyTask(node);
          if (node.chance.next() < 0.5) return { ...at, kind: "complete", prover: node.key, artefact: noise(node) };
          return { ...at, kind: "reject", prover: node.key, artefact: noise(node), code: "flood" };
        }),
    },
  },
  "flood-blocks": {
    who: "attester",
    says: "announcements of blocks with as many tasks as there may be, at heights of the chain and above",
    every: { ms: 250, times: 16, run: (node) => say(node, () => block(node)) },
  },
  "flood-wrong": {
    who: "prover",
    says: "receipts of wrong proofs for every open task, as many as count in three attempts, and no true one",
    rewrite: (entry) => (entry.kind === "receipt" ? [] : [entry]),
    every: { ms: 250, times: 16, run: (node) => node.say(wrongReceipts(node).slice(0, ENTRIES)) },
  },
  "flood-disk": {
    who: "prover",
    says: "receipts of wrong proofs that are too large for a receipt, for every open task, and no true one",
    rewrite: (entry) => (entry.kind === "receipt" ? [] : [entry]),
    every: { ms: 250, times: 16, run: (node) => node.say(wrongReceipts(node, LARGE_BYTES).slice(0, ENTRIES)) },
  },
  // JOIN-4, ADMIT-5.
  "flood-joins": {
    who: "prover",
    says: "that it wants to join, with every number of slots",
    every: {
      // Before a quorum has admitted it.
      ms: 10,
      times: 16,
      run: (node) =>
        say(node, () => ({ kind: "join", chain: CHAIN, slots: node.chance.between(0, 10_000), proofs: [] })),
    },
  },
  // EVIDENCE-4.
  "flood-evidence": {
    who: "anyone",
    says: "evidence against others whose signatures do not hold",
    every: { ms: 250, times: 16, run: (node) => say(node, () => falseEvidence(node)) },
  },
} satisfies Record<string, Behaviour>;

const HEARTBEAT: EntryOf<"beat"> = { kind: "beat", tasks: [] };

function say(node: Hostile, entry: () => Entry | null): void {
  const entries = Array.from({ length: Math.min(ENTRIES, BATCH_ENTRIES_MAX) }, entry);
  node.say(entries.filter((each) => each !== null));
}

function anyTask(node: Hostile): ReturnType<typeof taskOf> {
  const open = node.blocks().filter(({ certificate }) => certificate === null);
  const task = node.pick(node.pick(open)?.tasks ?? []);
  if (task === undefined) return { block: noise(node), stage: "shard", index: 0 };
  return { block: task.block.id, stage: task.stage.name, index: task.index };
}

function aboutAttempts(node: Hostile): Entry {
  const at = { ...anyTask(node), attempt: node.chance.between(3, 999) };
  switch (node.chance.between(0, 2)) {
    case 0:
      return { ...at, kind: "claim", timeouts: [] };
    case 1:
      return { ...at, kind: "release" };
    default:
      return { ...at, kind: "fail", code: "flood", logical: true };
  }
}

/** Two for each attempt that counts, under values that the node itself has derived. Large ones are for peers to fetch. */
function wrongReceipts(node: Hostile, bytes = 0): Entry[] {
  const tasks = node.blocks().flatMap((each) => (each.certificate === null ? each.tasks : []));
  const undone = tasks.filter(({ completeMs }) => completeMs === null);
  return undone.flatMap((task) => {
    const values = impliedValues(task, node.key);
    if (values === null) return [];
    return [0, 1, 2, 3, 4, 5].map((at): EntryOf<"receipt"> => {
      const proof = concatBytes(wrongProof(node.options.world, values, at), new Uint8Array(bytes));
      if (bytes > 0) node.node.disk.artefacts.write(proof, () => {});
      return {
        kind: "receipt",
        ...taskOf({ block: task.block.id, stage: task.stage.name, index: task.index }),
        attempt: at >> 1,
        system: task.variant.system,
        key: task.variant.key,
        artefact: artefactHash(proof),
        bytes: proof.length,
        values,
        provingMs: 1,
        inline: bytes > 0 ? new Uint8Array() : proof,
        possession: new Uint8Array(),
        nonce: new Uint8Array(),
      };
    });
  });
}

function block(node: Hostile): Entry | null {
  const { workflow = "block", height = 0 } = node.pick(node.blocks()) ?? {};
  return {
    kind: "announce",
    chain: CHAIN,
    height: height + node.chance.between(0, 3),
    hash: noise(node),
    parent: noise(node),
    start: false,
    workflow,
    items: node.chance.between(1, 12_000),
    payload: noise(node),
    round: 0,
  };
}

/** Two heads of one number by another author, the second under a signature that does not hold. */
function falseEvidence(node: Hostile): Entry | null {
  const batch = node.pick(node.heard);
  if (batch === undefined) return null;
  const { author, number, previous } = batch.head;
  const other = sealBatch(node.options.manifest.network, { author, number, previous }, [HEARTBEAT], () =>
    new Uint8Array(64).fill(1),
  );
  const shown = [batch, other].map(({ headBytes, signature }) => showHead({ head: headBytes, signature }));
  return { kind: "evidence", shown };
}
