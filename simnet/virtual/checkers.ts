/**
 * What must always hold, checked on what was said and by nothing else.
 *
 * The checkers fold over every batch at the moment its author publishes it, before the network loses anything. They
 * share the protocol's codec with the node and not one line of its core, so that a mistake there cannot hide itself.
 */
import { type Batch, openBatch } from "../../src/protocol/batch.ts";
import type { Certificate } from "../../src/protocol/certificate.ts";
import { blockId, type Hash, type Key } from "../../src/protocol/ids.ts";
import type { Manifest } from "../../src/protocol/manifest.ts";
import type { Entry, EntryOf } from "../../src/protocol/messages.ts";
import { stagesOf } from "../../src/protocol/workflow.ts";

interface Attempt {
  /** By attester: whom it granted the attempt to. */
  readonly grants: Map<Key, Key>;
  readonly timeouts: Set<Key>;
  readonly attests: Map<Key, { readonly prover: Key; readonly artefact: Hash }>;
  assigned: Key | null;
}

interface Block {
  readonly announce: EntryOf<"announce">;
  readonly parent: Hash;
}

type TaskRef = { readonly block: Hash; readonly stage: string; readonly index: number };

export class WireChecker {
  readonly violations: string[] = [];
  readonly #manifest: Manifest;
  readonly #feeds = new Map<Key, Map<number, Hash>>();
  readonly #attempts = new Map<string, Attempt>();
  /** By task and artefact: attesters that say the proof verifies. */
  readonly #vouchers = new Map<string, Map<Hash, Set<Key>>>();
  readonly #credits = new Map<string, string>();
  readonly #blocks = new Map<Hash, Block>();
  /** By block: attesters that signed its barrier, whatever the content. */
  readonly #barriers = new Map<Hash, Set<Key>>();

  constructor(manifest: Manifest) {
    this.#manifest = manifest;
  }

  /** Called with what a node publishes, when it does. */
  published(from: Key, bytes: Uint8Array): void {
    const opened = openBatch(bytes);
    if (!opened.ok) return this.#violation(`an honest node published ${opened.code}`);
    const batch = opened.value;
    if (batch.head.author !== from) return this.#violation("a node published a batch of somebody else");
    if (this.#isNew(batch)) for (const entry of batch.entries) this.#entry(from, entry);
  }

  /** The number that this author is expected to say next. */
  next(author: Key): number {
    return this.#feeds.get(author)?.size ?? 0;
  }

  /** S4: a key signs one batch under one number, over any crash. */
  #isNew({ head, hash }: Batch): boolean {
    const feed = this.#feeds.get(head.author) ?? new Map<number, Hash>();
    this.#feeds.set(head.author, feed);
    const known = feed.get(head.number);
    if (known !== undefined && known !== hash)
      this.#violation(`S4: ${name(head.author)} signed two batches ${head.number}`);
    if (head.number > 0 && feed.get(head.number - 1) !== head.previous) {
      this.#violation(`S5: ${name(head.author)} sent batch ${head.number} on one that it never sent`);
    }
    feed.set(head.number, hash);
    return known !== hash;
  }

  /** The other kinds promise nothing that another statement could break. */
  #entry(author: Key, entry: Entry): void {
    if (entry.kind === "announce") this.#announce(entry);
    else if (entry.kind === "grant") this.#grant(author, entry);
    else if (entry.kind === "timeout") this.#timeout(author, entry);
    else if (entry.kind === "attest") this.#attest(author, entry);
    else if (entry.kind === "complete") this.#vouch(author, entry);
    else if (entry.kind === "barrier") this.#barrier(author, entry);
  }

  #announce(entry: EntryOf<"announce">): void {
    const { network } = this.#manifest;
    const id = blockId(network, entry.chain, entry.hash);
    this.#blocks.set(id, { announce: entry, parent: blockId(network, entry.chain, entry.parent) });
  }

  #grant(author: Key, entry: EntryOf<"grant">): void {
    const attempt = this.#attempt(entry, entry.attempt);
    const where = placeOf(entry, entry.attempt);
    const before = attempt.grants.get(author);
    if (before !== undefined && before !== entry.prover) this.#violation(`S4: ${name(author)} granted ${where} twice`);
    if (attempt.timeouts.has(author)) this.#violation(`S4: ${name(author)} granted ${where} after its own timeout`);
    if (entry.attempt > 0 && !this.#isOver(entry, entry.attempt - 1)) {
      this.#violation(`S1: ${name(author)} granted ${where} before the timeout certificate of the attempt before`);
    }
    attempt.grants.set(author, entry.prover);
    const voters = [...attempt.grants].filter(([, prover]) => prover === entry.prover).map(([key]) => key);
    if (!this.#isQuorum(voters)) return;
    if (attempt.assigned !== null && attempt.assigned !== entry.prover)
      this.#violation(`S1: ${where} is assigned twice`);
    attempt.assigned = entry.prover;
  }

  #timeout(author: Key, entry: EntryOf<"timeout">): void {
    const attempt = this.#attempt(entry, entry.attempt);
    if (attempt.attests.has(author)) {
      this.#violation(`S4: ${name(author)} timed out ${placeOf(entry, entry.attempt)} after its own attest`);
    }
    attempt.timeouts.add(author);
  }

  #attest(author: Key, entry: EntryOf<"attest">): void {
    const attempt = this.#attempt(entry, entry.attempt);
    const where = placeOf(entry, entry.attempt);
    const before = attempt.attests.get(author);
    if (before !== undefined && (before.prover !== entry.prover || before.artefact !== entry.artefact)) {
      this.#violation(`S4: ${name(author)} attested ${where} twice`);
    }
    if (attempt.timeouts.has(author)) this.#violation(`S4: ${name(author)} attested ${where} after its own timeout`);
    if (attempt.assigned !== entry.prover) {
      this.#violation(`S1: ${name(author)} attested ${where} for a prover that no assignment certificate names`);
    }
    attempt.attests.set(author, entry);
    this.#vouch(author, entry);
    const voters = [...attempt.attests].filter(([, vote]) => vote.prover === entry.prover).map(([key]) => key);
    if (!this.#isQuorum(voters)) return;
    const [task, credit] = [placeOf(entry), `${entry.attempt} ${entry.prover}`];
    const other = this.#credits.get(task);
    if (other !== undefined && other !== credit) this.#violation(`S1: ${task} is credited twice`);
    this.#credits.set(task, credit);
  }

  #vouch(author: Key, entry: TaskRef & { readonly artefact: Hash }): void {
    const proofs = this.#vouchers.get(placeOf(entry)) ?? new Map<Hash, Set<Key>>();
    this.#vouchers.set(placeOf(entry), proofs);
    proofs.set(entry.artefact, (proofs.get(entry.artefact) ?? new Set<Key>()).add(author));
  }

  /** S3, and that nobody signs a barrier with a hole in it. */
  #barrier(author: Key, entry: EntryOf<"barrier">): void {
    const block = this.#blocks.get(entry.block);
    if (block === undefined)
      return this.#violation(`S7: ${name(author)} signed the barrier of a block nobody announced`);
    const where = `the barrier of height ${block.announce.height}`;
    const parent = this.#barriers.get(block.parent) ?? new Set<Key>();
    if (!block.announce.start && !parent.has(author) && !this.#isQuorum(parent)) {
      this.#violation(`S3: ${name(author)} signed ${where} before its parent's`);
    }
    for (const stage of stagesOf(this.#manifest, block.announce.workflow, block.announce.items) ?? []) {
      for (let index = 0; index < stage.count; index++) {
        const proofs = this.#vouchers.get(placeOf({ block: entry.block, stage: stage.name, index }));
        if ([...(proofs?.values() ?? [])].some((voters) => this.#isQuorum(voters))) continue;
        this.#violation(`S2: ${name(author)} signed ${where} while ${stage.name}/${index} was not complete`);
      }
    }
    this.#barriers.set(entry.block, (this.#barriers.get(entry.block) ?? new Set<Key>()).add(author));
  }

  #attempt(task: TaskRef, number: number): Attempt {
    const place = placeOf(task, number);
    const known = this.#attempts.get(place);
    if (known !== undefined) return known;
    const attempt: Attempt = { grants: new Map(), timeouts: new Set(), attests: new Map(), assigned: null };
    this.#attempts.set(place, attempt);
    return attempt;
  }

  #isOver(task: TaskRef, number: number): boolean {
    return this.#isQuorum(this.#attempt(task, number).timeouts);
  }

  #isQuorum(keys: Iterable<Key>): boolean {
    let weight = 0;
    for (const key of keys) weight += this.#manifest.weights.get(key) ?? 0;
    return weight >= this.#manifest.quorum;
  }

  #violation(text: string): void {
    this.violations.push(text);
  }
}

/**
 * L1 and S6 at the end of a run: every node holds one certificate for each height, all nodes for the same block, and no
 * certificate names a proof that does not verify. Which of several true proofs stands, and whether its credit had come,
 * may differ: attesters sign again as their logs converge (protocol.md §4).
 */
export function checkEnd(
  blocks: number,
  held: ReadonlyMap<string, readonly Certificate[]>,
  isValid: (artefact: Hash) => boolean,
): string[] {
  const violations: string[] = [];
  const contents = new Map<number, string>();
  for (const [node, certificates] of held) {
    const heights = new Set(certificates.map(({ content }) => content.height));
    const missing = Array.from({ length: blocks }, (_, at) => at + 1).filter((height) => !heights.has(height));
    if (missing.length > 0) violations.push(`L1: ${node} has no certificate of heights ${missing.join(", ")}`);
    for (const { content } of certificates) {
      const plain = agreed(content);
      const other = contents.get(content.height);
      if (other !== undefined && other !== plain) violations.push(`S6: ${node} has another block at ${content.height}`);
      contents.set(content.height, plain);
      for (const task of content.tasks.filter(({ artefact }) => !isValid(artefact))) {
        violations.push(
          `S2: the certificate of height ${content.height} names a wrong proof of ${task.stage}/${task.index}`,
        );
      }
    }
  }
  return violations;
}

function agreed(content: Certificate["content"]): string {
  const { tasks, ...block } = content;
  return JSON.stringify([block, tasks.map(({ stage, index, system, key }) => [stage, index, system, key])]);
}

/** How many contents the nodes hold beyond one a block. */
export function contentSplits(held: ReadonlyMap<string, readonly Certificate[]>): number {
  const all = [...held.values()].flat();
  return new Set(all.map(({ contentHash }) => contentHash)).size - new Set(all.map(({ block }) => block)).size;
}

function placeOf(task: TaskRef, attempt?: number): string {
  return `${task.block.slice(0, 8)} ${task.stage}/${task.index}${attempt === undefined ? "" : `#${attempt}`}`;
}

function name(key: Key): string {
  return key.slice(0, 8);
}
