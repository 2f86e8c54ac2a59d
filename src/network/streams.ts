/**
 * Requests over a stream of their own: one length-prefixed frame out, frames back until the end.
 *
 * Streams of libp2p 3 emit messages; `readFrom` and `writeTo` make them a source and a sink again, so that it-pipe can
 * compose framing and limits. Both keep the back-pressure that the async iterator of a libp2p stream loses: a reader
 * that does not ask leaves the stream paused, and then the sender's window stays shut.
 */
import type { Connection, Stream, StreamCloseEvent, StreamMessageEvent } from "@libp2p/interface";
import { decode, encode } from "it-length-prefixed";
import { pipe } from "it-pipe";
import { NetworkFault } from "./fault.ts";
import { REQUEST } from "./limits.ts";

export type Chunk = StreamMessageEvent["data"];
type Piece = Uint8Array | { subarray(): Uint8Array };

/** What a stream delivers, in chunks as they come. Throws what the stream was aborted or reset with. */
export async function* readFrom(stream: Stream): AsyncGenerator<Chunk, void, undefined> {
  const arrived: Chunk[] = [];
  let failure: Error | undefined;
  let wake = (): void => undefined;
  const onMessage = ({ data }: StreamMessageEvent): void => {
    arrived.push(data);
    if (stream.readStatus === "readable") stream.pause();
    wake();
  };
  const onClose = ({ error }: StreamCloseEvent): void => {
    failure = error;
    wake();
  };
  const onEnd = (): void => wake();
  stream.addEventListener("message", onMessage);
  stream.addEventListener("close", onClose);
  stream.addEventListener("end", onEnd);
  try {
    for (;;) {
      const chunk = arrived.shift();
      if (chunk !== undefined) {
        yield chunk;
        continue;
      }
      if (failure !== undefined) throw failure;
      if (ended(stream)) return;
      resume(stream);
      if (arrived.length > 0 || failure !== undefined || ended(stream)) continue;
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  } finally {
    stream.removeEventListener("message", onMessage);
    stream.removeEventListener("close", onClose);
    stream.removeEventListener("end", onEnd);
  }
}

function ended(stream: Stream): boolean {
  if (stream.readableEnded) return true;
  const over = stream.status === "aborted" || stream.status === "reset" || stream.status === "closed";
  return over && stream.readBufferLength === 0;
}

function resume(stream: Stream): void {
  if (stream.readStatus !== "paused") return;
  try {
    stream.resume();
  } catch (error) {
    // The window update goes out last: on a closed connection it throws after the data has already been delivered.
    if (stream.status === "open") throw error;
  }
}

/** Writes everything and then closes the writing end; asks for the next chunk only when the window has room. */
export function writeTo(stream: Stream): (source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>) => Promise<void> {
  return async (source) => {
    for await (const chunk of source) {
      if (!stream.send(chunk)) await drained(stream);
    }
    await stream.close();
  };
}

/** `Stream.onDrain` resolves at once after the first time, so the event itself is waited for. */
async function drained(stream: Stream): Promise<void> {
  while (stream.writableNeedsDrain && stream.writeStatus === "writable") {
    await new Promise<void>((resolve) => {
      const done = (): void => {
        stream.removeEventListener("drain", done);
        stream.removeEventListener("close", done);
        resolve();
      };
      stream.addEventListener("drain", done);
      stream.addEventListener("close", done);
    });
  }
}

/** A transform that ends the pipe when more than `bytesMax` bytes have come. */
export function capped(
  bytesMax: number,
  code: string,
): (source: AsyncIterable<Chunk>) => AsyncGenerator<Chunk, void, undefined> {
  return async function* cap(source) {
    let bytes = 0;
    for await (const chunk of source) {
      bytes += chunk.byteLength;
      if (bytes > bytesMax) throw tooLarge(code, bytesMax);
      yield chunk;
    }
  };
}

function tooLarge(code: string, bytesMax: number): NetworkFault {
  return new NetworkFault(code, `the peer sent more than the ${bytesMax} bytes allowed`);
}

/** A transform from bytes to frames of at most `bytesMax` bytes. */
function framed(
  bytesMax: number,
  code: string,
): (source: AsyncIterable<Chunk>) => AsyncGenerator<Uint8Array, void, undefined> {
  return async function* frames(source) {
    try {
      for await (const frame of decode(source, { maxDataLength: bytesMax })) yield frame.subarray();
    } catch (error) {
      if (error instanceof Error && error.name === "InvalidDataLengthError") throw tooLarge(code, bytesMax);
      throw error;
    }
  };
}

export interface ReadOptions {
  /** Bytes of all frames together. */
  readonly bytesMax: number;
  readonly code: string;
}

/** A length prefix of any frame that we allow has at most this many bytes. */
const PREFIX_BYTES_MAX = 4;

/** The frames that come over a stream; the limit counts their content and a prefix for each frame allowed. */
export function framesOf(stream: Stream, { bytesMax, code }: ReadOptions): AsyncGenerator<Uint8Array, void, undefined> {
  const withPrefixes = bytesMax + PREFIX_BYTES_MAX * REQUEST.framesMax;
  return pipe(readFrom(stream), capped(withPrefixes, code), framed(bytesMax, code), counted(bytesMax, code));
}

function counted(
  bytesMax: number,
  code: string,
): (source: AsyncIterable<Uint8Array>) => AsyncGenerator<Uint8Array, void, undefined> {
  return async function* count(source) {
    let bytes = 0;
    let frames = 0;
    for await (const frame of source) {
      bytes += frame.length;
      frames += 1;
      if (bytes > bytesMax || frames > REQUEST.framesMax) throw tooLarge(code, bytesMax);
      yield frame;
    }
  };
}

/** The one frame of a request. */
export async function readRequest(stream: Stream): Promise<Uint8Array> {
  for await (const frame of framesOf(stream, { bytesMax: REQUEST.bodyBytesMax, code: "request.body-too-large" })) {
    return new Uint8Array(frame);
  }
  throw new NetworkFault("request.empty", "the peer closed the stream without a request");
}

export async function writeFrames(
  stream: Stream,
  frames: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): Promise<void> {
  await pipe(
    frames,
    (source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>) => encode(source),
    gathered,
    writeTo(stream),
  );
}

/** Pieces are put together up to about this size: each that is sent is encrypted and written by itself. */
const PIECE_BYTES = 64 * 1024;

/** Small pieces put together. An answer of a thousand batches would otherwise be two thousand packets. */
export async function* gathered(
  source: AsyncIterable<Piece> | Iterable<Piece>,
): AsyncGenerator<Uint8Array, void, undefined> {
  let small: Uint8Array[] = [];
  let bytes = 0;
  for await (const each of source) {
    const piece = each instanceof Uint8Array ? each : each.subarray();
    if (bytes > 0 && bytes + piece.length > PIECE_BYTES) {
      yield Buffer.concat(small);
      [small, bytes] = [[], 0];
    }
    small.push(piece);
    bytes += piece.length;
  }
  if (bytes > 0) yield Buffer.concat(small);
}

/** Fails when the signal aborts, whatever the promise then does. */
async function orAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  let stop = (): void => undefined;
  const aborted = new Promise<never>((_, reject) => {
    stop = (): void => reject(signal.reason as Error);
    if (signal.aborted) stop();
    else signal.addEventListener("abort", stop, { once: true });
  });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener("abort", stop);
  }
}

/**
 * Sends one frame and hands the answer to `take`. Whatever fails or aborts resets the stream, so that neither side
 * keeps half an exchange.
 */
export async function exchange<T>(
  connection: Connection,
  protocol: string,
  body: Uint8Array,
  options: ReadOptions & { readonly signal: AbortSignal },
  take: (frames: AsyncIterable<Uint8Array>) => Promise<T>,
): Promise<T> {
  const { signal } = options;
  const stream = await connection.newStream(protocol, { signal });
  const run = async (): Promise<T> => {
    await writeFrames(stream, [body]);
    return await take(framesOf(stream, options));
  };
  try {
    return await orAborted(run(), signal);
  } catch (error) {
    stream.abort(error instanceof Error ? error : new Error(String(error)));
    throw error;
  }
}

/** Everything there is, in memory, in plain arrays of its own. */
export async function collect(frames: AsyncIterable<Uint8Array>): Promise<Uint8Array[]> {
  const all: Uint8Array[] = [];
  for await (const frame of frames) all.push(new Uint8Array(frame));
  return all;
}
