/**
 * What each prover has shown that it can do: the trials of a node's provers, run on this machine.
 *
 * `scheduler/abilities.ts` decides when a prover is tried and when it is in use. This file makes a trial of a public
 * block (`trials.ts`), with the provers and the verifier that tasks use.
 */
import type { Cancel, Clock, Fault, Prover, SourceBlock, Telemetry, Verifier } from "../ports.ts";
import { chainIdOf, type Manifest } from "../protocol/manifest.ts";
import { rowsOf, type Stage, stagesOf, variantOf } from "../protocol/workflow.ts";
import { AbilityWatch } from "../runtime/abilities.ts";
import type { Ability, TrialEnd, TrialPlan } from "../scheduler/abilities.ts";
import { NodeFault } from "./fault.ts";
import { faultOfThrown } from "./guard.ts";
import { qualifying, qualifyingBlock, refusesChanged, startId } from "./trials.ts";
import { nameOf, Workbench } from "./workbench.ts";

export interface AbilityStatus extends Omit<Ability, "executor" | "retryMs"> {
  /** The executor, as the manifest calls it. */
  readonly prover: string;
  /** When it is tried again; `null` while no trial is planned. */
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
  readonly #executors: readonly string[];
  readonly #watch: AbilityWatch;
  /** The executor that has made, or makes, the last task of the trial that runs. */
  #at: string | null = null;
  readonly #blocks = new Map<string, Omit<SourceBlock, "chain">>();

  constructor(options: QualificationOptions, modules: QualificationModules) {
    const { clock, telemetry, changed, provers, verifier } = modules;
    this.#options = options;
    this.#modules = modules;
    const noted = provers.map((prover) => ({
      ...prover,
      prove: (...given: Parameters<Prover["prove"]>) => {
        this.#at = prover.system;
        return prover.prove(...given);
      },
    }));
    this.#workbench = new Workbench(noted, verifier);
    const executors = new Set(provers.map(({ system }) => system).filter((system) => !options.exempt.has(system)));
    this.#executors = [...executors];
    const trial = (executor: string, done: (end: TrialEnd) => void) => this.#try(executor, done);
    const plans = this.#executors.map((executor) => this.#planOf(executor));
    this.#watch = new AbilityWatch(plans, { clock, telemetry, trial, changed });
  }

  /** Begins the trials; each is over when it is over. */
  start(): void {
    this.#watch.start();
  }

  /** The same provers, whose first tasks count. */
  watch(provers: readonly Prover[]): Prover[] {
    return this.#watch.watch(provers);
  }

  status(): readonly AbilityStatus[] {
    const nowMs = this.#modules.clock.now();
    return this.#watch.list().map(({ executor, state, fault, failures, retryMs }) => {
      const retryInMs = retryMs === null ? null : Math.max(0, Math.round(retryMs - nowMs));
      return { prover: executor, state, fault, failures, retryInMs };
    });
  }

  /** Executors that are out of use now. */
  unable(): readonly string[] {
    return this.#watch.list().flatMap(({ executor, fault }) => (fault === null ? [] : [executor]));
  }

  close(): void {
    this.#watch.close();
  }

  #planOf(executor: string): TrialPlan {
    const trial = this.#trialOf(executor);
    if (trial === null) return { executor, uses: null, takesOthers: false };
    const uses = new Set(trial.stages.flatMap((stage) => executorsOf(stage, trial.wanted)));
    return { executor, uses: [...uses], takesOthers: trial.wanted.size > 1 };
  }

  #try(executor: string, done: (end: TrialEnd) => void): Cancel {
    const stop = new AbortController();
    this.#at = null;
    this.#run(executor, stop.signal).then(
      (provingMs) => done({ kind: "proved", provingMs }),
      (error: unknown) => {
        // An exception in the middle of a trial is that prover's fault, and never the node's end.
        const { code, message } = error instanceof NodeFault ? error : faultOfThrown("trial", error);
        if (code === "proof.accepted" && !stop.signal.aborted) this.#modules.fatal({ code, message });
        done({ kind: "failed", fault: { code, message }, at: this.#at });
      },
    );
    return () => stop.abort();
  }

  /** Milliseconds that the executor's own task took. */
  async #run(executor: string, signal: AbortSignal): Promise<number> {
    const trial = this.#trialOf(executor);
    if (trial === null) throw new Error(`no trial of ${executor} would show anything`);
    const { chain, workflow, stages, wanted } = trial;
    const read = this.#qualifyingBlock(workflow);
    const id = startId(read, this.#options.manifest.network, chain, workflow);
    const block = { ...read, chain, chainId: chainIdOf(this.#options.manifest, chain), block: id, before: null };
    const prepared = await this.#workbench.prepare({ ...block, range: 1, stages: rowsOf(stages) });
    const made = await this.#workbench.makeAll(stages, wanted, block, prepared, { made: () => {} }, signal);
    const own = [...made.values()].findLast((each) => each.executor === executor);
    if (own === undefined) throw new Error(`a trial of ${executor} made nothing of its own`);
    await refusesChanged(this.#workbench, own);
    return own.provingMs;
  }

  /** The block that trials in a workflow are about. */
  #qualifyingBlock(workflow: string): Omit<SourceBlock, "chain"> {
    const block = this.#blocks.get(workflow) ?? qualifyingBlock(this.#options.manifest, workflow);
    this.#blocks.set(workflow, block);
    return block;
  }

  /** `null` where nothing that this node can make would show anything. */
  #trialOf(executor: string): Trial | null {
    const { manifest, untried } = this.#options;
    if (untried.has(executor)) return null;
    for (const { id: chain, workflow } of manifest.json.chains) {
      const stages = stagesOf(manifest, workflow, this.#qualifyingBlock(workflow).items) ?? [];
      const wanted = qualifying(stages, this.#executors, executor);
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
