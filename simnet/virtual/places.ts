/**
 * Places outside the network that take certified blocks. A place outlives the processes that hand blocks to it.
 *
 * Each honest node has a shelf of its own, which takes any block, as a directory or a webhook with a lookup does. Three
 * attesters share a ledger, which takes the block after its newest one and nothing else, as the registry contract does.
 * After a reorg the ledger's owner makes it forget the chain, and recording restarts at the next block.
 */
import type { CertifiedBlock, Done, Presence, Result, Sink, SinkFault } from "../../src/ports.ts";
import type { Hash, Key } from "../../src/protocol/ids.ts";
import type { SinkLine } from "../../src/runtime/proposer.ts";
import type { SimChain } from "./chain.ts";
import { type Giver, HandoverChecker } from "./checkers/handover.ts";
import { CHAIN } from "./manifest.ts";
import { Chance, type World } from "./world.ts";

/** How often a place misbehaves at the moment, by the way it does. */
export const TROUBLES = ["refuse", "slow", "lose-answers", "twice", "go-back"] as const;
export type Trouble = (typeof TROUBLES)[number];

const LEDGER_NODES = 3;
const TAKEOVER_MS = 500;
const ANSWER_MS_MAX = 10;
const SLOW_MS_MAX = 2_000;
/** An answer that is lost is waited for as long. */
const TIMEOUT_MS = 1_000;
const RETRY_AFTER_MS_MAX = 2_000;
/** The owner of a ledger looks after it once a node has been refused for a conflict. */
const OWNER_MS = 1_000;
const BACK_MAX = 3;

export class Place {
  readonly name: string;
  readonly isLedger: boolean;
  /** The nodes that serve it in turns; of a shelf nobody but its node does. */
  readonly takers: readonly Key[];
  readonly takeoverMs: number = TAKEOVER_MS;
  /** A shelf's blocks, by id. */
  readonly #blocks = new Set<Hash>();
  /** The hashes of all blocks that were ever here. */
  readonly #hashes = new Set<Hash>();
  /** A ledger's blocks, the newest last. */
  readonly #record: CertifiedBlock[] = [];
  readonly #world: World;
  readonly #chance: Chance;
  readonly #isCanonical: (hash: Hash) => boolean;
  readonly #troubles = new Map<Trouble, number>();
  /** Heights that the ledger has lost, and that nobody could notice yet. */
  #lostFrom = Number.POSITIVE_INFINITY;
  #ownerComes = false;

  constructor(
    name: string,
    world: World,
    chance: Chance,
    ledger: { readonly takers: readonly Key[]; readonly isCanonical: (hash: Hash) => boolean } | null,
  ) {
    const { takers, isCanonical } = ledger ?? { takers: [], isCanonical: () => true };
    this.name = name;
    this.isLedger = ledger !== null;
    this.takers = takers;
    this.#world = world;
    this.#chance = chance;
    this.#isCanonical = isCanonical;
  }

  /** Begins a trouble, and returns what ends it. */
  trouble(kind: Trouble): () => void {
    if (kind === "go-back") {
      this.#goBack(this.#chance.between(1, BACK_MAX));
      return () => {};
    }
    this.#troubles.set(kind, this.#count(kind) + 1);
    return () => void this.#troubles.set(kind, this.#count(kind) - 1);
  }

  /** The place as one node sees it. */
  sink(node: Giver, checker: HandoverChecker): Sink {
    return {
      look: (block, done) => {
        checker.looking(node, this, block);
        this.#ask(
          block,
          () => this.#look(block),
          (result) => {
            checker.answered(node, this, block, result.ok ? result.value.kind : null);
            done(result);
          },
        );
      },
      deliver: (block, done) => {
        checker.handing(node, this, block);
        this.#ask(
          block,
          () => this.#take(block),
          (result) => {
            if (result.ok) checker.answered(node, this, block, "there");
            done(result);
          },
        );
      },
      close: () => Promise.resolve(),
    };
  }

  has(hash: Hash): boolean {
    return this.#hashes.has(hash);
  }

  /** Which of the chain's blocks the place lacks. A ledger has to end with the newest one. */
  lacks(canonical: readonly { readonly hash: Hash; readonly height: number }[]): number[] {
    if (!this.isLedger) return canonical.filter(({ hash }) => !this.#hashes.has(hash)).map(({ height }) => height);
    const tip = canonical.at(-1);
    if (tip === undefined || tip.height >= this.#lostFrom) return [];
    return this.#record.at(-1)?.content.hash === tip.hash ? [] : [tip.height];
  }

  #count(kind: Trouble): number {
    return this.#troubles.get(kind) ?? 0;
  }

  #ask<T>(block: CertifiedBlock, run: () => Result<T, SinkFault>, done: Done<T, SinkFault>): void {
    const slowMs = this.#count("slow") > 0 ? this.#chance.between(0, SLOW_MS_MAX) : 0;
    this.#world.after(this.#chance.between(1, ANSWER_MS_MAX) + slowMs, () => {
      if (this.#count("refuse") > 0) {
        const retryAfterMs = this.#chance.between(0, RETRY_AFTER_MS_MAX);
        return done({ ok: false, fault: { code: "place.unavailable", message: "simulated", retryAfterMs } });
      }
      if (block.height > this.#lostFrom) this.#lostFrom = Number.POSITIVE_INFINITY;
      const result = run();
      if (this.#count("twice") > 0) run();
      if (this.#count("lose-answers") === 0) return done(result);
      this.#world.after(TIMEOUT_MS, () => done({ ok: false, fault: { code: "place.timeout", message: "simulated" } }));
    });
  }

  #look(block: CertifiedBlock): Result<Presence, SinkFault> {
    if (!this.isLedger) return there(this.#blocks.has(block.block) ? "there" : "missing");
    const newest = this.#record.at(-1);
    if (newest === undefined) return there("missing");
    if (newest.height > block.height) return there("there");
    if (newest.height + 1 < block.height) return { ok: true, value: { kind: "behind", from: newest.height + 1 } };
    const isSame = newest.height === block.height;
    if (newest.content.hash === (isSame ? block.content.hash : block.content.parent))
      return there(isSame ? "there" : "missing");
    this.#callOwner();
    return { ok: false, fault: { code: "place.conflict", message: "another block is there" } };
  }

  #take(block: CertifiedBlock): Result<void, SinkFault> {
    const newest = this.#record.at(-1);
    const taken = { ok: true, value: undefined } as const;
    if (!this.isLedger) this.#blocks.add(block.block);
    else if (newest === undefined) this.#record.push(block);
    else if (newest.content.hash === block.content.hash) return taken;
    else if (newest.height + 1 !== block.height || newest.content.hash !== block.content.parent)
      return { ok: false, fault: { code: "place.refused", message: "it is not the next block" } };
    else this.#record.push(block);
    this.#hashes.add(block.content.hash);
    this.#world.note("taken", this.name, block.block);
    return taken;
  }

  #callOwner(): void {
    if (this.#ownerComes) return;
    this.#ownerComes = true;
    this.#world.after(OWNER_MS, () => {
      this.#ownerComes = false;
      const newest = this.#record.at(-1);
      if (newest !== undefined && !this.#isCanonical(newest.content.hash)) this.#record.length = 0;
    });
  }

  /** The chain that the ledger is on reorganises. */
  #goBack(depth: number): void {
    const [lowest] = this.#record.splice(Math.max(this.#record.length - depth, 0));
    if (lowest !== undefined) this.#lostFrom = Math.min(this.#lostFrom, lowest.height);
  }
}

interface Attester extends Giver {
  readonly attests: boolean;
  readonly isTwin: boolean;
}

interface Surroundings {
  readonly world: World;
  readonly chain: SimChain;
  readonly manifest: { readonly network: Hash };
}

/** All places of a run. */
export class Places {
  readonly #around: Surroundings;
  readonly #ledger: Place;
  readonly #shelves = new Map<string, Place>();
  readonly #checker: HandoverChecker;
  /** Told of each broken rule. */
  complain: (text: string) => void = () => {};

  /** A ledger waits for ever for what lies before a run that starts further up, so runs have to follow each other. */
  constructor(around: Surroundings, nodes: readonly Attester[], isLinear: boolean) {
    this.#around = around;
    const { world, chain, manifest } = around;
    const attesters = nodes.flatMap(({ key, attests, isTwin }) => (attests && !isTwin ? key : []));
    const takers = isLinear ? attesters.slice(0, LEDGER_NODES) : [];
    const isCanonical = (hash: Hash) => chain.blocks.some((block) => block.hash === hash);
    this.#ledger = new Place("ledger", world, this.#chance("ledger"), { takers, isCanonical });
    this.#checker = new HandoverChecker({
      network: manifest.network,
      now: () => world.nowMs,
      complain: (text) => this.complain(text),
    });
  }

  lines(node: Giver): SinkLine[] {
    const line = (place: Place): SinkLine => ({
      name: place.name,
      sink: place.sink(node, this.#checker),
      cursor: node.disk.cursor(place.name, (position) => this.#checker.saved(node, place, position)),
      chains: [CHAIN],
      from: null,
      nodes: place.isLedger ? place.takers : [node.key],
      takeoverMs: place.takeoverMs,
    });
    const own = line(this.#shelf(node.name));
    return this.#ledger.takers.includes(node.key) ? [own, line(this.#ledger)] : [own];
  }

  /** The ledger, or a node's shelf. */
  of(node: Giver | undefined): Place {
    return node === undefined ? this.#ledger : this.#shelf(node.name);
  }

  // SINK-5, SINK-7.
  /** L5: what the places of these nodes lack. */
  lacking(nodes: readonly Giver[]): string[] {
    const canonical = this.#around.chain.blocks;
    const places = nodes.map(({ name }) => this.#shelf(name));
    if (nodes.some(({ key }) => this.#ledger.takers.includes(key))) places.push(this.#ledger);
    return places.flatMap((place) => {
      const heights = place.lacks(canonical);
      return heights.length === 0 ? [] : [`L5: the sink ${place.name} lacks heights ${heights.join(", ")}`];
    });
  }

  #chance(name: string): Chance {
    return new Chance(this.#around.world.seed, `place/${name}`);
  }

  #shelf(name: string): Place {
    const known = this.#shelves.get(name);
    if (known !== undefined) return known;
    const shelf = new Place(`shelf of ${name}`, this.#around.world, this.#chance(name), null);
    this.#shelves.set(name, shelf);
    return shelf;
  }
}

function there(kind: "there" | "missing"): Result<Presence, SinkFault> {
  return { ok: true, value: { kind } };
}
