/** S2 where provers have to agree (RECEIPT-11, SEAL-1, SEAL-2, REVEAL-1, REVEAL-2, REVEAL-4): no result counts that its prover had not committed to before anybody could read one. */
import type { Hash, Key } from "../../../src/protocol/ids.ts";
import type { EntryOf } from "../../../src/protocol/messages.ts";
import type { Stage } from "../../../src/protocol/workflow.ts";
import { placeOf, type TaskRef } from "./place.ts";

export interface CommitmentOptions {
  readonly isQuorum: (keys: Iterable<Key>) => boolean;
  readonly isOneHonest: (keys: Iterable<Key>) => boolean;
  readonly isAttester: (key: Key) => boolean;
  readonly isHostile: (key: Key) => boolean;
  readonly stageOf: (task: TaskRef) => Stage | undefined;
  readonly complain: (violation: string) => void;
}

/** The provers that may commit in an attempt, by grants. */
interface Granted {
  /** By the attester that seals. */
  readonly own: Key | undefined;
  readonly assigned: Key | null;
}

export class CommitmentChecker {
  readonly #options: CommitmentOptions;
  /** By commitment: the task that it was first made for. */
  readonly #tasks = new Map<Hash, TaskRef>();
  /** By attempt, prover and hash. */
  readonly #commits = new Set<string>();
  /** By attempt: what each attester has sealed. */
  readonly #seals = new Map<string, Map<Key, { readonly prover: Key; readonly hash: Hash }>>();
  /** By group: provers of sealed commitments, by copy. */
  readonly #sealed = new Map<string, Map<number, Set<Key>>>();
  /** By group and artefact: attesters that vouch for it. */
  readonly #vouchers = new Map<string, Set<Key>>();
  /** Groups of which an attester has vouched for a result. */
  readonly #decided = new Set<string>();

  constructor(options: CommitmentOptions) {
    this.#options = options;
  }

  commit(author: Key, entry: EntryOf<"commit">): void {
    this.#commits.add(`${placeOf(entry, entry.attempt)} ${author} ${entry.hash}`);
    if (!this.#tasks.has(entry.hash)) this.#tasks.set(entry.hash, entry);
  }

  seal(author: Key, entry: EntryOf<"seal">, granted: Granted): void {
    const { prover, hash, attempt } = entry;
    const [where, group] = [placeOf(entry, attempt), this.#groupOf(entry)];
    const seals = this.#seals.get(where) ?? new Map<Key, { readonly prover: Key; readonly hash: Hash }>();
    this.#seals.set(where, seals);
    if (!this.#options.isHostile(author)) {
      const what = `${name(author)} sealed ${where} for ${name(prover)}`;
      if (seals.has(author)) this.#options.complain(`S4: ${what} and had sealed it before`);
      if (granted.own !== prover && granted.assigned !== prover)
        this.#options.complain(`S1: ${what}, which nobody had granted it`);
      if (!this.#commits.has(`${where} ${prover} ${hash}`))
        this.#options.complain(`S7: ${what}, which has not committed to that`);
      if (this.#decided.has(`${author} ${group}`))
        this.#options.complain(`S2: ${what} after it had attested a result of the group`);
    }
    if (!seals.has(author)) seals.set(author, { prover, hash });
    if (!this.#isSealed(where, prover, hash)) return;
    const copies = this.#sealed.get(group) ?? new Map<number, Set<Key>>();
    this.#sealed.set(group, copies);
    copies.set(entry.index, (copies.get(entry.index) ?? new Set<Key>()).add(prover));
  }

  vouch(author: Key, entry: TaskRef & { readonly artefact: Hash }): void {
    if (this.#options.stageOf(entry)?.verify !== "agree") return;
    const group = this.#groupOf(entry);
    this.#decided.add(`${author} ${group}`);
    const result = `${group} ${entry.artefact}`;
    this.#vouchers.set(result, (this.#vouchers.get(result) ?? new Set<Key>()).add(author));
  }

  attest(author: Key, entry: EntryOf<"attest">): void {
    if (this.#options.isHostile(author) || this.#options.stageOf(entry)?.verify !== "agree") return;
    const where = placeOf(entry, entry.attempt);
    const hashes = [...(this.#seals.get(where)?.values() ?? [])].flatMap(({ prover, hash }) =>
      prover === entry.prover ? [hash] : [],
    );
    if (!hashes.some((hash) => this.#isSealed(where, entry.prover, hash)))
      this.#options.complain(
        `S2: ${name(author)} attested ${where} for ${name(entry.prover)}, whose commitment no quorum had sealed`,
      );
  }

  receipt(author: Key, entry: EntryOf<"receipt">): void {
    if (this.#options.isHostile(author) || this.#options.stageOf(entry)?.verify !== "agree") return;
    const voters = this.#vouchers.get(`${this.#groupOf(entry)} ${entry.artefact}`) ?? new Set<Key>();
    // An honest attester believes itself.
    if (!voters.has(author) && !this.#options.isOneHonest(voters))
      this.#options.complain(`S2: ${name(author)} published its result of ${placeOf(entry)} before any was agreed on`);
  }

  /** A node has sent an opening to another. */
  shown(from: Key, to: Key, hash: Hash): void {
    const task = this.#tasks.get(hash);
    if (this.#options.isHostile(from) || task === undefined) return;
    const what = `${name(from)} showed an opening of ${placeOf(task)} to ${name(to)}`;
    if (!this.#options.isAttester(to)) this.#options.complain(`S2: ${what}, which is no attester`);
    const copies = [...(this.#sealed.get(this.#groupOf(task))?.values() ?? [])];
    const provers = new Set(copies.flatMap((keys) => [...keys]));
    const need = this.#options.stageOf(task)?.need ?? 0;
    if (Math.min(copies.length, provers.size) < need)
      this.#options.complain(`S2: ${what} before ${need} commitments were sealed`);
  }

  #isSealed(where: string, prover: Key, hash: Hash): boolean {
    const seals = [...(this.#seals.get(where) ?? [])];
    return this.#options.isQuorum(
      seals.flatMap(([key, seal]) => (seal.prover === prover && seal.hash === hash ? [key] : [])),
    );
  }

  #groupOf(task: TaskRef): string {
    const copies = this.#options.stageOf(task)?.variants.length ?? 1;
    return placeOf({ ...task, index: task.index - (task.index % copies) });
  }
}

function name(key: Key): string {
  return key.slice(0, 8);
}
