/**
 * `proofmesh verify`: checks a certificate offline, with nothing but the manifest; with the proofs, those too. Evidence of a
 * vote for a false proof is checked by verifying that proof, for which the block's own certificate has to be beside it.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Command } from "commander";
import { readConfig } from "../config.ts";
import { findIn, nativeEquation, openVerifier, prepareJobOf, readManifestFile } from "../node.ts";
import type { Preparation, Verifier, VerifyJob } from "../ports.ts";
import {
  type Certificate,
  checkCertificate,
  kindOf,
  manifestFor,
  type ProofsContent,
  readProofs,
} from "../protocol/certificate.ts";
import type { Evidence } from "../protocol/evidence.ts";
import { itemsIn } from "../protocol/items.ts";
import { artefactHash, type BlockPlace, type Hash, type Key } from "../protocol/ids.ts";
import { chainIdOf, type Manifest } from "../protocol/manifest.ts";
import { NOBODY, valuesFor } from "../protocol/payee.ts";
import { checkEvidence, checkVotes, isVoteKind } from "../protocol/votes.ts";
import { partsOf, type Stage, stagesOf, variantOf } from "../protocol/workflow.ts";
import { CommandError, settled } from "./exit.ts";

type Verdict = { readonly valid: true } | { readonly valid: false; readonly code: string };

interface Flags {
  readonly network: string;
  readonly proofs?: string;
  readonly config?: string;
  readonly json?: boolean;
}

export function verifyCommand(): Command {
  return new Command("verify")
    .description(
      "Check offline what proofmesh certificate, evidence and prove write: signatures and quorum; with --proofs, the block of a barrier certificate and every proof. Evidence of a vote for a false proof takes the block's certificate and --proofs.",
    )
    .argument("<certificate...>", "certificate files")
    .requiredOption("--network <manifest>", "the network's manifest")
    .option("--proofs <dir>", "directory with the block and the proofs, named by their SHA-256")
    .option("--config <file>", "a node's configuration, for its verifiers")
    .option("--json", "print JSON lines")
    .addHelpText(
      "after",
      "\nExample:\n  $ proofmesh verify proofs/certificate.json --network manifest.json --proofs proofs\n\nExit status: 0 it holds, 1 it does not.",
    )
    .action((files: string[], flags: Flags) => run(files, flags));
}

async function run(files: readonly string[], flags: Flags): Promise<void> {
  const manifest = readManifestFile(flags.network);
  const { verifiers } = readConfig(flags.config, process.env, {});
  const verifier =
    flags.proofs === undefined ? null : openVerifier(manifest, 1, verifiers, { find: findIn(flags.proofs) });
  try {
    for (const file of files) {
      const own = manifestFor(manifest, read(file, "usage.file"));
      if (sayVotes(own, file, flags.json === true)) continue;
      if (kindOf(read(file, "usage.file")) === "evidence") {
        await sayEvidence(own, file, files, flags, verifier);
        continue;
      }
      if (verifier !== null && kindOf(read(file, "usage.file")) === "proofs") {
        await sayProofs(own, file, flags, verifier);
        continue;
      }
      const certificate = check(own, file);
      const proofs =
        verifier === null || flags.proofs === undefined
          ? null
          : await checkProofs(own, certificate.content, flags.proofs, verifier);
      say(certificate, proofs, flags.json === true);
    }
  } finally {
    await verifier?.close();
  }
}

/** Whether the file is a certificate of votes; anything else is taken for a barrier certificate. */
function sayVotes(manifest: Manifest, file: string, json: boolean): boolean {
  const bytes = read(file, "usage.file");
  const kind = kindOf(bytes);
  if (!isVoteKind(kind)) return false;
  const { value } = holds(file, checkVotes(manifest, bytes, nativeEquation));
  const { content, signers } = value;
  const { chain, hash, stage, index, attempt, prover } = content;
  if (json) process.stdout.write(`${JSON.stringify({ kind, ...content, signers })}\n`);
  else
    process.stdout.write(
      `holds  ${kind}  ${chain}/${hash}  ${stage} ${index}, attempt ${attempt + 1}${prover === null ? "" : `  ${prover}`}  ${signers.length} signers\n`,
    );
  return true;
}

async function sayEvidence(
  manifest: Manifest,
  file: string,
  files: readonly string[],
  flags: Flags,
  verifier: Verifier | null,
): Promise<void> {
  const { value } = holds(file, checkEvidence(manifest, read(file, "usage.file"), nativeEquation));
  const { offender, offence, from, about, artefact: proof } = value;
  let shown = "";
  if (proof !== null) {
    const code = await refusalOf(manifest, file, value, files, flags, verifier);
    shown = `, proof ${proof} refused with ${code}`;
  }
  process.stdout.write(
    flags.json === true
      ? `${JSON.stringify({ kind: "evidence", offender, offence, from, about })}\n`
      : `holds  evidence  ${offender}  ${offence}, batch ${from} of its feed${shown}\n`,
  );
}

/** Why the proof that the evidence is about does not verify. What it had to prove is derived from the block, which a certificate names. */
async function refusalOf(
  manifest: Manifest,
  file: string,
  { offender, from, about, artefact: proof, maker }: Evidence,
  files: readonly string[],
  { proofs: directory }: Flags,
  verifier: Verifier | null,
): Promise<string> {
  const certificate = files
    .filter((each) => kindOf(read(each, "usage.file")) === "barrier")
    .map((each) => check(manifest, each))
    .find(({ block }) => block === about?.block);
  if (certificate === undefined || about === null || proof === null || directory === undefined || verifier === null)
    throw new CommandError(
      "evidence.unproven",
      `${file}: ${offender} vouches for proof ${proof} of block ${about?.block} in batch ${from}; to show that it does not verify takes that block's certificate as another argument, and --proofs with the block and the proof`,
    );
  const { content } = certificate;
  const { prepared, stages } = await prepare(manifest, content, directory, verifier);
  const stage = stages.find(({ name }) => name === about.stage);
  const implied = prepared.values[about.stage]?.[about.index];
  if (stage === undefined || implied === undefined || stage.verify !== "key")
    throw new CommandError("evidence.unproven", `${file}: no key verifies what ${about.stage} ${about.index} makes`);
  const { system, key, statement, payee } = variantOf(stage, about.index);
  const values = valuesFor(payee, implied, maker ?? NOBODY);
  const parts = partsOf(stages, stage, about.index, prepared.values, countsOf(content));
  const of = { system, key, statement, about: placeOf(manifest, content) };
  const verdict = await verified(verifier, { ...of, values, parts, proof: artefact(directory, proof) });
  if (verdict.valid)
    throw new CommandError("evidence.false", `${file}: the proof ${proof} that ${offender} vouches for verifies`);
  return verdict.code;
}

/** Proofs that nobody has signed for: all that can be said of them is that they verify. */
async function sayProofs(manifest: Manifest, file: string, flags: Flags, verifier: Verifier): Promise<void> {
  const { value } = holds(file, readProofs(manifest, read(file, "usage.file")));
  await checkProofs(manifest, value, flags.proofs ?? "", verifier);
  const { chain, height, hash, tasks } = value;
  process.stdout.write(
    flags.json === true
      ? `${JSON.stringify({ kind: "proofs", chain, height, hash, proofs: tasks.length })}\n`
      : `holds  proofs  ${chain}/${height}  ${hash}  ${tasks.length} proofs verified, signed by nobody\n`,
  );
}

function holds<T>(
  file: string,
  checked:
    | { readonly ok: true; readonly value: T }
    | { readonly ok: false; readonly code: string; readonly message: string },
): { readonly value: T } {
  if (!checked.ok) throw new CommandError(checked.code, `${file}: ${checked.message}`);
  return checked;
}

function check(manifest: Manifest, file: string): Certificate {
  const checked = checkCertificate(manifest, read(file, "usage.file"), nativeEquation);
  if (!checked.ok) throw new CommandError(checked.code, `${file}: ${checked.message}`);
  return checked.value;
}

function say({ content, contentHash, signers }: Certificate, proofs: number | null, json: boolean): void {
  const { chain, height, hash } = content;
  // Attesters have made these again themselves; offline only their bytes are compared.
  const results = content.tasks.length - (proofs ?? content.tasks.length);
  const more = results === 0 ? "" : `, ${results} results without proof`;
  const { lost } = content;
  if (json)
    return void process.stdout.write(
      `${JSON.stringify({ chain, height, hash, content: contentHash, signers, proofs, lost })}\n`,
    );
  process.stdout.write(
    `holds  ${chain}/${height}  ${hash}  ${signers.length} signers${proofs === null ? "" : `, ${proofs} proofs verified`}${more}\n`,
  );
  for (const { stage, index, attempt, owner } of lost)
    process.stdout.write(`  lost  ${stage} ${index}, attempt ${attempt + 1}  ${owner}\n`);
}

/** Proofs with their makers where a certificate names them, and for nobody where nobody has signed for them. */
type ProvenContent = Omit<ProofsContent, "tasks"> & {
  readonly tasks: readonly (ProofsContent["tasks"][number] & { readonly prover?: Key | null })[];
};

/**
 * Verifies the block and every proof again. What the proofs must say is derived from the block's own bytes; of the
 * certificate only the commitment before the block is taken, and the one after it is compared.
 */
async function checkProofs(
  manifest: Manifest,
  content: ProvenContent,
  directory: string,
  verifier: Verifier,
): Promise<number> {
  const { prepared, stages } = await prepare(manifest, content, directory, verifier);
  let proofs = 0;
  const counts = countsOf(content);
  for (const task of content.tasks) {
    const stage = stages.find(({ name }) => name === task.stage);
    if (stage === undefined)
      throw new CommandError(
        "certificate.tasks",
        `the manifest has no stage ${task.stage} for block ${content.height}`,
      );
    const { statement, payee } = variantOf(stage, task.index);
    const implied = prepared.values[task.stage]?.[task.index] ?? new Uint8Array();
    const values = valuesFor(payee, implied, task.prover ?? NOBODY);
    const parts = partsOf(stages, stage, task.index, prepared.values, counts);
    const proof = artefact(directory, task.artefact);
    const listed = task.items === undefined ? null : itemsIn(Buffer.from(proof).toString("utf8"), task.items);
    if (task.items !== undefined && listed?.length !== task.items)
      throw new CommandError(
        "certificate.items",
        `${task.stage} lists ${listed?.length ?? "nothing"}; the certificate says ${task.items}`,
      );
    // No key shows that it is right: attesters have made it again, or provers agree on it.
    if (stage.verify !== "key") continue;
    proofs++;
    const of = { system: task.system, key: task.key, statement, about: placeOf(manifest, content) };
    const verdict = await verified(verifier, { ...of, values, parts, proof });
    if (!verdict.valid)
      throw new CommandError(verdict.code, `the proof of ${task.stage} ${task.index} does not verify`);
  }
  return proofs;
}

function placeOf(manifest: Manifest, { chain, height, hash, parent }: ProvenContent): BlockPlace {
  return { chainId: chainIdOf(manifest, chain), height, hash, parent };
}

function verified(verifier: Verifier, job: VerifyJob): Promise<Verdict> {
  return settled<Verdict>((done) => verifier.verify(job, done));
}

/** How many tasks the stages have whose number another's output says. */
function countsOf({ tasks }: Pick<ProvenContent, "tasks">): ReadonlyMap<string, number> {
  return new Map(tasks.flatMap(({ stage, items }) => (items === undefined ? [] : [[stage, items]])));
}

/** What the block's own bytes imply, which lead from one commitment to the other as the certificate says. */
async function prepare(
  manifest: Manifest,
  content: ProvenContent,
  directory: string,
  verifier: Verifier,
): Promise<{ readonly prepared: Preparation; readonly stages: readonly Stage[] }> {
  const { height } = content;
  const stages = stagesOf(manifest, content.workflow, content.items) ?? [];
  const payload = artefact(directory, content.payload);
  const prepared = await settled<Preparation & { readonly before: Uint8Array }>((done) =>
    verifier.prepare(prepareJobOf(manifest, content, payload), done),
  );
  if (hex(prepared.before) !== content.before || hex(prepared.after) !== content.after) {
    throw new CommandError(
      "certificate.commitment",
      `block ${height} leads from ${hex(prepared.before)} to ${hex(prepared.after)}; the certificate says ${content.before} to ${content.after}`,
    );
  }
  return { prepared, stages };
}

function artefact(directory: string, hash: Hash): Uint8Array {
  const file = join(directory, hash);
  const bytes = read(file, "proof.missing");
  const found = artefactHash(bytes);
  if (found !== hash) throw new CommandError("proof.other-bytes", `${file} has SHA-256 ${found}`);
  return bytes;
}

function read(file: string, code: string): Uint8Array {
  try {
    return readFileSync(file);
  } catch (error) {
    throw new CommandError(code, `${file}: cannot be read: ${error instanceof Error ? error.message : String(error)}`);
  }
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}
