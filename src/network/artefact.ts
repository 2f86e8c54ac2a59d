/**
 * Fetching a file by its hash, a range at a time, into the artefact store.
 *
 * A range is one request under one time limit, so a file of any length may take as long as it goes on moving, and
 * nobody holds a stream for longer than a range takes. What has arrived stays where a fetch ends half-way: the next one
 * goes on from there, at the same peer or at another. What fits into one range is hashed on the way and never
 * touches the disk before it is known to be right.
 */
import { createHash } from "node:crypto";
import type { Connection } from "@libp2p/interface";
import { concatBytes, hexToBytes } from "@noble/hashes/utils.js";
import type { Artefacts, Cancel, Done, Incoming } from "../ports.ts";
import { type Hash, u64 } from "../protocol/ids.ts";
import { NetworkFault, faultOf, settled } from "./fault.ts";
import { REQUEST } from "./limits.ts";
import { exchange } from "./streams.ts";

const LENGTH_BYTES = 8;

export interface FetchOptions {
  readonly protocol: string;
  readonly hash: Hash;
  /** A file that is longer is refused before anything of it comes. */
  readonly bytesMax: number;
}

export interface FetchModules {
  readonly artefacts: Pick<Artefacts, "keep" | "receive">;
  /** Runs one exchange with the peer when it is its turn, under the time limit of the fetch. */
  readonly ask: <T>(run: (connection: Connection, signal: AbortSignal) => Promise<T>, done: Done<T>) => Cancel;
}

/** `done` is called once, unless cancelled before: when the file is in the store, or with why it is not. */
export function fetchArtefact(options: FetchOptions, modules: FetchModules, done: Done<void>): Cancel {
  let over = false;
  let cancelRange: Cancel = () => {};
  const ask = (offset: number): Promise<Range> =>
    new Promise((resolve, reject) => {
      if (over) return reject(new NetworkFault("request.cancelled", "cancelled by the caller"));
      cancelRange = modules.ask(
        (connection, signal) => askRange(connection, options, offset, signal),
        (result) => {
          if (result.ok) resolve(result.value);
          else reject(new NetworkFault(result.fault.code, result.fault.message));
        },
      );
    });
  void fetchAll(options, modules, ask).then(
    () => {
      if (!over) done({ ok: true, value: undefined });
    },
    (error: unknown) => {
      if (!over) done({ ok: false, fault: faultOf(error, "request.failed") });
    },
  );
  return () => {
    over = true;
    cancelRange();
  };
}

async function fetchAll(
  { hash }: FetchOptions,
  { artefacts }: FetchModules,
  ask: (offset: number) => Promise<Range>,
): Promise<void> {
  const first = await ask(0);
  if (first.bytes.length === first.length) {
    // Who gave it to us has it as well.
    await settled<Hash>((done) => artefacts.keep(first.bytes, done));
    return;
  }
  if (await receiveRest(hash, first, artefacts, ask)) return;
  throw wrong("sent bytes of another hash");
}

/** Whether the file is right. Where earlier tries had a part in a wrong one, this peer gets to send all of it. */
async function receiveRest(
  hash: Hash,
  first: Range,
  artefacts: Pick<Artefacts, "receive">,
  ask: (offset: number) => Promise<Range>,
): Promise<boolean> {
  for (;;) {
    const incoming = await settled<Incoming>((done) => artefacts.receive(hash, first.length, done));
    const inherited = incoming.bytes > 0;
    try {
      if (!inherited) await settled<void>((done) => incoming.append(first.bytes, done));
      while (incoming.bytes < first.length) {
        const range = await ask(incoming.bytes);
        if (range.length !== first.length) throw wrong("announced two lengths");
        if (range.bytes.length === 0) throw wrong("sent less than it announced");
        await settled<void>((done) => incoming.append(range.bytes, done));
      }
    } catch (error) {
      incoming.pause();
      throw error;
    }
    if (await settled<boolean>((done) => incoming.finish(done))) return true;
    if (!inherited) return false;
  }
}

interface Range {
  /** Of the whole file. */
  readonly length: number;
  readonly bytes: Uint8Array;
}

function askRange(
  connection: Connection,
  { protocol, hash, bytesMax }: FetchOptions,
  offset: number,
  signal: AbortSignal,
): Promise<Range> {
  const limits = { bytesMax: REQUEST.rangeBytesMax + LENGTH_BYTES, code: "artefact.too-large", signal };
  const body = concatBytes(hexToBytes(hash), u64(offset));
  return exchange(connection, protocol, body, limits, (frames) => receiveRange(frames, { hash, offset, bytesMax }));
}

/** Exactly the range that the announced length implies, in one piece; a whole file only of the hash asked for. */
export async function receiveRange(
  frames: AsyncIterable<Uint8Array>,
  { hash, offset, bytesMax }: { readonly hash: Hash; readonly offset: number; readonly bytesMax: number },
): Promise<Range> {
  const digest = createHash("sha256");
  let length = 0;
  let bytes: Uint8Array | null = null;
  let at = 0;
  for await (const frame of frames) {
    if (bytes === null) {
      length = lengthOf(frame, bytesMax);
      bytes = new Uint8Array(Math.max(0, Math.min(REQUEST.rangeBytesMax, length - offset)));
      continue;
    }
    if (at + frame.length > bytes.length) throw wrong("sent more than it announced");
    bytes.set(frame, at);
    digest.update(frame);
    at += frame.length;
  }
  if (bytes === null) throw new NetworkFault("artefact.absent", "the peer does not have the artefact");
  if (at < bytes.length) throw wrong("sent less than it announced");
  if (at === length && digest.digest("hex") !== hash) throw wrong("sent bytes of another hash");
  return { length, bytes };
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
