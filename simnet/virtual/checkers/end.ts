/** What must hold once a run is over, and of the state of honest nodes while it lasts. */
import type { SourceBlock } from "../../../src/ports.ts";
import type { State } from "../../../src/core/state.ts";
import type { Certificate, CheckedCertificate } from "../../../src/protocol/certificate.ts";
import { artefactHash, type Hash, type Key } from "../../../src/protocol/ids.ts";
import type { SimChain } from "../chain.ts";
import { checkFeeds } from "./feeds.ts";
import { checkRoles } from "./roles.ts";
import type { WireChecker } from "./wire.ts";

/** The highest byte of the group's order: no S is above it. */
const TOP_OF_ORDER = 0x10;

export type Held = ReadonlyMap<string, readonly CheckedCertificate[]>;

/**
 * L1, S6 and S8 at the end of a run: every honest node holds a certificate of each canonical block, all of the same
 * content, and no
 * certificate names a proof that does not verify. Which of several true proofs stands, and whether its credit had come,
 * may differ: attesters sign again as their logs converge (protocol.md §4).
 */
export function checkEnd(
  { blocks: canonical, told }: Pick<SimChain, "blocks" | "told">,
  held: Held,
  checker: WireChecker,
): string[] {
  const violations: string[] = [];
  const contents = new Map<Hash, string>();
  const ids = new Map<Hash, Hash>();
  for (const [node, files] of held) {
    // BARRIER-5, CERT-1.
    for (const file of files)
      if (!file.ok) violations.push(`S7: ${node} keeps a certificate that is none: ${file.code}`);
    const certificates = certificatesIn(files);
    for (const { content, signers } of certificates)
      if (!checker.isQuorum(signers))
        violations.push(`S7: ${node} keeps a certificate of height ${content.height} that no quorum has signed`);
    const hashes = new Set(certificates.map(({ content }) => content.hash));
    const missing = canonical.filter(({ hash }) => !hashes.has(hash)).map(({ height }) => height);
    // ANNOUNCE-6, ANNOUNCE-9, RECEIPT-5, START-1.
    if (missing.length > 0) violations.push(`L1: ${node} has no certificate of heights ${missing.join(", ")}`);
    for (const { content, block } of certificates) {
      const plain = agreed(content);
      const other = contents.get(content.hash);
      if (other !== undefined && other !== plain) violations.push(`S6: ${node} has another block at ${content.height}`);
      contents.set(content.hash, plain);
      const id = ids.get(content.hash) ?? block;
      ids.set(content.hash, id);
      if (id !== block) violations.push(`S1: ${node} holds height ${content.height} certified under a second id`);
      if (!isTold(content, told.get(content.hash)))
        // ANNOUNCE-10, ANNOUNCE-13.
        violations.push(`S8: ${node} holds the certificate of height ${content.height}, a block that is on no chain`);
      for (const { stage, index, artefact, credited, prover, attempt } of content.tasks) {
        const task = { block, stage, index };
        const where = `the certificate of height ${content.height}`;
        if (checker.truth.isTrue(artefact, task, prover) !== true)
          violations.push(`S2: ${where} names a wrong proof of ${stage}/${index}`);
        if (credited && checker.credited(task) !== `${attempt} ${prover}`)
          // BARRIER-7.
          violations.push(`S1: ${where} pays ${prover?.slice(0, 8)} for ${stage}/${index}, which no quorum did`);
      }
    }
  }
  return violations;
}

/** S8: whether the chain has had exactly this block. */
function isTold(content: Certificate["content"], block: SourceBlock | undefined): boolean {
  if (block === undefined) return false;
  const { height, parent, items, payload } = block;
  const isSame = content.height === height && content.parent === parent && content.items === items;
  return isSame && content.payload === artefactHash(payload);
}

function certificatesIn(files: readonly CheckedCertificate[]): Certificate[] {
  return files.flatMap((file) => (file.ok ? [file.value] : []));
}

/**
 * What all certificates of a block have in common. While logs converge, two true contents of one block may each find a
 * quorum, and where `k` of `n` proof systems are enough they may rest on different ones (`contentSplits` counts them).
 */
function agreed(content: Certificate["content"]): string {
  const block = { ...content, tasks: content.tasks.map(({ stage }) => stage), lost: [] };
  return JSON.stringify(block);
}

/** How many contents the nodes hold beyond one a block. */
export function contentSplits(held: Held): number {
  const all = [...held.values()].flatMap(certificatesIn);
  return new Set(all.map(({ contentHash }) => contentHash)).size - new Set(all.map(({ block }) => block)).size;
}

/** S7: whatever an honest node keeps was signed by its author, and keys are out for cause. */
export function checkLog(node: string, state: State, checker: WireChecker): string[] {
  const violations: string[] = [...checkFeeds(node, state), ...checkRoles(node, state)];
  for (const feed of state.log.feeds()) {
    const isHeeded = !state.discredited.has(feed.author) && !state.out.has(feed.author);
    if (isHeeded && feed.kept().some((batch) => checker.isSlander(batch)))
      violations.push(`S6: ${node} believes ${short(feed.author)}, whose evidence shows nothing`);
    for (const { hash, head, signature } of feed.kept()) {
      const isNone = (signature[63] ?? 0) > TOP_OF_ORDER;
      if (checker.wasSaid(hash) && !isNone) continue;
      const what = `S7: ${node} holds batch ${head.number} of ${short(feed.author)}`;
      // BATCH-10.
      if (!checker.wasSaid(hash)) violations.push(`${what}, which it never signed`);
      if (isNone) violations.push(`${what}, under a signature that is none`);
    }
  }
  for (const { offender, offence, from } of state.out.values()) {
    if (!checker.isHostile(offender))
      violations.push(`attribution: ${node} holds ${short(offender)}, which is honest, guilty of ${offence}`);
    const heeded = votesOf(state, offender).filter((number) => number >= from);
    if (heeded.length > 0)
      // EVIDENCE-3, ENTRY-2, BATCH-7.
      violations.push(`S7: ${node} counts ${heeded.length} votes of ${short(offender)}, which is out from ${from} on`);
  }
  return violations;
}

/** The numbers of the batches in which a key has said what still counts of open blocks. */
function votesOf(state: State, key: Key): number[] {
  const open = [...state.blocks.values()].filter(({ certificate }) => certificate === null);
  return open.flatMap(({ votes, cancels, announcers, tasks }) => {
    const ofTasks = tasks.flatMap(({ attempts, proofs }) => [
      ...[...attempts.values()].flatMap(({ claims, timeouts, grants, attests }) => [
        claims,
        timeouts,
        ...grants.values(),
        ...attests.values(),
      ]),
      ...[...proofs.values()].map(({ vouchers }) => vouchers),
    ]);
    const all: readonly ReadonlyMap<Key, { readonly number: number }>[] = [
      ...votes.values(),
      cancels,
      announcers,
      ...ofTasks,
    ];
    return all.flatMap((each) => each.get(key)?.number ?? []);
  });
}

/** Blocks are cancelled by quorums only. */
export function checkBlocks(node: string, state: State, checker: WireChecker): string[] {
  const cancelled = [...state.blocks.values()].filter((block) => block.state === "cancelled");
  return cancelled
    .filter(({ id }) => !checker.isCancelled(id))
    .map(({ height }) => `S1: ${node} holds height ${height} to be cancelled, and no quorum does`);
}

function short(key: Key): string {
  return key.slice(0, 8);
}
