/** The most that each decoder may be handed, shaped to cost as much as it can. Runs in a thread with a bounded heap. */
import { parentPort, workerData } from "node:worker_threads";
import { parsePeers } from "../../src/network/keeper.ts";
import { openBatch } from "../../src/protocol/batch.ts";
import { checkCertificate } from "../../src/protocol/certificate.ts";
import { payloadOf, readPayload } from "../../src/protocol/ethereum.ts";
import { readEither } from "../../src/protocol/range.ts";
import { decodeEntry } from "../../src/protocol/messages.ts";
import { readManifest } from "../../src/protocol/manifest.ts";
import { decode, Malformed } from "../../src/protocol/rlp.ts";
import { decodeFrontier, decodeSyncFrame } from "../../src/protocol/sync.ts";
import { readResult } from "../../src/provers/process.ts";
import { manifestOf, signerNamed } from "../protocol/fixtures.ts";

const MIB: number = 1024 * 1024;
const manifest = manifestOf([signerNamed("a").key]);

type Read = (bytes: Uint8Array) => void;

function json(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(bytes).toString("utf8"));
  } catch {
    return null;
  }
}

const READERS: Readonly<Record<string, { readonly bytesMax: number; readonly read: Read }>> = {
  batch: { bytesMax: MIB, read: openBatch },
  entry: { bytesMax: 64 * 1024, read: decodeEntry },
  "sync frame": { bytesMax: 4 * MIB, read: decodeSyncFrame },
  frontier: { bytesMax: 2 * MIB, read: decodeFrontier },
  certificate: { bytesMax: 4 * MIB, read: (bytes) => checkCertificate(manifest, bytes, () => true) },
  manifest: { bytesMax: 4 * MIB, read: (bytes) => readManifest(json(bytes)) },
  "block as JSON": { bytesMax: 4 * MIB, read: (bytes) => payloadOf(json(bytes)) },
  payload: { bytesMax: 11 * MIB, read: (bytes) => readPayload(bytes, "00".repeat(32)) },
  range: { bytesMax: 11 * MIB, read: (bytes) => readEither(bytes, "00".repeat(32)) },
  rlp: { bytesMax: 11 * MIB, read: orMalformed(decode) },
  peers: { bytesMax: 64 * 1024, read: parsePeers },
  "prover result": {
    bytesMax: 4 * MIB,
    read: (bytes) => {
      const id = { chain: 1, chainId: 1, height: 1, block: "", hash: "", parent: "", stage: "", index: 0 };
      readResult(Buffer.from(bytes).toString("utf8"), { id, values: new Uint8Array() });
    },
  },
};

function orMalformed(read: Read): Read {
  return (bytes) => {
    try {
      read(bytes);
    } catch (error) {
      if (!(error instanceof Malformed)) throw error;
    }
  };
}

/** Bytes of a pattern, over and over, behind what makes a message of them. */
function filled(bytesMax: number, pattern: string, head = "", tail = ""): Uint8Array {
  const bytes = Buffer.alloc(bytesMax, pattern, "latin1");
  bytes.write(head, 0, "latin1");
  bytes.write(tail, bytes.length - tail.length, "latin1");
  return Uint8Array.from(bytes);
}

/** One protobuf field of this tag that holds the pattern. */
function field(tag: number, bytesMax: number, pattern: string): Uint8Array {
  const length = [0, 7, 14, 21].map((shift) => (((bytesMax - 5) >> shift) & 0x7f) | (shift < 21 ? 0x80 : 0));
  return filled(bytesMax, pattern, String.fromCharCode(tag, ...length));
}

/** An RLP list of everything behind it. */
function list(bytesMax: number, pattern: string): Uint8Array {
  const length = [24, 16, 8, 0].map((shift) => ((bytesMax - 5) >> shift) & 0xff);
  return filled(bytesMax, pattern, String.fromCharCode(0xfb, ...length));
}

function* bombs(bytesMax: number): Generator<Uint8Array, void, undefined> {
  for (const pattern of ["\0", "\xff", "\x80", "\n\0", "\x12\0", "\x1a\0", "\x0b", "\xc0", "\xc1", "\xfb\x01"])
    yield filled(bytesMax, pattern);
  for (const tag of [0x0a, 0x12, 0x1a, 0x22, 0x2a, 0x32, 0x42]) {
    yield field(tag, bytesMax, "\n\0");
    yield field(tag, bytesMax, "\x2a\0");
  }
  for (const pattern of ["\x01", "\xc0", "\x80", "\xc1\xc0"]) yield list(bytesMax, pattern);
  const half = Math.floor(bytesMax / 2);
  yield filled(2 * half, "]").fill(0x5b, 0, half);
  yield filled(bytesMax, '{"a":');
  yield filled(bytesMax, "{},", "[", "0]");
  yield filled(bytesMax, "1,", "[", "1]");
  yield filled(bytesMax, " 0,", '{"kind":"barrier","version":1,"content":{},"votes":[', " 0]}");
  yield filled(bytesMax, "\\u0000", '{"name":"', '"}');
  yield filled(bytesMax, "9", "[", "]");
}

const { name } = workerData as { readonly name: string };
const reader = READERS[name];
if (reader === undefined) parentPort?.postMessage(Object.keys(READERS), []);
else {
  let count = 0;
  for (const bytes of bombs(reader.bytesMax)) {
    reader.read(bytes);
    count++;
  }
  parentPort?.postMessage(count, []);
}
