/** Nodes on virtual time: the real core and the real runtime, on simulated ports; a chain that they follow. */
import { Runtime, type RuntimeModules } from "../../src/runtime/runtime.ts";
import { type MemoryJournal, memoryArtefacts, memoryJournal, memoryStore } from "../../src/storage/memory.ts";
import type { Artefacts, Equation, Store, Telemetry, Transport, TransportHandler } from "../../src/ports.ts";
import type { Hash, Key } from "../../src/protocol/ids.ts";
import type { Manifest } from "../../src/protocol/manifest.ts";
import { type Batch, openBatch, verifyBatch } from "../../src/protocol/batch.ts";
import { equalBytes } from "../../src/protocol/messages.ts";
import { sharedOwners } from "./owners.ts";
import { blockAt } from "./chain.ts";
import { CHAIN, manifestOf, type NetworkShape, SYSTEM } from "./manifest.ts";
import { type LinkFaults, SimNetwork } from "./network.ts";
import { type Preparations, type ProvingTimes, simProver, simSignature, simSigner, simVerifier } from "./provers.ts";
import { Chance, World } from "./world.ts";

export interface ClusterOptions extends NetworkShape {
  readonly seed: number;
  readonly nodes: number;
  readonly links: LinkFaults;
  readonly times: ProvingTimes;
  /** What a synced append takes. */
  readonly diskMs: number;
  readonly hooks: NodeHooks;
}

/** Where a node can be made unlike itself: broken, to see whether the checkers notice, or hostile. */
export interface NodeHooks {
  /** Called with a node that comes back, between its recovery and its first word. */
  readonly returning?: (runtime: Runtime, node: SimNode) => void;
  /** What the node's runtime gets in place of the honest ports. */
  readonly modules?: (modules: RuntimeModules, node: SimNode) => RuntimeModules;
  /** Stands in for joining the network: what a node hears, sends and answers can be turned round here. */
  readonly join?: (node: SimNode, network: SimNetwork, handler: TransportHandler, join: Join) => Transport;
}

export type Join = (handler: TransportHandler, artefacts: Artefacts) => Transport;

export interface SimNode {
  readonly name: string;
  readonly key: Key;
  /** Whether it attests and has a source; every node proves. */
  readonly attests: boolean;
  journal: MemoryJournal;
  readonly store: Store;
  readonly artefacts: Artefacts;
  runtime: Runtime | null;
  starts: number;
}

/** What every node reports, for the checkers and the figures. */
export type Watch = (node: SimNode, event: string, fields: Readonly<Record<string, unknown>>) => void;

export class Cluster {
  readonly world: World;
  readonly network: SimNetwork;
  readonly manifest: Manifest;
  readonly nodes: readonly SimNode[];
  readonly #options: ClusterOptions;
  #tip = 0;
  readonly #watch: Watch;
  readonly #opened = new WeakMap<Uint8Array, ReturnType<typeof openBatch>>();
  readonly #owners = sharedOwners();
  readonly #prepared: Preparations = new Map();
  readonly #valid = new WeakSet<Batch>();
  readonly #checked = new WeakMap<Uint8Array, { readonly message: Uint8Array; readonly key: Uint8Array }>();
  /** A signature that has been found valid is the same array for every node that checks it. */
  readonly equation: Equation = (signature, message, key) => {
    const known = this.#checked.get(signature);
    if (known !== undefined && equalBytes(known.message, message) && equalBytes(known.key, key)) return true;
    // Deaf to the last byte, as a verifier that takes S modulo the group's order would be: the strict rule is not.
    const valid = equalBytes(signature.subarray(0, 63), simSignature(key, message).subarray(0, 63));
    if (valid) this.#checked.set(signature, { message, key });
    return valid;
  };

  constructor(options: ClusterOptions, watch: Watch) {
    this.#options = options;
    this.#watch = watch;
    this.world = new World(options.seed);
    this.network = new SimNetwork(this.world, new Chance(options.seed, "network"), options.links);
    const names = Array.from({ length: options.nodes }, (_, at) => `node-${at}`);
    this.nodes = names.map((name, at) => this.#createNode(name, at < options.attesters));
    this.manifest = manifestOf(
      options,
      this.nodes.map(({ key }) => key),
    );
  }

  #createNode(name: string, attests: boolean): SimNode {
    const disk = this.#disk();
    return {
      name,
      key: simSigner(this.#options.seed, name).key,
      attests,
      journal: memoryJournal(disk),
      store: memoryStore(disk),
      artefacts: memoryArtefacts(disk),
      runtime: null,
      starts: 0,
    };
  }

  #disk() {
    return { defer: (run: () => void) => void this.world.after(this.#options.diskMs, run) };
  }

  start(node: SimNode): void {
    const { seed, times, hooks } = this.#options;
    node.starts++;
    const { key } = node;
    const telemetry: Telemetry = {
      emit: (event, fields = {}) => {
        this.world.note(event, node.name, JSON.stringify(fields));
        this.#watch(node, event, fields);
      },
      count: () => {},
    };
    const chance = new Chance(seed, `${node.name}/${node.starts}`);
    const modules: RuntimeModules = {
      clock: this.world.clock(),
      signer: simSigner(seed, node.name),
      equation: this.equation,
      checks: {
        open: (bytes) => this.#open(bytes),
        verify: (network, batch, equation) => this.#verify(network, batch, equation),
      },
      journal: node.journal,
      store: this.#storeOf(node, () => node.runtime === runtime),
      artefacts: node.artefacts,
      verifier: simVerifier(this.world, times, this.#prepared),
      provers: [simProver(this.world, chance, times, SYSTEM, 2)],
      sinks: [],
      telemetry,
      fatal: (fault) => {
        throw new Error(`${node.name}: ${fault.code}: ${fault.message}`);
      },
    };
    const runtime: Runtime = new Runtime(
      {
        manifest: this.manifest,
        core: {
          self: key,
          roles: { source: node.attests, attester: node.attests, prover: true },
          slots: 2,
          ownersOf: this.#owners,
          systems: [SYSTEM],
          seed: chance.between(0, 1 << 20),
        },
      },
      hooks.modules?.(modules, node) ?? modules,
    );
    node.runtime = runtime;
    runtime.start((result) => {
      if (!result.ok) throw new Error(result.fault.message);
      // The process may be gone before its disk answered.
      if (node.runtime !== runtime) return;
      if (node.starts > 1) hooks.returning?.(runtime, node);
      const join: Join = (handler, artefacts) => this.network.join(key, handler, artefacts);
      runtime.connect(hooks.join?.(node, this.network, runtime, join) ?? join(runtime, node.artefacts));
      this.#catchUp(node);
    });
  }

  /** A process that is gone takes no answer any more. */
  #storeOf({ store }: SimNode, isAlive: () => boolean): Store {
    return {
      load: (done) => store.load((result) => (isAlive() ? done(result) : undefined)),
      write: (change, done) => store.write(change, done),
      certificates: (chain, from, countMax, done) => store.certificates(chain, from, countMax, done),
      certificate: (block, done) => store.certificate(block, done),
    };
  }

  /** The machine is gone as well: what comes back under the same key has an empty journal. */
  loseDisk(node: SimNode): void {
    node.journal = memoryJournal(this.#disk());
  }

  /** A message is one array however many nodes get it, and what is in it never changes. */
  #open(bytes: Uint8Array): ReturnType<typeof openBatch> {
    const opened = this.#opened.get(bytes) ?? openBatch(bytes);
    this.#opened.set(bytes, opened);
    return opened;
  }

  #verify(network: Hash, batch: Batch, equation: Equation): boolean {
    if (this.#valid.has(batch)) return true;
    const valid = verifyBatch(network, batch, equation);
    if (valid) this.#valid.add(batch);
    return valid;
  }

  /** kill -9: what was not synced is lost but for a part of it. */
  crash(node: SimNode, keepUnsynced: number): void {
    node.runtime?.close();
    node.runtime = null;
    this.network.leave(node.key);
    node.journal.crash(keepUnsynced);
  }

  /** Every live source sees the block at this height; the others read the chain when they are back. */
  mine(height: number): void {
    this.#tip = height;
    const block = blockAt(height);
    for (const node of this.nodes) if (node.attests) node.runtime?.submit(block, () => {});
  }

  #catchUp(node: SimNode): void {
    if (!node.attests) return;
    for (let height = Math.max(this.certified(node), 0) + 1; height <= this.#tip; height++) {
      node.runtime?.submit(blockAt(height), () => {});
    }
  }

  /** Heights that a node holds certificates of. */
  certified(node: SimNode): number {
    return node.runtime?.state.chains.get(CHAIN)?.certified ?? -1;
  }
}
