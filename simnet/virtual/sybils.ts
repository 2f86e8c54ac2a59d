/** Hostile provers that come to an open network under many keys, none of which ever proves a task. */
import { hexToBytes } from "@noble/hashes/utils.js";
import { sealBatch } from "../../src/protocol/batch.ts";
import type { Block } from "../../src/core/state.ts";
import { artefactHash, domainHash, type Hash, type Key, ZERO_HASH } from "../../src/protocol/ids.ts";
import type { AdmissionProof, Entry } from "../../src/protocol/messages.ts";
import { valuesFor } from "../../src/protocol/payee.ts";
import type { Payee } from "../../src/protocol/systems.ts";
import type { Behaviour, Hostile } from "./byzantine.ts";
import { CHAIN } from "./manifest.ts";
import { payeeOfAdmission, proofOf, simSigner, wrongProof } from "./provers.ts";

const KEYS_MAX = 64;
/** New keys at a time. */
const KEYS_AT_ONCE = 2;
/** The base block of proofs that were made long before they are shown is so many blocks old at least. */
const HOARD_BLOCKS = 60;

const EPOCH_BLOCKS = 16;
const KNOWN_MS = 600;

/** A key without a node. */
interface Sybil {
  readonly key: Key;
  readonly sign: (message: Uint8Array) => Uint8Array;
  next: number;
  previous: Hash;
}

/** What a key of the crowd shows as its admission proof; `null` where the time for it has not come. */
type Shows = (node: Hostile, key: Key) => readonly AdmissionProof[] | null;

const CROWDS = new WeakMap<Hostile, Sybil[]>();
/** What newcomers have shown: for those that copy it. */
const SEEN = new WeakMap<Hostile, AdmissionProof>();
const SEEN_MS = new WeakMap<Block, number>();
const HOARDS = new WeakMap<Hostile, Block>();

export const SYBILS = {
  // JOIN-8.
  "sybil-joins": crowd("joins under many keys, which prove what admission costs and do nothing else", truly),
  // LEAVE-1.
  "sybil-beats": {
    who: "prover",
    says: "joins under many keys, which beat and claim nothing once they are admitted",
    every: {
      ms: 1000,
      times: 200,
      run: (node) => {
        joinMore(node, truly);
        const { roster } = node.node.runtime?.state ?? {};
        for (const sybil of CROWDS.get(node) ?? [])
          if (roster?.has(sybil.key) === true) say(node, sybil, [{ kind: "beat", tasks: [] }]);
      },
    },
  },
  "sybil-bare": crowd("joins under many keys, without an admission proof", () => []),
  // JOIN-7.
  "sybil-wrong": crowd("joins under many keys, with admission proofs that are wrong or that nobody has", wrongly),
  "sybil-copies": {
    ...crowd("joins under many keys, with the admission proof of somebody else", copied),
    hears: (entry, _author, node) => {
      const [proof] = entry.kind === "join" ? entry.proofs : [];
      if (proof !== undefined) SEEN.set(node, proof);
    },
  },
  "sybil-hoards": crowd("joins under many keys, with admission proofs made long before", hoarded),
  "sybil-picks": {
    who: "prover",
    says: "joins under many keys, and proves for those alone whose tickets are the lowest once these are known",
    every: { ms: 200, times: 300, run: pickDrawn },
  },
} satisfies Record<string, Behaviour>;

function crowd(says: string, shows: Shows): Behaviour {
  return { who: "prover", says, every: { ms: 1000, times: 60, run: (node) => joinMore(node, shows) } };
}

function joinMore(node: Hostile, shows: Shows): void {
  const keys = CROWDS.get(node) ?? [];
  CROWDS.set(node, keys);
  for (let added = 0; added < KEYS_AT_ONCE && keys.length < KEYS_MAX; added++) {
    const signer = simSigner(node.chance.between(0, 2 ** 31), `sybil ${keys.length}`);
    const proofs = shows(node, signer.key);
    if (proofs === null) return;
    const sybil = { ...signer, next: 0, previous: ZERO_HASH };
    keys.push(sybil);
    say(node, sybil, [{ kind: "join", chain: CHAIN, slots: 1, proofs }]);
  }
}

/** Waits until the block of the drawing is known for so long that no join is taken for one that came before. */
function pickDrawn(node: Hostile): void {
  joinMore(node, () => []);
  const drawing = node.blocks().find(({ height, certificate }) => certificate === null && height % EPOCH_BLOCKS === 0);
  if (drawing === undefined) return;
  const { nowMs } = node.options.world;
  const seenMs = SEEN_MS.get(drawing) ?? nowMs;
  SEEN_MS.set(drawing, seenMs);
  if (nowMs - seenMs < KNOWN_MS || !node.isFirst(`picks ${drawing.id}`)) return;
  const ticket = ({ key }: Sybil) => domainHash("drawing", hexToBytes(key), hexToBytes(drawing.hash));
  const keys = (CROWDS.get(node) ?? []).toSorted((a, b) => (ticket(a) < ticket(b) ? -1 : 1));
  for (const sybil of keys.slice(0, KEYS_AT_ONCE)) {
    const proofs = truly(node, sybil.key);
    if (proofs !== null) say(node, sybil, [{ kind: "join", chain: CHAIN, slots: 1, proofs }]);
  }
}

/** The newest certified block whose payload its node has read. */
function baseOf(node: Hostile): Block | undefined {
  const read = node.blocks().filter(({ certificate, prepared }) => certificate !== null && prepared !== null);
  return read.toSorted((a, b) => b.height - a.height)[0];
}

/** The first stage is the one that newcomers prove, in all workflows that runs with newcomers have. */
function firstTask({ prepared, stages }: Block): { readonly values: Uint8Array; readonly payee: Payee } | null {
  const [stage] = stages;
  const values = stage === undefined ? undefined : prepared?.values[stage.name]?.[0];
  const payee = stage?.variants[0]?.payee;
  return values === undefined || payee === undefined ? null : { values, payee };
}

function proofFor(node: Hostile, base: Block | undefined, key: Key, isTrue = true): readonly AdmissionProof[] | null {
  const task = base === undefined ? null : firstTask(base);
  if (base === undefined || task === null) return null;
  const { manifest, world } = node.options;
  const payee = payeeOfAdmission(manifest.network, CHAIN, key, base.id);
  const values = valuesFor(task.payee, task.values, payee);
  const inline = isTrue ? proofOf(values) : wrongProof(world, values, node.chance.between(0, 2 ** 31));
  return [{ base: base.id, index: 0, artefact: artefactHash(inline), bytes: inline.length, inline }];
}

function truly(node: Hostile, key: Key): readonly AdmissionProof[] | null {
  return proofFor(node, baseOf(node), key);
}

/** Every other key names a proof that nobody can fetch. */
function wrongly(node: Hostile, key: Key): readonly AdmissionProof[] | null {
  const proofs = proofFor(node, baseOf(node), key, false);
  const isHeldBack = (CROWDS.get(node) ?? []).length % 2 === 1;
  return isHeldBack ? (proofs?.map((proof) => ({ ...proof, inline: new Uint8Array() })) ?? null) : proofs;
}

function copied(node: Hostile): readonly AdmissionProof[] | null {
  const seen = SEEN.get(node);
  return seen === undefined ? null : [seen];
}

/** Of the first base block that the node has seen. */
function hoarded(node: Hostile, key: Key): readonly AdmissionProof[] | null {
  const now = baseOf(node);
  const base = HOARDS.get(node) ?? now;
  if (base === undefined || now === undefined) return null;
  HOARDS.set(node, base);
  return now.height - base.height < HOARD_BLOCKS ? null : proofFor(node, base, key);
}

function say(node: Hostile, sybil: Sybil, entries: readonly Entry[]): void {
  const head = { author: sybil.key, number: sybil.next, previous: sybil.previous };
  const batch = sealBatch(node.options.manifest.network, head, entries, sybil.sign);
  sybil.next++;
  sybil.previous = batch.hash;
  node.sayAs(sybil.key, batch.bytes);
}
