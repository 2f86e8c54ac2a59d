/**
 * R1 in sum: how much of a node's verifier, and of its disk, one author gets for proofs that are wrong.
 *
 * The bound follows from the limits alone: what is saved up, and what comes back in the time of the run.
 */
import type { Proof, State } from "../../../src/core/state.ts";
import type { RuntimeModules } from "../../../src/runtime/runtime.ts";
import { artefactHash, type Key } from "../../../src/protocol/ids.ts";
import { INLINE_BYTES_MAX } from "../../../src/protocol/limits.ts";
import type { SimNode } from "../cluster.ts";

/** The part of its share that an author keeps which has shown nothing but wrong proofs. */
const LOWEST_SHARE = 1 / 16;
/** The first verifications of a system are charged less than they take, or more; some are under way at once. */
const SLACK_MS = 60;

interface Wrong {
  readonly sinceMs: number;
  ms: number;
  /** Whether one of the author's proofs was valid. */
  isProven: boolean;
}

// VERIFY-1, VERIFY-3, VERIFY-6.
export class Work {
  readonly #wrong = new Map<string, Wrong>();
  /** By node and author: files that are being fetched, and from how many peers. */
  readonly #fetching = new Map<string, Map<string, number>>();

  /** Counts what the node's verifier does, and for whom. */
  watch(modules: RuntimeModules, node: SimNode): RuntimeModules {
    const { verifier, clock } = modules;
    return {
      ...modules,
      verifier: {
        prepare: (job, done) => verifier.prepare(job, done),
        verify: (job, done) => {
          const beganMs = clock.now();
          return verifier.verify(job, (result) => {
            const { state } = node.runtime ?? {};
            if (result.ok && state !== undefined)
              for (const author of authorsOf(state, artefactHash(job.proof)))
                this.#count(`${node.name} ${author}`, result.value.valid, beganMs, clock.now());
            done(result);
          });
        },
        close: () => verifier.close(),
      },
    };
  }

  #count(name: string, isValid: boolean, beganMs: number, nowMs: number): void {
    const known = this.#wrong.get(name) ?? { sinceMs: beganMs, ms: 0, isProven: false };
    this.#wrong.set(name, known);
    if (isValid) known.isProven = true;
    else known.ms += nowMs - beganMs;
  }

  // VERIFY-7.
  /** A node fetches few proofs of one author at once; those that f+1 attesters vouch for are nobody's. */
  fetches(node: SimNode, artefact: string, complain: (violation: string) => void): () => void {
    const { state } = node.runtime ?? {};
    if (state === undefined) return () => {};
    const isFree = proofsOf(state, artefact).some(({ vouchers }) => vouchers.size > 0);
    const authors = authorsOf(state, artefact);
    // Of several authors one is charged. A process that dies leaves its fetches behind.
    const names =
      isFree || authors.size > 1 ? [] : [...authors].map((author) => `${node.name}/${node.starts} ${author}`);
    for (const name of names) {
      const files = this.#fetching.get(name) ?? new Map<string, number>();
      this.#fetching.set(name, files.set(artefact, (files.get(artefact) ?? 0) + 1));
      if (files.size > state.limits.fetchingMax)
        complain(`R1: ${node.name} fetches ${files.size} proofs of one author at once`);
    }
    let isOver = false;
    return () => {
      if (isOver) return;
      isOver = true;
      for (const name of names) {
        const files = this.#fetching.get(name);
        const left = (files?.get(artefact) ?? 1) - 1;
        if (left > 0) files?.set(artefact, left);
        else files?.delete(artefact);
      }
    };
  }

  look(node: SimNode, nowMs: number): string[] {
    const { state } = node.runtime ?? {};
    if (state === undefined) return [];
    return [...this.#lookAtVerifier(node, state, nowMs), ...lookAtDisk(node, state)];
  }

  #lookAtVerifier(node: SimNode, state: State, nowMs: number): string[] {
    const { verifyMsPerSecond, verifySeconds } = state.limits;
    return [...this.#wrong].flatMap(([name, { sinceMs, ms, isProven }]) => {
      const [of, author = ""] = name.split(" ");
      if (of !== node.name) return [];
      const seconds = (nowMs - sinceMs) / 1000;
      const most =
        verifyMsPerSecond * (verifySeconds + seconds * (isProven ? 1 : LOWEST_SHARE)) + (isProven ? 2 : 1) * SLACK_MS;
      if (ms <= most) return [];
      return [`R1: ${node.name} spent ${ms} ms on wrong proofs of ${author.slice(0, 8)}; allowed: ${Math.round(most)}`];
    });
  }
}

// DISK-1, DISK-4.
/** What files of wrong proofs take, of blocks that are not certified. Some may be on their way. */
function lookAtDisk({ name, key, disk }: SimNode, { blocks, limits }: State): string[] {
  const sums = new Map<Key, { bytes: number; largest: number }>();
  for (const { tasks, certificate } of blocks.values()) {
    if (certificate !== null) continue;
    for (const { artefact, verdict, receipts } of tasks.flatMap(({ proofs }) => [...proofs.values()])) {
      const bytes = disk.artefacts.files?.get(artefact)?.length ?? 0;
      if (verdict === "valid" || bytes <= INLINE_BYTES_MAX) continue;
      for (const author of receipts.keys()) {
        const sum = sums.get(author) ?? { bytes: 0, largest: 0 };
        sums.set(author, { bytes: sum.bytes + bytes, largest: Math.max(sum.largest, bytes) });
      }
    }
  }
  return [...sums].flatMap(([author, { bytes, largest }]) => {
    const most = limits.authorDiskBytes + limits.fetchingMax * largest;
    if (bytes <= most || author === key) return [];
    return [`R1: ${name} keeps ${bytes} bytes of wrong proofs of ${author.slice(0, 8)}; allowed: ${most}`];
  });
}

function proofsOf(state: State, artefact: string): Proof[] {
  const tasks = [...state.blocks.values()].flatMap((block) => block.tasks);
  return tasks.flatMap(({ proofs }) => [...proofs.values()].filter((proof) => proof.artefact === artefact));
}

function authorsOf(state: State, artefact: string): ReadonlySet<Key> {
  return new Set(proofsOf(state, artefact).flatMap(({ receipts }) => [...receipts.keys()]));
}
