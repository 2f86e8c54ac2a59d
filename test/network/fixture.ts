/** Nodes on loopback for tests over real sockets: no sleeps, only conditions with a deadline. */
import { createHash } from "node:crypto";
import type { Hash, Key } from "../../src/protocol/ids.ts";
import { ACCEPT } from "../../src/protocol/verdict.ts";
import type { Verdict } from "../../src/protocol/verdict.ts";
import type { Clock, Request, Result, Telemetry, TransportHandler } from "../../src/ports.ts";
import { type MemoryArtefacts, memoryArtefacts } from "../../src/storage/memory.ts";
import { createNetwork } from "../../src/network/node.ts";
import type { Network, NetworkOptions } from "../../src/network/node.ts";

export const NETWORK: Hash = "ab".repeat(32);
export const MESSAGE_BYTES_MAX: number = 64 * 1024;

export const realClock: Clock = {
  now: () => performance.now(),
  wall: () => Date.now(),
  after(delayMs, run) {
    const timer = setTimeout(run, delayMs);
    return () => clearTimeout(timer);
  },
};

/** A clock on which our own time limits pass `times` faster; those inside libp2p stay as they are. */
export function hurried(times: number): Clock {
  return {
    now: () => realClock.now() * times,
    wall: () => realClock.wall(),
    after: (delayMs, run) => realClock.after(delayMs / times, run),
  };
}

export function sha256(bytes: Uint8Array): Hash {
  return createHash("sha256").update(bytes).digest("hex");
}

/** Resolves when the condition holds; fails with the sentence when it does not within the deadline. */
export async function until(what: string, condition: () => boolean, deadlineMs: number = 10_000): Promise<void> {
  const end = performance.now() + deadlineMs;
  while (!condition()) {
    if (performance.now() > end) throw new Error(`not within ${deadlineMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

export interface Heard {
  readonly bytes: Uint8Array;
  readonly from: Key;
  readonly at: number;
}

/** A node with everything that it heard. `verdict` and `answer` can be replaced while it runs. */
export class TestNode {
  readonly heard: Heard[] = [];
  readonly states: string[] = [];
  readonly events: { readonly event: string; readonly fields: Readonly<Record<string, unknown>> }[] = [];
  readonly counts = new Map<string, number>();
  readonly artefacts: MemoryArtefacts = memoryArtefacts({ defer: queueMicrotask });
  verdict: (bytes: Uint8Array, from: Key) => Verdict = () => ACCEPT;
  answer: (peer: Key, request: Request, body: Uint8Array, reply: (frames: readonly Uint8Array[]) => void) => void = (
    _peer,
    _request,
    body,
    reply,
  ) => reply([body]);
  network!: Network;
  clock: Clock = realClock;
  /** Whose key the network has admitted. */
  admitted: (key: Key) => boolean = () => false;

  handler: TransportHandler = {
    message: (bytes, from) => {
      this.heard.push({ bytes, from, at: performance.now() });
      return this.verdict(bytes, from);
    },
    request: (peer, request, body, reply) => this.answer(peer, request, body, reply),
    peer: (peer, state) => this.states.push(`${state} ${peer}`),
  };

  readonly telemetry: Telemetry = {
    emit: (event, fields = {}) => {
      this.events.push({ event, fields });
    },
    count: (name, label) => {
      const id = `${name} ${label}`;
      this.counts.set(id, (this.counts.get(id) ?? 0) + 1);
    },
  };

  count(id: string): number {
    return this.counts.get(id) ?? 0;
  }

  emitted(event: string): number {
    return this.events.filter((one) => one.event === event).length;
  }
}

/** Distinct for every node of a test file. */
let seeds = 0;

export function newSeed(): Uint8Array {
  seeds += 1;
  return createHash("sha256").update(`seed ${process.pid} ${seeds}`).digest();
}

export async function startNode(
  options: Partial<NetworkOptions> = {},
  node: TestNode = new TestNode(),
): Promise<TestNode> {
  const { artefacts, telemetry, handler, clock, admitted } = node;
  node.network = await createNetwork(
    {
      network: NETWORK,
      seed: newSeed(),
      listen: ["/ip4/127.0.0.1/tcp/0"],
      bootstrap: [],
      members: [],
      manifest: new TextEncoder().encode("the manifest"),
      profile: "local",
      messageBytesMax: MESSAGE_BYTES_MAX,
      ...options,
    },
    { handler, artefacts, clock, telemetry, admitted },
  );
  return node;
}

/** `count` nodes, each connected to all others; every node but the first knows the first one's address only. */
export async function startNodes(count: number): Promise<TestNode[]> {
  const first = await startNode();
  const bootstrap = first.network.addresses();
  const rest = await Promise.all(Array.from({ length: count - 1 }, () => startNode({ bootstrap })));
  const nodes = [first, ...rest];
  await connected(nodes);
  return nodes;
}

export function connected(nodes: readonly TestNode[]): Promise<void> {
  return until("every node sees every other", () =>
    nodes.every(({ network }) =>
      nodes.every((other) => other.network === network || network.peers().includes(other.network.key)),
    ),
  );
}

export async function closeAll(nodes: readonly TestNode[]): Promise<void> {
  await Promise.all(nodes.map(({ network }) => network.close()));
}

export function requested(
  from: TestNode,
  to: TestNode,
  body: Uint8Array,
  bytesMax: number,
  timeoutMs: number,
): Promise<Result<readonly Uint8Array[]>> {
  return new Promise((resolve) => {
    from.network.request(to.network.key, "sync", body, bytesMax, timeoutMs, resolve);
  });
}

export function fetched(from: TestNode, to: TestNode, hash: Hash, bytesMax: number): Promise<Result<void>> {
  return new Promise((resolve) => {
    from.network.fetch(to.network.key, hash, bytesMax, 5_000, resolve);
  });
}
