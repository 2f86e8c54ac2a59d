/**
 * Links between real nodes: for each ordered pair a TCP proxy of our own, which delays, stalls, holds and cuts.
 *
 * A node dials each other one by the address of the link between the two and by no other: it is given those as
 * bootstrap addresses without a peer id, which stay its own and are told to nobody, and it announces a port that cannot
 * be dialled. So every byte between two nodes passes here.
 *
 * A partition holds bytes back instead of refusing them, as a lost route does; TCP delivers them once it is back, if
 * both ends are still there. New connections wait at the proxy in the meantime.
 */
import net from "node:net";
import type { Chance } from "../virtual/world.ts";

export interface LinkOptions {
  /** How long each piece is under way, and how much longer at most. */
  readonly delayMs: number;
  readonly jitterMs: number;
  /** Share of pieces that are lost at first: TCP sends again, and everything behind them waits. */
  readonly loss: number;
}

/** What a node announces where only the links lead to it. */
export const NOWHERE = "/ip4/127.0.0.1/tcp/0";

/** What a piece waits for that is sent again: the shortest retransmission time-out of Linux. */
const RESEND_MS = 200;
/** Under way in one direction of one connection; past it the sender's socket is not read. */
const QUEUE_BYTES_MAX: number = 1024 * 1024;
/** Connections of one pair; the honest ones have two, one from each side. */
const CONNECTIONS_MAX = 64;

/** One direction between two nodes. */
class Flow {
  /** Partitions that hold it; they may overlap. */
  blocks = 0;
  /** On top of what all links have. */
  extraMs = 0;
  readonly pipes = new Set<Pipe>();
  bytes = 0;
}

/** How a connection ends for the side that still listens. */
type Piece = { readonly atMs: number } & ({ readonly bytes: Buffer } | { readonly end: "closed" | "broken" });

/** One direction of one connection: pieces leave in order, none before its time and none while the flow is blocked. */
class Pipe {
  readonly #source: net.Socket;
  readonly #sink: net.Socket;
  readonly #flow: Flow;
  readonly #options: LinkOptions;
  readonly #chance: Chance;
  readonly #queue: Piece[] = [];
  #queuedBytes = 0;
  #lastMs = 0;
  #timer: NodeJS.Timeout | null = null;
  #waits = false;

  constructor(source: net.Socket, sink: net.Socket, flow: Flow, options: LinkOptions, chance: Chance) {
    this.#source = source;
    this.#sink = sink;
    this.#flow = flow;
    this.#options = options;
    this.#chance = chance;
    flow.pipes.add(this);
    source.on("data", (bytes: Buffer) => this.#take(bytes));
    source.on("end", () => this.#push({ atMs: this.#arrivalMs(), end: "closed" }));
    source.on("close", (broken) => {
      if (broken || !source.readableEnded) this.#push({ atMs: this.#arrivalMs(), end: "broken" });
    });
    sink.on("drain", () => {
      this.#waits = false;
      this.pump();
    });
    sink.on("close", () => this.#stop());
  }

  pump(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    while (!this.#waits && this.#flow.blocks === 0) {
      const [piece] = this.#queue;
      if (piece === undefined) return;
      const leftMs = piece.atMs - performance.now();
      if (leftMs > 0) {
        this.#timer = setTimeout(() => this.pump(), leftMs);
        return;
      }
      this.#queue.shift();
      this.#deliver(piece);
    }
  }

  #take(bytes: Buffer): void {
    if (this.#sink.destroyed) return;
    this.#flow.bytes += bytes.length;
    this.#queuedBytes += bytes.length;
    if (this.#queuedBytes > QUEUE_BYTES_MAX) this.#source.pause();
    this.#push({ atMs: this.#arrivalMs(), bytes });
  }

  #arrivalMs(): number {
    const { delayMs, jitterMs, loss } = this.#options;
    const lostMs = loss > 0 && this.#chance.next() < loss ? RESEND_MS : 0;
    const underWayMs = delayMs + this.#flow.extraMs + lostMs + jitterMs * this.#chance.next();
    this.#lastMs = Math.max(this.#lastMs, performance.now() + underWayMs);
    return this.#lastMs;
  }

  #push(piece: Piece): void {
    if (this.#sink.destroyed) return;
    this.#queue.push(piece);
    this.pump();
  }

  #deliver(piece: Piece): void {
    if ("end" in piece) {
      if (piece.end === "closed") this.#sink.end();
      else this.#sink.resetAndDestroy();
      return;
    }
    this.#queuedBytes -= piece.bytes.length;
    if (this.#queuedBytes <= QUEUE_BYTES_MAX / 2) this.#source.resume();
    this.#waits = !this.#sink.write(piece.bytes);
  }

  #stop(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#queue.length = 0;
    this.#flow.pipes.delete(this);
    // What nobody reads any more would keep a sender in wait for ever.
    this.#source.resume();
  }
}

interface Pair {
  readonly server: net.Server;
  readonly port: number;
  readonly sockets: Set<net.Socket>;
  /** Accepted while the link was blocked. */
  readonly waiting: Set<() => void>;
}

export class Links {
  /** Where each node really listens. */
  readonly #ports: readonly number[];
  readonly #options: LinkOptions;
  readonly #chance: Chance;
  readonly #flows = new Map<string, Flow>();
  readonly #pairs = new Map<string, Pair>();

  private constructor(ports: readonly number[], options: LinkOptions, chance: Chance) {
    this.#ports = ports;
    this.#options = options;
    this.#chance = chance;
  }

  static async open(ports: readonly number[], options: LinkOptions, chance: Chance): Promise<Links> {
    const links = new Links(ports, options, chance);
    const all = ports.flatMap((_, from) => ports.flatMap((__, to) => (from === to ? [] : [[from, to] as const])));
    for (const [from, to] of all) links.#flows.set(`${from}>${to}`, new Flow());
    await Promise.all(all.map(([from, to]) => links.#listen(from, to)));
    return links;
  }

  /** What a node dials. */
  addressesOf(from: number): string[] {
    return this.#ports.flatMap((_, to) => {
      const pair = this.#pairs.get(`${from}>${to}`);
      return pair === undefined ? [] : [`/ip4/127.0.0.1/tcp/${pair.port}`];
    });
  }

  /** Nothing that `from` sends arrives at `to` any more; the other way stays as it is. */
  block(from: number, to: number): void {
    this.#flow(from, to).blocks++;
  }

  unblock(from: number, to: number): void {
    const flow = this.#flow(from, to);
    flow.blocks = Math.max(0, flow.blocks - 1);
    if (flow.blocks > 0) return;
    for (const pipe of flow.pipes) pipe.pump();
    this.#admit(from, to);
    this.#admit(to, from);
  }

  /** What `from` sends to `to` takes so much longer, or no longer does. */
  slow(from: number, to: number, extraMs: number): void {
    const flow = this.#flow(from, to);
    flow.extraMs = Math.max(0, flow.extraMs + extraMs);
  }

  /** Breaks all connections between two nodes; they may connect again at once. Returns how many there were. */
  cut(a: number, b: number): number {
    let broken = 0;
    for (const name of [`${a}>${b}`, `${b}>${a}`]) {
      const sockets = [...(this.#pairs.get(name)?.sockets ?? [])];
      for (const socket of sockets) socket.resetAndDestroy();
      broken += Math.ceil(sockets.length / 2);
    }
    return broken;
  }

  heal(): void {
    for (const [name, flow] of this.#flows) {
      const [from = 0, to = 0] = name.split(">").map(Number);
      flow.extraMs = 0;
      flow.blocks = Math.min(1, flow.blocks);
      this.unblock(from, to);
    }
  }

  /** Bytes that all links have carried. */
  get bytes(): number {
    return [...this.#flows.values()].reduce((sum, { bytes }) => sum + bytes, 0);
  }

  async close(): Promise<void> {
    await Promise.all(
      [...this.#pairs.values()].map(async ({ server, sockets }) => {
        const closed = new Promise((resolve) => server.close(resolve));
        for (const socket of sockets) socket.destroy();
        await closed;
      }),
    );
  }

  #flow(from: number, to: number): Flow {
    const flow = this.#flows.get(`${from}>${to}`);
    if (flow === undefined) throw new Error(`no link from ${from} to ${to}`);
    return flow;
  }

  /** Without a way back there is no connection either. */
  #isOpen(from: number, to: number): boolean {
    return this.#flow(from, to).blocks === 0 && this.#flow(to, from).blocks === 0;
  }

  #admit(from: number, to: number): void {
    if (!this.#isOpen(from, to)) return;
    for (const begin of this.#pairs.get(`${from}>${to}`)?.waiting ?? []) begin();
  }

  #listen(from: number, to: number): Promise<void> {
    const sockets = new Set<net.Socket>();
    const waiting = new Set<() => void>();
    const server = net.createServer({ allowHalfOpen: true, noDelay: true, pauseOnConnect: true }, (socket) => {
      track(socket, sockets);
      const begin = (): void => {
        waiting.delete(begin);
        if (!socket.destroyed) this.#connect(socket, from, to, sockets);
      };
      if (this.#isOpen(from, to)) begin();
      else {
        waiting.add(begin);
        socket.once("close", () => waiting.delete(begin));
      }
    });
    server.maxConnections = CONNECTIONS_MAX;
    return new Promise((resolve, reject) => {
      server.once("error", reject);
      server.listen(0, "127.0.0.1", () => {
        const address = server.address();
        const port = address !== null && typeof address === "object" ? address.port : 0;
        this.#pairs.set(`${from}>${to}`, { server, port, sockets, waiting });
        resolve();
      });
    });
  }

  #connect(near: net.Socket, from: number, to: number, sockets: Set<net.Socket>): void {
    const port = this.#ports[to] ?? 0;
    const far = net.connect({ host: "127.0.0.1", port, allowHalfOpen: true, noDelay: true });
    track(far, sockets);
    let connected = false;
    far.once("connect", () => {
      connected = true;
      void new Pipe(near, far, this.#flow(from, to), this.#options, this.#chance);
      void new Pipe(far, near, this.#flow(to, from), this.#options, this.#chance);
      near.resume();
    });
    // Nobody listens there: the node is down.
    far.once("close", () => {
      if (!connected) near.resetAndDestroy();
    });
    near.once("close", () => {
      if (!connected) far.destroy();
    });
  }
}

function track(socket: net.Socket, sockets: Set<net.Socket>): void {
  sockets.add(socket);
  // A reset is one of the ways in which the connection of a node that was killed ends.
  socket.on("error", () => {});
  socket.once("close", () => sockets.delete(socket));
}
