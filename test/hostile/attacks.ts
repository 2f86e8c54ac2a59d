/** What a hostile peer does, one function each: it goes on until it is told to stop, whatever the target makes of it. */
import { randomBytes } from "node:crypto";
import net from "node:net";
import type { Stream } from "@libp2p/interface";
import { ZERO_HASH } from "../../src/protocol/ids.ts";
import { openBatch, sealBatch } from "../../src/protocol/batch.ts";
import type { Entry } from "../../src/protocol/messages.ts";
import { createKeyFrom } from "../keys.ts";
import { type Class, seedOf } from "./keys.ts";
import { Peer, type Target } from "./peer.ts";
import { control, field, framed, publication, subscription, varint } from "./wire.ts";

export interface Sent {
  /** Messages, frames, streams or connections, whatever the attack is made of. */
  count: number;
  refused: number;
}

export interface Attack {
  readonly what: string;
  /** Strangers where it is left out. */
  readonly by?: Class;
  run(target: Target, sent: Sent, signal: AbortSignal): Promise<void>;
}

const turn = (ms = 0): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Sends what `next` makes, as fast as the stream takes it; connects again whenever it was cut off. */
function gossiping(next: (peer: Peer, round: number) => Uint8Array, perTurn = 100): Attack["run"] {
  return async (target, sent, signal) => {
    const peer = await Peer.start(target);
    for (let round = 0; !signal.aborted; round++) {
      try {
        const stream = await peer.gossip();
        for (let at = 0; at < perTurn && stream.status === "open"; at++) {
          const writable = stream.send(framed(next(peer, round * perTurn + at)));
          sent.count++;
          if (!writable) break;
        }
        await turn();
      } catch {
        sent.refused++;
        await turn(100);
      }
    }
    await peer.close();
  };
}

/** Opens streams of one protocol and does something to each. */
function streaming(
  protocol: (peer: Peer) => Promise<Stream>,
  use: (stream: Stream) => void,
  pauseMs = 0,
): Attack["run"] {
  return async (target, sent, signal) => {
    const peer = await Peer.start(target);
    while (!signal.aborted) {
      try {
        const stream = await protocol(peer);
        sent.count++;
        use(stream);
        await turn(pauseMs);
      } catch {
        sent.refused++;
        await turn(20);
      }
    }
    await peer.close();
  };
}

/** Sockets that are opened by the thousand; `use` gets each that is connected. */
function sockets(count: number, use: (socket: net.Socket, sent: Sent, signal: AbortSignal) => void): Attack["run"] {
  return async (target, sent, signal) => {
    const [, host = "", port = ""] = /\/ip4\/([^/]+)\/tcp\/(\d+)/.exec(target.address) ?? [];
    const open = new Set<net.Socket>();
    while (!signal.aborted) {
      for (let at = 0; at < 50 && open.size < count; at++) {
        const socket = net.connect({ port: Number(port), host });
        open.add(socket);
        socket.on("connect", () => {
          sent.count++;
          use(socket, sent, signal);
        });
        socket.on("error", () => sent.refused++);
        socket.on("close", () => open.delete(socket));
      }
      await turn(10);
    }
    for (const socket of open) socket.destroy();
  };
}

const entry: Entry = { kind: "grant", block: ZERO_HASH, stage: "shard", index: 0, attempt: 0, prover: ZERO_HASH };

function batchOf(target: Target, number: number, seed: Uint8Array, forged: boolean): Uint8Array {
  const { key, sign } = createKeyFrom(seed);
  const place = { author: key, number, previous: ZERO_HASH };
  return sealBatch(target.network, place, [entry], forged ? () => new Uint8Array(64).fill(1) : sign).bytes;
}

/** A batch that the target has sent, out of a piece of its gossip stream; `null` where none is whole in it. */
function batchIn(piece: Uint8Array): Uint8Array | null {
  for (let at = 0; at < piece.length; ) {
    const frame = lengthAt(piece, at);
    if (frame.to > piece.length) return null;
    if (piece[frame.from] === 0x12) {
      const message = lengthAt(piece, frame.from + 1);
      if (piece[message.from] === 0x12) {
        const data = lengthAt(piece, message.from + 1);
        const bytes = piece.subarray(data.from, data.to);
        if (openBatch(bytes).ok) return bytes;
      }
    }
    at = frame.to;
  }
  return null;
}

function lengthAt(bytes: Uint8Array, at: number): { readonly from: number; readonly to: number } {
  let [length, from, scale] = [0, at, 1];
  for (; ; scale *= 128) {
    const byte = bytes[from++] ?? 0;
    length += (byte & 0x7f) * scale;
    if (byte < 0x80) return { from, to: from + length };
  }
}

/** A batch in the name of an author that the target knows; nobody but the author can sign it. */
function impersonating(): (peer: Peer, round: number) => Uint8Array {
  let stolen: Uint8Array | null = null;
  return (peer, round) => {
    for (const frame of peer.heard) stolen ??= batchIn(frame);
    if (stolen === null) return publication(peer.topic, batchOf(peer.target, round, seedOf("nobody"), true));
    const opened = openBatch(stolen);
    if (!opened.ok) throw new Error(opened.code);
    const { author } = opened.value.head;
    const place = { author, number: 1_000_000 + round, previous: ZERO_HASH };
    const signature = (): Uint8Array => opened.value.signature;
    return publication(peer.topic, sealBatch(peer.target.network, place, [entry], signature).bytes);
  };
}

export const STRANGE: Readonly<Record<string, Attack>> = {
  garbage: {
    what: "random bytes as gossip messages",
    run: gossiping((peer) => publication(peer.topic, randomBytes(200))),
  },
  frames: {
    what: "random bytes where gossip frames belong",
    run: gossiping(() => randomBytes(300)),
  },
  forged: {
    what: "batches of members with signatures that do not hold",
    run: (target, sent, signal) => gossiping(impersonating())(target, sent, signal),
  },
  strangers: {
    what: "sound batches, each of another unknown author",
    run: gossiping(
      (peer, round) => publication(peer.topic, batchOf(peer.target, 0, seedOf(`author ${round}`), false)),
      20,
    ),
  },
  replay: {
    what: "what the target said, said again and again",
    run: (target, sent, signal) => {
      const stolen: Uint8Array[] = [];
      return gossiping((peer, round) => {
        for (const piece of peer.heard.splice(0)) {
          const batch = batchIn(piece);
          if (batch !== null && stolen.length < 256) stolen.push(batch);
        }
        const again = stolen[round % Math.max(stolen.length, 1)];
        return again === undefined ? control(peer.topic, 0) : publication(peer.topic, again);
      })(target, sent, signal);
    },
  },
  large: {
    what: "messages of 64 KiB of nothing",
    run: gossiping((peer, round) => publication(peer.topic, Buffer.concat([varint(round), Buffer.alloc(65_000)])), 4),
  },
  huge: {
    what: "gossip frames of 3 MiB",
    run: gossiping((peer) => publication(peer.topic, Buffer.alloc(3 * 1024 * 1024)), 1),
  },
  topics: {
    what: "subscriptions to topics without end",
    run: gossiping(
      (_peer, round) => Buffer.concat(Array.from({ length: 30 }, (_, at) => subscription(`/topic/${round}/${at}`))),
      20,
    ),
  },
  control: {
    what: "gossip control about messages that nobody has",
    run: gossiping((peer) => control(peer.topic, 60), 10),
  },
  tiny: {
    what: "empty gossip frames, as many as fit the wire",
    run: gossiping(() => new Uint8Array(0), 5_000),
  },
  requests: {
    what: "questions that are none, on each protocol in turn",
    run: (target, sent, signal) => {
      const protocols = ["sync", "manifest", "peers", "artefact"] as const;
      let at = 0;
      return streaming(
        (peer) => peer.stream(protocols[at++ % protocols.length] ?? "sync"),
        (stream) => stream.send(framed(randomBytes(at % 100))),
      )(target, sent, signal);
    },
  },
  lengths: {
    what: "requests that announce gigabytes",
    run: streaming(
      (peer) => peer.stream("sync"),
      (stream) => stream.send(Buffer.from("ffffffff7f0a0b", "hex")),
    ),
  },
  halfopen: {
    what: "streams on which nothing ever comes",
    run: streaming(
      (peer) => peer.stream("artefact"),
      () => undefined,
    ),
  },
  slowread: {
    what: "answers that nobody reads",
    run: streaming(
      (peer) => peer.stream("manifest"),
      (stream) => {
        stream.pause();
        stream.send(framed(new Uint8Array()));
      },
    ),
  },
  streams: {
    what: "streams of protocols that do not exist, opened and reset",
    run: async (target, sent, signal) => {
      const peer = await Peer.start(target);
      while (!signal.aborted) {
        const opened = Array.from({ length: 16 }, (_, at) =>
          peer.open(`/nothing/${at}`).then(
            (stream) => stream.abort(new Error("no reason")),
            () => sent.refused++,
          ),
        );
        sent.count += opened.length;
        await Promise.all(opened);
        await turn();
      }
      await peer.close();
    },
  },
  ping: {
    what: "pings without a pause",
    run: async (target, sent, signal) => {
      const peer = await Peer.start(target);
      while (!signal.aborted) {
        try {
          const stream = await peer.open("/ipfs/ping/1.0.0");
          while (!signal.aborted && stream.status === "open") {
            for (let at = 0; at < 200; at++, sent.count++) if (!stream.send(randomBytes(32))) break;
            await turn();
          }
        } catch {
          sent.refused++;
          await turn(50);
        }
      }
      await peer.close();
    },
  },
  identify: {
    what: "a false identity with thousands of addresses, told again and again",
    run: async (target, sent, signal) => {
      const peer = await Peer.start(target);
      const address = field(2, Buffer.from("047f000001061234", "hex"));
      const identity = Buffer.concat([field(5, "x".repeat(1_000)), ...Array.from({ length: 5_000 }, () => address)]);
      await peer.node.unhandle("/ipfs/id/1.0.0");
      await peer.node.handle("/ipfs/id/1.0.0", (stream) => {
        sent.count++;
        stream.send(framed(identity));
      });
      while (!signal.aborted) {
        await peer.connect().catch(() => sent.refused++);
        await turn(300);
        await Promise.all(peer.node.getConnections().map((connection) => connection.close()));
      }
      await peer.close();
    },
  },
  tcp: {
    what: "random bytes on a thousand raw connections",
    run: sockets(1_000, (socket, sent) => {
      socket.write(randomBytes(2_000));
      sent.count++;
    }),
  },
  loris: {
    what: "a thousand connections that shake hands a byte a second",
    run: sockets(1_000, (socket, _sent, signal) => {
      const hello = Buffer.from("\x13/multistream/1.0.0\n\x07/noise\n", "latin1");
      let at = 0;
      const timer = setInterval(() => {
        if (signal.aborted || socket.destroyed || at >= hello.length) clearInterval(timer);
        else socket.write(hello.subarray(at, ++at));
      }, 1_000);
    }),
  },
  connections: {
    what: "a thousand whole connections, each with another key",
    run: async (target, sent, signal) => {
      const peers: Peer[] = [];
      while (!signal.aborted) {
        if (peers.length >= 1_000) await Promise.all(peers.splice(0, 100).map((peer) => peer.close()));
        const peer = await Peer.start(target);
        peers.push(peer);
        await peer.gossip().then(
          () => sent.count++,
          () => sent.refused++,
        );
      }
      await Promise.all(peers.map((peer) => peer.close()));
    },
  },
};
