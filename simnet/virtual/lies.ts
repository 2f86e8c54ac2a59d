/** Lies about the log: what a hostile node answers when a peer compares logs with it. */
import { utf8ToBytes } from "@noble/hashes/utils.js";
import { openBatch, sealBatch } from "../../src/protocol/batch.ts";
import type { SyncFrame } from "../../src/protocol/sync.ts";
import type { Behaviour, Hostile } from "./byzantine.ts";
import { CHAIN } from "./manifest.ts";

const AHEAD = 1000;

export const LIES = {
  "boast-frontier": {
    who: "anyone",
    says: "a frontier far beyond what there is",
    answers: (frames) =>
      frames.map((frame) => {
        if (frame.kind !== "frontier") return frame;
        const feeds = new Map([...frame.frontier.feeds].map(([author, next]) => [author, next + AHEAD]));
        return { ...frame, frontier: { feeds, chains: new Map([[CHAIN, AHEAD]]) } };
      }),
  },
  "forget-all": {
    who: "anyone",
    says: "that everybody's batches are compacted away",
    answers: (frames) => [
      ...frames.filter(({ kind }) => kind !== "batch"),
      ...frames.flatMap((frame): SyncFrame[] =>
        frame.kind === "frontier"
          ? [...frame.frontier.feeds].map(([author, next]) => ({
              kind: "forgotten",
              author,
              from: 0,
              to: next + AHEAD,
            }))
          : [],
      ),
    ],
  },
  "stale-answers": { who: "anyone", says: "that there is nothing new", answers: () => [NOTHING] },
  // LOST-2.
  "empty-peer": {
    who: "anyone",
    says: "that nothing was ever signed, like a node whose disk is empty",
    answers: (frames) =>
      frames
        .map((frame) =>
          frame.kind === "frontier" ? { ...frame, frontier: { ...frame.frontier, feeds: new Map() } } : frame,
        )
        .filter(({ kind }) => kind === "frontier"),
  },
  "garbage-answers": { who: "anyone", says: "bytes that mean nothing", answers: () => "garbage" },
  "forge-answers": {
    who: "anyone",
    says: "batches and certificates whose signatures do not hold",
    answers: (frames, _peer, node) => frames.map((frame) => forged(frame, node)),
  },
} satisfies Record<string, Behaviour>;

const NOTHING: SyncFrame = { kind: "frontier", frontier: { feeds: new Map(), chains: new Map() } };

function forged(frame: SyncFrame, node: Hostile): SyncFrame {
  if (frame.kind === "certificate") return { kind: "certificate", bytes: anotherProver(frame.bytes, node) };
  if (frame.kind !== "batch") return frame;
  const opened = openBatch(frame.bytes);
  if (!opened.ok || opened.value.head.author === node.key) return frame;
  const { author, number, previous } = opened.value.head;
  const entries = opened.value.entries.slice(0, 1);
  const signed = sealBatch(
    node.options.manifest.network,
    { author, number, previous },
    entries,
    () => new Uint8Array(64),
  );
  return { kind: "batch", bytes: signed.bytes };
}

/** The hostile node is paid for the first task. Certificates are ASCII, so the place of a key can be found by its bytes. */
function anotherProver(file: Uint8Array, node: Hostile): Uint8Array {
  const bytes = Uint8Array.from(file);
  const name = utf8ToBytes('"prover":"');
  const at = bytes.findIndex((_, start) => name.every((byte, i) => bytes[start + i] === byte));
  if (at >= 0) bytes.set(utf8ToBytes(node.key), at + name.length);
  return bytes;
}
