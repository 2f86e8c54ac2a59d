/** What two nodes say when they compare what they have: the pull that repairs what gossip lost. */
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { bytesToHex, hexToBytes } from "@noble/hashes/utils.js";
import type { Key } from "./ids.ts";
import { CERTIFICATE_BYTES_MAX, FRONTIER_BYTES_MAX, FRONTIER_MAX, MESSAGE_BYTES_MAX } from "./limits.ts";
import { equalBytes } from "./messages.ts";
import {
  FrontierFeedSchema,
  FrontierSchema,
  type Frontier as FrontierMessage,
  SyncFrameSchema,
  type SyncFrame as SyncFrameMessage,
} from "./wire_pb.js";

export interface Frontier {
  /** By author: all batches below this number are here. */
  readonly feeds: ReadonlyMap<Key, number>;
  /** By chain: all certificates up to this height are here. */
  readonly chains: ReadonlyMap<number, number>;
}

export type SyncFrame =
  | { readonly kind: "frontier"; readonly frontier: Frontier }
  | { readonly kind: "batch"; readonly bytes: Uint8Array }
  | { readonly kind: "certificate"; readonly bytes: Uint8Array }
  /** Batches of the author below `next` were compacted away where this comes from. */
  | { readonly kind: "forgotten"; readonly author: Key; readonly next: number };

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
      const value = create(FrontierFeedSchema, { author: hexToBytes(frame.author), next: BigInt(frame.next) });
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
        return kind.value.author.length === 32 && kind.value.next <= MAX
          ? { kind: "forgotten", author: bytesToHex(kind.value.author), next: Number(kind.value.next) }
          : null;
      case undefined:
        return null;
    }
  } catch {
    return null;
  }
}

const MAX = BigInt(Number.MAX_SAFE_INTEGER);

function frontierMessage(frontier: Frontier): FrontierMessage {
  return create(FrontierSchema, {
    feeds: [...frontier.feeds]
      .slice(0, FRONTIER_MAX)
      .map(([author, next]) => ({ author: hexToBytes(author), next: BigInt(next) })),
    chains: [...frontier.chains]
      .slice(0, FRONTIER_MAX)
      .map(([chain, height]) => ({ chain: BigInt(chain), height: BigInt(height) })),
  });
}

function readFrontier(message: FrontierMessage): Frontier | null {
  if (message.feeds.length > FRONTIER_MAX || message.chains.length > FRONTIER_MAX) return null;
  const feeds = new Map<Key, number>();
  for (const { author, next } of message.feeds) {
    const key = bytesToHex(author);
    if (author.length !== 32 || next > MAX || feeds.has(key)) return null;
    feeds.set(key, Number(next));
  }
  const chains = new Map<number, number>();
  for (const { chain, height } of message.chains) {
    if (chain > MAX || height > MAX || chains.has(Number(chain))) return null;
    chains.set(Number(chain), Number(height));
  }
  return { feeds, chains };
}
