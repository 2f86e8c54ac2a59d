/**
 * Recursive proofs, verified by o1js.
 *
 * A key is JSON: the circuit's verifying key as o1js writes it, and a true proof under it. That proof is verified before
 * any other is: it shows that key and library fit, and it has the library compute what it takes for every further one,
 * which takes it longer than the proof of a block may. A proof is the 160 bytes of its public values, so that whoever merges
 * it knows what it says, and the S-expression that Pickles writes.
 */
import { bytesToHex, hexToBytes } from "@noble/hashes/utils.js";
import { shorten } from "../../protocol/shape.ts";
import { isMachines, noVerdict } from "../../provers/no-verdict.ts";
import { type Check, VALUES_BYTES, type Values } from "../../provers/statement.ts";
import { loadO1js, type O1js, PICKLES_PACKAGES, type ProofJson } from "./o1js.ts";
import { decodePicklesValues, type Poseidon } from "./statement.ts";

export interface PicklesKey {
  /** As `verify` of o1js takes it. */
  readonly data: string;
  readonly sample: { readonly values: Uint8Array; readonly proof: Uint8Array };
}

/** Several times the length that proofs have. */
const PROOF_BYTES_MAX = 128 * 1024;
const KEY_BYTES_MAX = 512 * 1024;

/** Throws for anything that is no key of the statement. */
export function readPicklesKey(bytes: Uint8Array): PicklesKey {
  if (bytes.length > KEY_BYTES_MAX) throw new Error(`the key has ${bytes.length} bytes; allowed: ${KEY_BYTES_MAX}`);
  const json = JSON.parse(new TextDecoder().decode(bytes)) as Record<string, unknown>;
  const { system, library, data, values, proof } = json;
  const [needed] = PICKLES_PACKAGES;
  if (system !== "pickles-shard" || library !== needed)
    throw new Error(`the key is of ${shorten(system)} by ${shorten(library)}; allowed: pickles-shard by ${needed}`);
  if (typeof data !== "string" || typeof values !== "string" || typeof proof !== "string")
    throw new Error("the key has no data, values and proof");
  return { data, sample: { values: hexToBytes(values), proof: new Uint8Array(Buffer.from(proof, "base64")) } };
}

export function writePicklesKey({ data, sample }: PicklesKey): string {
  const [library] = PICKLES_PACKAGES;
  const [values, proof] = [bytesToHex(sample.values), Buffer.from(sample.proof).toString("base64")];
  return `${JSON.stringify({ system: "pickles-shard", library, data, values, proof })}\n`;
}

/** A proof as it travels. */
export function encodeProof(values: Uint8Array, { proof }: Pick<ProofJson, "proof">): Uint8Array {
  return Uint8Array.from([...values, ...Buffer.from(proof, "base64")]);
}

/** What it says and the proof as o1js takes it; `null` for what is none by its form (`proof.length`). */
export function decodeProof(bytes: Uint8Array): { readonly values: Values; readonly json: ProofJson } | null {
  const values = decodePicklesValues(bytes.subarray(0, VALUES_BYTES));
  const body = bytes.subarray(VALUES_BYTES);
  if (values === null || body.length > PROOF_BYTES_MAX || !isExpression(body)) return null;
  const { before, after, fees, count, context } = values;
  const publicInput = [before, after, fees, count, context].map(String);
  const proof = Buffer.from(body).toString("base64");
  return { values, json: { publicInput, publicOutput: [], maxProofsVerified: 2, proof } };
}

/** Of the larger of the two fields: no number of either is written with its order or more. */
const ORDER_MAX = 0x40000000000000000000000000000000224698fc0994a8dd8c46eb2100000001n;
/** Names, variants and a character, as Pickles writes them. Read, a variant may begin with a small letter, too. */
const WORD = /^(?!n\d+$)[a-z][a-z_0-9]*$|^N[0-2]$|^domain_log2"\\([btnr]|(?!008|009|010|013)\d{3})"$/;
const CHALLENGE = /^[0-9a-f]{16}$/;
const NUMBER = /^0x[0-9A-F]{64}$/;

/** Whether its words and numbers are written in the one form that Pickles writes; read, digits may be large or small. */
function isCanonical(body: Uint8Array): boolean {
  const text = Buffer.from(body).toString("latin1");
  // A space stands between two atoms and nowhere else.
  if (/[() ] | [() ]/.test(text)) return false;
  const atoms = text.split(/[() ]+/).filter((atom) => atom !== "");
  return atoms.every((atom) =>
    NUMBER.test(atom) ? BigInt(atom) < ORDER_MAX : CHALLENGE.test(atom) || WORD.test(atom),
  );
}

const [OPEN, CLOSE, SPACE] = [0x28, 0x29, 0x20];

/** One whole S-expression of printable ASCII, and nothing behind it. */
function isExpression(bytes: Uint8Array): boolean {
  let depth = 0;
  for (const [at, byte] of bytes.entries()) {
    if (byte < SPACE || byte > 0x7e) return false;
    if (byte === OPEN) depth++;
    else if (byte === CLOSE) depth--;
    if (depth <= 0) return depth === 0 && byte === CLOSE && at === bytes.length - 1;
  }
  return false;
}

/** Keeps the library warm. Not to be used for two proofs at once. */
export interface PicklesVerifier {
  /** Takes seconds. Rejects where the library is not installed, or the key's own proof does not hold. */
  load(key: PicklesKey): Promise<void>;
  /** Once a key is loaded. */
  readonly poseidon: Poseidon;
  verify(key: PicklesKey, values: Uint8Array, proof: Uint8Array): Promise<Check>;
}

/**
 * The library throws for what is no proof, and for want of memory as well. Where it throws, the key's own proof is verified:
 * if that holds, the library and the machine are well, so the proof is at fault.
 */
export async function holdsBy(o1js: Pick<O1js, "verify">, key: PicklesKey, json: ProofJson): Promise<boolean> {
  try {
    return await o1js.verify(json, key.data);
  } catch (error) {
    const sample = decodeProof(key.sample.proof);
    const check = async (): Promise<boolean> => sample !== null && (await o1js.verify(sample.json, key.data));
    const isWell = await check().catch(() => false);
    if (!isWell || isMachines(error)) throw noVerdict(error);
    return false;
  }
}

export function createPicklesVerifier(): PicklesVerifier {
  let loaded: O1js | null = null;
  const library = async (): Promise<O1js> => (loaded ??= await loadO1js());
  const verify = async (key: PicklesKey, valueBytes: Uint8Array, bytes: Uint8Array): Promise<Check> => {
    if (valueBytes.length !== VALUES_BYTES || bytes.length <= VALUES_BYTES)
      return { valid: false, code: "proof.length" };
    if (decodePicklesValues(valueBytes) === null) return { valid: false, code: "proof.not-canonical" };
    if (Buffer.compare(bytes.subarray(0, VALUES_BYTES), valueBytes) !== 0)
      return { valid: false, code: "proof.equation" };
    const decoded = decodeProof(bytes);
    if (decoded === null) return { valid: false, code: "proof.length" };
    if (!isCanonical(bytes.subarray(VALUES_BYTES))) return { valid: false, code: "proof.not-canonical" };
    const o1js = await library();
    const holds = await holdsBy(o1js, key, decoded.json);
    return holds ? { valid: true } : { valid: false, code: "proof.equation" };
  };
  return {
    async load(key) {
      const check = await verify(key, key.sample.values, key.sample.proof);
      if (!check.valid) throw new Error(`the key's own proof does not hold: ${check.code}`);
    },
    poseidon: (inputs) => {
      if (loaded === null) throw new Error("no key of this system is loaded");
      return poseidonOf(loaded)(inputs);
    },
    verify,
  };
}

export function poseidonOf({ Field, Poseidon: of }: O1js): Poseidon {
  return (inputs) => of.hash(inputs.map((each) => Field(each))).toBigInt();
}
