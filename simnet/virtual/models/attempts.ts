/**
 * The attempts of one task: claims, failures, releases, receipts and votes by everybody, in an order that the seed draws.
 *
 * The judge works out from the statements alone how each attempt ended, how long the next one waits, who is paid, which
 * proof stands, and what each prover's record is.
 */
import { askBeforeSigning, begin as beginAs } from "../../../src/core/own-feed.ts";
import { failuresFrom } from "../../../src/core/failures.ts";
import { chosenProof, creditOf } from "../../../src/core/makers.ts";
import { pauseMs, quarantineOf } from "../../../src/core/quarantine.ts";
import { MERITS } from "../../../src/core/quota.ts";
import { orderOf } from "../../../src/core/standing.ts";
import type { Task } from "../../../src/core/state.ts";
import { see } from "../../../src/core/views.ts";
import { blockId, artefactHash, type Hash, type Key } from "../../../src/protocol/ids.ts";
import type { Entry, EntryOf } from "../../../src/protocol/messages.ts";
import { Chance } from "../world.ts";
import { PROOF_BYTES, receiptOf, Rig, type Said, shuffled } from "./rig.ts";

const STORIES = 30;
const ATTEMPTS = 20;
const VIOLATIONS_MAX = 5;
const STAGE = "shard";
/** How an attempt ends, and under which code its prover or its attesters say so. */
const CODES = ["released", "not-claimed", "no-progress", "machine.lost", "input.unprovable"];
/** What attesters say themselves. */
const OWN = new Set(["released", "not-claimed", "no-progress", "limit", "others-timed-out"]);

export function fuzzAttempts(seed: number): readonly string[] {
  const chance = new Chance(seed, "model/attempts");
  const found: string[] = [];
  for (let story = 0; story < STORIES && found.length < VIOLATIONS_MAX; story++)
    found.push(...(STORY[story % STORY.length] ?? fail)(chance).slice(0, 1));
  return found;
}

const STORY = [fail, prove, recover];

interface Begun {
  readonly rig: Rig;
  readonly task: Task;
  readonly at: { readonly block: Hash; readonly stage: string; readonly index: number };
}

function begin(rig: Rig = new Rig()): Begun {
  const block = blockId(rig.manifest.network, rig.announcement());
  for (const source of rig.attesters.slice(1, 3)) rig.hear(rig.sign(source, rig.announcement()));
  const task = rig.block(block)?.tasksByStage.get(STAGE)?.[0];
  if (task === undefined) throw new Error("the block has no task");
  return { rig, task, at: { block, stage: STAGE, index: 0 } };
}

/** Attempts fail one after the other, each by what its prover or its attesters say. */
function fail(chance: Chance): readonly string[] {
  const { rig, task, at } = begin();
  const found: string[] = [];
  const others = rig.attesters.filter((key) => key !== rig.self);
  const isLong = chance.next() < 0.5;
  for (let attempt = 0; attempt < ATTEMPTS && found.length === 0; attempt++) {
    const owner = ownerOf(rig, task, attempt);
    const code = isLong && chance.next() < 0.8 ? "released" : (CODES[chance.between(0, CODES.length - 1)] ?? "");
    const where = { ...at, attempt };
    const said: [Key, Entry][] = others.map((key) => {
      // Sometimes one of them sees it otherwise.
      const seen = chance.next() < 0.25 ? "no-progress" : code;
      return [key, { ...where, kind: "timeout", code: chance.next() < 0.1 ? "others-timed-out" : seen }];
    });
    if (code !== "not-claimed") said.push([owner, { ...where, kind: "claim", timeouts: [] }]);
    if (code === "released") said.push([owner, { ...where, kind: "release" }]);
    else if (!OWN.has(code)) said.push([owner, { ...where, kind: "fail", code, logical: code.startsWith("input.") }]);
    const stranger = rig.provers.find((key) => key !== owner) ?? "";
    if (chance.next() < 0.5) said.push([stranger, { ...where, kind: "claim", timeouts: [] }]);
    if (chance.next() < 0.3) said.push([stranger, { ...where, kind: "fail", code: "input.other", logical: true }]);
    for (const [author, entry] of shuffled(said, () => chance.next())) {
      rig.hear(rig.sign(author, entry));
      found.push(...judgeClaims(rig, task, attempt));
    }
    found.push(...judgeFailures(rig, task), ...judgeMerits(rig, task), ...judgeRequeues(rig, task));
    rig.pass(10);
  }
  return found;
}

function ownerOf(rig: Rig, task: Task, attempt: number): Key {
  const order = orderOf(rig.state, task);
  return order[attempt % order.length] ?? "";
}

// CLAIM-2.
/** Claims of the open attempt are kept, whoever made them. */
function judgeClaims(rig: Rig, task: Task, attempt: number): string[] {
  if (attempt < openOf(rig, task)) return [];
  const claimed = about(rig, task, "claim").filter(({ entry }) => entry.attempt === attempt);
  const kept = task.attempts.get(attempt)?.claims;
  return claimed.flatMap(({ author }) =>
    kept?.has(author) === true ? [] : [`A1: a claim of the open attempt ${attempt} is not kept`],
  );
}

type Statement<K extends Entry["kind"]> = Said & { readonly entry: EntryOf<K> };

/** What was said of the task under one kind, the earliest of each author first. */
function about<
  K extends "claim" | "timeout" | "grant" | "attest" | "fail" | "release" | "receipt" | "complete" | "reject",
>(rig: Rig, { block, stage, index }: Task, kind: K): Statement<K>[] {
  const all = rig.heard.filter((each): each is Statement<K> => {
    const { entry } = each;
    return (
      entry.kind === kind &&
      "stage" in entry &&
      entry.block === block.id &&
      entry.stage === stage.name &&
      entry.index === index
    );
  });
  return all.sort((a, b) => a.number - b.number || a.index - b.index);
}

function earliest<T extends { readonly author: Key }>(said: readonly T[]): Map<Key, T> {
  const first = new Map<Key, T>();
  for (const each of said) if (!first.has(each.author)) first.set(each.author, each);
  return first;
}

function timeoutsOf(rig: Rig, task: Task, attempt: number): Map<Key, Statement<"timeout">> {
  return earliest(about(rig, task, "timeout").filter(({ entry }) => entry.attempt === attempt));
}

function openOf(rig: Rig, task: Task): number {
  let open = 0;
  while (timeoutsOf(rig, task, open).size >= 3) open++;
  return open;
}

type Ended = { readonly kind: string; readonly code: string };

/** FAIL-3. How an attempt that is over ended. */
function endOf(rig: Rig, task: Task, attempt: number): Ended {
  const votes = [...timeoutsOf(rig, task, attempt).values()].map(({ entry }) => entry.code);
  const codes = [...new Set(votes)].filter((code) => code !== "others-timed-out").sort((a, b) => (a < b ? -1 : 1));
  const count = (code: string) => votes.filter((each) => each === code).length;
  const code = codes.reduce((best, each) => (count(each) > count(best) ? each : best), codes[0] ?? "others-timed-out");
  const isSeen = code !== "others-timed-out" && count(code) >= 2;
  const owner = ownerOf(rig, task, attempt);
  const ends = [...about(rig, task, "fail"), ...about(rig, task, "release")]
    .filter(({ author, entry }) => author === owner && entry.attempt === attempt)
    .sort((a, b) => a.number - b.number || a.index - b.index);
  const end = ends[0]?.entry;
  if (isSeen && end?.kind === "fail" && end.logical && end.code === code) return { kind: "logical", code };
  if (isSeen && (code === "released" || code === "not-claimed")) return { kind: code, code };
  return { kind: "infrastructure", code };
}

// FAIL-3, PACE-1, PACE-5.
function judgeFailures(rig: Rig, task: Task): string[] {
  const { state } = rig;
  const open = openOf(rig, task);
  const expected = Array.from({ length: open }, (_, attempt) => endOf(rig, task, attempt));
  const failures = failuresFrom(state, task, 0);
  const wrong = expected.findIndex(({ kind }, at) => failures[at]?.kind !== kind);
  if (wrong >= 0)
    return [`A1: attempt ${wrong} is ${failures[wrong]?.kind} to the node; its votes say ${expected[wrong]?.kind}`];
  const last = expected.at(-1);
  if (last === undefined || quarantineOf(state, task) !== null) return [];
  const { backoffMs, backoffMsMax } = rig.manifest.retry;
  const failed = expected.filter(({ kind }) => kind === "infrastructure").length;
  const restMs = failed < 2 ? 0 : Math.min(backoffMs * 2 ** (failed - 2), backoffMsMax);
  const isRound = open - 1 >= 16 && open - 1 >= rig.provers.length;
  const waitMs = Math.max(restMs, last.kind === "released" && isRound ? windowOf(rig, open - 1) : 0);
  const own = pauseMs(state, task);
  // Windows are multiplied by 1.5 again and again.
  return Math.abs(own - waitMs) <= 1 ? [] : [`A1: attempt ${open} waits for ${own} ms; the rules say ${waitMs} ms`];
}

/** The claim window of an attempt: 1.5 times as long each time up to the manifest's most, past attempt 16 up to 60 s. */
function windowOf({ manifest }: Rig, attempt: number): number {
  const { claimWindowMs, claimWindowMsMax } = manifest.json.timing;
  const grown = Math.min(claimWindowMs * 1.5 ** Math.min(attempt, 16), claimWindowMsMax);
  return attempt <= 16 ? grown : Math.min(grown * 1.5 ** (attempt - 16), 60_000);
}

// REQUEUE-1.
/** The operator asks twice: the node votes once an attempt, and only for a task in quarantine. */
function judgeRequeues(rig: Rig, task: Task): string[] {
  const isQuarantined = quarantineOf(rig.state, task) !== null;
  const before = rig.said.length;
  for (const _ of [1, 2])
    rig.step({ kind: "requeue", task: { block: task.block.id, stage: task.stage.name, index: task.index } });
  const votes = rig.said.slice(before).filter(({ kind }) => kind === "requeue").length;
  if (votes > 1) return ["A1: the node votes twice to requeue one attempt"];
  return votes > 0 && !isQuarantined ? ["A1: the node votes to requeue a task that is not in quarantine"] : [];
}

// REJECT-3.
/** Rejected proofs and lost leases count once f+1 attesters say so. */
function judgeMerits(rig: Rig, task: Task): string[] {
  const merits = see(rig.state, task.block, MERITS);
  const rejects = new Map<string, Set<Key>>();
  for (const { author, entry } of about(rig, task, "reject")) {
    const name = `${entry.prover} ${entry.artefact}`;
    rejects.set(name, (rejects.get(name) ?? new Set<Key>()).add(author));
  }
  return rig.provers.flatMap((prover) => {
    const rejected = [...rejects].filter(([name, keys]) => name.startsWith(prover) && keys.size >= 2).length;
    const granted = (attempt: number) =>
      earliest(about(rig, task, "grant").filter(({ entry }) => entry.attempt === attempt && entry.prover === prover));
    const lost = Array.from({ length: openOf(rig, task) }, (_, attempt) => attempt).filter(
      (attempt) => granted(attempt).size >= 3 && endOf(rig, task, attempt).code === "no-progress",
    ).length;
    const own = merits.get(prover)?.faults ?? 0;
    return own === rejected + lost
      ? []
      : [`A1: the node counts ${own} faults of a prover; its votes say ${rejected + lost}`];
  });
}

interface Proof {
  readonly prover: Key;
  readonly artefact: Hash;
  readonly attempts: readonly number[];
}

/** Provers hand in proofs in several attempts; attesters grant, attest, complete and reject. */
function prove(chance: Chance): readonly string[] {
  const { rig, task, at } = begin();
  const others = rig.attesters.filter((key) => key !== rig.self);
  const proofs = rig.provers.map((prover, place): Proof => {
    const artefact = artefactHash(new Uint8Array([place, chance.between(0, 255)]));
    return { prover, artefact, attempts: chance.next() < 0.5 ? [place] : [place, chance.between(0, 2)] };
  });
  const said: [Key, Entry][] = [];
  for (const { prover, artefact, attempts } of proofs) {
    for (const attempt of attempts)
      for (const provingMs of chance.next() < 0.5 ? [1] : [1, 2])
        said.push([prover, { ...receiptOf(task, prover, artefact, attempt), provingMs }]);
    for (const key of others) {
      const vote = chance.next();
      const attempt = attempts[0] ?? 0;
      if (vote < 0.45) said.push([key, { ...at, attempt, kind: "attest", prover, artefact }]);
      else if (vote < 0.75) said.push([key, { ...at, kind: "complete", prover, artefact }]);
      else said.push([key, { ...at, kind: "reject", prover, artefact, code: "proof.equation" }]);
    }
  }
  const found: string[] = [];
  const signed = shuffled(said, () => chance.next()).map(([author, entry]) => rig.sign(author, entry));
  for (const batch of shuffled(signed, () => chance.next())) rig.hear(batch);
  for (const { prover: maker, artefact } of proofs)
    rig.step({
      kind: "verified",
      task: at,
      artefact,
      maker,
      verdict: { kind: "valid", bytes: PROOF_BYTES, possession: new Uint8Array() },
    });
  found.push(...judgeReceipts(rig, task), ...judgeChoice(rig, task, proofs), ...judgeMerits(rig, task));
  return found;
}

// RECEIPT-4.
/** Of one prover's receipts for a proof and an attempt the first by its feed is kept. */
function judgeReceipts(rig: Rig, task: Task): string[] {
  const first = new Map<string, number>();
  for (const { author, number, entry } of about(rig, task, "receipt")) {
    const name = `${author} ${entry.artefact} ${entry.attempt}`;
    if (!first.has(name)) first.set(name, number);
  }
  const kept = [...task.proofs.values()].flatMap(({ artefact, receipts }) =>
    [...receipts].flatMap(([author, named]) =>
      named.map(({ attempt, signed }) => ({ name: `${author} ${artefact} ${attempt}`, number: signed.number })),
    ),
  );
  const wrong = kept.find(({ name, number }) => first.get(name) !== number);
  return wrong === undefined
    ? []
    : [`A1: the node keeps receipt ${wrong.number} of a proof; ${first.get(wrong.name)} came first`];
}

// ATTEST-5, COMPLETE-4.
function judgeChoice(rig: Rig, task: Task, proofs: readonly Proof[]): string[] {
  const attests = about(rig, task, "attest");
  const paid = proofs.find(({ prover }) =>
    [0, 1, 2].some((attempt) => {
      const votes = attests.filter(({ entry }) => entry.prover === prover && entry.attempt === attempt);
      return earliest(votes).size >= 3;
    }),
  );
  const credit = creditOf(rig.state, task);
  if ((credit?.prover ?? null) !== (paid?.prover ?? null))
    return [`A1: the node pays ${credit === null ? "nobody" : "a prover"}; the attests say otherwise`];
  const vouched = proofs.filter(({ prover, artefact }) => {
    const votes = [...attests, ...about(rig, task, "complete")];
    const fitting = votes.filter(({ entry }) => entry.prover === prover && entry.artefact === artefact);
    return new Set(fitting.map(({ author }) => author)).size >= 3;
  });
  const best = vouched.toSorted(
    (a, b) =>
      Number(b === paid) - Number(a === paid) ||
      Math.min(...a.attempts) - Math.min(...b.attempts) ||
      (a.artefact < b.artefact ? -1 : 1),
  )[0];
  const chosen = chosenProof(rig.state, task)?.proof.artefact ?? null;
  if (chosen === (best?.artefact ?? null)) return [];
  return [`A1: the node chooses ${chosen === null ? "no proof" : "another proof"} than the votes say`];
}

// GRANT-7, TIMEOUT-4.
/**
 * The node has lost its disk while the first attempt was open: it grants nothing there, and times the attempt out only once
 * f+1 others have. In the attempt after it the node votes as ever.
 */
function recover(chance: Chance): readonly string[] {
  const rig = new Rig();
  beginAs(rig.state, { counter: 2, nonce: "5a".repeat(16) }, true);
  askBeforeSigning(rig.state);
  const { task, at } = begin(rig);
  const others = rig.attesters.filter((key) => key !== rig.self);
  const record = { author: rig.self, ...rig.state.start, number: 0, head: task.block.id, bytes: new Uint8Array() };
  for (const peer of others) {
    const frontier = { feeds: new Map([[peer, 1]]), chains: new Map<number, number>(), recovers: false };
    rig.step({ kind: "synced", peer, frontier, twins: [], starts: [record] });
  }
  rig.pass(task.stage.leaseMs + 1);
  const owner = ownerOf(rig, task, 0);
  if (chance.next() < 0.5) rig.hear(rig.sign(owner, { ...at, attempt: 0, kind: "claim", timeouts: [] }));
  const voters = others.slice(0, chance.between(0, others.length));
  for (const key of voters) rig.hear(rig.sign(key, { ...at, attempt: 0, kind: "timeout", code: "no-progress" }));
  if (voters.length === others.length)
    rig.hear(rig.sign(ownerOf(rig, task, 1), { ...at, attempt: 1, kind: "claim", timeouts: [] }));
  rig.pass(5_000);
  const votes = rig.said.filter((entry) => "attempt" in entry && entry.attempt === 0).map(({ kind }) => kind);
  if (votes.includes("grant")) return ["A1: the node grants an attempt that was open when the disk was lost"];
  if (votes.includes("timeout") && voters.length < 2)
    return ["A1: the node ends by itself an attempt that was open when the disk was lost"];
  if (voters.length < others.length) return [];
  const isGranted = rig.said.some((entry) => entry.kind === "grant" && entry.attempt === 1);
  return isGranted ? [] : ["A1: the node does not grant an attempt that opened after it had recovered"];
}
