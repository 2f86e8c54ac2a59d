/**
 * Nodes of other partitions: they take no part in the simulated one, hear its certificates on the channel that all
 * nodes share, and hand them to a shelf of their own. The nodes of the partition tell them, each through the real
 * channel. Forgers send certificates on the same channel that are forged, old or no certificates at all.
 */
import type { RuntimeModules } from "../../src/runtime/runtime.ts";
import type { Signer, StoredCertificate, TransportHandler } from "../../src/ports.ts";
import { encodeSyncFrame } from "../../src/protocol/sync.ts";
import { partitionsOf } from "../../src/protocol/partition.ts";
import type { Manifest } from "../../src/protocol/manifest.ts";
import { ACCEPT } from "../../src/protocol/verdict.ts";
import { Certificates } from "../../src/runtime/certificates.ts";
import type { Runtime } from "../../src/runtime/runtime.ts";
import { ChannelChecker } from "./checkers/channel.ts";
import { type Damage, SimDisk } from "./disk.ts";
import { type LinkFaults, SimNetwork } from "./network.ts";
import type { Places } from "./places.ts";
import { SimClock, SimProcess } from "./process.ts";
import { simSigner } from "./provers.ts";
import { Chance, type World } from "./world.ts";
import type { SimChain } from "./chain.ts";
import type { Equation } from "../../src/ports.ts";

const FORGE_MS = 700;
const HEARD_MAX = 50;
const DISK_MS = 2;

interface Surroundings {
  readonly world: World;
  readonly manifest: Manifest;
  readonly chain: SimChain;
  readonly equation: Equation;
  readonly places: Places;
}

/** A node of the partition, as far as the channel goes. */
interface Insider {
  readonly key: string;
  readonly name: string;
  readonly process: SimProcess | null;
  readonly runtime: Runtime | null;
}

export interface Outsider {
  readonly name: string;
  readonly key: string;
  readonly signer: Signer;
  readonly disk: SimDisk;
  readonly clock: SimClock;
  starts: number;
  process: SimProcess | null;
  certificates: Certificates | null;
}

export class Outsiders {
  readonly network: SimNetwork;
  readonly nodes: readonly Outsider[];
  readonly checker: ChannelChecker;
  /** Told of each broken rule. */
  complain: (text: string) => void = () => {};
  readonly #around: Surroundings;
  readonly #insiders = new Map<string, Certificates>();

  constructor(around: Surroundings, count: number, forgers: number, links: LinkFaults) {
    this.#around = around;
    const { world, manifest, equation } = around;
    const { seed } = world;
    this.network = new SimNetwork(world, new Chance(seed, "channel"), links);
    this.checker = new ChannelChecker(
      manifest,
      equation,
      () => world.nowMs,
      (text) => this.complain(text),
    );
    this.nodes = Array.from({ length: count }, (_, at): Outsider => {
      const name = `outsider-${at}`;
      const signer = simSigner(seed, name);
      const disk = new SimDisk(world, DISK_MS, true);
      const clock = new SimClock(world);
      return { name, key: signer.key, signer, disk, clock, starts: 0, process: null, certificates: null };
    });
    for (let at = 0; at < forgers; at++) this.#forge(`forger-${at}`);
    const forging = new Set(Array.from({ length: forgers }, (_, at) => simSigner(seed, `forger-${at}`).key));
    this.network.onPublish = (from, bytes) => {
      if (!forging.has(from)) this.checker.told(from, bytes);
    };
  }

  /** The channel of a node of the partition that comes up; `null` where there is nobody to tell. */
  insider(node: Insider, modules: RuntimeModules): ((certificate: StoredCertificate) => void) | null {
    if (this.nodes.length === 0) return null;
    const { manifest } = this.#around;
    const [partition] = partitionsOf(manifest);
    const certificates = this.#open(node.key, modules, true, () => ({
      store: modules.store,
      certified: (chain) => node.runtime?.state.chains.get(chain)?.certified ?? -1,
    }));
    this.#insiders.set(node.name, certificates);
    return (certificate) => {
      if (partition !== undefined) certificates.certified(partition, certificate);
    };
  }

  connect({ name, key, process }: Insider, { artefacts }: Pick<RuntimeModules, "artefacts">): void {
    const certificates = this.#insiders.get(name);
    if (certificates === undefined || process === null) return;
    certificates.connect(process.guardTransport(this.network.join(key, certificates, artefacts, process)));
  }

  leave({ name, key }: Pick<Insider, "name" | "key">): void {
    this.#insiders.get(name)?.close();
    if (this.#insiders.delete(name)) this.network.leave(key);
  }

  start(node: Outsider): void {
    if (node.process !== null) return;
    node.starts++;
    const { world, places } = this.#around;
    const process = new SimProcess(world, node.disk, node.clock);
    node.process = process;
    const { journal, signing, artefacts } = node.disk;
    const store = this.checker.watch(node);
    const nothing = { emit: () => {}, count: () => {} };
    const given = { journal, signing, store, artefacts, clock: node.clock, telemetry: nothing, provers: [] };
    const modules = process.guard({ ...given, sinks: places.lines(node) } as unknown as RuntimeModules);
    const certificates = this.#open(node.key, modules, false, () => {
      throw new Error(`${node.name} takes part in no partition`);
    });
    node.certificates = certificates;
    certificates.start((result) => {
      if (!result.ok) throw new Error(result.fault.message);
      certificates.connect(process.guardTransport(this.network.join(node.key, certificates, artefacts, process)));
    });
  }

  crash(node: Outsider, damage: Damage, chance: Chance, downMs: number): void {
    if (node.process === null) return;
    node.process.alive = false;
    node.certificates?.close();
    node.process = null;
    node.certificates = null;
    this.network.leave(node.key);
    node.disk.crash(damage, chance);
    this.#around.world.after(downMs, () => this.start(node));
  }

  /** L3: what honest outsiders lack. A branch that is not longer is heard of with the next block. */
  lacking(): string[] {
    const canonical = this.#around.chain.blocks;
    const tip = canonical.at(-1);
    return this.nodes.flatMap(({ name, disk }) => {
      const held = disk.store.files().certificates;
      const hashes = this.checker.hashesOf(held);
      const isBeside = tip !== undefined && !hashes.has(tip.hash) && held.some(({ height }) => height >= tip.height);
      const missing = isBeside ? [] : canonical.filter(({ hash }) => !hashes.has(hash)).map(({ height }) => height);
      return missing.length === 0 ? [] : [`L3: ${name} lacks the certificates of heights ${missing.join(", ")}`];
    });
  }

  #open(
    self: string,
    { clock, store, telemetry, sinks }: RuntimeModules,
    isInside: boolean,
    partition: ConstructorParameters<typeof Certificates>[1]["partition"],
  ): Certificates {
    const { manifest, equation } = this.#around;
    return new Certificates(
      {
        self,
        syncMs: manifest.json.timing.syncMs,
        partitions: partitionsOf(manifest),
        own: new Set(isInside ? [null] : []),
      },
      {
        clock,
        equation,
        store,
        partition,
        sinks: new Map(isInside ? [] : [[null, sinks]]),
        telemetry,
        fatal: ({ code, message }) => {
          throw new Error(`the channel of ${self.slice(0, 8)}: ${code}: ${message}`);
        },
      },
    );
  }

  #forge(name: string): void {
    const { world } = this.#around;
    const chance = new Chance(world.seed, name);
    const { key } = simSigner(world.seed, name);
    const heard: Uint8Array[] = [];
    const pick = (): Uint8Array => heard[chance.between(0, heard.length - 1)] ?? new Uint8Array(64).fill(7);
    const handler: TransportHandler = {
      message: (bytes) => {
        if (heard.length >= HEARD_MAX) heard.shift();
        heard.push(bytes);
        // Whoever has not got the true one yet gets a false one first.
        transport.publish(forged(bytes, chance));
        return ACCEPT;
      },
      peer: () => {},
      request: (_peer, _request, _body, answer) => {
        const lies = [...heard.slice(-4), pick(), pick()].map((bytes) => forged(bytes, chance));
        answer([...lies, pick()].map((bytes) => encodeSyncFrame({ kind: "certificate", bytes })));
      },
    };
    const disk = new SimDisk(world, DISK_MS, false);
    const process = new SimProcess(world, disk, new SimClock(world));
    const transport = this.network.join(key, handler, disk.artefacts, process);
    const send = () => {
      transport.publish(chance.next() < 0.3 ? pick() : forged(pick(), chance));
      world.after(FORGE_MS, send);
    };
    world.after(FORGE_MS, send);
  }
}

type File = { content: Record<string, unknown>; votes?: unknown[] };

/** The file with a lie in it: about the block, with too few votes, or with one byte changed. */
function forged(bytes: Uint8Array, chance: Chance): Uint8Array {
  const text = new TextDecoder().decode(bytes);
  const kind = chance.between(0, 3);
  const changed = bytes.slice();
  const at = chance.between(0, bytes.length - 1);
  changed[at] = (changed[at] ?? 0) ^ (1 << chance.between(0, 7));
  if (kind === 0 || !text.startsWith("{")) return changed;
  const file = JSON.parse(text) as File;
  const list = Object.entries(file).find(([, value]) => Array.isArray(value));
  if (kind === 1 && list !== undefined) Object.assign(file, { [list[0]]: (list[1] as unknown[]).slice(-1) });
  if (kind === 2) file.content["height"] = Number(file.content["height"]) + 1;
  if (kind === 3) file.content["hash"] = String(file.content["parent"]);
  return new TextEncoder().encode(`${JSON.stringify(file)}\n`);
}
