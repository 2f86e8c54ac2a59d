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
  Sink,
  Store,
  Telemetry,
} from "../ports.ts";
import {
  begin,
  createLane,
  delivered,
  descended,
  found,
  type Lane,
  type LaneStatus,
  looked,
  type Outcome,
  rested,
  type Step,
  turnOf,
  wake,
} from "../core/handover.ts";
import type { Hash, Key } from "../protocol/ids.ts";
import { Succession } from "./succession.ts";

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
export interface SinkStatus extends LaneStatus {
  readonly sink: string;
  readonly chain: number;
  /** The last block that is known to be there. */
  readonly delivered: number | null;
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

export class Proposer {
  readonly #lines: readonly Line[];

  constructor(options: ProposerOptions, lines: readonly SinkLine[], modules: Modules) {
    this.#lines = lines.flatMap((line) => {
      const positions = new Map(line.cursor.load());
      return line.chains.map((chain) => new Line(options, line, chain, positions, modules));
    });
  }

  /** Call once the store holds what it held; goes on where the cursors are. */
  start(): void {
    for (const each of this.#lines) each.start();
  }

  /** A certificate of the chain is in the store. */
  certified(chain: number): void {
    for (const each of this.#lines) if (each.chain === chain) each.wake();
  }

  notice(notice: Notice): void {
    for (const each of this.#lines) if (each.chain === notice.chain) each.notice(notice);
  }

  status(): readonly SinkStatus[] {
    return this.#lines.map((each) => each.status());
  }

  close(): void {
    for (const each of this.#lines) each.close();
  }
}

/** One sink on one chain: carries out what `core/handover.ts` decides, one call or timer at a time. */
class Line {
  readonly chain: number;
  readonly #line: SinkLine;
  readonly #positions: Map<number, CursorPosition>;
  readonly #modules: Modules;
  readonly #succession: Succession;
  readonly #lane: Lane<CertifiedBlock>;
  #timer: Cancel | null = null;
  #closed = false;

  constructor(
    { network, self }: ProposerOptions,
    line: SinkLine,
    chain: number,
    positions: Map<number, CursorPosition>,
    modules: Modules,
  ) {
    this.chain = chain;
    this.#line = line;
    this.#positions = positions;
    this.#modules = modules;
    this.#succession = new Succession({ network, chain, from: line.from }, modules.store);
    this.#lane = createLane({ network, self, nodes: line.nodes, takeoverMs: line.takeoverMs });
  }

  start(): void {
    const position = this.#positions.get(this.chain);
    if (position === undefined) return this.#go(begin(this.#lane, null));
    this.#succession.at(position, (answer) => {
      // A cursor that names no certificate is damaged, or the store is: the place will tell what it has.
      this.#go(begin(this.#lane, answer.ok ? answer.value : null));
    });
  }

  wake(): void {
    const step = wake(this.#lane);
    if (step !== null) this.#go(step);
  }

  notice(notice: Notice): void {
    const isFirst = () => turnOf(this.#lane.options, notice.hash) === 0;
    if (this.#closed || (notice.state !== "certified" && !isFirst())) return;
    this.#line.sink.notice?.(notice);
  }

  status(): SinkStatus {
    const { last, status, failures } = this.#lane;
    return { sink: this.#line.name, chain: this.chain, delivered: last?.height ?? null, ...status, failures };
  }

  close(): void {
    this.#closed = true;
    this.#timer?.();
  }

  #go({ outcome, move }: Step<CertifiedBlock>): void {
    if (this.#closed) return;
    if (outcome !== undefined) this.#tell(outcome);
    const [lane, { sink }] = [this.#lane, this.#line];
    switch (move.kind) {
      case "seek":
        return this.#succession.after(move.after, (answer) => this.#go(found(lane, answer, this.#now())));
      case "look":
        return sink.look(move.block, (answer) => this.#go(looked(lane, answer, this.#now())));
      case "deliver":
        return sink.deliver(move.block, (answer) => this.#go(delivered(lane, answer, this.#now())));
      case "descend": {
        const { block, height } = move;
        return this.#succession.ancestor(block, height, (answer) =>
          this.#go(descended(lane, height, answer, this.#now())),
        );
      }
      case "rest":
        this.#timer = this.#modules.clock.after(Math.max(move.ms, 1), () => {
          this.#timer = null;
          this.#go(rested(lane));
        });
        return;
      case "idle":
        return;
    }
  }

  #tell(outcome: Outcome<CertifiedBlock>): void {
    const { name: sink } = this.#line;
    const { telemetry } = this.#modules;
    const of = { sink, chain: this.chain };
    switch (outcome.kind) {
      case "arrived":
        return this.#arrived(outcome);
      case "rewound":
        return telemetry.emit("sink.rewound", { ...of, height: outcome.height });
      case "failed": {
        const { height, fault, retryMs } = outcome;
        const { code, message } = fault;
        telemetry.count("sink.failed", `${sink}/${code}`);
        telemetry.emit("sink.failed", { ...of, ...(height === null ? {} : { height }), code, message, retryMs });
      }
    }
  }

  #arrived({ block, how, fault }: Extract<Outcome<CertifiedBlock>, { kind: "arrived" }>): void {
    const { name: sink, cursor } = this.#line;
    const { telemetry } = this.#modules;
    const { chain, height, block: id } = block;
    this.#positions.set(chain, { height, block: id });
    telemetry.count(`sink.${how}`, sink);
    const why = fault === undefined ? {} : { code: fault.code, message: fault.message };
    telemetry.emit(`sink.${how}`, { sink, chain, height, block: id, ...why });
    cursor.save(new Map(this.#positions), (result) => {
      // Nothing rests on it: after a restart the place is asked about more blocks than it had to be.
      if (!result.ok) telemetry.emit("sink.cursor", { sink, ...result.fault });
    });
  }

  #now(): number {
    return this.#modules.clock.now();
  }
}
