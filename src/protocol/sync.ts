/** What two nodes say when they compare what they have: the pull that repairs what gossip lost. */
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { bytesToHex, hexToBytes } from "@noble/hashes/utils.js";
import type { Hash, Key } from "./ids.ts";
import {
  CERTIFICATE_BYTES_MAX,
  FRONTIER_BYTES_MAX,
  FRONTIER_MAX,
  FRONTIER_SPANS_MAX,
  MESSAGE_BYTES_MAX,
  WANTED_MAX,
} from "./limits.ts";
import { equalBytes } from "./messages.ts";
import { startBytes, startMessage } from "./start.ts";
import {
  type Forgotten,
  ForgottenSchema,
  FrontierSchema,
  type Frontier as FrontierMessage,
  SyncFrameSchema,
  type SyncFrame as SyncFrameMessage,
} from "./wire_pb.js";

export interface Frontier {
  /** By author: all batches below this number are here. */
  readonly feeds: ReadonlyMap<Key, number>;
  /** By chain: the highest height that is certified here. */
  readonly chains: ReadonlyMap<number, number>;
  /** In a question: hashes of blocks whose certificates are missing below those heights. A reorg leaves such holes. */
  readonly wanted?: readonly Hash[];
  /** In a question: what is here behind the first gap of a feed; runs in order, with gaps between them. */
  readonly beyond?: ReadonlyMap<Key, readonly Span[]>;
  /** In a question: how the hash of the last batch below the number begins, where that batch is kept; 16 bytes in hex. */
  readonly tips?: ReadonlyMap<Key, string>;
  /** In a question: who asks. */
  readonly from?: Instance;
  /** In an answer: who else has asked with the asker's key. */
  readonly twins?: readonly Twin[];
  /** In a question: the asker's start record. In an answer: the latest ones of the asker's key. As sent, unchecked. */
  readonly starts?: readonly Uint8Array[];
  /** In an answer: the answering node has lost its own journal and cannot sign yet. */
  readonly recovers?: boolean;
}

/** Start records that a frontier holds: of one counter two are enough to show that a disk was copied. */
export const STARTS_MAX = 2;

/** Batches from the one number to below the other. */
export interface Span {
  readonly from: number;
  readonly to: number;
}

/** Processes of one key that an answer names; one is too many. */
const TWINS_MAX = 4;
const INSTANCE_BYTES = 16;
const TIP_BYTES = 16;

/** A process that asks: the same key may be run twice, which is never allowed. */
export interface Instance {
  readonly instance: string;
  /** How long it has run. Durations only: clocks of two machines need not agree. */
  readonly upMs: number;
}

/** Another process that asked with the same key, and how long ago. */
export interface Twin extends Instance {
  readonly agoMs: number;
}

export type SyncFrame =
  | { readonly kind: "frontier"; readonly frontier: Frontier }
  | { readonly kind: "batch"; readonly bytes: Uint8Array }
  | { readonly kind: "certificate"; readonly bytes: Uint8Array }
  /** Batches of the author with these numbers were compacted away where this comes from. */
  | ({ readonly kind: "forgotten"; readonly author: Key } & Span);

export function encodeFrontier(frontier: Frontier): Uint8Array {
  return toBinary(FrontierSchema, frontierMessage(frontier));
}

/** `null` for bytes that are no frontier, or one in another than its one encoding. */
export function decodeFrontier(bytes: Uint8Array): Frontier | null {
  if (bytes.length > FRONTIER_BYTES_MAX) return null;
  try {
    const message = fromBinary(FrontierSchema, bytes, { readUnknownFields: false });
    const frontier = readFrontier(message);
    return frontier !== null && equalBytes(toBinary(FrontierSchema, message), bytes) ? frontier : null;
  } catch {
    return null;
  }
}

export function encodeSyncFrame(frame: SyncFrame): Uint8Array {
  return toBinary(SyncFrameSchema, create(SyncFrameSchema, { kind: frameKind(frame) }));
}

function frameKind(frame: SyncFrame): SyncFrameMessage["kind"] {
  switch (frame.kind) {
    case "frontier":
      return { case: "frontier", value: frontierMessage(frame.frontier) };
    case "batch":
      return { case: "batch", value: Uint8Array.from(frame.bytes) };
    case "certificate":
      return { case: "certificate", value: Uint8Array.from(frame.bytes) };
    case "forgotten": {
      const { author, from, to } = frame;
      const value = create(ForgottenSchema, { author: hexToBytes(author), from: BigInt(from), to: BigInt(to) });
      return { case: "forgotten", value };
    }
  }
}

/** Tag and length of what a frame holds. */
const FRAME_OVERHEAD_BYTES = 5;
/** By the first byte, which is the kind: a frame costs memory by what it says it is, before anything is read. */
const FRAME_BYTES_MAX: Readonly<Record<number, number>> = {
  0x0a: FRONTIER_BYTES_MAX,
  0x12: MESSAGE_BYTES_MAX,
  0x1a: CERTIFICATE_BYTES_MAX,
  0x22: 64,
};

/** `null` for bytes that are no frame, or one in another than its one encoding. */
export function decodeSyncFrame(bytes: Uint8Array): SyncFrame | null {
  const bytesMax = FRAME_BYTES_MAX[bytes[0] ?? 0];
  if (bytesMax === undefined || bytes.length > bytesMax + FRAME_OVERHEAD_BYTES) return null;
  try {
    const message = fromBinary(SyncFrameSchema, bytes, { readUnknownFields: false });
    const { kind } = message;
    if (!equalBytes(toBinary(SyncFrameSchema, message), bytes)) return null;
    switch (kind.case) {
      case "frontier": {
        const frontier = readFrontier(kind.value);
        return frontier === null ? null : { kind: "frontier", frontier };
      }
      case "batch":
      case "certificate":
        return { kind: kind.case, bytes: kind.value };
      case "forgotten":
        return readForgotten(kind.value);
      case undefined:
        return null;
    }
  } catch {
    return null;
  }
}

function readForgotten({ author, from, to }: Forgotten): SyncFrame | null {
  if (author.length !== 32 || from >= to || to > MAX) return null;
  return { kind: "forgotten", author: bytesToHex(author), from: Number(from), to: Number(to) };
}

const MAX = BigInt(Number.MAX_SAFE_INTEGER);

function frontierMessage(frontier: Frontier): FrontierMessage {
  return create(FrontierSchema, {
    feeds: [...frontier.feeds].slice(0, FRONTIER_MAX).map(([author, next]) => ({
      author: hexToBytes(author),
      next: BigInt(next),
      beyond: (frontier.beyond?.get(author) ?? []).flatMap(({ from, to }) => [BigInt(from), BigInt(to)]),
      tip: hexToBytes(frontier.tips?.get(author) ?? ""),
    })),
    chains: [...frontier.chains]
      .slice(0, FRONTIER_MAX)
      .map(([chain, height]) => ({ chain: BigInt(chain), height: BigInt(height) })),
    instance: frontier.from === undefined ? new Uint8Array() : hexToBytes(frontier.from.instance),
    upMs: BigInt(frontier.from?.upMs ?? 0),
    twins: (frontier.twins ?? []).slice(0, TWINS_MAX).map(({ instance, upMs, agoMs }) => ({
      instance: hexToBytes(instance),
      upMs: BigInt(upMs),
      agoMs: BigInt(agoMs),
    })),
    wanted: (frontier.wanted ?? []).slice(0, WANTED_MAX).map(hexToBytes),
    starts: (frontier.starts ?? []).slice(0, STARTS_MAX).map(startMessage),
    recovers: frontier.recovers === true,
  });
}

function readFrontier(message: FrontierMessage): Frontier | null {
  if (message.feeds.length > FRONTIER_MAX || message.chains.length > FRONTIER_MAX) return null;
  const feeds = new Map<Key, number>();
  const beyond = new Map<Key, readonly Span[]>();
  const tips = new Map<Key, string>();
  let spansMax = FRONTIER_SPANS_MAX;
  for (const { author, next, beyond: bounds, tip } of message.feeds) {
    const key = bytesToHex(author);
    if (author.length !== 32 || next > MAX || feeds.has(key)) return null;
    feeds.set(key, Number(next));
    if (tip.length !== 0 && tip.length !== TIP_BYTES) return null;
    if (tip.length > 0) tips.set(key, bytesToHex(tip));
    if (bounds.length === 0) continue;
    const spans = readSpans(next, bounds);
    if (spans === null || spans.length > spansMax) return null;
    spansMax -= spans.length;
    beyond.set(key, spans);
  }
  const chains = new Map<number, number>();
  for (const { chain, height } of message.chains) {
    if (chain > MAX || height > MAX || chains.has(Number(chain))) return null;
    chains.set(Number(chain), Number(height));
  }
  const { instance, upMs } = message;
  // How long nobody has run is nothing that could be said.
  if (upMs > (instance.length === 0 ? 0n : MAX)) return null;
  if (instance.length !== 0 && instance.length !== INSTANCE_BYTES) return null;
  if (message.twins.length > TWINS_MAX) return null;
  const twins: Twin[] = [];
  for (const twin of message.twins) {
    if (twin.instance.length !== INSTANCE_BYTES || twin.upMs > MAX || twin.agoMs > MAX) return null;
    twins.push({ instance: bytesToHex(twin.instance), upMs: Number(twin.upMs), agoMs: Number(twin.agoMs) });
  }
  if (message.wanted.length > WANTED_MAX || message.wanted.some(({ length }) => length !== 32)) return null;
  const wanted = new Set(message.wanted.map(bytesToHex));
  if (wanted.size < message.wanted.length) return null;
  if (message.starts.length > STARTS_MAX) return null;
  const starts = message.starts.map(startBytes);
  return {
    feeds,
    chains,
    ...(wanted.size === 0 ? {} : { wanted: [...wanted] }),
    ...(beyond.size === 0 ? {} : { beyond }),
    ...(tips.size === 0 ? {} : { tips }),
    ...(instance.length === 0 ? {} : { from: { instance: bytesToHex(instance), upMs: Number(upMs) } }),
    ...(twins.length === 0 ? {} : { twins }),
    ...(starts.length === 0 ? {} : { starts }),
    ...(message.recovers ? { recovers: true } : {}),
  };
}

/** `null` where they are not in order, or touch: each set of batches has one form. */
function readSpans(next: bigint, bounds: readonly bigint[]): Span[] | null {
  const spans: Span[] = [];
  let before = next;
  for (let at = 0; at < bounds.length; at += 2) {
    const [from = MAX, to = from] = bounds.slice(at, at + 2);
    if (from <= before || to <= from || to > MAX) return null;
    spans.push({ from: Number(from), to: Number(to) });
    before = to;
  }
  return spans;
}
