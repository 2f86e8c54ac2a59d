/** Several whole cores; what one says the others hear, in the order that the test wants. */
import type { Effect } from "../../src/core/effect.ts";
import type { Resources } from "../../src/protocol/workflow.ts";
import type { CoreOptions } from "../../src/core/options.ts";
import type { TaskRef } from "../../src/core/event.ts";
import { mayShow } from "../../src/core/commitments.ts";
import { frontierOf } from "../../src/core/replicator.ts";
import type { Batch } from "../../src/protocol/batch.ts";
import type { Manifest, ManifestJson } from "../../src/protocol/manifest.ts";
import { artefactHash } from "../../src/protocol/ids.ts";
import { NONCE_BYTES } from "../../src/protocol/limits.ts";
import { decodeOpening, encodeOpening } from "../../src/protocol/opening.ts";
import { hashOf } from "../protocol/fixtures.ts";
import { Core, keyOf, network, type TestBlock } from "./harness.ts";

type Proves = Extract<Effect, { kind: "prove" }>;
type Opens = Extract<Effect, { kind: "open" }>;

const PROOF_BYTES = 100;

export class Net {
  readonly manifest: Manifest;
  readonly cores: Core[];
  readonly batches: Batch[] = [];
  readonly names: readonly string[];
  /** Nodes that hear and say nothing. */
  readonly down = new Set<string>();
  /** Which proofs verify. */
  isValid: (prover: string) => boolean = () => true;
  /** With which logical code an attempt fails, if it does. */
  isLogical = true;
  failing: (task: TaskRef, attempt: number) => string | null = () => null;

  /** Who makes another result of what provers have to agree on. */
  lies: (prover: string, task: TaskRef) => boolean = () => false;

  /** Who commits to a result and shows it to nobody. */
  hides: (prover: string, task: TaskRef) => boolean = () => false;

  /** What provers have committed to, by commitment. */
  readonly openings = new Map<string, Uint8Array>();
  #nonces = 0;

  /** Proofs that take for ever. */
  hangs: (task: TaskRef) => boolean = () => false;
  readonly #selects: CoreOptions["selects"];
  readonly #hanging: { readonly core: Core; readonly effect: Proves }[] = [];

  constructor(
    names: readonly string[],
    change: Partial<ManifestJson> = {},
    systems: (name: string) => readonly string[] = () => ["mock"],
    resources?: Resources,
    selects: CoreOptions["selects"] = new Map(),
  ) {
    this.names = names;
    this.#selects = selects;
    this.manifest = network({ attesters: names, provers: names, sources: names }, change);
    const roles = { source: true, attester: true, prover: true };
    this.cores = names.map(
      (name) =>
        new Core({
          name,
          manifest: this.manifest,
          roles,
          names,
          systems: systems(name),
          selects,
          ...(resources === undefined ? {} : { resources }),
        }),
    );
  }

  core(name: string): Core {
    const found = this.cores.find((core) => core.name === name);
    if (found === undefined) throw new Error(`no core ${name}`);
    return found;
  }

  /** Every live node's own source sees the block. */
  mine(block: TestBlock): void {
    const { height, hash, parent } = block;
    const seen = { chain: 1, height, hash, parent, payload: hashOf(`payload ${hash}`), items: 0 };
    for (const core of this.live()) core.step({ kind: "source-block", block: seen });
    this.settle();
  }

  live(): Core[] {
    return this.cores.filter(({ name }) => !this.down.has(name));
  }

  /** Delivers, proves and verifies until nobody has anything to say. */
  settle(): void {
    for (let moved = true; moved; ) {
      moved = false;
      for (const core of this.live()) moved = this.#work(core) || moved;
      for (const core of this.cores) {
        for (const batch of core.feed.batches.filter((each) => !this.batches.includes(each))) {
          this.batches.push(batch);
          moved = true;
          for (const other of this.live()) if (other !== core) other.hear(batch);
        }
      }
    }
  }

  /** Time passes for all of them. */
  pass(totalMs: number, stepMs = 50): void {
    for (let left = totalMs; left > 0; left -= stepMs) {
      for (const core of this.live()) core.tick(stepMs);
      this.settle();
    }
  }

  /** Every live node hears from every other how far its log reaches. */
  compare(): void {
    for (const core of this.live())
      for (const other of this.live().filter((each) => each !== core)) {
        const [peer, frontier] = [keyOf(other.name), frontierOf(other.state)];
        core.step({ kind: "synced", peer, frontier });
      }
  }

  #work(core: Core): boolean {
    const [proves, verifies, opens] = [core.take("prove"), core.take("verify"), core.take("open")];
    for (const effect of opens) this.#open(core, effect);
    for (const effect of proves) {
      const { task, attempt } = effect;
      if (this.hangs(task)) {
        this.#hanging.push({ core, effect });
        continue;
      }
      const code = this.failing(task, attempt);
      if (code !== null) {
        core.step({ kind: "prove-failed", task, attempt, code, logical: this.isLogical, message: "" });
        continue;
      }
      this.#prove(core, effect);
    }
    for (const { task, artefact, maker, candidate } of verifies) {
      const prover = this.names.find((name) => this.#resultOf(task, name) === artefact);
      const verdict =
        prover !== undefined && this.isValid(prover) && (candidate ?? maker ?? keyOf(prover)) === keyOf(prover)
          ? ({ kind: "valid", bytes: PROOF_BYTES, possession: new Uint8Array() } as const)
          : ({ kind: "invalid", code: "proof.equation" } as const);
      core.step({ kind: "verified", task, artefact, maker, candidate, verdict });
    }
    return proves.length + verifies.length + opens.length > 0;
  }

  /** What hung comes to its end after all. */
  release(): void {
    for (const { core, effect } of this.#hanging.splice(0)) this.#prove(core, effect);
    this.settle();
  }

  /** What a prover that hangs was given. */
  hanging(stage: string, index: number): Proves | undefined {
    return this.#hanging.find(({ effect: { task } }) => task.stage === stage && task.index === index)?.effect;
  }

  /** Proofs differ from one prover to the other; what is recomputed is the same for all. */
  #resultOf(task: TaskRef, prover: string): string {
    const { block, stage, index } = task;
    const { stages = [] } = this.manifest.json.workflows["block"] ?? {};
    const { verify } = stages.find(({ name }) => name === stage) ?? {};
    if (verify === "agree") return hashOf(`${this.lies(prover, task) ? "lie" : "truth"} ${block}/${stage}`);
    const isSame = verify === "recompute";
    return hashOf(isSame ? `result ${block}/${stage}/${index}` : `proof ${prover} ${block}/${stage}/${index}`);
  }

  #prove(core: Core, { task, attempt, values, isAdmission }: Proves): void {
    const artefact = this.#resultOf(task, core.name);
    const nonce = new Uint8Array(NONCE_BYTES).fill(++this.#nonces);
    const opening = encodeOpening({ prover: keyOf(core.name), nonce, artefact, bytes: PROOF_BYTES });
    this.openings.set(artefactHash(opening), opening);
    const bytes = { inline: new Uint8Array(), possession: new Uint8Array(), nonce };
    const proof = { artefact, bytes: PROOF_BYTES, values, provingMs: 10, ...bytes };
    core.step({ kind: "proved", task, isAdmission, attempt, proof });
  }

  /** The prover shows the opening, if it is up and wants to, and if its own log says that the other may have it. */
  #open(core: Core, { task, attempt, prover, commitment }: Opens): void {
    const file = this.openings.get(commitment);
    const holder = this.live().find(({ name }) => keyOf(name) === prover);
    const isShown =
      file !== undefined &&
      holder !== undefined &&
      (holder === core || (!this.hides(holder.name, task) && mayShow(holder.state, keyOf(core.name), file)));
    const opening = isShown ? (decodeOpening(file) ?? false) : null;
    core.step({ kind: "opened", task, attempt, commitment, opening });
  }

  /** A node that votes on nothing and only listens, to see what the log says. */
  observer(): Core {
    return new Core({ name: "observer", manifest: this.manifest, names: this.names, selects: this.#selects });
  }
}

/** What a core makes of its log, without clocks: which blocks stand how, with which content. */
export function summary(core: Core): unknown {
  const blocks = [...core.state.blocks.values()].sort((a, b) => a.height - b.height || (a.id < b.id ? -1 : 1));
  return blocks.map((block) => ({
    height: block.height,
    state: block.state,
    certificate: block.certificate,
    tasks: block.tasks.map((task) => ({
      complete: task.completeMs !== null,
      open: [...task.attempts.values()]
        .filter(({ timeouts }) => timeouts.size > 0)
        .map(({ number }) => number)
        .sort((a, b) => a - b),
    })),
  }));
}

export function certifiedHeights(core: Core): number[] {
  return [...core.state.closed.values()].map(({ height }) => height).sort((a, b) => a - b);
}
