/** Which proofs are true, worked out from the announcements alone: the simulation's own answer to every verifier. */
import { hexToBytes } from "@noble/hashes/utils.js";
import { artefactHash, blockId, type Hash, type Key } from "../../../src/protocol/ids.ts";
import { eachOf, itemsOf, type StageJson, statementOf, takesOf, variantsOf } from "../../../src/protocol/stages.ts";
import { SHARD_FOLD } from "../../../src/protocol/statement.ts";
import type { Manifest } from "../../../src/protocol/manifest.ts";
import type { AdmissionProof, EntryOf } from "../../../src/protocol/messages.ts";
import { NOBODY, valuesFor } from "../../../src/protocol/payee.ts";
import { payeeOf } from "../../../src/protocol/systems.ts";
import { taskValues } from "../../../src/protocol/workflow.ts";
import { SYSTEMS } from "../manifest.ts";
import {
  anonymousProofOf,
  commitmentAfter,
  commitmentAtStart,
  listOf,
  payeeOfAdmission,
  proofOf,
  valuesOf,
} from "../provers.ts";

interface Place {
  readonly block: Hash;
  readonly stage: string;
  readonly index: number;
}

/** The first stage that is proven by systems that name the maker, and takes nothing. */
export function admissionStageIn(stages: readonly StageJson[]): StageJson | undefined {
  return stages.find((stage) => {
    const isFirst = takesOf(stage).length === 0 && eachOf(stage) === null && itemsOf(stage) === null;
    const isProven = (stage.verify ?? "key") === "key";
    return (
      isFirst && isProven && variantsOf(stage).some((each) => payeeOf(each.system, statementOf(stage, each)) !== "none")
    );
  });
}

export class Truth {
  readonly #manifest: Manifest;
  readonly #blocks = new Map<Hash, EntryOf<"announce">>();
  /** By chain and hash: the block that an honest source announced so, else the first. */
  readonly #named = new Map<string, { readonly id: Hash; readonly isHonest: boolean }>();
  readonly #before = new Map<Hash, Uint8Array>();

  constructor(manifest: Manifest) {
    this.#manifest = manifest;
  }

  /** What an honest source says of a parent stands, whoever spoke first. */
  announced(entry: EntryOf<"announce">, isHonest: boolean): void {
    const id = blockId(this.#manifest.network, entry);
    const name = `${entry.chain}/${entry.hash}`;
    this.#blocks.set(id, entry);
    const known = this.#named.get(name);
    if (known !== undefined && (known.isHonest || !isHonest)) return;
    this.#named.set(name, { id, isHonest });
    if (known !== undefined) this.#before.clear();
  }

  /** Whether it is a proof by this prover; `null` where nobody has announced the block or one that it stands on. */
  isTrue(artefact: Hash, { block, stage, index }: Place, prover: Key | null): boolean | null {
    const list = listOf(this.#manifest, stage);
    const values = this.valuesFor({ block, stage, index }, prover);
    if (values === null) return null;
    if (list !== null) return artefact === artefactHash(list);
    const { verify, payee } = this.#variantOf(stage, index);
    if (verify !== "key" || payee !== "none") return artefact === artefactHash(proofOf(values));
    // Such a proof verifies for everybody, so one in another's name is true as well; who is paid for it is S1's matter.
    const makers = this.#manifest.json.provers.list.map(({ key }) => key);
    return makers.some((maker) => artefact === artefactHash(anonymousProofOf(values, maker)));
  }

  /** Whether a join of this prover names an admission proof of its own; `null` as for tasks. */
  isAdmission(prover: Key, chain: number, { base, index, artefact }: AdmissionProof): boolean | null {
    const workflow = this.#manifest.json.chains.find(({ id }) => id === chain)?.workflow ?? "";
    const stage = admissionStageIn(this.#manifest.json.workflows[workflow]?.stages ?? []);
    const before = this.#commitment(base);
    if (stage === undefined || before === null) return null;
    const variants = variantsOf(stage);
    const variant = variants[index % variants.length];
    const names = payeeOf(variant?.system ?? SYSTEMS[0]);
    const payee = payeeOfAdmission(this.#manifest.network, chain, prover, base);
    const values = valuesFor(names, valuesOf(base, before, stage.name, index), payee);
    return artefact === artefactHash(proofOf(values));
  }

  /** The public values that the task implies for the prover; `null` as long as nobody has announced what they stand on. */
  valuesFor({ block, stage, index }: Place, prover: Key | null): Uint8Array | null {
    const before = this.#commitment(block);
    if (before === null) return null;
    const { own, verify, variants, statement, payee } = this.#variantOf(stage, index);
    // All that a simulated statement says is which block it is about.
    const hash = this.#blocks.get(block)?.hash ?? "";
    const said = statement === SHARD_FOLD ? valuesOf(block, before, stage, index) : hexToBytes(hash);
    return own === undefined || verify === "key"
      ? valuesFor(payee, said, prover ?? NOBODY)
      : taskValues(block, { name: stage, verify, variants }, index);
  }

  #variantOf(stage: string, index: number) {
    const own = this.#stages().find(({ name }) => name === stage);
    const { verify = "key" } = own ?? {};
    const variants = own === undefined ? [] : variantsOf(own);
    const variant = variants[index % Math.max(variants.length, 1)];
    const statement = own === undefined || variant === undefined ? SHARD_FOLD : statementOf(own, variant);
    return { own, verify, variants, statement, payee: payeeOf(variant?.system ?? SYSTEMS[0], statement) };
  }

  #stages(): readonly StageJson[] {
    return Object.values(this.#manifest.json.workflows).flatMap((each) => each.stages);
  }

  #commitment(id: Hash): Uint8Array | null {
    const known = this.#before.get(id);
    if (known !== undefined) return known;
    const entry = this.#blocks.get(id);
    if (entry === undefined) return null;
    const before = entry.start ? commitmentAtStart(entry.parent) : this.#after(entry);
    if (before !== null) this.#before.set(id, before);
    return before;
  }

  #after({ chain, parent }: EntryOf<"announce">): Uint8Array | null {
    const named = this.#named.get(`${chain}/${parent}`);
    const before = named === undefined ? null : this.#commitment(named.id);
    return before === null ? null : commitmentAfter(before, parent);
  }
}
