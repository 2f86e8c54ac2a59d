/** What a certified block's proofs say: derived from the block's own bytes, as attesters derive it. */
import { hexToBytes } from "@noble/hashes/utils.js";
import type { CertifiedBlock, Done, PrepareJob, Preparation, Result, Verifier } from "../ports.ts";
import type { BarrierContent, BarrierTask } from "../protocol/certificate.ts";
import { blockId, type Hash } from "../protocol/ids.ts";
import { RANGE_BYTES_MAX } from "../protocol/limits.ts";
import { chainIdOf, type Manifest } from "../protocol/manifest.ts";
import { NOBODY, valuesFor } from "../protocol/payee.ts";
import { rowsOf, stagesOf, variantOf } from "../protocol/workflow.ts";
import type { Proven } from "../sinks/call.ts";
import { claimOf } from "../statements/claim.ts";

type Prepared = Pick<
  BarrierContent,
  "chain" | "height" | "hash" | "parent" | "items" | "payload" | "workflow" | "start" | "before"
>;

/** The block of a certificate, to be prepared from its bytes. */
export function prepareJobOf(manifest: Manifest, content: Prepared, payload: Uint8Array): PrepareJob {
  const { chain, height, hash, parent, items, workflow, start, before } = content;
  return {
    chain,
    chainId: chainIdOf(manifest, chain),
    height,
    block: blockId(manifest.network, content),
    hash,
    parent,
    items,
    payload,
    range: manifest.json.workflows[workflow]?.range ?? 1,
    before: start ? null : hexToBytes(before),
    stages: rowsOf(stagesOf(manifest, workflow, items) ?? []),
  };
}

interface Modules {
  readonly manifest: Manifest;
  readonly verifier: Pick<Verifier, "prepare">;
  /** A file of at most so many bytes, from here or from peers. */
  readonly artefact: (hash: Hash, bytesMax: number, done: Done<Uint8Array>) => void;
}

/** Public values and proof of a task that the block's certificate names. */
export async function provenBy(
  { manifest, verifier, artefact }: Modules,
  { content }: CertifiedBlock,
  task: BarrierTask,
): Promise<Result<Proven>> {
  const fetched = (hash: Hash, bytesMax: number) =>
    new Promise<Result<Uint8Array>>((resolve) => artefact(hash, bytesMax, resolve));
  const stage = stagesOf(manifest, content.workflow, content.items)?.find(({ name }) => name === task.stage);
  const payload = await fetched(content.payload, RANGE_BYTES_MAX);
  if (!payload.ok) return payload;
  const file = await fetched(task.artefact, task.bytes);
  if (!file.ok) return file;
  const prepared = await new Promise<Result<Preparation>>((resolve) => {
    verifier.prepare(prepareJobOf(manifest, content, payload.value), resolve);
  });
  if (!prepared.ok) return prepared;
  const implied = prepared.value.values[task.stage]?.[task.index];
  if (stage === undefined || implied === undefined) return unproven(task, "says nothing of its values");
  const { statement, payee } = variantOf(stage, task.index);
  const claim = claimOf(statement, valuesFor(payee, implied, task.prover ?? NOBODY), file.value);
  return claim === null ? unproven(task, "names other values than the block implies") : { ok: true, value: claim };
}

function unproven({ stage, index }: BarrierTask, why: string): Result<Proven> {
  return { ok: false, fault: { code: "artefact.unproven", message: `the proof of ${stage} ${index} ${why}` } };
}
