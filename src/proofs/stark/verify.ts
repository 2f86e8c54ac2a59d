/**
 * STARKs of shards, verified by genSTARK.
 *
 * A key is JSON that names the statement and how many queries a proof has to stand; nothing in it is secret and nothing
 * had to be set up. The library takes the shape of a proof from the proof: how deep its trees are, how often it is folded,
 * how long the trace was. So the shape is checked here against what the key and the number of items imply, before it is
 * asked.
 */
import { SHARD_ITEMS_MAX } from "../../protocol/ethereum.ts";
import { shorten } from "../../protocol/shape.ts";
import { isMachines, noVerdict } from "../../provers/no-verdict.ts";
import { STARK_ORDER, ROUNDS } from "./hash.ts";
import { bigEndian } from "../bytes.ts";
import { type Check, VALUES_BYTES } from "../../provers/statement.ts";
import { airHash, airSource, assertionsOf, DEGREE } from "./air.ts";
import { type Genstark, loadGenstark, type Paths, type Stark, type StarkProof } from "./genstark.ts";
import { decodeStarkValues, slotCount } from "./statement.ts";

export interface StarkKey {
  /** How many times longer than the trace the domain is that is committed to. */
  readonly extension: number;
  readonly traceQueries: number;
  readonly foldQueries: number;
}

/** Bits of security that a key must have, by the library's own account: of the trace's queries and of the foldings'. */
const SECURITY_BITS = 128;
/** What the library takes. */
const TRACE_QUERIES_MAX = 128;
const FOLD_QUERIES_MAX = 64;

/** Throws for anything that is no key of the statement, or one that is too weak. */
export function readStarkKey(bytes: Uint8Array): StarkKey {
  const json = JSON.parse(new TextDecoder().decode(bytes)) as Record<string, unknown>;
  if (json["system"] !== "stark-shard" || json["air"] !== airHash())
    throw new Error(`the key is of another statement than ${airHash()}`);
  const [extension, traceQueries, foldQueries] = [json["extension"], json["traceQueries"], json["foldQueries"]];
  if (extension !== 16 && extension !== 32)
    throw new Error(`the key has extension ${shorten(extension)}; allowed: 16, 32`);
  const count = (name: string, value: unknown, bitsEach: number, max: number): number => {
    const min = Math.ceil(SECURITY_BITS / bitsEach);
    if (typeof value === "number" && Number.isInteger(value) && value >= min && value <= max) return value;
    throw new Error(`the key has ${shorten(value)} ${name}; allowed: ${min} to ${max}`);
  };
  return {
    extension,
    traceQueries: count("traceQueries", traceQueries, Math.log2(extension / DEGREE), TRACE_QUERIES_MAX),
    foldQueries: count("foldQueries", foldQueries, Math.log2(extension), FOLD_QUERIES_MAX),
  };
}

export function instantiate(genstark: Genstark, key: StarkKey, slots: number): Stark {
  const { extension: extensionFactor, traceQueries: exeQueryCount, foldQueries: friQueryCount } = key;
  const options = { extensionFactor, exeQueryCount, friQueryCount, hashAlgorithm: "blake2s256", wasm: true } as const;
  return genstark.instantiate(Buffer.from(airSource(slots)), "shard", options, null);
}

const ELEMENT_BYTES = 16;
const DIGEST_BYTES = 32;
/** What is shorter is not folded any further. */
const REMAINDER_MAX = 256;

/** Whether a proof is built as the only true ones are, for a domain of this length. */
function hasShape({ evProof, ldProof, iShapes }: StarkProof, domain: number): boolean {
  const depth = Math.log2(domain);
  const trees: (readonly [Paths, number])[] = [
    [evProof, depth],
    [ldProof.lcProof, depth - 2],
  ];
  let length = domain;
  for (const { columnProof, polyProof } of ldProof.components) {
    if (length <= REMAINDER_MAX) return false;
    trees.push([polyProof, Math.log2(length) - 2], [columnProof, Math.log2(length) - 4]);
    length /= 4;
  }
  return (
    iShapes.length === 0 &&
    length <= REMAINDER_MAX &&
    ldProof.remainder.length === length &&
    trees.every(
      ([tree, expected]) => tree.depth === expected && tree.nodes.flat().every((node) => node.length === DIGEST_BYTES),
    )
  );
}

/** Whether every field element is the one encoding of itself. */
function isCanonical({ evProof, ldProof }: StarkProof): boolean {
  const trees = [evProof, ldProof.lcProof, ...ldProof.components.flatMap((each) => [each.columnProof, each.polyProof])];
  const isElement = (bytes: Uint8Array): boolean => bigEndian(bytes.toReversed()) < STARK_ORDER;
  const rows = trees.flatMap(({ values }) => values);
  return (
    ldProof.remainder.every((element) => element < STARK_ORDER) &&
    rows.every((row) => {
      for (let at = 0; at < row.length; at += ELEMENT_BYTES)
        if (!isElement(row.subarray(at, at + ELEMENT_BYTES))) return false;
      return true;
    })
  );
}

/** The proof that the bytes are, and no others. */
function parseProof(stark: Stark, proof: Uint8Array, domain: number): StarkProof | null {
  try {
    const parsed = stark.parse(Buffer.from(proof));
    return hasShape(parsed, domain) && Buffer.compare(stark.serialize(parsed), proof) === 0 ? parsed : null;
  } catch (error) {
    if (isMachines(error)) throw noVerdict(error);
    return null;
  }
}

/** Keeps its instances warm. Not to be used for two proofs at once. */
export interface StarkVerifier {
  /** Makes an instance for full shards. Rejects where the library is not installed. */
  load(key: StarkKey): Promise<void>;
  verify(key: StarkKey, values: Uint8Array, proof: Uint8Array): Promise<Check>;
}

/** The field's memory is never given back, some 400 KB a proof; an instance costs less than a proof. */
const USES_MAX = 32;

export function createStarkVerifier(): StarkVerifier {
  const warm = new Map<string, { readonly stark: Stark; uses: number }>();
  const open = async (key: StarkKey, slots: number): Promise<Stark> => {
    const name = [key.extension, key.traceQueries, key.foldQueries, slots].join("/");
    let found = warm.get(name);
    if (found === undefined || found.uses >= USES_MAX) {
      found = { stark: instantiate(await loadGenstark(), key, slots), uses: 0 };
      warm.set(name, found);
    }
    found.uses++;
    return found.stark;
  };
  return {
    async load(key) {
      await open(key, slotCount(SHARD_ITEMS_MAX));
    },
    async verify(key, valueBytes, bytes) {
      if (valueBytes.length !== VALUES_BYTES) return { valid: false, code: "proof.length" };
      const values = decodeStarkValues(valueBytes);
      if (values === null) return { valid: false, code: "proof.not-canonical" };
      const slots = slotCount(values.count);
      const stark = await open(key, slots);
      const proof = parseProof(stark, bytes, slots * ROUNDS * key.extension);
      if (proof === null) return { valid: false, code: "proof.length" };
      if (!isCanonical(proof)) return { valid: false, code: "proof.not-canonical" };
      try {
        return stark.verify(assertionsOf(values), proof) ? { valid: true } : { valid: false, code: "proof.equation" };
      } catch (error) {
        // It refuses a proof by throwing, and passes on what the engine throws.
        if (isMachines(error)) throw noVerdict(error);
        return { valid: false, code: "proof.equation" };
      }
    },
  };
}
