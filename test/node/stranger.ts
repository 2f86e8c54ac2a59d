/**
 * A peer that says what it likes: the project's own network adapter with a key of the test's choice, and nothing behind
 * it. What it hears it keeps; what others ask it gets no answer.
 */
import { createNetwork, type Network } from "../../src/network/node.ts";
import { type Batch, openBatch, sealBatch } from "../../src/protocol/batch.ts";
import { ZERO_HASH } from "../../src/protocol/ids.ts";
import type { Entry, EntryOf, Kind } from "../../src/protocol/messages.ts";
import { ACCEPT } from "../../src/protocol/verdict.ts";
import { createKeyFrom } from "../keys.ts";
import { memoryArtefacts } from "../../src/storage/memory.ts";
import { realClock } from "../network/fixture.ts";
import { eventually } from "./processes.ts";

export class Stranger {
  readonly key: string;
  readonly heard: Batch[] = [];
  readonly #network: string;
  readonly #sign: (message: Uint8Array) => Uint8Array;
  #node: Network | null = null;
  #next = 0;
  #previous: string = ZERO_HASH;

  constructor(network: string, seed: Uint8Array) {
    const { key, sign } = createKeyFrom(seed);
    this.key = key;
    this.#network = network;
    this.#sign = sign;
  }

  /** Connects to a node and waits until the node takes its gossip. */
  async connect(seed: Uint8Array, address: string): Promise<this> {
    const node = await createNetwork(
      {
        network: this.#network,
        seed,
        listen: [],
        bootstrap: [address],
        members: [],
        manifest: new Uint8Array(),
        profile: "local",
        // More than a node may send, so that the other side has something to refuse.
        messageBytesMax: 1 << 20,
      },
      {
        handler: {
          message: (bytes) => {
            const opened = openBatch(bytes);
            if (opened.ok) this.heard.push(opened.value);
            return ACCEPT;
          },
          request: (_peer, _request, _body, answer) => answer([]),
          peer: () => {},
        },
        artefacts: memoryArtefacts({ defer: queueMicrotask }),
        clock: realClock,
        telemetry: { emit: () => {}, count: () => {} },
      },
    );
    this.#node = node;
    await eventually("the node takes the stranger's gossip", () => (node.peers().length > 0 ? true : null));
    return this;
  }

  send(bytes: Uint8Array): void {
    this.#node?.publish(bytes);
  }

  /** The next batch of its feed; signed for another network where one is given. */
  seal(entries: readonly Entry[], network: string = this.#network): Batch {
    const feed = { author: this.key, number: this.#next, previous: this.#previous };
    return sealBatch(network, feed, entries, this.#sign);
  }

  /** Signs and sends, and goes on from there: what others refuse by its content still counts as said. */
  say(...entries: Entry[]): void {
    const batch = this.seal(entries);
    this.#next++;
    this.#previous = batch.hash;
    this.send(batch.bytes);
  }

  /** The first statement of a kind that fits, from anyone. */
  hears<K extends Kind>(kind: K, fits: (entry: EntryOf<K>) => boolean): Promise<EntryOf<K>> {
    const isOne = (entry: Entry): entry is Extract<Entry, { kind: K }> => entry.kind === kind;
    return eventually(`a ${kind} is heard`, () => {
      const entries = this.heard.flatMap((batch) => batch.entries).filter(isOne) as unknown as EntryOf<K>[];
      return entries.find(fits) ?? null;
    });
  }

  async close(): Promise<void> {
    await this.#node?.close();
  }
}
