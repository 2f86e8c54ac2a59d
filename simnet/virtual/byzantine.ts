/**
 * A hostile node: the real runtime, with a filter between it and its ports.
 *
 * What the runtime decides to say is taken apart, changed, and signed again with the node's own key, so that everything
 * a hostile node sends has a signature that holds. It may keep several faces: feeds that differ from peer to peer. What
 * it hears, answers and proves can be turned round as well. `behaviours.ts` says what each kind of malice does.
 */
import type { Block } from "../../src/core/state.ts";
import type { Artefacts, Signer, Transport, TransportHandler } from "../../src/ports.ts";
import { type Batch, openBatch, sealBatch } from "../../src/protocol/batch.ts";
import { type Hash, type Key, ZERO_HASH } from "../../src/protocol/ids.ts";
import type { Manifest } from "../../src/protocol/manifest.ts";
import type { Entry } from "../../src/protocol/messages.ts";
import { decodeFrontier, decodeSyncFrame, encodeSyncFrame, type SyncFrame } from "../../src/protocol/sync.ts";
import { ACCEPT } from "../../src/protocol/verdict.ts";
import type { RuntimeModules } from "../../src/runtime/runtime.ts";
import type { Join, SimNode } from "./cluster.ts";
import type { SimNetwork } from "./network.ts";
import type { Chance, World } from "./world.ts";

/** One way to be hostile. Whatever is not given is done as an honest node does it. */
export interface Behaviour {
  readonly who: "attester" | "prover" | "anyone";
  readonly says: string;
  /** How many faces it needs. */
  readonly faces?: number;
  readonly modules?: (modules: RuntimeModules, node: Hostile) => RuntimeModules;
  /** What it says to a face's peers where the real node had decided to say this. */
  readonly rewrite?: (entry: Entry, face: Face, node: Hostile) => readonly Entry[];
  readonly hears?: (entry: Entry, author: Key, node: Hostile) => void;
  readonly hearsBatch?: (batch: Batch, node: Hostile) => void;
  /** Whether it also reacts to the other hostile nodes; two that echo each other would never end. */
  readonly hearsFellows?: true;
  /** Whether a batch goes to this peer at all. */
  readonly sends?: (peer: Key, node: Hostile) => boolean;
  readonly answers?: (frames: readonly SyncFrame[], peer: Key, node: Hostile) => readonly SyncFrame[] | "garbage";
  readonly artefacts?: (artefacts: Artefacts, node: Hostile) => Artefacts;
  /** Done again and again while the node lives, so often and no more. */
  readonly every?: { readonly ms: number; readonly times: number; readonly run: (node: Hostile) => void };
}

/** Own batches of one answer. */
const ANSWER_BATCHES = 64;

/** Whether the behaviour leaves the batches of the real node as they are, and adds none. */
function isPlain({ rewrite, hears, hearsBatch, every }: Behaviour): boolean {
  return [rewrite, hears, hearsBatch, every].every((each) => each === undefined);
}
const FETCH_BYTES_MAX = 1 << 20;
const FETCH_MS = 2_000;

/** A feed as some of the peers know it. */
export interface Face {
  readonly index: number;
  next: number;
  previous: Hash;
  readonly batches: Batch[];
}

export interface HostileOptions {
  readonly manifest: Manifest;
  readonly world: World;
  readonly chance: Chance;
  readonly behaviours: readonly Behaviour[];
  /** The other hostile keys. */
  readonly fellows: ReadonlySet<Key>;
}

export class Hostile {
  readonly options: HostileOptions;
  readonly chance: Chance;
  readonly faces: readonly Face[];
  /** Keys without a node that it signs with. */
  readonly strays = new Set<Key>();
  /** Batches of others as they came, for replay. */
  readonly heard: Batch[] = [];
  /** What its real node has signed, whatever became of the disk. */
  readonly #signed: Batch[] = [];
  /** Whether it sends the batches of its real node as they are, so that one feed is its own. */
  readonly #isPlain: boolean;
  readonly #known = new Set<Hash>();
  readonly #faceOf = new Map<Key, number>();
  readonly #done = new Set<string>();
  #signer: Signer | null = null;
  #network: SimNetwork | null = null;
  #transport: Transport | null = null;
  #node: SimNode | null = null;

  constructor(options: HostileOptions) {
    this.options = options;
    this.chance = options.chance;
    const faces = Math.max(1, ...options.behaviours.map((behaviour) => behaviour.faces ?? 1));
    this.faces = Array.from({ length: faces }, (_, index) => ({ index, next: 0, previous: ZERO_HASH, batches: [] }));
    this.#isPlain = faces === 1 && options.behaviours.every(isPlain);
  }

  get node(): SimNode {
    if (this.#node === null) throw new Error("a hostile node was asked for before it was started");
    return this.#node;
  }

  get key(): Key {
    return this.node.key;
  }

  modules(modules: RuntimeModules, node: SimNode): RuntimeModules {
    this.#node = node;
    this.#signer = modules.signer;
    return this.options.behaviours.reduce((kept, behaviour) => behaviour.modules?.(kept, this) ?? kept, modules);
  }

  join(node: SimNode, network: SimNetwork, handler: TransportHandler, join: Join): Transport {
    this.#network = network;
    const { behaviours } = this.options;
    const artefacts = behaviours.reduce<Artefacts>(
      (kept, each) => each.artefacts?.(kept, this) ?? kept,
      node.disk.artefacts,
    );
    const transport = join(this.#handler(handler), artefacts);
    this.#transport = transport;
    for (const { every } of behaviours) if (every !== undefined) this.#repeat(every, node.starts);
    return {
      publish: (bytes) => this.#publish(bytes),
      peers: () => transport.peers(),
      fetch: (...args) => transport.fetch(...args),
      request: (peer, request, body, bytesMax, timeoutMs, done) =>
        transport.request(peer, request, body, bytesMax, timeoutMs, (result) =>
          done(result.ok ? { ok: true, value: this.#take(body, result.value) } : result),
        ),
    };
  }

  /** Signs and sends on each face; what a face leaves out is not said there. `start`: another counter than its own. */
  say(entries: readonly Entry[], face?: Face, start?: number): void {
    if (entries.length === 0) return;
    for (const each of face === undefined ? this.faces : [face]) {
      const batch = this.seal(each, entries, start);
      each.batches.push(batch);
      each.next++;
      each.previous = batch.hash;
      this.send(batch.bytes, (peer) => this.faceOf(peer) === each);
    }
  }

  /** Signs several batches in this order, sends the last one at once, and the ones before it only later. */
  sayLast(batches: readonly (readonly Entry[])[], face: Face, afterMs: number): void {
    const sealed = batches.map((entries) => {
      const batch = this.seal(face, entries);
      face.next++;
      face.previous = batch.hash;
      return batch;
    });
    const publish = (batch: Batch) => {
      face.batches.push(batch);
      this.send(batch.bytes, (peer) => this.faceOf(peer) === face);
    };
    for (const batch of sealed.slice(-1)) publish(batch);
    this.options.world.after(afterMs, () => sealed.slice(0, -1).forEach(publish));
  }

  /** A batch of this node's, with a signature that holds; on the face's feed unless said otherwise. */
  seal(feed: { readonly next: number; readonly previous: Hash }, entries: readonly Entry[], counter?: number): Batch {
    const { manifest } = this.options;
    // A key whose counter of starts falls would be convicted, whatever it says.
    const start = counter ?? this.#signed.at(-1)?.head.start ?? 1;
    const head = { author: this.key, number: feed.next, previous: feed.previous, start };
    const batch = sealBatch(manifest.network, head, entries, (message) => this.sign(message));
    this.#network?.onPublish(this.key, batch.bytes);
    return batch;
  }

  /** Sends what a key has signed that no node has. */
  sayAs(key: Key, bytes: Uint8Array): void {
    this.strays.add(key);
    this.#network?.onPublish(key, bytes);
    this.send(bytes);
  }

  sign(message: Uint8Array): Uint8Array {
    if (this.#signer === null) throw new Error("a hostile node signs once it has started");
    return this.#signer.sign(message);
  }

  send(bytes: Uint8Array, to: (peer: Key) => boolean = () => true): void {
    const { behaviours } = this.options;
    for (const peer of this.peers()) {
      if (to(peer) && behaviours.every(({ sends }) => sends?.(peer, this) ?? true))
        this.#network?.send(this.key, peer, bytes);
    }
  }

  peers(): readonly Key[] {
    return this.#network?.keys().filter((peer) => peer !== this.key) ?? [];
  }

  /** Asks peer after peer for a file; `found` is not called where none of them hands it out. */
  fetch(hash: Hash, found: (bytes: Uint8Array) => void, peers: readonly Key[] = this.peers()): void {
    const [peer, ...others] = peers;
    if (peer === undefined) return;
    this.#transport?.fetch(peer, hash, FETCH_BYTES_MAX, FETCH_MS, (fetched) => {
      if (!fetched.ok) return this.fetch(hash, found, others);
      this.node.disk.artefacts.read(hash, FETCH_BYTES_MAX, (read) => {
        if (read.ok && read.value !== null) found(read.value);
      });
    });
  }

  /** Blocks as its own real node knows them. */
  blocks(): readonly Block[] {
    return [...(this.node.runtime?.state.blocks.values() ?? [])];
  }

  /** Whether this is the first call with this name: for what a behaviour does once. */
  isFirst(name: string): boolean {
    const isNew = !this.#done.has(name);
    this.#done.add(name);
    return isNew;
  }

  pick<T>(list: readonly T[]): T | undefined {
    return list[this.chance.between(0, list.length - 1)];
  }

  /** Which face a peer gets to see: drawn when it is first met. */
  faceOf(peer: Key): Face {
    const index = this.#faceOf.get(peer) ?? this.chance.between(0, this.faces.length - 1);
    this.#faceOf.set(peer, index);
    const face = this.faces[index] ?? this.faces[0];
    if (face === undefined) throw new Error("a hostile node has a face");
    return face;
  }

  #publish(bytes: Uint8Array): void {
    const opened = openBatch(bytes);
    if (!opened.ok) throw new Error(`the runtime published ${opened.code}`);
    this.#signed.push(opened.value);
    if (this.#isPlain) return this.#pass(opened.value);
    // What the real node signed is sent to nobody, but its votes get out in certificates and claims.
    this.#network?.onPublish(this.key, bytes, false);
    for (const face of this.faces) {
      const said = opened.value.entries.flatMap((entry) => this.#rewritten(entry, face));
      this.say(said.slice(0, 256), face);
    }
  }

  #pass({ head, hash, bytes }: Batch): void {
    this.#network?.onPublish(this.key, bytes);
    for (const face of this.faces) [face.next, face.previous] = [head.number + 1, hash];
    this.send(bytes);
  }

  #rewritten(entry: Entry, face: Face): readonly Entry[] {
    let entries: readonly Entry[] = [entry];
    for (const { rewrite } of this.options.behaviours)
      if (rewrite !== undefined) entries = entries.flatMap((each) => rewrite(each, face, this));
    return entries;
  }

  #handler(handler: TransportHandler): TransportHandler {
    return {
      message: (bytes, from) => {
        const opened = openBatch(bytes);
        // Its own word in another version would make the real node fall silent.
        if (!this.#isPlain && opened.ok && opened.value.head.author === this.key) return ACCEPT;
        if (opened.ok) this.#hear(opened.value);
        return handler.message(bytes, from);
      },
      peer: (peer, state) => handler.peer(peer, state),
      withholds: (peer, artefact, bytes) => handler.withholds?.(peer, artefact, bytes) ?? false,
      request: (peer, request, body, answer) =>
        handler.request(peer, request, body, (frames) => answer(this.#answer(peer, body, frames))),
    };
  }

  #hear(batch: Batch): void {
    if (this.#known.has(batch.hash)) return;
    this.#known.add(batch.hash);
    this.heard.push(batch);
    const { author } = batch.head;
    for (const { hears, hearsBatch, hearsFellows = false } of this.options.behaviours) {
      hearsBatch?.(batch, this);
      if (hears === undefined || (!hearsFellows && this.options.fellows.has(author))) continue;
      for (const entry of batch.entries) hears(entry, author, this);
    }
  }

  /**
   * What a peer gives back is heard. The peer knows faces and the real node does not, so its own feed comes back to the
   * real node as that has signed it: a disk that is lost finds it again, and signs no number twice.
   */
  #take(body: Uint8Array, frames: readonly Uint8Array[]): Uint8Array[] {
    if (this.#isPlain) return frames.flatMap((frame) => this.#heardFrame(frame));
    const asked = decodeFrontier(body)?.feeds.get(this.key) ?? 0;
    const own = this.#signed.filter(({ head }) => head.number >= asked).slice(0, ANSWER_BATCHES);
    return [
      ...frames.flatMap((frame) => this.#takeFrame(frame)),
      ...own.map(({ bytes }) => encodeSyncFrame({ kind: "batch", bytes })),
    ];
  }

  #takeFrame(bytes: Uint8Array): Uint8Array[] {
    const frame = decodeSyncFrame(bytes);
    if (frame?.kind === "frontier") {
      const feeds = new Map([...frame.frontier.feeds].filter(([author]) => author !== this.key));
      const last = this.#signed.at(-1);
      if (last !== undefined) feeds.set(this.key, last.head.number + 1);
      return [encodeSyncFrame({ kind: "frontier", frontier: { ...frame.frontier, feeds } })];
    }
    if (frame?.kind === "forgotten" && frame.author === this.key) return [];
    if (frame?.kind !== "batch") return [bytes];
    const opened = openBatch(frame.bytes);
    return opened.ok && opened.value.head.author === this.key ? [] : this.#heardFrame(bytes);
  }

  #heardFrame(bytes: Uint8Array): Uint8Array[] {
    const frame = decodeSyncFrame(bytes);
    const opened = frame?.kind === "batch" ? openBatch(frame.bytes) : undefined;
    if (opened?.ok === true) this.#hear(opened.value);
    return [bytes];
  }

  /** The peer's face in place of what the real node thinks to have said; then the lies. */
  #answer(peer: Key, body: Uint8Array, frames: readonly Uint8Array[]): readonly Uint8Array[] {
    const face = this.faceOf(peer);
    const asked = decodeFrontier(body)?.feeds.get(this.key) ?? 0;
    const mine = face.batches.filter(({ head }) => head.number >= asked).slice(0, ANSWER_BATCHES);
    if (this.#isPlain) for (const bytes of this.#ownIn(frames)) this.#network?.onPublish(this.key, bytes);
    const others = frames.flatMap((bytes): SyncFrame[] => {
      const frame = decodeSyncFrame(bytes);
      if (this.#isPlain) return frame === null ? [] : [frame];
      if (frame === null || (frame.kind === "forgotten" && frame.author === this.key)) return [];
      if (frame.kind === "frontier")
        return [{ ...frame, frontier: { ...frame.frontier, feeds: this.#withFace(frame.frontier.feeds, face) } }];
      if (frame.kind !== "batch") return [frame];
      const opened = openBatch(frame.bytes);
      return opened.ok && opened.value.head.author === this.key ? [] : [frame];
    });
    let said: readonly SyncFrame[] = [...others, ...mine.map(({ bytes }) => ({ kind: "batch", bytes }) as const)];
    for (const { answers } of this.options.behaviours) {
      const lied = answers?.(said, peer, this) ?? said;
      if (lied === "garbage") return [new Uint8Array([0xff, 0x00, 0xff]), new Uint8Array(1000)];
      said = lied;
    }
    return said.map(encodeSyncFrame);
  }

  /** Its own batches in an answer: what it had not sent when it died goes out in this way. */
  #ownIn(frames: readonly Uint8Array[]): Uint8Array[] {
    return frames.flatMap((bytes) => {
      const frame = decodeSyncFrame(bytes);
      const opened = frame?.kind === "batch" ? openBatch(frame.bytes) : undefined;
      return opened?.ok === true && opened.value.head.author === this.key ? [opened.value.bytes] : [];
    });
  }

  #withFace(feeds: ReadonlyMap<Key, number>, face: Face): Map<Key, number> {
    return new Map([...feeds, [this.key, face.next]]);
  }

  #repeat(every: NonNullable<Behaviour["every"]>, life: number, done = 0): void {
    if (done >= every.times) return;
    this.options.world.after(every.ms, () => {
      if (this.node.runtime === null || this.node.starts !== life) return;
      every.run(this);
      this.#repeat(every, life, done + 1);
    });
  }
}
