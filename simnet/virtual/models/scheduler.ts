/** The scheduler alone: every short sequence of events over a small machine, and long ones drawn from a seed. */
import { Devices } from "../../../src/scheduler/devices.ts";
import { type ScheduledJob, Scheduler, type SchedulerEvent } from "../../../src/scheduler/scheduler.ts";
import { ScheduleJudge } from "../checkers/schedule.ts";
import { Chance } from "../world.ts";

interface Shape {
  readonly queue: string;
  readonly gpus: number;
  readonly server: string | null;
  readonly lingers: boolean;
}

const SLOTS = 2;
const GPUS = 2;
const SHAPES: readonly Shape[] = [
  { queue: "a", gpus: 1, server: null, lingers: true },
  { queue: "b", gpus: 2, server: null, lingers: false },
  { queue: "b", gpus: 0, server: "s", lingers: true },
  { queue: "a", gpus: 0, server: null, lingers: false },
];
/** All sequences of this length are tried. */
const DEPTH = 5;
const SEQUENCES = 200;
const LENGTH = 80;
const VIOLATIONS_MAX = 5;

class Rig {
  readonly violations: string[] = [];
  readonly judge: ScheduleJudge = new ScheduleJudge(SLOTS, GPUS, (text) => void this.violations.push(text));
  readonly #jobs = new Map<number, Shape>();
  readonly #scheduler: Scheduler;
  #nextId = 0;

  constructor() {
    const gpus = Array.from({ length: GPUS }, (_, at) => String(at));
    const devices = gpus.map((id) => ({ vendor: "nvidia", id, name: id, memoryBytes: null }) as const);
    this.#scheduler = new Scheduler(SLOTS, new Devices(devices, { cpus: 0, memoryBytes: 0 }));
  }

  enter(shape: Shape): void {
    const id = this.#nextId++;
    this.#jobs.set(id, shape);
    this.judge.entered(id, shape);
    const { queue, gpus, server, lingers } = shape;
    const resources = { cpus: 0, gpus, memoryBytes: 0 };
    const job: ScheduledJob = { id, queue, resources, server, lingers, holder: { task: String(id), prover: "" } };
    this.#step({ kind: "enter", job });
  }

  move(id: number | undefined): void {
    if (id !== undefined) this.#step({ kind: "moved", job: id, units: 1 });
  }

  end(id: number | undefined): void {
    if (id === undefined) return;
    if (this.judge.those("running").includes(id)) this.judge.ended(id, this.#lingers(id));
    this.#step({ kind: "ended", job: id });
  }

  cancel(id: number | undefined): void {
    if (id === undefined) return;
    this.judge.cancelled(id);
    this.#step({ kind: "cancelled", job: id });
  }

  vacate(id: number | undefined): void {
    if (id === undefined) return;
    this.judge.vacated(id);
    this.#step({ kind: "vacated", job: id });
  }

  /** Whatever is left ends, one job after the other. */
  drain(): void {
    for (let turn = 0; turn < 4 * this.#nextId + 4 && this.judge.size > 0; turn++) {
      this.vacate(this.judge.those("lingering")[0]);
      this.end(this.judge.those("running")[0]);
    }
    if (this.judge.size > 0) this.violations.push(`M2: ${this.judge.size} jobs are lost`);
  }

  #lingers(id: number): boolean {
    return this.#jobs.get(id)?.lingers === true;
  }

  #step(event: SchedulerEvent): void {
    const actions = this.#scheduler.step(event);
    for (const action of actions) {
      if (action.kind === "refuse") this.judge.refused(action.job);
      if (action.kind === "end") this.judge.reported(action.job);
      if (action.kind === "stop") this.judge.stopped(action.job, this.#lingers(action.job));
      if (action.kind === "progress") this.judge.progressed(action.job, action.units);
      if (action.kind !== "begin") continue;
      this.judge.began(
        action.job,
        action.devices.map(({ id }) => id),
      );
    }
    this.judge.settled();
  }
}

type Move = (rig: Rig) => void;

const MOVES: readonly Move[] = [
  ...SHAPES.map((shape) => (rig: Rig) => rig.enter(shape)),
  (rig) => rig.end(rig.judge.those("running")[0]),
  (rig) => rig.cancel(rig.judge.those("running").at(-1)),
  (rig) => rig.cancel(rig.judge.those("queued")[0]),
  (rig) => rig.vacate(rig.judge.those("lingering")[0]),
];

/** Every sequence of moves of this length. */
export function exhaustSchedules(depth: number = DEPTH): readonly string[] {
  const found: string[] = [];
  for (let number = 0; number < MOVES.length ** depth && found.length < VIOLATIONS_MAX; number++) {
    const rig = new Rig();
    for (let at = 0, rest = number; at < depth; at++, rest = Math.floor(rest / MOVES.length))
      MOVES[rest % MOVES.length]?.(rig);
    rig.drain();
    found.push(...rig.violations);
  }
  return found;
}

/** Long sequences. Provers also report for jobs that are over. */
export function fuzzSchedules(seed: number): readonly string[] {
  const found: string[] = [];
  const chance = new Chance(seed, "model/scheduler");
  const late: Move[] = [
    (rig) => rig.move(rig.judge.those("running")[0]),
    (rig) => rig.move(chance.between(0, 40)),
    (rig) => rig.end(chance.between(0, 40)),
  ];
  const moves = [...MOVES, ...late];
  for (let sequence = 0; sequence < SEQUENCES && found.length < VIOLATIONS_MAX; sequence++) {
    const rig = new Rig();
    for (let at = 0; at < LENGTH; at++) moves[chance.between(0, moves.length - 1)]?.(rig);
    rig.drain();
    found.push(...rig.violations);
  }
  return found;
}
