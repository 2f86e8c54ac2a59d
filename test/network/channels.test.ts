/** Partitions on one host: what each hears, and who is there for it. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { createNetwork, type Network } from "../../src/network/node.ts";
import type { TransportHandler } from "../../src/ports.ts";
import { artefactHash } from "../../src/protocol/ids.ts";
import { encodeOpening } from "../../src/protocol/opening.ts";
import { ACCEPT } from "../../src/protocol/verdict.ts";
import { memoryArtefacts } from "../../src/storage/memory.ts";
import { MESSAGE_BYTES_MAX, NETWORK, newSeed, realClock, until } from "./fixture.ts";

const [WEST, EAST] = ["cd".repeat(32), "ef".repeat(32)];

class Heard implements TransportHandler {
  readonly messages: string[] = [];
  readonly states: string[] = [];
  /** Whether the partition may not show a file; left out, it does not say. */
  withholds?: () => boolean;
  readonly #name: string;

  constructor(name: string) {
    this.#name = name;
  }

  message(bytes: Uint8Array): typeof ACCEPT {
    this.messages.push(Buffer.from(bytes).toString());
    return ACCEPT;
  }

  request(_peer: string, _request: string, body: Uint8Array, answer: (frames: readonly Uint8Array[]) => void): void {
    answer([Buffer.from(`${this.#name} ${Buffer.from(body).toString()}`)]);
  }

  peer(peer: string, state: "up" | "down"): void {
    this.states.push(`${state} ${peer}`);
  }
}

interface Host {
  readonly network: Network;
  readonly shared: Heard;
  readonly west: Heard;
  readonly east: Heard;
  readonly artefacts: ReturnType<typeof memoryArtefacts>;
}

const hosts: Host[] = [];

async function start(names: readonly ("west" | "east")[]): Promise<Host> {
  const heard = { shared: new Heard("shared"), west: new Heard("west"), east: new Heard("east") };
  const artefacts = memoryArtefacts({ defer: (run) => setImmediate(run) });
  const network = await createNetwork(
    {
      network: NETWORK,
      seed: newSeed(),
      listen: ["/ip4/127.0.0.1/tcp/0"],
      bootstrap: hosts.flatMap((host) => host.network.addresses()),
      members: [],
      manifest: new Uint8Array(),
      profile: "local",
      messageBytesMax: MESSAGE_BYTES_MAX,
    },
    {
      handler: heard.shared,
      partitions: names.map((name) => ({
        name,
        network: name === "west" ? WEST : EAST,
        messageBytesMax: MESSAGE_BYTES_MAX,
        handler: heard[name],
      })),
      artefacts,
      clock: realClock,
      telemetry: { emit: () => {}, count: () => {} },
    },
  );
  const host = { network, artefacts, ...heard };
  hosts.push(host);
  return host;
}

/** One in the west, one in both, one in the east. */
beforeAll(async () => {
  await start(["west"]);
  await start(["west", "east"]);
  await start(["east"]);
  const ups = (heard: Heard): number => heard.states.filter((state) => state.startsWith("up")).length;
  await until(
    "all are there for each other where they share something",
    () =>
      hosts.every(({ shared }) => ups(shared) === 2) &&
      hosts.map(({ west }) => ups(west)).join() === "1,1,0" &&
      hosts.map(({ east }) => ups(east)).join() === "0,1,1",
  );
}, 30_000);

afterAll(async () => {
  for (const { network } of hosts) await network.close();
});

function at(index: number): Host {
  const host = hosts[index];
  if (host === undefined) throw new Error(`no host ${index}`);
  return host;
}

test("a partition's message reaches those who take part in it, and what all share reaches all", async () => {
  at(1).network.partition(WEST).publish(Buffer.from("in the west"));
  at(1).network.publish(Buffer.from("for all"));
  await until("both have arrived", () => {
    return at(0).west.messages.length > 0 && [0, 2].every((index) => at(index).shared.messages.length > 0);
  });
  expect(at(0).west.messages).toEqual(["in the west"]);
  for (const index of [0, 2]) expect(at(index).shared.messages).toEqual(["for all"]);
  // What the third host was not to hear would have come before what it has heard.
  expect(at(2).west.messages).toEqual([]);
  expect(at(2).east.messages).toEqual([]);
});

test("each partition has its own peers, and answers only those who ask in it", async () => {
  const [west, both, east] = hosts.map(({ network }) => network.key);
  expect([...at(1).network.peers()].sort()).toEqual([west ?? "", east ?? ""].sort());
  expect(at(1).network.partition(WEST).peers()).toEqual([west]);
  expect(at(1).network.partition(EAST).peers()).toEqual([east]);
  const ask = (index: number, partition: string, peer = both ?? ""): Promise<string> =>
    new Promise((resolve) => {
      const { network } = at(index);
      network.partition(partition).request(peer, "sync", Buffer.from("?"), 1_000, 5_000, (result) => {
        resolve(result.ok ? result.value.map((frame) => Buffer.from(frame).toString()).join() : result.fault.code);
      });
    });
  expect(await ask(0, WEST)).toBe("west ?");
  expect(await ask(2, EAST)).toBe("east ?");
  // The host of the west speaks no protocol of the east.
  expect(await ask(1, EAST, west)).toBe("request.failed");
});

test("an opening is shown if one partition shows it, and any other file if no partition withholds it", async () => {
  const { artefacts, east, west, network } = at(1);
  const id = "ab".repeat(32);
  const files = [
    encodeOpening({ prover: id, nonce: new Uint8Array(32), artefact: id, bytes: 1 }),
    Buffer.from("proof"),
  ];
  for (const file of files) await new Promise((resolve) => artefacts.write(file, resolve));
  const had = (file: Uint8Array): Promise<boolean> =>
    new Promise((resolve) => {
      at(0).artefacts.forget([artefactHash(file)], () =>
        at(0).network.fetch(network.key, artefactHash(file), 1_000, 5_000, ({ ok }) => resolve(ok)),
      );
    });
  const [opening = new Uint8Array(), proof = new Uint8Array()] = files;
  expect([await had(opening), await had(proof)]).toEqual([false, true]);
  west.withholds = () => true;
  east.withholds = () => false;
  expect([await had(opening), await had(proof)]).toEqual([true, false]);
  east.withholds = () => true;
  expect([await had(opening), await had(proof)]).toEqual([false, false]);
});
