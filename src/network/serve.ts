/**
 * The answering side: four protocols, one of them in each channel, each bounded in streams, rate, bytes and time.
 *
 * A peer that reads or writes a byte a second holds one of its own four slots until the time is over, and nothing else.
 */
import type { Connection, Libp2p, Stream } from "@libp2p/interface";
import { bytesToHex } from "@noble/hashes/utils.js";
import type { Hash, Key } from "../protocol/ids.ts";
import { u64 } from "../protocol/ids.ts";
import { isOpening, OPENING_BYTES } from "../protocol/opening.ts";
import type { Artefacts, Clock, Telemetry, TransportHandler } from "../ports.ts";
import { PeerBudget } from "./budget.ts";
import { NetworkFault, faultOf, rethrow, settled } from "./fault.ts";
import { keyOfPeer } from "./identity.ts";
import { PEER, REQUEST, REQUESTS_PER_SECOND, WORK } from "./limits.ts";
import type { Protocol, Route } from "./requests.ts";
import { readRequest, writeFrames } from "./streams.ts";
import type { Work } from "./work.ts";

export function protocolOf(network: Hash, protocol: Protocol): string {
  return `/proofmesh/${network.slice(0, 16)}/${protocol}/1`;
}

export function routeOf(network: Hash, protocol: Protocol): Route {
  return { protocol, id: protocolOf(network, protocol) };
}

export interface ServeOptions {
  readonly network: Hash;
  readonly manifest: Uint8Array;
}

type Handler = Pick<TransportHandler, "request" | "withholds">;

export interface ServeModules {
  readonly node: Libp2p;
  /** Each answers in a network of its own, as the peers name it. */
  readonly channels: readonly { readonly network: Hash; readonly handler: Handler }[];
  readonly artefacts: Pick<Artefacts, "size" | "readPart">;
  readonly clock: Clock;
  readonly telemetry: Telemetry;
  readonly live: () => boolean;
  readonly work: Work;
  /** Called when a peer did what an honest one does not, or not often. */
  readonly struck: (from: Key, code: string) => void;
  /** Called when a peer has been asking more than it may for too long. */
  readonly flooded: (from: Key) => void;
  /** The encoded list of peers that `peers` answers with. */
  readonly peers: (asking: Key) => Uint8Array;
}

type Answer = (from: Key, body: Uint8Array) => AsyncIterable<Uint8Array> | Iterable<Uint8Array>;

export async function serve(options: ServeOptions, modules: ServeModules): Promise<void> {
  const { network, manifest } = options;
  const answers: readonly (readonly [Route, Answer])[] = [
    [routeOf(network, "manifest"), () => slices(manifest)],
    [routeOf(network, "peers"), (from) => [modules.peers(from)]],
    [routeOf(network, "artefact"), artefactAnswer(modules)],
    ...modules.channels.map(
      ({ network: scope, handler }) => [routeOf(scope, "sync"), syncAnswer(handler, modules)] as const,
    ),
  ];
  for (const [{ protocol, id }, answer] of answers) {
    const budgets = new Map<Key, PeerBudget>();
    const handle = (stream: Stream, connection: Connection): Promise<void> =>
      answerStream(protocol, stream, connection, answer, budgets, modules);
    await modules.node.handle(id, handle, {
      maxInboundStreams: REQUEST.concurrentMax,
      maxOutboundStreams: REQUEST.concurrentMax,
    });
  }
}

/** Never rejects: what goes wrong with one stream resets that stream and is counted. */
async function answerStream(
  name: Protocol,
  stream: Stream,
  connection: Connection,
  answer: Answer,
  budgets: Map<Key, PeerBudget>,
  { clock, telemetry, live, work, struck, flooded }: ServeModules,
): Promise<void> {
  const from = keyOfPeer(connection.remotePeer);
  const cut = (code: string, message: string): void => {
    telemetry.count("network.request", `${name}.${code}`);
    stream.abort(new NetworkFault(code, message));
    if (from !== null && STRIKES.has(code)) struck(from, code);
  };
  if (from === null || !live()) return cut("request.early", "not serving");
  const now = clock.now();
  const budget = budgetOf(from, name, budgets, now);
  if (!budget.take(0, now)) {
    cut("request.rate", "more requests a second than allowed");
    if (budget.overMs(now) > PEER.floodMsMax) flooded(from);
    return;
  }
  work.spend(from, WORK.msPerRequest);
  // No fault of this peer: its whole class may have asked for too much.
  if (!work.allows(from)) {
    cut("request.busy", "answers to this peer, or to all of its kind, take too much time");
    if (!work.refuses(from)) connection.abort(new NetworkFault("request.busy", "the peer goes on asking"));
    return;
  }
  const slow = (phase: string) => () => cut("request.slow", `the peer was too slow in ${phase}`);
  const cancelAll = clock.after(REQUEST.serveMsMax, slow("everything"));
  const cancelRead = clock.after(REQUEST.readMsMax, slow("asking"));
  try {
    const body = await readRequest(stream);
    cancelRead();
    // Whoever answers may never do so; the stream then ends by the clock or by the peer, and so does the wait.
    await Promise.race([writeFrames(stream, charged(from, answer(from, body), work)), closedEarly(stream)]);
    telemetry.count("network.request", `${name}.answered`);
  } catch (error) {
    if (stream.status === "open") cut(faultOf(error, "request.failed").code, String(error));
  } finally {
    cancelRead();
    cancelAll();
  }
}

/** Charges the peer for what it gets. */
async function* charged(
  from: Key,
  frames: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  work: Work,
): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const frame of frames) {
    work.sent(from, 1, frame.length);
    yield frame;
  }
}

function closedEarly(stream: Stream): Promise<never> {
  return new Promise((_, reject) => {
    stream.addEventListener("close", ({ error }) => {
      if (error !== undefined) reject(error);
    });
  });
}

/** What is no accident of ours or of the line. */
const STRIKES: ReadonlySet<string> = new Set(["request.slow", "request.body-too-large", "request.malformed"]);

/** Budgets outlive connections, or redialling would refill them. */
function budgetOf(from: Key, name: Protocol, budgets: Map<Key, PeerBudget>, now: number): PeerBudget {
  const known = budgets.get(from);
  if (known !== undefined) return known;
  const requests = { perSecond: REQUESTS_PER_SECOND[name], burst: PEER.burst };
  const budget = new PeerBudget(requests, { perSecond: 1, burst: 1 }, now);
  budgets.set(from, budget);
  const oldest = budgets.keys().next().value;
  if (budgets.size > PEER.budgetsMax && oldest !== undefined) budgets.delete(oldest);
  return budget;
}

/** The handler's frames, as many whole ones as fit. */
function syncAnswer(handler: Handler, { telemetry, clock, work }: ServeModules): Answer {
  return async function* answer(from, body) {
    yield* await new Promise<Uint8Array[]>((resolve) => {
      const reply = (frames: readonly Uint8Array[]): void => {
        const fitting = fittingOf(frames);
        if (fitting.length < frames.length) telemetry.count("network.request", "sync.response-cut");
        resolve(fitting);
      };
      const began = clock.now();
      try {
        handler.request(from, "sync", body, reply);
      } catch (error) {
        rethrow(error);
      }
      work.spend(from, clock.now() - began);
    });
  };
}

function fittingOf(frames: readonly Uint8Array[]): Uint8Array[] {
  const fitting: Uint8Array[] = [];
  let bytes = 0;
  for (const frame of frames) {
    bytes += frame.length;
    if (bytes > REQUEST.responseBytesMax || fitting.length >= REQUEST.framesMax) break;
    fitting.push(frame);
  }
  return fitting;
}

/**
 * First a frame with the length of the whole file, so that the asker can refuse before anything comes; then the range that
 * begins at the offset. The slot is held until it is sent: it bounds what is in memory.
 */
function artefactAnswer({ artefacts, channels }: ServeModules): Answer {
  const isWithheld = (from: Key, hash: Hash, bytes: Uint8Array): boolean => {
    const answers = channels.flatMap(({ handler }) => handler.withholds?.(from, hash, bytes) ?? []);
    // Every channel withholds an opening but the one that knows its commitment.
    return isOpening(bytes) ? !answers.includes(false) : answers.includes(true);
  };
  let held = 0;
  return async function* answer(from, body) {
    const asked = askedOf(body);
    if (asked === null)
      throw new NetworkFault("request.malformed", "an artefact is asked for by 32 bytes of hash and 8 of offset");
    if (held >= REQUEST.rangesServedMax) throw new NetworkFault("request.overload", "too many files are being read");
    held += 1;
    try {
      const length = await settled<number | null>((done) => artefacts.size(asked.hash, done));
      if (length === null) return;
      // A part of an opening could not be recognised, and nobody needs one.
      if (length === OPENING_BYTES && asked.offset > 0) return;
      const { rangeBytesMax } = REQUEST;
      const bytes = await settled<Uint8Array | null>((done) =>
        artefacts.readPart(asked.hash, asked.offset, rangeBytesMax, done),
      );
      if (bytes === null || isWithheld(from, asked.hash, bytes)) return;
      yield u64(length);
      yield* slices(bytes);
    } finally {
      held -= 1;
    }
  };
}

function askedOf(body: Uint8Array): { readonly hash: Hash; readonly offset: number } | null {
  if (body.length !== 40) return null;
  const offset = Number(new DataView(body.buffer, body.byteOffset + 32, 8).getBigUint64(0));
  return Number.isSafeInteger(offset) ? { hash: bytesToHex(body.subarray(0, 32)), offset } : null;
}

function* slices(bytes: Uint8Array): Generator<Uint8Array, void, undefined> {
  for (let at = 0; at < bytes.length; at += REQUEST.artefactFrameBytes) {
    yield bytes.subarray(at, at + REQUEST.artefactFrameBytes);
  }
}
