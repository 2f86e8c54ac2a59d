/**
 * One life of a node: its process, which may be frozen, and which may be killed at every boundary of an effect.
 *
 * Each port is called through here. What a dead process asks for is not done, and no answer reaches it; a frozen one
 * gets its answers, its timers and its messages late and all together.
 */
import type { SinkLine } from "../../src/runtime/proposer.ts";
import type { RuntimeModules } from "../../src/runtime/runtime.ts";
import type { Cancel, Clock, Done, Prover, Transport } from "../../src/ports.ts";
import type { SimDisk } from "./disk.ts";
import type { World } from "./world.ts";

const DISK_FULL = { code: "disk.full", message: "simulated" };

export class SimProcess {
  readonly #world: World;
  readonly #disk: SimDisk;
  readonly #clock: SimClock;
  alive = true;
  #frozenUntilMs = 0;
  /** Boundaries of effects passed so far, and at which of them the process is killed. */
  #site = 0;
  #armed: { readonly site: number; readonly kill: () => void } | null = null;

  constructor(world: World, disk: SimDisk, clock: SimClock) {
    this.#world = world;
    this.#disk = disk;
    this.#clock = clock;
  }

  /** Kills the process at the `sites`-th boundary from now on. */
  arm(sites: number, kill: () => void): void {
    this.#armed = { site: this.#site + sites, kill };
  }

  freeze(forMs: number): void {
    this.#frozenUntilMs = Math.max(this.#frozenUntilMs, this.#world.nowMs + forMs);
  }

  get isFrozen(): boolean {
    return this.#world.nowMs < this.#frozenUntilMs;
  }

  /** Runs what reaches the process from outside. */
  run(what: () => void): void {
    if (!this.alive) return;
    if (!this.isFrozen) return what();
    this.#world.after(this.#frozenUntilMs - this.#world.nowMs, () => this.run(what));
  }

  /** Whether the process is still there to do it. */
  #pass(): boolean {
    this.#site++;
    if (this.alive && this.#armed !== null && this.#site >= this.#armed.site) {
      const { kill } = this.#armed;
      this.#armed = null;
      kill();
    }
    return this.alive;
  }

  #answer<T>(done: Done<T>): Done<T> {
    return (result) => this.run(() => done(result));
  }

  /** Said to the disk and heard from it: a boundary before and one after. */
  #written<T>(done: Done<T>): Done<T> {
    return (result) =>
      this.run(() => {
        if (this.#pass()) done(result);
      });
  }

  guard(modules: RuntimeModules): RuntimeModules {
    const { journal, signing, store, artefacts, verifier, provers, telemetry } = modules;
    const isFull = <T>(done: Done<T>): boolean => {
      if (this.#disk.full) this.#world.after(1, () => this.#answer(done)({ ok: false, fault: DISK_FULL }));
      return this.#disk.full;
    };
    return {
      ...modules,
      clock: this.#timers(),
      journal: {
        load: () => journal.load(),
        size: () => journal.size(),
        append: (records, done) => {
          if (this.#pass() && !isFull(done)) journal.append(records, this.#written(done));
        },
        compact: (floor, records, done) => {
          if (this.#pass() && !isFull(done)) journal.compact(floor, records, this.#written(done));
        },
      },
      signing: {
        load: () => signing.load(),
        write: (state, done) => {
          if (this.#pass() && !isFull(done)) signing.write(state, this.#written(done));
        },
      },
      store: {
        load: (done) => store.load(this.#answer(done)),
        write: (change, done) => {
          if (this.#pass() && !isFull(done)) store.write(change, this.#written(done));
        },
        certificates: (chain, from, countMax, done) => store.certificates(chain, from, countMax, this.#answer(done)),
        certificate: (block, done) => store.certificate(block, this.#answer(done)),
        closed: (chain, hash, done) => store.closed(chain, hash, this.#answer(done)),
      },
      artefacts: {
        has: (hash, done) => artefacts.has(hash, this.#answer(done)),
        read: (hash, bytesMax, done) => artefacts.read(hash, bytesMax, this.#answer(done)),
        size: (hash, done) => artefacts.size(hash, this.#answer(done)),
        readPart: (hash, offset, bytesMax, done) => artefacts.readPart(hash, offset, bytesMax, this.#answer(done)),
        receive: (hash, length, done) => artefacts.receive(hash, length, this.#answer(done)),
        write: (bytes, done) => {
          if (this.#pass() && !isFull(done)) artefacts.write(bytes, this.#written(done));
        },
        keep: (bytes, done) => {
          if (this.#pass() && !isFull(done)) artefacts.keep(bytes, this.#written(done));
        },
        forget: (hashes, done) => artefacts.forget(hashes, this.#answer(done)),
      },
      verifier: {
        prepare: (job, done) => (this.alive ? verifier.prepare(job, this.#answer(done)) : nothing),
        verify: (job, done) => (this.alive ? verifier.verify(job, this.#answer(done)) : nothing),
        close: () => verifier.close(),
      },
      provers: provers.map((prover) => this.#prover(prover)),
      sinks: modules.sinks.map((line) => this.#guardSink(line, isFull)),
      telemetry: {
        emit: (event, fields) => (this.alive ? telemetry.emit(event, fields) : undefined),
        count: (name, label) => (this.alive ? telemetry.count(name, label) : undefined),
      },
    };
  }

  /** Between handing a block over, its answer and the new position the process may die. */
  #guardSink({ sink, cursor, ...line }: SinkLine, isFull: (done: Done<void>) => boolean): SinkLine {
    return {
      ...line,
      sink: {
        look: (block, done) => {
          if (this.alive) sink.look(block, (result) => this.run(() => done(result)));
        },
        deliver: (block, done) => {
          if (!this.#pass()) return;
          sink.deliver(block, (result) =>
            this.run(() => {
              if (this.#pass()) done(result);
            }),
          );
        },
        close: () => sink.close(),
      },
      cursor: {
        load: () => cursor.load(),
        save: (positions, done) => {
          if (this.#pass() && !isFull(done)) cursor.save(positions, this.#written(done));
        },
      },
    };
  }

  #prover(prover: Prover): Prover {
    const vacate = prover.vacate?.bind(prover);
    return {
      system: prover.system,
      slots: prover.slots,
      prove: (job, emit) => (this.#pass() ? prover.prove(job, (event) => this.run(() => emit(event))) : nothing),
      ...(vacate === undefined
        ? {}
        : {
            vacate: (moved: () => void, done: () => void) =>
              vacate(
                () => this.run(moved),
                () => this.run(done),
              ),
          }),
      close: () => prover.close(),
    };
  }

  guardTransport(transport: Transport): Transport {
    return {
      peers: () => transport.peers(),
      connected: () => transport.connected?.() ?? transport.peers(),
      publish: (bytes) => {
        if (!this.#pass()) return;
        transport.publish(bytes);
        this.#pass();
      },
      request: (peer, request, body, bytesMax, timeoutMs, done) =>
        this.alive ? transport.request(peer, request, body, bytesMax, timeoutMs, this.#answer(done)) : nothing,
      fetch: (peer, hash, bytesMax, timeoutMs, done) =>
        this.alive ? transport.fetch(peer, hash, bytesMax, timeoutMs, this.#answer(done)) : nothing,
    };
  }

  #timers(): Clock {
    return {
      now: () => this.#clock.now(),
      wall: () => this.#clock.wall(),
      after: (delayMs, run) => this.#clock.after(delayMs, () => this.run(run)),
    };
  }
}

const nothing: Cancel = () => {};

/** A machine's clocks: the one that never goes back runs at a rate of its own, the one on the wall also jumps. */
export class SimClock {
  readonly #world: World;
  #rate = 1;
  #atMs = 0;
  #ownMs = 0;
  #wallMs = 1_700_000_000_000;

  constructor(world: World) {
    this.#world = world;
  }

  now(): number {
    return this.#ownMs + (this.#world.nowMs - this.#atMs) * this.#rate;
  }

  wall(): number {
    return this.#wallMs + this.now();
  }

  after(delayMs: number, run: () => void): Cancel {
    return this.#world.after(Math.max(delayMs, 0) / this.#rate, run);
  }

  drift(rate: number): void {
    this.#ownMs = this.now();
    this.#atMs = this.#world.nowMs;
    this.#rate = rate;
  }

  jump(byMs: number): void {
    this.#wallMs += byMs;
  }
}
