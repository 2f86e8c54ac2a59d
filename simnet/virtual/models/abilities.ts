/** The trials of a node's provers alone: tasks, failures and recoveries drawn from a seed. */
import { Abilities, type AbilityEvent, type TrialPace } from "../../../src/scheduler/abilities.ts";
import { AbilityJudge } from "../checkers/abilities.ts";
import { Chance } from "../world.ts";

const PACE: TrialPace = { quietMs: 1_000, retryMsMin: 2_000, retryMsMax: 16_000 };
const USES: ReadonlyMap<string, readonly string[]> = new Map([
  ["shard", ["shard"]],
  ["other", ["other"]],
  ["fold", ["shard", "fold"]],
]);
const EXECUTORS: readonly string[] = [...USES.keys()];
const FAULT = { code: "process.start", message: "simulated" };
const SEQUENCES = 60;
const LENGTH = 120;
const VIOLATIONS_MAX = 5;

type Untimed<E> = E extends AbilityEvent ? Omit<E, "nowMs"> : never;

class Rig {
  readonly violations: string[] = [];
  readonly judge: AbilityJudge = new AbilityJudge(USES, PACE, 0, (text) => void this.violations.push(text));
  readonly #chance: Chance;
  readonly #abilities: Abilities;
  readonly #running: string[] = [];
  readonly #broken = new Set<string>();
  #nowMs = 0;
  #isStopped = false;

  constructor(chance: Chance) {
    this.#chance = chance;
    const plans = [...USES].map(([executor, uses]) => ({ executor, uses, takesOthers: uses.length > 1 }));
    this.#abilities = new Abilities(plans, PACE);
    this.#step({ kind: "started" });
  }

  turn(): void {
    const executor = EXECUTORS[this.#chance.between(0, EXECUTORS.length - 1)] ?? "";
    switch (this.#chance.between(0, 6)) {
      case 0:
        if (this.#broken.has(executor)) this.#broken.delete(executor);
        else this.#broken.add(executor);
        return;
      case 1:
      case 2:
        return this.#beginTask(executor);
      case 3:
        return this.#endTask();
      case 4:
        return this.#endTrial();
      default:
        return this.#pass(this.#chance.between(1, 4_000));
    }
  }

  /** Nothing is broken any more and no task comes. So each prover must come into use again. */
  drain(): void {
    this.#broken.clear();
    while (this.#running.length > 0) this.#endTask();
    for (let turn = 0; turn < 200; turn++) {
      this.#endTrial();
      this.#pass(500);
    }
    for (const { executor, state } of this.#abilities.list()) {
      if (state !== "able") this.violations.push(`M5: ${executor} is ${state} long after all faults`);
      if (!this.judge.isAble(executor)) this.violations.push(`M7: nobody knows that ${executor} is able again`);
    }
  }

  #beginTask(executor: string): void {
    if (this.#running.length >= 3) return;
    this.#running.push(executor);
    this.judge.taskBegan(executor, this.#nowMs);
    this.#step({ kind: "task-began", executor });
    this.judge.settled(executor);
  }

  #endTask(): void {
    const executor = this.#running.shift();
    if (executor === undefined) return;
    this.judge.taskEnded(executor, this.#nowMs);
    const isBroken = this.#broken.has(executor);
    const isCancelled = this.#chance.next() < 0.2;
    if (isBroken && !isCancelled) this.judge.failedAgain(executor, this.#nowMs);
    const end = isCancelled
      ? ({ kind: "cancelled" } as const)
      : isBroken
        ? ({ kind: "failed", fault: FAULT, disabled: true } as const)
        : ({ kind: "proved", provingMs: 1 } as const);
    this.#step({ kind: "task-ended", executor, end });
  }

  #endTrial(): void {
    const executor = this.judge.trial;
    if (executor === null) return;
    const at = USES.get(executor)?.find((each) => this.#broken.has(each));
    const isFault = !this.#isStopped && at === executor;
    this.judge.trialEnded(isFault, this.#nowMs);
    const isFailed = this.#isStopped || at !== undefined;
    const end = isFailed
      ? ({ kind: "failed", fault: FAULT, at: at ?? null } as const)
      : ({ kind: "proved", provingMs: 1 } as const);
    this.#isStopped = false;
    this.#step({ kind: "trial-ended", end });
  }

  /** Time passes up to each moment for which the machine asked. */
  #pass(forMs: number): void {
    const untilMs = this.#nowMs + forMs;
    for (let nextMs = this.#abilities.nextMs; nextMs !== null && nextMs <= untilMs; nextMs = this.#abilities.nextMs) {
      this.#nowMs = Math.max(this.#nowMs, nextMs);
      this.#step({ kind: "due" });
    }
    this.#nowMs = untilMs;
    this.judge.pass(untilMs);
  }

  #step(event: Untimed<AbilityEvent>): void {
    for (const action of this.#abilities.step({ ...event, nowMs: this.#nowMs })) {
      if (action.kind === "try") {
        this.judge.tried(action.executor, this.#nowMs);
        this.#isStopped = false;
      }
      if (action.kind === "changed") this.judge.changed(action.executor, action.isAble, this.#nowMs);
      if (action.kind !== "stop-trial") continue;
      this.#isStopped = true;
      this.judge.stopped();
    }
  }
}

export function fuzzAbilities(seed: number): readonly string[] {
  const found: string[] = [];
  const chance = new Chance(seed, "model/abilities");
  for (let sequence = 0; sequence < SEQUENCES && found.length < VIOLATIONS_MAX; sequence++) {
    const rig = new Rig(chance);
    for (let at = 0; at < LENGTH; at++) rig.turn();
    rig.drain();
    found.push(...rig.violations);
  }
  return found;
}
