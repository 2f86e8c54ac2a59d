/**
 * The proposer: hands certified blocks on to sinks, in chain order.
 *
 * Certificates are on disk, so what waits is a position and takes no memory: nothing is dropped, whatever a sink does, and
 * a sink that fails holds up nobody but itself. Before each block its place is asked whether it has it. That makes a crash
 * between handing on and writing it down harmless, and lets several nodes serve one place: they take turns, in an order
 * that all know, and whoever is not first only looks until it is its turn.
 */
import type {
  Cancel,
  CertifiedBlock,
  Clock,
  Cursor,
  CursorPosition,
  Notice,
  Presence,
  Result,
  Sink,
  SinkFault,
  Store,
  Telemetry,
} from "../ports.ts";
import type { Hash, Key } from "../protocol/ids.ts";
import { ownersOf } from "../protocol/owner.ts";
import { gap, Succession } from "./succession.ts";

/** A sink, and how this node serves it. */
export interface SinkLine {
  readonly name: string;
  readonly sink: Sink;
  readonly cursor: Cursor;
  /** Chains whose blocks it gets. */
  readonly chains: readonly number[];
  /** The height it begins at; `null`: where the chain's certificates begin. */
  readonly from: number | null;
  /** Nodes that serve the same place, this one among them. */
  readonly nodes: readonly Key[];
  /** How long the second node waits for the first; the third waits three times as long, the fourth six times. */
  readonly takeoverMs: number;
}

/** How a sink is doing on one chain. */
export interface SinkStatus {
  readonly sink: string;
  readonly chain: number;
  /** The last block that is known to be there. */
  readonly delivered: number | null;
  /** `idle`: nothing is certified that is not there; `waiting`: for another node's turn to end. */
  readonly state: "idle" | "waiting" | "delivering" | "failing";
  /** The height it is at, where it is at one. */
  readonly height: number | null;
  readonly why: string;
  /** Failures in a row. */
  readonly failures: number;
}

export interface ProposerOptions {
  readonly network: Hash;
  readonly self: Key;
}

interface Modules {
  readonly clock: Clock;
  readonly store: Store;
  readonly telemetry: Telemetry;
}

const RETRY_MS_MIN = 250;
const RETRY_MS_MAX = 60_000;
/** A place that asks to be left alone for longer is asked again all the same. */
const RETRY_AFTER_MS_MAX = 3_600_000;
/** While it is another node's turn the place is looked at so many times. */
const LOOKS_A_TURN = 4;
const LOOK_MS_MIN = 100;
const LOOK_MS_MAX = 15_000;

export class Proposer {
  readonly #lanes: readonly Lane[];

  constructor(options: ProposerOptions, lines: readonly SinkLine[], modules: Modules) {
    this.#lanes = lines.flatMap((line) => {
      const positions = new Map(line.cursor.load());
      return line.chains.map((chain) => new Lane(options, line, chain, positions, modules));
    });
  }

  /** Call once the store holds what it held; goes on where the cursors are. */
  start(): void {
    for (const lane of this.#lanes) lane.start();
  }

  /** A certificate of the chain is in the store. */
  certified(chain: number): void {
    for (const lane of this.#lanes) if (lane.chain === chain) lane.wake();
  }

  notice(notice: Notice): void {
    for (const lane of this.#lanes) if (lane.chain === notice.chain) lane.notice(notice);
  }

  status(): readonly SinkStatus[] {
    return this.#lanes.map((lane) => lane.status());
  }

  close(): void {
    for (const lane of this.#lanes) lane.close();
  }
}

/** One sink on one chain. At any moment it waits for one thing: a completion, a timer, or the next certificate. */
class Lane {
  readonly chain: number;
  readonly #options: ProposerOptions;
  readonly #line: SinkLine;
  readonly #positions: Map<number, CursorPosition>;
  readonly #modules: Modules;
  readonly #succession: Succession;
  #last: CertifiedBlock | null = null;
  #state: SinkStatus["state"] = "idle";
  #why = "it has not begun";
  #height: number | null = null;
  #failures = 0;
  #idle = false;
  #woken = false;
  #timer: Cancel | null = null;
  #closed = false;

  constructor(
    options: ProposerOptions,
    line: SinkLine,
    chain: number,
    positions: Map<number, CursorPosition>,
    modules: Modules,
  ) {
    this.chain = chain;
    this.#options = options;
    this.#line = line;
    this.#positions = positions;
    this.#modules = modules;
    this.#succession = new Succession({ network: options.network, chain, from: line.from }, modules.store);
  }

  start(): void {
    const position = this.#positions.get(this.chain);
    if (position === undefined) return this.#seek();
    this.#succession.at(position, (found) => {
      // A cursor that names no certificate is damaged, or the store is: the place will tell what it has.
      this.#last = found.ok ? found.value : null;
      this.#seek();
    });
  }

  wake(): void {
    if (this.#idle) this.#seek();
    else this.#woken = true;
  }

  notice(notice: Notice): void {
    if (this.#closed || (notice.state !== "certified" && this.#turnOf(notice.hash) !== 0)) return;
    this.#line.sink.notice?.(notice);
  }

  status(): SinkStatus {
    return {
      sink: this.#line.name,
      chain: this.chain,
      delivered: this.#last?.height ?? null,
      state: this.#state,
      height: this.#height,
      why: this.#why,
      failures: this.#failures,
    };
  }

  close(): void {
    this.#closed = true;
    this.#timer?.();
  }

  /** Looks for the block after the last one; without one it waits to be woken. */
  #seek(): void {
    if (this.#closed) return;
    this.#idle = false;
    this.#woken = false;
    this.#succession.after(this.#last, (found) => {
      if (!found.ok) return this.#fail(found.fault, () => this.#seek());
      if (found.value !== null) return this.#face(found.value, this.#modules.clock.now());
      // A certificate that came in the meantime may be the one.
      if (this.#woken) return this.#seek();
      this.#idle = true;
      const awaited = this.#last === null ? "the first certificate" : `the certificate of ${this.#last.height + 1}`;
      this.#say("idle", null, `waits for ${awaited}`);
    });
  }

  /** The block is next. `sinceMs`: since when it has been. */
  #face(block: CertifiedBlock, sinceMs: number): void {
    if (this.#closed) return;
    this.#line.sink.look(block, (seen) => {
      if (this.#closed) return;
      if (!seen.ok) return this.#fault(block, sinceMs, seen.fault);
      const presence: Presence = seen.value;
      switch (presence.kind) {
        case "there":
          return this.#arrived(block, "skipped");
        case "behind":
          return this.#rewind(block, presence.from);
        case "missing":
          return this.#take(block, sinceMs);
      }
    });
  }

  /** Hands it on when it is this node's turn; until then it looks whether another node has. */
  #take(block: CertifiedBlock, sinceMs: number): void {
    const turn = this.#turnOf(block.content.hash);
    const leftMs = this.#leftMs(turn, sinceMs);
    if (leftMs > 0) {
      this.#say("waiting", block.height, `is number ${turn + 1} to hand it on, in ${Math.ceil(leftMs / 1000)} s`);
      return this.#after(Math.min(leftMs, this.#lookMs()), () => this.#face(block, sinceMs));
    }
    this.#say("delivering", block.height, "is handing it on");
    this.#line.sink.deliver(block, (result: Result<void, SinkFault>) => {
      if (this.#closed) return;
      if (result.ok) this.#arrived(block, "delivered");
      else this.#fault(block, sinceMs, result.fault);
    });
  }

  #fault(block: CertifiedBlock, sinceMs: number, fault: SinkFault): void {
    const again = () => this.#face(block, sinceMs);
    if (fault.hopeless !== true) return this.#fail(fault, again, block.height, fault.retryAfterMs);
    // Whoever else serves this place may have what it takes.
    const leftMs = this.#line.nodes.length < 2 ? 0 : this.#leftMs(this.#line.nodes.length, sinceMs);
    if (leftMs <= 0) return this.#arrived(block, "passed", fault);
    this.#say("waiting", block.height, `cannot, others may: ${fault.message}`);
    this.#after(Math.min(leftMs, this.#lookMs()), again);
  }

  #fail(fault: SinkFault, again: () => void, height: number | null = null, retryAfterMs: number = 0): void {
    const backOffMs = Math.min(RETRY_MS_MIN * 2 ** Math.min(this.#failures, 16), RETRY_MS_MAX);
    const retryMs = Math.max(backOffMs, Math.min(retryAfterMs, RETRY_AFTER_MS_MAX));
    this.#failures++;
    this.#say("failing", height, `${fault.message} [${fault.code}]`);
    const { name: sink } = this.#line;
    const { telemetry } = this.#modules;
    telemetry.count("sink.failed", `${sink}/${fault.code}`);
    telemetry.emit("sink.failed", {
      sink,
      chain: this.chain,
      ...(height === null ? {} : { height }),
      code: fault.code,
      message: fault.message,
      retryMs,
    });
    this.#after(retryMs, again);
  }

  /** The place has lost blocks, or never had them: it goes on with the block's ancestor at that height. */
  #rewind(block: CertifiedBlock, from: number): void {
    const { telemetry } = this.#modules;
    this.#succession.ancestor(block, from, (found) => {
      const again = () => this.#face(block, this.#modules.clock.now());
      if (!found.ok) return this.#fail(found.fault, again, block.height);
      if (found.value === null || from >= block.height) return this.#fail(gap(from), again, block.height);
      telemetry.emit("sink.rewound", { sink: this.#line.name, chain: this.chain, height: from });
      this.#face(found.value, this.#modules.clock.now());
    });
  }

  #arrived(block: CertifiedBlock, how: "delivered" | "skipped" | "passed", fault?: SinkFault): void {
    const { name: sink, cursor } = this.#line;
    const { telemetry } = this.#modules;
    const { chain, height, block: id } = block;
    this.#last = block;
    this.#failures = 0;
    this.#positions.set(chain, { height, block: id });
    telemetry.count(`sink.${how}`, sink);
    const why = fault === undefined ? {} : { code: fault.code, message: fault.message };
    telemetry.emit(`sink.${how}`, { sink, chain, height, block: id, ...why });
    cursor.save(new Map(this.#positions), (result) => {
      // Nothing rests on it: after a restart the place is asked about more blocks than it had to be.
      if (!result.ok) telemetry.emit("sink.cursor", { sink, ...result.fault });
    });
    this.#seek();
  }

  /** This node's place in the order for the block; all that serve the sink agree on it. */
  #turnOf(block: Hash): number {
    const { network, self } = this.#options;
    const { nodes } = this.#line;
    if (nodes.length < 2) return 0;
    const candidates = nodes.map((key) => ({ key, weight: 1 }));
    const [order = []] = ownersOf(network, block, "sink", 1, candidates);
    return order.indexOf(self);
  }

  /** How long it is until a turn; growing, so that nodes that are slow alike do not all come at once. */
  #leftMs(turn: number, sinceMs: number): number {
    return sinceMs + (this.#line.takeoverMs * turn * (turn + 1)) / 2 - this.#modules.clock.now();
  }

  #lookMs(): number {
    return Math.min(Math.max(this.#line.takeoverMs / LOOKS_A_TURN, LOOK_MS_MIN), LOOK_MS_MAX);
  }

  #after(delayMs: number, run: () => void): void {
    if (this.#closed) return;
    this.#timer = this.#modules.clock.after(Math.max(delayMs, 1), () => {
      this.#timer = null;
      run();
    });
  }

  #say(state: SinkStatus["state"], height: number | null, why: string): void {
    this.#state = state;
    this.#height = height;
    this.#why = why;
  }
}
