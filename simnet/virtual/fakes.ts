/** Hostile sources: blocks that are on no chain, and true blocks under a second name. */
import { bytesToHex, concatBytes, hexToBytes } from "@noble/hashes/utils.js";
import { artefactHash, domainDigest, type Hash } from "../../src/protocol/ids.ts";
import type { EntryOf } from "../../src/protocol/messages.ts";
import type { Behaviour, Hostile } from "./byzantine.ts";
import { CHAIN } from "./manifest.ts";
import { payloadOf, wrapped } from "./provers.ts";

/** How often a hostile source looks for a block that it can put a false child on. */
const LOOK_MS = 100;

export const FAKES = {
  // ANNOUNCE-10, ANNOUNCE-13.
  "fake-tip": {
    who: "attester",
    says: "a well-formed child of the newest true block, a slot before the chain has one",
    every: { ms: LOOK_MS, times: 10_000, run: (node) => announceChild(node, false) },
  },
  "fake-ladder": {
    who: "attester",
    says: "a well-formed child of each certified block, and of each of its own that is certified",
    every: { ms: LOOK_MS, times: 10_000, run: (node) => announceChild(node, true) },
  },
  // ANNOUNCE-14, BARRIER-2.
  "two-ids": {
    who: "attester",
    says: "each block of the chain under a second id: the list of its payload alone",
    hears: (entry, _author, node) => {
      if (entry.kind === "announce") announceTwice(node, entry);
    },
    rewrite: (entry, _face, node) => {
      if (entry.kind === "announce") announceTwice(node, entry);
      return [entry];
    },
  },
  // ANNOUNCE-5.
  "old-block-again": {
    who: "attester",
    says: "the announcement of a block that was certified long ago",
    every: { ms: 1000, times: 10_000, run: (node) => announceOld(node) },
  },
} satisfies Record<string, Behaviour>;

/** A hash that no simulated chain gives: a header hashes to some value, and nothing checks its work. */
function fakeHash(parent: Hash): Hash {
  return bytesToHex(domainDigest("sim-fake", hexToBytes(parent)));
}

/** The highest certified block gets a false child, unless it has one already. */
function announceChild(node: Hostile, isLadder: boolean): void {
  const { runtime } = node.node;
  const closed = [...(runtime?.state.closed.values() ?? [])].filter(
    ({ hash, parent }) => isLadder || parent === null || hash !== fakeHash(parent),
  );
  const tip = closed.reduce<(typeof closed)[number] | undefined>(
    (highest, each) => (highest === undefined || each.height > highest.height ? each : highest),
    undefined,
  );
  if (tip === undefined) return;
  const place = { chain: CHAIN, height: tip.height + 1, hash: fakeHash(tip.hash), parent: tip.hash };
  // Its own node is told as well, so that it votes for the false block.
  if (node.isFirst(`fake ${place.hash}`)) runtime?.submit({ ...place, payload: payloadOf(place), items: 0 }, () => {});
}

function announceTwice(node: Hostile, entry: EntryOf<"announce">): void {
  if (!node.isFirst(`two ids ${entry.hash}`)) return;
  keep(node, wrapped(payloadOf(entry)), (payload) => node.say([{ ...entry, payload }]));
}

/** The lowest block that this node has heard of and keeps nothing of any more. */
function announceOld(node: Hostile): void {
  const kept = new Set(node.blocks().map(({ hash }) => hash));
  const announced = node.heard.flatMap(({ entries }) => entries.filter((entry) => entry.kind === "announce"));
  const old = announced.filter(({ hash }) => !kept.has(hash));
  const lowest = old.reduce<EntryOf<"announce"> | undefined>(
    (low, each) => (low === undefined || each.height < low.height ? each : low),
    undefined,
  );
  if (lowest !== undefined) node.say([lowest]);
}

/** Puts a payload where peers fetch it. */
function keep(node: Hostile, bytes: Uint8Array, then: (payload: Hash) => void): void {
  node.node.disk.artefacts.write(concatBytes(bytes), (result) => {
    if (result.ok) then(artefactHash(bytes));
  });
}
