/**
 * The provers of one node, as they share its machines.
 *
 * A task waits in the node's own line until all is free that it needs at once: a place where partitions share slots, the
 * server behind its prover, which takes one task at a time, and devices, CPUs and memory (`devices.ts`). While it waits, a
 * task moves as what it waits for does, exactly as a core says of the tasks it has queued itself: its lease holds as long
 * as the work before it makes progress, and is lost with it where that hangs. Nobody who needs devices overtakes one who
 * waits for them, or a task for four would wait for ever behind tasks for one.
 */
import type { Cancel, ProveEvent, ProveJob, Prover } from "../ports.ts";
import type { Resources } from "../protocol/workflow.ts";
import type { Devices, Held } from "./devices.ts";
import { guardedProver } from "./guard.ts";
import { Turns } from "./turns.ts";

/** A prover and what each of its tasks needs. */
export interface Station {
  readonly prover: Prover;
  readonly needs: Resources;
  /** Names the server that proves one task at a time, whoever sends it; `null` where there is none. */
  readonly server: string | null;
  /** Whether its tasks are told which devices are theirs. */
  readonly counted: boolean;
}

/** A task in line or at work. */
interface Entry {
  readonly station: Station;
  readonly emit: (event: ProveEvent) => void;
  /** As its core sees them: those of what it has waited for, and its own. */
  units: number;
  held: Held | null;
}

export class ProverBench {
  readonly #stations: readonly Station[];
  readonly #devices: Devices;
  readonly #turns: Turns;
  readonly #waiting = new Set<Entry>();
  readonly #servers = new Set<string>();
  /** The first that asked for devices in vain. */
  #first: Entry | null = null;

  /** `slots`: tasks at once, where several partitions share them; else the core counts, and it is infinite. */
  constructor(stations: readonly Station[], slots: number, devices: Devices) {
    // Here, because a prover that throws must give back its place and its devices like any other that fails.
    this.#stations = stations.map((station) => ({ ...station, prover: guardedProver(station.prover) }));
    this.#devices = devices;
    this.#turns = new Turns(slots);
  }

  /** As one partition has them; whoever opened the provers closes them. */
  for(partition: string | null): Prover[] {
    return this.#stations.map((station) => ({
      system: station.prover.system,
      slots: station.prover.slots,
      prove: (job, emit) => this.#enter(partition ?? "", station, job, emit),
      close: () => Promise.resolve(),
    }));
  }

  #enter(line: string, station: Station, job: ProveJob, emit: (event: ProveEvent) => void): Cancel {
    const entry: Entry = { station, emit, units: 0, held: null };
    this.#waiting.add(entry);
    let stop: Cancel = () => {};
    const begin = (leave: () => void): void => {
      this.#waiting.delete(entry);
      const { prover, counted } = station;
      const [before, { devices = [] }] = [entry.units, entry.held ?? {}];
      let [done, isOver] = [0, false];
      const cancel = prover.prove(counted ? { ...job, devices } : job, (event) => {
        if (event.kind === "progress") {
          this.#moved(entry, event.units - done);
          done = event.units;
          return emit({ kind: "progress", units: before + done });
        }
        isOver = true;
        this.#vacate(entry, leave);
        emit(event);
      });
      stop = () => {
        if (isOver) return;
        isOver = true;
        cancel();
        this.#vacate(entry, leave);
      };
    };
    const cancelWait = this.#turns.wait(line, begin, () => this.#claim(entry, job));
    return () => {
      cancelWait();
      this.#waiting.delete(entry);
      if (this.#first === entry) this.#first = null;
      stop();
      // Whoever waited behind it may be next.
      this.#turns.serve();
    };
  }

  /** All that it needs, or nothing. */
  #claim(entry: Entry, { id }: ProveJob): boolean {
    const { needs, server, prover } = entry.station;
    if (server !== null && this.#servers.has(server)) return false;
    if (needsSome(needs)) {
      if (this.#first !== null && this.#first !== entry) return false;
      const task = `${id.chain}/${id.height}/${id.stage}/${id.index}`;
      entry.held = this.#devices.take(needs, { task, prover: prover.system });
      this.#first = entry.held === null ? entry : null;
      if (entry.held === null) return false;
    }
    if (server !== null) this.#servers.add(server);
    return true;
  }

  /** The place is free at once; devices and the server when nothing of the task runs there any more. */
  #vacate(entry: Entry, leave: () => void): void {
    const { prover, server } = entry.station;
    const free = (): void => {
      entry.held?.release();
      entry.held = null;
      if (server !== null) this.#servers.delete(server);
      this.#turns.serve();
    };
    if (prover.vacate === undefined) free();
    else prover.vacate(() => this.#moved(entry, 1), free);
    leave();
  }

  #moved(by: Entry, units: number): void {
    for (const waiting of this.#waiting) {
      if (!this.#isBefore(by.station, waiting.station)) continue;
      waiting.units += units;
      waiting.emit({ kind: "progress", units: waiting.units });
    }
  }

  /** Whether what one has is what the other may wait for. */
  #isBefore(at: Station, waiting: Station): boolean {
    if (this.#turns.full) return true;
    return (
      (waiting.server !== null && at.server === waiting.server) || (needsSome(at.needs) && needsSome(waiting.needs))
    );
  }
}

function needsSome({ cpus, gpus, memoryBytes }: Resources): boolean {
  return cpus > 0 || gpus > 0 || memoryBytes > 0;
}
