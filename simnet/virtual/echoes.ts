/** Provers of results that nobody verifies: they want to be counted for what others have worked out, or stop the others. */
import { copiesOf } from "../../src/core/matching.ts";
import { attemptOf as attemptIn, type Task } from "../../src/core/state.ts";
import type { Artefacts } from "../../src/ports.ts";
import { domainDigest, type Hash, u64 } from "../../src/protocol/ids.ts";
import type { Entry, EntryOf } from "../../src/protocol/messages.ts";
import { commitmentOf, decodeOpening, encodeOpening, isOpening } from "../../src/protocol/opening.ts";
import { taskValues } from "../../src/protocol/workflow.ts";
import type { Behaviour, Hostile } from "./byzantine.ts";
import { attemptOf, noise } from "./chatter.ts";
import { idle } from "./thieves.ts";

/** Lengths of simulated results. */
const RESULT_BYTES = 32;
const EMPTY = { inline: new Uint8Array(), possession: new Uint8Array() };
/** How often an echo asks for the opening of a commitment that it has heard of, and how soon again. */
const PEEKS = 3;
const PEEK_MS = 50;

export const ECHOES = {
  echo: {
    who: "prover",
    says: "claims and progress, and the first result of another prover as its own, as soon as it can read one",
    modules: (modules) => ({ ...modules, provers: modules.provers.map((prover) => idle(prover, modules.clock)) }),
    hears: (entry, author, node) => {
      if (entry.kind === "commit") peek(node, author, entry);
      const task = "artefact" in entry ? taskAt(node, entry) : undefined;
      if (task !== undefined && "artefact" in entry) node.say(echoesOf(node, task, entry.artefact));
    },
    rewrite: (entry, _face, node) => {
      if (entry.kind !== "claim") return [entry];
      const task = taskAt(node, entry);
      const known = task === undefined ? undefined : firstResult(node, task);
      return task === undefined || known === undefined
        ? [entry]
        : [entry, ...echoesOf(node, task, known, attemptOf(entry))];
    },
  },
  "commit-copy": {
    who: "prover",
    says: "commitments of others as its own",
    modules: (modules) => ({ ...modules, provers: modules.provers.map((prover) => idle(prover, modules.clock)) }),
    hears: (entry, _author, node) => {
      const task = entry.kind === "commit" ? taskAt(node, entry) : undefined;
      if (task === undefined || entry.kind !== "commit") return;
      node.say(claimedBy(node, task).map((at): Entry => ({ ...at, kind: "commit", hash: entry.hash })));
    },
  },
  "commit-all": {
    who: "prover",
    says: "its commitments in the attempts of others as well",
    rewrite: (entry, _face, node) => {
      const task = entry.kind === "commit" ? taskAt(node, entry) : undefined;
      if (task === undefined || entry.kind !== "commit") return [entry];
      const others = copiesOf(task).filter(({ index }) => index !== entry.index);
      return [entry, ...others.map(({ index }): Entry => ({ ...entry, index }))];
    },
    hears: (entry, _author, node) => {
      if (entry.kind === "claim") node.say([{ ...attemptOf(entry), kind: "commit", hash: noise(node) }]);
    },
  },
  "commit-twice": {
    who: "prover",
    says: "two commitments in each attempt, in two orders",
    faces: 2,
    rewrite: (entry, face, node) => {
      if (entry.kind !== "commit") return [entry];
      const both = [entry, { ...entry, hash: noise(node) }];
      return face.index === 0 ? both : both.toReversed();
    },
  },
  "commit-and-hide": {
    who: "prover",
    // REVEAL-3.
    says: "commitments, and shows nobody what is behind them",
    rewrite: (entry) => (entry.kind === "receipt" ? [] : [entry]),
    artefacts: (artefacts) => showing(artefacts, () => null),
  },
  "reveal-other": {
    who: "prover",
    says: "commitments, and something else when they are to be opened",
    rewrite: (entry, _face, node) => (entry.kind === "receipt" ? [{ ...entry, artefact: noise(node) }] : [entry]),
    artefacts: (artefacts, node) =>
      showing(artefacts, (file) => {
        const opening = decodeOpening(file);
        return opening === null ? file : encodeOpening({ ...opening, artefact: noise(node) });
      }),
  },
  "reveal-size": {
    who: "prover",
    says: "commitments to a result of another length than it has",
    rewrite: (entry, _face, node) => {
      const task = entry.kind === "commit" ? taskAt(node, entry) : undefined;
      const made = task?.attempts.get(entry.kind === "commit" ? entry.attempt : 0)?.reveal?.made ?? null;
      if (entry.kind !== "commit" || made === null) return [entry];
      return [{ ...entry, hash: opened(node, made.artefact, made.bytes + 1, u64(entry.attempt)) }];
    },
  },
} satisfies Record<string, Behaviour>;

/** Asks the author, and every attester, for the opening of a commitment: it may be shown before its time. */
function peek(node: Hostile, author: string, entry: EntryOf<"commit">, tries = PEEKS): void {
  const task = taskAt(node, entry);
  if (task?.stage.verify !== "agree" || tries === 0) return;
  const echoed = (file: Uint8Array) => {
    const opening = decodeOpening(file);
    if (opening !== null) node.say(echoesOf(node, task, opening.artefact));
  };
  const peers = [author, ...node.options.manifest.weights.keys()].filter((key) => key !== node.key);
  node.fetch(entry.hash, echoed, peers);
  node.options.world.after(PEEK_MS, () => peek(node, author, entry, tries - 1));
}

/** A commitment to the result and a receipt that opens it, for each copy and attempt that this node has claimed. */
function echoesOf(node: Hostile, task: Task, artefact: Hash, also?: ReturnType<typeof attemptOf>): Entry[] {
  if (task.stage.verify !== "agree") return [];
  return [...claimedBy(node, task), ...(also === undefined ? [] : [also])].flatMap((at): Entry[] => {
    if (!node.isFirst(`echo ${at.block} ${at.stage}/${at.index}#${at.attempt}`)) return [];
    const salt = u64(at.index * 1000 + at.attempt);
    const { system, key } = task.variant;
    const values = taskValues(at.block, task.stage, at.index);
    const what = { system, key, artefact, bytes: RESULT_BYTES, values, provingMs: 1, ...EMPTY };
    return [
      { ...at, kind: "commit", hash: opened(node, artefact, RESULT_BYTES, salt) },
      { ...at, kind: "receipt", ...what, nonce: nonceOf(node, salt) },
    ];
  });
}

/** The commitment to a result; its opening is where peers ask for it. */
function opened(node: Hostile, artefact: Hash, bytes: number, salt: Uint8Array): Hash {
  const opening = { prover: node.key, nonce: nonceOf(node, salt), artefact, bytes };
  node.node.disk.artefacts.write(encodeOpening(opening), () => {});
  return commitmentOf(opening) ?? artefact;
}

function nonceOf(node: Hostile, salt: Uint8Array): Uint8Array {
  return domainDigest("sim-echo", u64(node.options.world.seed), salt);
}

function claimedBy(node: Hostile, task: Task): ReturnType<typeof attemptOf>[] {
  return copiesOf(task).flatMap((copy) =>
    [...copy.attempts.keys()].flatMap((attempt) =>
      attemptIn(copy, attempt).claims.has(node.key)
        ? [{ block: copy.block.id, stage: copy.stage.name, index: copy.index, attempt }]
        : [],
    ),
  );
}

function firstResult(node: Hostile, task: Task): Hash | undefined {
  const indices = new Set(copiesOf(task).map(({ index }) => index));
  for (const { entries } of node.heard)
    for (const entry of entries) {
      const isResult = "artefact" in entry && entry.block === task.block.id && entry.stage === task.stage.name;
      if (isResult && indices.has(entry.index)) return entry.artefact;
    }
  return undefined;
}

function taskAt(
  node: Hostile,
  at: { readonly block: Hash; readonly stage: string; readonly index: number },
): Task | undefined {
  const block = node.blocks().find(({ id }) => id === at.block);
  const task = block?.tasks.find(({ stage, index }) => stage.name === at.stage && index === at.index);
  return task?.stage.verify === "agree" ? task : undefined;
}

/** Shows other openings than it has; `null` for none. */
function showing(artefacts: Artefacts, show: (file: Uint8Array) => Uint8Array | null): Artefacts {
  return {
    has: (hash, done) => artefacts.has(hash, done),
    read: (hash, bytesMax, done) =>
      artefacts.read(hash, bytesMax, (found) => {
        const isHidden = found.ok && found.value !== null && isOpening(found.value);
        done(isHidden && found.value !== null ? { ok: true, value: show(found.value) } : found);
      }),
    size: (hash, done) => artefacts.size(hash, done),
    readPart: (hash, offset, bytesMax, done) => artefacts.readPart(hash, offset, bytesMax, done),
    receive: (hash, length, done) => artefacts.receive(hash, length, done),
    write: (bytes, done) => artefacts.write(bytes, done),
    keep: (bytes, done) => artefacts.keep(bytes, done),
    forget: (hashes, done) => artefacts.forget(hashes, done),
  };
}
