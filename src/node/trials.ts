/** The small task with which a prover shows what it can: the first of its stage, of a small public block. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { SourceBlock } from "../ports.ts";
import { payloadOf } from "../protocol/ethereum.ts";
import { artefactHash, blockId, type Hash } from "../protocol/ids.ts";
import type { Manifest } from "../protocol/manifest.ts";
import { statementOf, variantsOf } from "../protocol/stages.ts";
import { SHARD_FOLD } from "../protocol/statement.ts";
import { payloadForm, type Stage } from "../protocol/workflow.ts";
import { NodeFault } from "./fault.ts";
import { isMadeBy, type Made, type Workbench, withTaken } from "./workbench.ts";

/** A block of mainnet with four transactions. */
const BLOCK = fileURLToPath(new URL("../../config/qualification.json", import.meta.url));
/** A block of Osaka without transactions, and the header before it: statements may need fields that older blocks lack. */
const FULL_BLOCK = fileURLToPath(new URL("../../config/qualification-full.json", import.meta.url));

/** The block that trials of a workflow's stages are about. */
export function qualifyingBlock(manifest: Pick<Manifest, "json">, workflow: string): Omit<SourceBlock, "chain"> {
  const form = payloadForm(manifest, workflow);
  const stages = manifest.json.workflows[workflow]?.stages ?? [];
  const isStated = stages.some((stage) => variantsOf(stage).some((each) => statementOf(stage, each) !== SHARD_FOLD));
  const file = isStated ? FULL_BLOCK : BLOCK;
  const encoded = payloadOf(JSON.parse(readFileSync(file, "utf8")) as Record<string, unknown>, form);
  if (!encoded.ok) throw new NodeFault(encoded.fault.code, `${file}: ${encoded.fault.message}`);
  return encoded.value;
}

/** The id of a block that starts a run of its own. */
export function startId(block: Omit<SourceBlock, "chain">, network: Hash, chain: number, workflow: string): Hash {
  const { height, hash, parent, items, payload } = block;
  const place = { chain, height, hash, parent, start: true };
  return blockId(network, { ...place, workflow, items, payload: artefactHash(payload) });
}

/**
 * Why a proof with one bit changed does not verify; `null` where nobody verifies, but makes it again. Throws
 * `proof.accepted` where it does verify: nothing is safe then.
 */
export async function refusesChanged(workbench: Workbench, { proof, checked, system }: Made): Promise<string | null> {
  if (checked === null) return null;
  const changed = Uint8Array.from(proof);
  changed[changed.length >> 1] = (changed[changed.length >> 1] ?? 0) ^ 1;
  const code = await workbench.check({ ...checked, proof: changed });
  if (code === null)
    throw new NodeFault("proof.accepted", `the verifier of ${system} takes a changed proof for a true one`);
  return code;
}

/**
 * The first task that each of the executors makes in a stage, where all that it takes can be made here; and what it takes.
 * `only`: of this executor, in the first stage that has one.
 */
export function qualifying(
  stages: readonly Stage[],
  executors: readonly string[],
  only: string | null = null,
): ReadonlySet<string> {
  const wanted = new Set<string>();
  for (const stage of stages) {
    const firsts = stage.variants.flatMap(({ executor }, index) => (only === null || executor === only ? [index] : []));
    const made = firsts.filter((index) => isMadeBy(executors, stages, stage, index));
    for (const index of made) for (const name of withTaken(stages, stage, index)) wanted.add(name);
    if (only !== null && wanted.size > 0) break;
  }
  return wanted;
}
