/** Nodes on virtual time: the real core and the real runtime, on simulated ports; a chain that they follow. */
import { utf8ToBytes } from "@noble/hashes/utils.js";
import { announcedAs, closedAs } from "../../src/core/ancestry.ts";
import { sourceResumes } from "../../src/core/branch.ts";
import { Runtime, type RuntimeModules } from "../../src/runtime/runtime.ts";
import type { CoreOptions } from "../../src/core/options.ts";
import type {
  Artefacts,
  Equation,
  Signer,
  Source,
  SourceBlock,
  Telemetry,
  Transport,
  TransportHandler,
} from "../../src/ports.ts";
import { artefactHash, domainHash, type Hash, type Key, u64 } from "../../src/protocol/ids.ts";
import type { Manifest } from "../../src/protocol/manifest.ts";
import { type Batch, openBatch, verifyBatch } from "../../src/protocol/batch.ts";
import { equalBytes } from "../../src/protocol/messages.ts";
import { variantsOf } from "../../src/protocol/stages.ts";
import { sharedOwners } from "./owners.ts";
import { SimChain, SourceLink } from "./chain.ts";
import { type Damage, SimDisk } from "./disk.ts";
import { SimClock, SimProcess } from "./process.ts";
import { Operators } from "./operators.ts";
import { Outsiders } from "./outsiders.ts";
import { Places } from "./places.ts";
import { CHAIN, manifestOf, type NetworkShape, SYSTEMS } from "./manifest.ts";
import { type Address, type LinkFaults, SimNetwork } from "./network.ts";
import {
  type Preparations,
  type ProvingMachine,
  type ProvingTimes,
  simProver,
  simSignature,
  simSigner,
  simVerifier,
} from "./provers.ts";
import { type MachineShape, Scheduling, SLOTS } from "./scheduling.ts";
import { Chance, World } from "./world.ts";

export interface ClusterOptions extends NetworkShape {
  readonly seed: number;
  readonly links: LinkFaults;
  readonly times: ProvingTimes;
  /** What its jobs need of a machine. Default: nothing. */
  readonly machine?: MachineShape & { readonly lingerMs: number };
  /** What a synced append takes. */
  readonly diskMs: number;
  /** The longest that a write of an artefact takes: each takes a time of its own, so they end in any order. Default: `diskMs` each. */
  readonly artefactMsMax?: number;
  /** Whether disks may lose what was not synced; to remember that has its price. Default: yes. */
  readonly tearable?: boolean;
  readonly hooks: NodeHooks;
  /** Limits of the nodes that differ from those of production. */
  readonly limits?: CoreOptions["limits"];
  /** Nodes of other partitions, and forgers on the channel that all partitions share. */
  readonly outsiders?: number;
  readonly forgers?: number;
  /** Blocks of the second chain, which operators hand in. */
  readonly handedIn?: number;
  /** Functions that stages are collected by. */
  readonly selects?: CoreOptions["selects"];
  /** Nodes, by their place, whose key has a second process that may come up. */
  readonly twins?: readonly number[];
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
  readonly signer: Signer;
  /** Its key, but for the second process of a key. */
  readonly address: Address;
  /** Whether it is that: a copy that somebody starts while the first one still has the key. */
  readonly isTwin: boolean;
  /** Whether it attests and has a source. Every node proves, attesters only where they are not `separate`. */
  readonly attests: boolean;
  readonly disk: SimDisk;
  readonly clock: SimClock;
  readonly machine: ProvingMachine;
  readonly link: SourceLink;
  /** `null` while the node is down. */
  runtime: Runtime | null;
  process: SimProcess | null;
  scheduling: Scheduling | null;
  source: Source | null;
  starts: number;
  /** Since when it has been up and free to speak. */
  speaksSinceMs: number | null;
  /** When it may come up again, by virtual time. */
  downUntilMs: number;
  /** Its disk lost what the network has heard of it, and it has not got that back yet. */
  damaged: boolean;
  /** It has left the network, or not come to it yet. */
  gone: boolean;
}

/** An operator looks at a full disk as often. */
const DISK_FULL_DOWN_MS = 2_000;

/** What every node reports, for the checkers and the figures. */
export type Watch = (node: SimNode, event: string, fields: Readonly<Record<string, unknown>>) => void;

export class Cluster {
  readonly world: World;
  readonly network: SimNetwork;
  readonly manifest: Manifest;
  readonly nodes: readonly SimNode[];
  readonly #options: ClusterOptions;
  /** Disks are damaged even where more than f are faulty. */
  isUnbounded = false;
  readonly chain: SimChain = new SimChain();
  readonly operators: Operators<SimNode>;
  /** Nodes of other partitions, which hear the certificates of this one. */
  readonly outsiders: Outsiders;
  /** Where the nodes hand certified blocks to. */
  readonly places: Places;
  /** Counts among the f faults from the first step on. */
  isHostile: (node: SimNode) => boolean = () => false;
  /** Names of those that ended because another process has their key. */
  readonly retired: string[] = [];
  /** Called with what a node's scheduler does wrong. */
  complain: (violation: string) => void = () => {};
  /** Called with a node that comes up, before it speaks. */
  onReturn: (node: SimNode) => void = () => {};
  /** Called with a node whose disk has just lost what was synced. */
  onDamage: (node: SimNode) => void = () => {};
  readonly #watch: Watch;
  #times: ProvingTimes;
  readonly #opened = new WeakMap<Uint8Array, ReturnType<typeof openBatch>>();
  readonly #owners = sharedOwners();
  readonly #prepared: Preparations = new Map();
  /** By artefact: the keys whose prover has made it. */
  readonly makers: Map<Hash, Set<Key>> = new Map();
  readonly #valid = new WeakSet<Batch>();
  readonly #checked = new WeakMap<Uint8Array, { readonly message: Uint8Array; readonly key: Uint8Array }>();
  /** A message is one array however many nodes get it, and what is in it never changes. */
  readonly open: typeof openBatch = (bytes) => {
    const known = this.#opened.get(bytes);
    if (known !== undefined) return known;
    const opened = openBatch(bytes);
    this.#opened.set(bytes, opened);
    return opened;
  };
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
    const names = Array.from({ length: options.nodes + options.joiners }, (_, at) => `node-${at}`);
    const keyed = names.map((name, at) => this.#createNode(name, at < options.attesters));
    const twins = (options.twins ?? []).flatMap((at) => keyed[at] ?? []).map((node) => this.#createTwin(node));
    this.nodes = [...keyed, ...twins];
    for (const newcomer of this.nodes.slice(options.nodes)) newcomer.gone = true;
    this.#times = { ...options.times };
    this.manifest = manifestOf(
      { ...options, handed: (options.handedIn ?? 0) > 0 },
      keyed.map(({ key }) => key),
    );
    this.operators = new Operators(this.world, options.handedIn ?? 0);
    this.places = new Places(this, this.nodes, options.anyStart !== true);
    const { outsiders = 0, forgers = 0, links } = options;
    this.outsiders = new Outsiders(this, outsiders, forgers, links);
  }

  #createTwin({ name, key, signer, attests }: SimNode): SimNode {
    const address = `${key}/twin`;
    this.network.double(key, address);
    return { ...this.#createNode(`${name}-twin`, attests), key, signer, address, isTwin: true };
  }

  #createNode(name: string, attests: boolean): SimNode {
    const signer = simSigner(this.#options.seed, name);
    const { key } = signer;
    return {
      name,
      key,
      signer,
      address: key,
      isTwin: false,
      attests,
      disk: this.#createDisk(name),
      clock: new SimClock(this.world),
      machine: { factor: 1, broken: 0 },
      link: new SourceLink(),
      runtime: null,
      process: null,
      scheduling: null,
      source: null,
      starts: 0,
      speaksSinceMs: null,
      downUntilMs: 0,
      damaged: false,
      gone: false,
    };
  }

  #createDisk(name: string): SimDisk {
    const { seed, diskMs, artefactMsMax, tearable = true } = this.#options;
    if (artefactMsMax === undefined) return new SimDisk(this.world, diskMs, tearable);
    const chance = new Chance(seed, `${name}/artefacts`);
    return new SimDisk(this.world, diskMs, tearable, () => chance.between(diskMs, artefactMsMax));
  }

  start(node: SimNode): void {
    if (node.runtime !== null) return;
    const { hooks, limits = {}, attestersOnlyAttest = false, selects = new Map() } = this.#options;
    node.starts++;
    const process = new SimProcess(this.world, node.disk, node.clock);
    const chance = new Chance(this.#options.seed, `${node.name}/${node.starts}`);
    const guarded = process.guard(this.#modules(node, chance));
    const scheduling = this.#schedule(node, process, guarded);
    const certified = this.isHostile(node) ? null : this.outsiders.insider(node, guarded);
    const modules = { ...guarded, provers: scheduling.provers, ...(certified === null ? {} : { certified }) };
    const runtime: Runtime = new Runtime(
      {
        manifest: this.manifest,
        core: {
          self: node.key,
          roles: { source: node.attests, attester: node.attests, prover: !(node.attests && attestersOnlyAttest) },
          slots: SLOTS,
          follows: node.attests ? [CHAIN] : [],
          ownersOf: this.#owners,
          systems: this.systemsOf(node),
          selects,
          limits,
          instance: domainHash("sim-instance", utf8ToBytes(node.name), u64(node.starts)).slice(0, 32),
          seed: chance.between(0, 1 << 20),
          checkAllEvery: 64,
        },
      },
      hooks.modules?.(modules, node) ?? modules,
    );
    node.runtime = runtime;
    node.process = process;
    node.scheduling = scheduling;
    runtime.start((result) => {
      if (!result.ok) throw new Error(result.fault.message);
      if (node.starts > 1) hooks.returning?.(runtime, node);
      this.onReturn(node);
      const join: Join = (handler, artefacts) => this.network.join(node.key, handler, artefacts, process, node.address);
      const transport = hooks.join?.(node, this.network, runtime, join) ?? join(runtime, node.disk.artefacts);
      runtime.connect(process.guardTransport(transport));
      this.outsiders.connect(node, node.disk);
      scheduling.start();
      if (process.alive && runtime.state.mute === null) node.speaksSinceMs = this.world.nowMs;
      if (!node.attests || !process.alive) return;
      node.source = this.chain.follow(this.world, node.link, () => this.#toldMax(runtime));
      runtime.follow(node.source, sourceResumes(runtime.state, CHAIN));
    });
  }

  /** As the node's own composition does (`src/node/sources.ts`): what is told too far ahead stays with the peers. */
  #toldMax({ state }: Runtime): number {
    if (this.#options.anyStart === true) return Number.POSITIVE_INFINITY;
    return Math.max(state.chains.get(CHAIN)?.certified ?? -1, 0) + Math.ceil(state.limits.blockAheadMax / 2);
  }

  #schedule(node: SimNode, process: SimProcess, { provers, clock, telemetry }: RuntimeModules): Scheduling {
    const { gpus, tries } = this.#options.machine ?? { gpus: 0, tries: false };
    return new Scheduling(provers, {
      world: this.world,
      process,
      name: node.name,
      clock,
      telemetry,
      gpus,
      tries,
      changed: (executor, isAble) => node.runtime?.post({ kind: "ability", executor, isAble }),
      complain: (violation) => this.complain(violation),
    });
  }

  /** Where proofs of several families are wanted no node can make all of them. */
  systemsOf(node: SimNode): readonly string[] {
    if (node.attests && this.#options.attestersOnlyAttest === true) return [];
    const { workflow, families } = this.#options;
    if (workflow !== undefined) {
      const stages = Object.values(workflow.workflows).flatMap((each) => each.stages);
      return [...new Set(stages.flatMap(variantsOf).map(({ system, executor }) => executor ?? system))];
    }
    if (families !== true) return [SYSTEMS[0]];
    const lacking = SYSTEMS[1 + (this.nodes.findIndex(({ key }) => key === node.key) % (SYSTEMS.length - 1))];
    return SYSTEMS.filter((system) => system !== lacking);
  }

  #modules(node: SimNode, chance: Chance): RuntimeModules {
    const times = () => this.#times;
    const { lingerMs = 0 } = this.#options.machine ?? {};
    const lingering = new Chance(this.#options.seed, `${node.name}/${node.starts}/lingers`);
    let draws = 0;
    const telemetry: Telemetry = {
      emit: (event, fields = {}) => {
        this.world.note(event, node.name, JSON.stringify(fields));
        if (event === "feed.confirmed") node.speaksSinceMs = this.world.nowMs;
        if (event === "feed.recovered") node.damaged = false;
        this.#watch(node, event, fields);
      },
      count: () => {},
    };
    return {
      clock: node.clock,
      signer: node.signer,
      equation: this.equation,
      checks: {
        open: this.open,
        verify: (network, batch, equation) => this.#verify(network, batch, equation),
      },
      journal: node.disk.journal,
      signing: node.disk.signing,
      nonce: () => domainHash("sim-nonce", utf8ToBytes(node.name), u64(node.starts), u64(draws++)).slice(0, 32),
      store: node.disk.store,
      artefacts: node.disk.artefacts,
      verifier: simVerifier(this.world, times, this.#prepared),
      provers: this.systemsOf(node).map((system) =>
        simProver(this.world, chance, times, node.machine, {
          manifest: this.manifest,
          system,
          slots: SLOTS,
          lingers: lingerMs > 0 ? () => lingering.between(0, lingerMs) : null,
          made: (proof) => this.#noteMaker(artefactHash(proof), node.key),
        }),
      ),
      sinks: this.isHostile(node) ? [] : this.places.lines(node),
      telemetry,
      fatal: (fault) => {
        const isDoubled = this.nodes.some(({ isTwin, key }) => isTwin && key === node.key);
        if (fault.code === "key.in-use" && isDoubled) return this.#retire(node, chance);
        if (fault.code !== "disk.full") throw new Error(`${node.name}: ${fault.code}: ${fault.message}`);
        // The operator makes room and starts it again.
        this.crash(node, "intact", chance, DISK_FULL_DOWN_MS);
      },
    };
  }

  #noteMaker(artefact: Hash, prover: Key): void {
    const makers = this.makers.get(artefact) ?? new Set<Key>();
    this.makers.set(artefact, makers.add(prover));
  }

  /** kill -9, or the machine with it; the node is back after some time. */
  crash(node: SimNode, damage: Damage, chance: Chance, downMs: number): void {
    const { runtime, process } = node;
    if (runtime === null || process === null) return;
    const left = this.#borne(node, damage);
    this.world.note("crash", node.name, left);
    process.alive = false;
    runtime.close();
    node.scheduling?.close();
    node.scheduling = null;
    void node.source?.close();
    node.runtime = null;
    node.process = null;
    node.source = null;
    node.speaksSinceMs = null;
    this.network.leave(node.address);
    this.outsiders.leave(node);
    node.disk.crash(left, chance);
    if (left !== "intact" && left !== "torn") {
      node.damaged = true;
      this.onDamage(node);
    }
    node.downUntilMs = this.world.nowMs + downMs;
    this.world.after(downMs, () => this.#comeBack(node));
  }

  /** It ended because another process has its key, and its operator leaves it so. */
  #retire(node: SimNode, chance: Chance): void {
    node.gone = true;
    this.retired.push(node.name);
    this.crash(node, "intact", chance, 0);
  }

  #comeBack(node: SimNode): void {
    if (node.gone || this.world.nowMs < node.downUntilMs) return;
    if (node.disk.full) this.world.after(DISK_FULL_DOWN_MS, () => this.#comeBack(node));
    else this.start(node);
  }

  /**
   * The damage that the protocol claims to bear. A disk that loses what was synced counts among the f faults, as every
   * hostile key does, until its node signs again. Provers that do not attest are not counted.
   */
  #borne(node: SimNode, damage: Damage): Damage {
    if (damage === "intact" || damage === "torn") return damage;
    const { weights, weight, quorum } = this.manifest;
    const faulty = this.nodes.filter((other) => other === node || other.damaged || this.isHostile(other));
    const keys = new Set(faulty.map(({ key }) => key));
    const sum = [...keys].reduce((total, key) => total + (weights.get(key) ?? 0), 0);
    return sum <= weight - quorum || !weights.has(node.key) || this.isUnbounded ? damage : "torn";
  }

  #verify(network: Hash, batch: Batch, equation: Equation): boolean {
    if (this.#valid.has(batch)) return true;
    const valid = verifyBatch(network, batch, equation);
    if (valid) this.#valid.add(batch);
    return valid;
  }

  /** Loses no message and fails no proof from now on. */
  calm(): void {
    this.network.calm();
    this.#times = { ...this.#times, wrong: 0, failing: 0 };
  }

  /** Whether the node holds the certificate of each canonical block. */
  hasAll(node: SimNode): boolean {
    const state = node.runtime?.state;
    if (state === undefined) return false;
    const isCertified = ({ chain, hash }: SourceBlock) =>
      closedAs(state, chain, hash) !== undefined || node.disk.store.isClosed(chain, hash);
    return [...this.chain.blocks, ...this.operators.blocks].every(isCertified);
  }

  /** By which ids nodes know a block of this hash. */
  idsOf(hash: Hash): Hash[] {
    return this.nodes.flatMap(({ runtime }) =>
      runtime === null
        ? []
        : [closedAs(runtime.state, CHAIN, hash), ...announcedAs(runtime.state, CHAIN, hash)].flatMap(
            (block) => block?.id ?? [],
          ),
    );
  }
}
