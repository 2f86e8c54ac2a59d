/** Fetching a file by its hash: what arrives is hashed on the way and dropped at the first byte too many. */
import { createHash } from "node:crypto";
import type { Connection } from "@libp2p/interface";
import { hexToBytes } from "@noble/hashes/utils.js";
import type { Hash } from "../protocol/ids.ts";
import type { Artefacts } from "../ports.ts";
import { NetworkFault } from "./fault.ts";
import { exchange } from "./streams.ts";

const LENGTH_BYTES = 8;

export async function fetchArtefact(
  connection: Connection,
  protocol: string,
  hash: Hash,
  bytesMax: number,
  artefacts: Pick<Artefacts, "keep">,
  signal: AbortSignal,
): Promise<void> {
  const options = { bytesMax: bytesMax + LENGTH_BYTES, code: "artefact.too-large", signal };
  const bytes = await exchange(connection, protocol, hexToBytes(hash), options, (frames) =>
    receive(frames, hash, bytesMax),
  );
  signal.throwIfAborted();
  await new Promise<void>((resolve, reject) => {
    // Who gave it to us has it as well.
    artefacts.keep(bytes, (result) => {
      if (result.ok) resolve();
      else reject(new NetworkFault(result.fault.code, result.fault.message));
    });
  });
}

/** `bytes` in one piece, exactly as long as announced and of the hash asked for. */
export async function receive(frames: AsyncIterable<Uint8Array>, hash: Hash, bytesMax: number): Promise<Uint8Array> {
  const digest = createHash("sha256");
  let bytes: Uint8Array | null = null;
  let at = 0;
  for await (const frame of frames) {
    if (bytes === null) {
      bytes = new Uint8Array(lengthOf(frame, bytesMax));
      continue;
    }
    if (at + frame.length > bytes.length) throw wrong("sent more than it announced");
    bytes.set(frame, at);
    digest.update(frame);
    at += frame.length;
  }
  if (bytes === null) throw new NetworkFault("artefact.absent", "the peer does not have the artefact");
  if (at < bytes.length) throw wrong("sent less than it announced");
  if (digest.digest("hex") !== hash) throw wrong("sent bytes of another hash");
  return bytes;
}

function lengthOf(frame: Uint8Array, bytesMax: number): number {
  if (frame.length !== LENGTH_BYTES) throw wrong("announced no length");
  const length = new DataView(frame.buffer, frame.byteOffset, LENGTH_BYTES).getBigUint64(0);
  if (length > BigInt(bytesMax)) {
    throw new NetworkFault("artefact.too-large", `the artefact has ${length} bytes, ${bytesMax} are allowed`);
  }
  return Number(length);
}

function wrong(what: string): NetworkFault {
  return new NetworkFault("artefact.wrong-bytes", `the peer ${what}`);
}
