/**
 * The prover scheduler of a simulated node: the real one, over simulated provers, between two watches that tell the
 * judges what goes in below and what comes out above.
 */
import type { Cancel, Device, ProveJob, Prover, Telemetry } from "../../src/ports.ts";
import { ZERO_HASH } from "../../src/protocol/ids.ts";
import { AbilityWatch } from "../../src/runtime/abilities.ts";
import { ProverScheduler } from "../../src/runtime/scheduler.ts";
import type { RuntimeModules } from "../../src/runtime/runtime.ts";
import type { TrialEnd, TrialPace } from "../../src/scheduler/abilities.ts";
import { Devices } from "../../src/scheduler/devices.ts";
import { AbilityJudge } from "./checkers/abilities.ts";
import { ScheduleJudge } from "./checkers/schedule.ts";
import type { SimProcess } from "./process.ts";
import type { World } from "./world.ts";

/** Jobs at once on one machine. */
export const SLOTS = 2;
/** A run is shorter than the pauses of production. */
const PACE: TrialPace = { quietMs: 2_000, retryMsMin: 3_000, retryMsMax: 15_000 };
/** Every prover gives up a job after its own limit of time. */
const TRIAL_MS_MAX = 10_000;
/** The queue of trials. */
const TRIALS = " trials";

export interface MachineShape {
  /** Devices of the machine, one for each job; 0 where jobs need none. */
  readonly gpus: number;
  /** Whether provers are tried, because some become unable. */
  readonly tries: boolean;
}

export interface SchedulingOptions extends MachineShape {
  readonly world: World;
  readonly process: SimProcess;
  readonly name: string;
  readonly clock: RuntimeModules["clock"];
  readonly telemetry: Telemetry;
  readonly changed: (executor: string, isAble: boolean) => void;
  readonly complain: (violation: string) => void;
}

export class Scheduling {
  /** The provers as the runtime has them. */
  readonly provers: readonly Prover[];
  readonly #options: SchedulingOptions;
  readonly #judge: ScheduleJudge;
  readonly #abilities: AbilityWatch | null;
  readonly #abilityJudge: AbilityJudge | null;
  readonly #trials: readonly Prover[];
  /** By the `id` object of a job, which the scheduler passes on as it is: the job's number. */
  readonly #numbers = new WeakMap<object, number>();
  /** Job that the prover below has stopped or ended last. */
  #left: number | null = null;
  #next = 0;
  #atMs = 0;

  /** `provers`: those of the machine. */
  constructor(provers: readonly Prover[], options: SchedulingOptions) {
    this.#options = options;
    const { gpus, tries, name, world } = options;
    const slots = gpus > 0 ? SLOTS : Number.POSITIVE_INFINITY;
    const complain = (text: string) => {
      if (options.process.alive) options.complain(text.replace(": ", `: ${name}: `));
    };
    this.#judge = new ScheduleJudge(slots, gpus, complain);
    const devices = Array.from({ length: gpus }, (_, at): Device => {
      return { vendor: "nvidia", id: String(at), name: "simulated", memoryBytes: null };
    });
    const scheduler = new ProverScheduler(
      provers.map((prover) => {
        const resources = { cpus: 0, gpus: gpus > 0 ? 1 : 0, memoryBytes: 0 };
        return { prover: this.#below(prover), resources, server: null, counted: gpus > 0 };
      }),
      slots,
      new Devices(devices, { cpus: 0, memoryBytes: 0 }),
    );
    const above = (queue: string) => scheduler.for(queue).map((prover) => this.#above(queue, prover));
    this.#trials = above(TRIALS);
    const executors = provers.map(({ system }) => system);
    const uses = new Map(executors.map((executor) => [executor, [executor]]));
    this.#abilityJudge = tries ? new AbilityJudge(uses, PACE, world.nowMs, complain) : null;
    this.#abilities = tries ? this.#watchOf(executors) : null;
    const tasks = above("").map((prover) => this.#tasks(prover));
    this.provers = this.#abilities?.watch(tasks) ?? tasks;
  }

  start(): void {
    this.#abilities?.start();
  }

  close(): void {
    this.#abilities?.close();
  }

  /** Whether the node claims tasks of this executor. */
  isAble(executor: string): boolean {
    return this.#abilityJudge?.isAble(executor) ?? true;
  }

  /** To be called now and then. */
  look(): void {
    const { world, process } = this.#options;
    this.#pass();
    this.#abilityJudge?.pass(world.nowMs, process.isFrozen);
  }

  #pass(): void {
    const { world, process } = this.#options;
    // What happened at an earlier moment is over.
    if (world.nowMs > this.#atMs && process.alive) this.#judge.settled();
    this.#atMs = world.nowMs;
  }

  #above(queue: string, prover: Prover): Prover {
    return {
      ...prover,
      prove: (given, emit) => {
        this.#pass();
        const number = this.#next++;
        // The scheduler keeps the object, so it can be recognised below.
        const job = { ...given, id: { ...given.id } };
        this.#numbers.set(job.id, number);
        const { gpus } = this.#options;
        this.#judge.entered(number, { queue, gpus: gpus > 0 ? 1 : 0, server: null });
        let isOver = false;
        const cancel = prover.prove(job, (event) => {
          this.#pass();
          if (event.kind === "progress") this.#judge.progressed(number, event.units);
          else if (!isOver) {
            isOver = true;
            this.#judge.reported(number);
          }
          emit(event);
        });
        return () => {
          this.#pass();
          if (!isOver) this.#judge.cancelled(number);
          isOver = true;
          cancel();
        };
      },
    };
  }

  #below(prover: Prover): Prover {
    const vacate = prover.vacate?.bind(prover);
    const lingers = vacate !== undefined;
    return {
      ...prover,
      prove: (job, emit) => {
        this.#pass();
        const number = this.#numbers.get(job.id) ?? -1;
        this.#judge.began(
          number,
          (job.devices ?? []).map(({ id }) => id),
        );
        const cancel = prover.prove(job, (event) => {
          this.#pass();
          if (event.kind !== "progress") {
            this.#left = number;
            this.#judge.ended(number, lingers);
          }
          emit(event);
        });
        return () => {
          this.#left = number;
          this.#judge.stopped(number, lingers);
          cancel();
        };
      },
      ...(vacate === undefined
        ? {}
        : {
            vacate: (moved: () => void, done: () => void) => {
              const number = this.#left ?? -1;
              vacate(moved, () => {
                this.#pass();
                this.#judge.vacated(number);
                done();
              });
            },
          }),
    };
  }

  #watchOf(executors: readonly string[]): AbilityWatch {
    const { clock, telemetry, changed, world } = this.#options;
    return new AbilityWatch(
      executors.map((executor) => ({ executor, uses: [executor], takesOthers: false })),
      {
        clock,
        telemetry,
        trial: (executor, done) => this.#try(executor, done),
        changed: (executor, isAble) => {
          this.#abilityJudge?.changed(executor, isAble, world.nowMs);
          changed(executor, isAble);
        },
      },
      PACE,
    );
  }

  #try(executor: string, done: (end: TrialEnd) => void): Cancel {
    const { world, clock } = this.#options;
    const judge = this.#abilityJudge;
    judge?.tried(executor, world.nowMs);
    let isOver = false;
    let [expire, cancel]: Cancel[] = [() => {}, () => {}];
    const end = (how: TrialEnd, isFault: boolean): void => {
      if (isOver) return;
      isOver = true;
      expire?.();
      judge?.trialEnded(isFault, world.nowMs);
      done(how);
    };
    const failed = (code: string): TrialEnd => ({
      kind: "failed",
      fault: { code, message: "simulated" },
      at: executor,
    });
    expire = clock.after(TRIAL_MS_MAX, () => {
      cancel?.();
      end(failed("process.timeout"), true);
    });
    const prover = this.#trials.find(({ system }) => system === executor);
    cancel = prover?.prove(trialOf(executor), (event) => {
      if (event.kind === "proved") end({ kind: "proved", provingMs: event.provingMs }, false);
      if (event.kind === "failed") end(failed(event.fault.code), true);
    });
    return () => {
      judge?.stopped();
      cancel?.();
      // An abandoned trial answers on a later turn.
      clock.after(0, () => end(failed("replay.stopped"), false));
    };
  }

  /** Tells the judge of abilities about the tasks. */
  #tasks(prover: Prover): Prover {
    const { world } = this.#options;
    const { system } = prover;
    const judge = this.#abilityJudge;
    if (judge === null) return prover;
    return {
      ...prover,
      prove: (job, emit) => {
        judge.taskBegan(system, world.nowMs);
        let isOver = false;
        const end = () => {
          if (!isOver) judge.taskEnded(system, world.nowMs);
          isOver = true;
        };
        const cancel = prover.prove(job, (event) => {
          if (event.kind !== "progress") end();
          if (event.kind === "failed") judge.failedAgain(system, world.nowMs);
          emit(event);
        });
        judge.settled(system);
        return () => {
          end();
          cancel();
        };
      },
    };
  }
}

function trialOf(executor: string): ProveJob {
  const place = { chain: 0, chainId: 0, height: 0, block: ZERO_HASH, hash: ZERO_HASH, parent: ZERO_HASH };
  const id = { ...place, stage: " trial", index: 0 };
  const nothing = new Uint8Array();
  const rest = { attempt: 0, system: executor, key: ZERO_HASH, payload: nothing, before: nothing, prover: ZERO_HASH };
  return { ...rest, id, values: new Uint8Array(32), group: 0, shards: 0, inputs: [], makers: [] };
}
