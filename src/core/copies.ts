/**
 * Who may make a copy, where an output needs copies of different provers: one whose work counts beside what is known of
 * the other copies. Heard facts and own work only, so two nodes may differ for a moment; that costs an attempt.
 */
import type { Key } from "../protocol/ids.ts";
import { committedTo, isByAgreement, isVouchedInPublic } from "./commitments.ts";
import { endOf } from "./ends.ts";
import type { ProofFacts } from "./facts.ts";
import { isVouchedFor, openAttempt, optionsOf } from "./makers.ts";
import { agreeMakers, copiesOf, type Maker, matchMakers } from "./matching.ts";
import type { Proof, State, Task } from "./state.ts";

/** Whether a proof of the task by this prover would count; it would not where it makes, or has made, another copy. */
export function wouldCount(state: State, task: Task, prover: Key): boolean {
  if (task.stage.distinct !== "provers") return true;
  const copies = copiesOf(task);
  const others = copies.map((copy) => (copy === task ? [] : expected(state, copy, prover)));
  const size = (makers: typeof others) => matchMakers(makers).filter((maker) => maker !== null).length;
  const own = { made: { prover }, credited: false, assigned: false };
  return size(copies.map((copy, at) => (copy === task ? [own] : (others[at] ?? [])))) > size(others);
}

/** Whose proofs of a copy may count, and the prover in question where it is at work on it. */
function expected(state: State, copy: Task, prover: Key): Maker[] {
  const made = isByAgreement(copy)
    ? committedTo(state, copy)
    : optionsOf(state, copy, ({ verdict }) => verdict !== "invalid");
  const attempt = openAttempt(state, copy);
  const isOwn = prover === state.options.self && copy.work !== null;
  const works = copy.completeMs === null && (isOwn || (attempt.claims.has(prover) && endOf(attempt, prover) === null));
  return works ? [...made, { made: { prover }, credited: false, assigned: false }] : made;
}

/** Whether a proof is known to be valid whose maker stands for this copy. */
export function hasMaker(state: State, task: Task): boolean {
  const { stage } = task;
  const copies = copiesOf(task);
  const options = copies.map((copy) =>
    optionsOf(state, copy, (proof) => proof.verdict === "valid" || isVouchedFor(state, proof)),
  );
  const makers = matchMakers(options);
  if (stage.verify !== "agree") return (makers[copies.indexOf(task)] ?? null) !== null;
  const agreed = agreeMakers(options, stage.need);
  if (agreed.some((maker) => maker !== null)) return (agreed[copies.indexOf(task)] ?? null) !== null;
  // All have said something, and too few the same: whoever is next has to tell who is right.
  return makers.includes(null) && (makers[copies.indexOf(task)] ?? null) !== null;
}

/**
 * Whether the result of the task's group is public, and stands: copies of as many makers as have to agree are vouched for
 * in public. Whoever reads one of them has nothing to commit to any more. Where a maker is excluded and too few are left,
 * the group is not decided, so another prover can take its place.
 */
export function isDecided(state: State, task: Task): boolean {
  const options = copiesOf(task).map((copy) => {
    const vouched = new Set<ProofFacts>([...copy.proofs.values()].filter((proof) => isVouchedInPublic(state, proof)));
    return optionsOf(state, copy, (proof) => vouched.has(proof));
  });
  if (agreeMakers(options, task.stage.need).some((maker) => maker !== null)) return true;
  // What this node has read and is about to vouch for.
  return copiesOf(task).some((copy) => [...copy.proofs.values()].some((proof) => isAgreed(state, copy, proof)));
}

/**
 * REVEAL-4. Whether as many provers as have to have committed to the same, each for another copy, and what they have committed to is
 * here. What is proven needs nobody else.
 */
export function isAgreed(state: State, task: Task, { artefact }: Proof): boolean {
  // mutant: agree-alone
  if (task.stage.verify !== "agree") return true;
  const options = copiesOf(task).map((copy) =>
    optionsOf(state, copy, (proof) => proof.artefact === artefact && proof.verdict === "valid" && proof.bytes !== null),
  );
  return agreeMakers(options, task.stage.need).some((maker) => maker !== null);
}
