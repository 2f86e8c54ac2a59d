/**
 * What each prover has shown that it can do.
 *
 * A prover begins untried. A trial (`trials.ts`) runs at once, while the node starts and finds its peers, and warms up what
 * proves; one that takes other tasks' proofs has them made first, and so waits until the node has nothing better to do. A
 * real task is as good as a trial and comes first: it ends the one that runs, and how it ends counts in its place. So
 * nothing waits for a trial, and a prover that does not work loses one task at most.
 *
 * What has failed is out of use: the core claims nothing for it and gives on what it owns. It is tried again after a pause
 * that grows. A prover that worked once is not tried any more; how it does from there on is the network's to judge, by its
 * leases and quotas. The exception is a prover that reports that it cannot begin any task now (`disabled`), because its
 * program, its directory or the room for its files is gone: it is out of use until a trial works again.
 */
import type { Cancel, Clock, Fault, ProveEvent, Prover, SourceBlock, Telemetry, Verifier } from "../ports.ts";
import type { Manifest } from "../protocol/manifest.ts";
import { rowsOf, type Stage, stagesOf, variantOf } from "../protocol/workflow.ts";
import { NodeFault } from "./fault.ts";
import { faultOfThrown } from "./guard.ts";
import { qualifying, qualifyingBlock, refusesChanged, startId } from "./trials.ts";
import { nameOf, Workbench } from "./workbench.ts";

export interface AbilityStatus {
  /** The executor, as the manifest calls it. */
  readonly prover: string;
  readonly state: "untried" | "trying" | "able" | "unable";
  /** Why it is unable. */
  readonly fault: Fault | null;
  /** Trials and first tasks in a row that have failed. */
  readonly failures: number;
  /** When it is tried again; `null` while it is not about to be. */
  readonly retryInMs: number | null;
}

export interface QualificationOptions {
  readonly manifest: Manifest;
  /** Executors that are not tried, for no block of ours would say anything: their first task shows. */
  readonly untried: ReadonlySet<string>;
  /** Executors that only pretend, and are used whatever they do. */
  readonly exempt: ReadonlySet<string>;
}

export interface QualificationModules {
  /** As partitions have them, so a trial takes no device that a task has. */
  readonly provers: readonly Prover[];
  readonly verifier: Verifier;
  readonly clock: Clock;
  readonly telemetry: Pick<Telemetry, "emit">;
  /** Told whenever a prover comes into use or goes out of it. */
  readonly changed: (executor: string, isAble: boolean) => void;
  /** The node's own verifier is not to be trusted. */
  readonly fatal: (fault: Fault) => void;
}

/** Before a trial for which other tasks' proofs have to be made. */
const QUIET_MS = 20_000;
const RETRY_MS_MIN = 30_000;
const RETRY_MS_MAX = 3_600_000;

interface Ability {
  readonly executor: string;
  state: AbilityStatus["state"];
  fault: Fault | null;
  failures: number;
  retryMs: number | null;
  timer: Cancel | null;
  /** Real tasks that run now. */
  running: number;
  /** What was last said of it: each thing once. */
  said: string | null;
}

interface Trial {
  readonly chain: number;
  readonly workflow: string;
  readonly stages: readonly Stage[];
  readonly wanted: ReadonlySet<string>;
}

export class Qualification {
  readonly #options: QualificationOptions;
  readonly #modules: QualificationModules;
  readonly #workbench: Workbench;
  readonly #abilities: ReadonlyMap<string, Ability>;
  readonly #line: Ability[] = [];
  /** The trial that runs, and the executors at work for it. */
  #trial: { readonly uses: ReadonlySet<string>; readonly stop: AbortController } | null = null;
  /** Who has made, or makes, the last task of a trial. */
  #at: string | null = null;
  #block: Omit<SourceBlock, "chain"> | null = null;
  #isTrying = false;
  #closed = false;

  constructor(options: QualificationOptions, modules: QualificationModules) {
    this.#options = options;
    this.#modules = modules;
    const noted = modules.provers.map((prover) => ({
      ...prover,
      prove: (...given: Parameters<Prover["prove"]>) => {
        this.#at = prover.system;
        return prover.prove(...given);
      },
    }));
    this.#workbench = new Workbench(noted, modules.verifier);
    const all = modules.provers.map(({ system }) => system);
    const executors = new Set(all.filter((system) => !options.exempt.has(system)));
    this.#abilities = new Map(
      [...executors].map((executor) => {
        const rest = { fault: null, failures: 0, retryMs: null, timer: null, running: 0, said: null };
        return [executor, { executor, state: "untried", ...rest }];
      }),
    );
  }

  /** Begins the trials; each is over when it is over. */
  start(): void {
    for (const ability of this.#abilities.values()) {
      const trial = this.#trialOf(ability.executor);
      if (trial === null) continue;
      if (trial.wanted.size === 1) this.#enter(ability);
      else this.#later(ability, QUIET_MS);
    }
  }

  /** The same provers, whose first tasks count. */
  watch(provers: readonly Prover[]): Prover[] {
    return provers.map((prover) => ({
      ...prover,
      prove: (job, emit) => {
        const ability = this.#abilities.get(prover.system);
        if (this.#trial?.uses.has(prover.system) === true) this.#trial.stop.abort();
        if (ability === undefined) return prover.prove(job, emit);
        let isOver = false;
        const end = (): void => {
          if (!isOver) ability.running--;
          isOver = true;
        };
        ability.running++;
        const cancel = prover.prove(job, (event) => {
          if (event.kind !== "progress") end();
          this.#heard(ability, event);
          emit(event);
        });
        return () => {
          cancel();
          end();
        };
      },
    }));
  }

  status(): readonly AbilityStatus[] {
    return [...this.#abilities.values()].map(({ executor, state, fault, failures, retryMs }) => {
      const retryInMs = retryMs === null ? null : Math.max(0, Math.round(retryMs - this.#modules.clock.now()));
      return { prover: executor, state, fault, failures, retryInMs };
    });
  }

  /** Executors that are out of use now. */
  unable(): readonly string[] {
    return [...this.#abilities.values()].filter(({ fault }) => fault !== null).map(({ executor }) => executor);
  }

  close(): void {
    this.#closed = true;
    this.#trial?.stop.abort();
    for (const { timer } of this.#abilities.values()) timer?.();
  }

  #heard(ability: Ability, event: ProveEvent): void {
    if (event.kind === "progress") return;
    const isBroken = event.kind === "failed" && event.disabled === true;
    if (ability.state === "able" && !isBroken) return;
    if (event.kind === "proved") return this.#succeeded(ability, event.provingMs);
    this.#failed(ability, event.fault);
  }

  #enter(ability: Ability): void {
    ability.timer = null;
    ability.retryMs = null;
    this.#line.push(ability);
    if (!this.#isTrying) void this.#tryNext();
  }

  #later(ability: Ability, delayMs: number): void {
    if (this.#closed) return;
    ability.timer?.();
    ability.retryMs = this.#modules.clock.now() + delayMs;
    ability.timer = this.#modules.clock.after(delayMs, () => this.#enter(ability));
  }

  /** One after the other: two at once would each take twice as long, and whatever else the node does as well. */
  async #tryNext(): Promise<void> {
    this.#isTrying = true;
    for (let next = this.#line.shift(); next !== undefined && !this.#closed; next = this.#line.shift())
      if (next.state !== "able") await this.#try(next);
    this.#isTrying = false;
  }

  async #try(ability: Ability): Promise<void> {
    const trial = this.#trialOf(ability.executor);
    if (trial === null) return this.#untry(ability);
    const uses = new Set(trial.stages.flatMap((stage) => executorsOf(stage, trial.wanted)));
    if ([...uses].some((executor) => this.#isBusy(executor, ability))) return this.#later(ability, QUIET_MS);
    const stop = new AbortController();
    this.#trial = { uses, stop };
    this.#at = null;
    ability.state = "trying";
    try {
      this.#succeeded(ability, await this.#run(ability.executor, trial, stop.signal));
    } catch (error) {
      if (stop.signal.aborted) return this.#stopped(ability);
      // An exception in the middle of a trial is that prover's fault, and never the node's end.
      const { code, message } = error instanceof NodeFault ? error : faultOfThrown("trial", error);
      if (code === "proof.accepted") this.#modules.fatal({ code, message });
      // Of what it takes nothing was to be had, which is not its fault.
      if (this.#at !== null && this.#at !== ability.executor) return this.#stopped(ability);
      // A task that was proven meanwhile has shown more than the trial.
      if (ability.state === "trying") this.#failed(ability, { code, message });
    } finally {
      this.#trial = null;
    }
  }

  /** At work on a real task, or another's that has not shown yet that it makes what the trial takes. */
  #isBusy(executor: string, of: Ability): boolean {
    const ability = this.#abilities.get(executor);
    if (ability === undefined) return false;
    return ability.running > 0 || (ability !== of && ability.state !== "able");
  }

  /** Its next task is its next trial. */
  #untry(ability: Ability): void {
    const wasUnable = ability.fault !== null;
    Object.assign(ability, { state: "untried", fault: null });
    if (wasUnable) this.#modules.changed(ability.executor, true);
  }

  /** Milliseconds that the executor's own task took. */
  async #run(executor: string, trial: Trial, signal: AbortSignal): Promise<number> {
    const { chain, workflow, stages, wanted } = trial;
    const read = this.#qualifyingBlock();
    const id = startId(read, this.#options.manifest.network, chain, workflow);
    const block = { ...read, chain, block: id, before: null };
    const prepared = await this.#workbench.prepare({ ...block, range: 1, stages: rowsOf(stages) });
    const made = await this.#workbench.makeAll(stages, wanted, block, prepared, { made: () => {} }, signal);
    const own = [...made.values()].findLast((each) => each.executor === executor);
    if (own === undefined) throw new Error(`a trial of ${executor} made nothing of its own`);
    await refusesChanged(this.#workbench, own);
    return own.provingMs;
  }

  /** A real task has taken its place; should that come to nothing, it is tried again. */
  #stopped(ability: Ability): void {
    if (ability.state !== "trying") return;
    ability.state = ability.fault === null ? "untried" : "unable";
    this.#later(ability, QUIET_MS);
  }

  #succeeded(ability: Ability, provingMs: number): void {
    const { executor, fault } = ability;
    ability.timer?.();
    Object.assign(ability, { state: "able", fault: null, failures: 0, retryMs: null, timer: null, said: null });
    this.#modules.telemetry.emit("prover.able", { prover: executor, provingMs: Math.round(provingMs) });
    if (fault !== null) this.#modules.changed(executor, true);
  }

  #failed(ability: Ability, fault: Fault): void {
    const { executor, fault: before, said } = ability;
    Object.assign(ability, { state: "unable", fault, failures: ability.failures + 1 });
    const pauseMs = Math.min(RETRY_MS_MIN * 2 ** (ability.failures - 1), RETRY_MS_MAX);
    this.#later(ability, pauseMs);
    ability.said = fault.message;
    if (said !== fault.message) this.#modules.telemetry.emit("prover.unable", { prover: executor, ...fault });
    if (before === null) this.#modules.changed(executor, false);
  }

  #qualifyingBlock(): Omit<SourceBlock, "chain"> {
    this.#block ??= qualifyingBlock();
    return this.#block;
  }

  /** `null` where nothing that this node can make would show anything. */
  #trialOf(executor: string): Trial | null {
    const { manifest, untried } = this.#options;
    if (untried.has(executor)) return null;
    const executors = [...this.#abilities.keys()];
    for (const { id: chain, workflow } of manifest.json.chains) {
      const stages = stagesOf(manifest, workflow, this.#qualifyingBlock().items) ?? [];
      const wanted = qualifying(stages, executors, executor);
      if (wanted.size > 0) return { chain, workflow, stages, wanted };
    }
    return null;
  }
}

function executorsOf(stage: Stage, wanted: ReadonlySet<string>): string[] {
  return Array.from({ length: stage.count }, (_, index) => index).flatMap((index) =>
    wanted.has(nameOf(stage, index)) ? [variantOf(stage, index).executor] : [],
  );
}
