/**
 * What the circuits around an SP1 proof state, whatever the proof system of the circuit is.
 *
 * Behind the circuit's key a stage's key has, for SP1 3 to 5, the 32 bytes of the program's key (`vk.bytes32()`). For
 * SP1 6 it has the root of the recursion keys and the program's key, 32 bytes each. The root belongs to the version of
 * SP1. A circuit that took any root would accept proofs under recursion keys that the prover made.
 *
 * A proof of SP1 6 begins with the head of the circuit key's SHA-256 (4 bytes), then the exit code, the root and a nonce
 * (32 bytes each). The public inputs of the circuit are the program's key, the digest of the public values without its
 * three highest bits, and these three numbers. The digest is SHA-256 or BLAKE3: a guest chooses, and SP1's own verifier
 * accepts both.
 */
import { bn254 } from "@noble/curves/bn254.js";
import { blake3 } from "@noble/hashes/blake3.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex } from "@noble/hashes/utils.js";
import { equalBytes } from "../../protocol/messages.ts";
import type { ProofCode, Verdict } from "../bn254/equation.ts";
import { bigEndian } from "../bytes.ts";

export interface Sp1Statement {
  /** The first bytes of each proof under this circuit's key. */
  readonly prefix: Uint8Array;
  readonly program: bigint;
  /** The root of the recursion keys; `null` for SP1 3 to 5, whose circuits have it inside. */
  readonly root: Uint8Array | null;
}

interface Head {
  readonly exitCode: bigint;
  readonly root: bigint;
  readonly nonce: bigint;
  /** What the circuit's proof system verifies. */
  readonly points: Uint8Array;
}

export const PREFIX_BYTES = 4;
const WORD_BYTES = 32;
export const HEAD_BYTES: number = PREFIX_BYTES + 3 * WORD_BYTES;

const DIGEST_MASK: bigint = (1n << 253n) - 1n;

const ROOT_6_0 = "008cd56e10c2fe24795cff1e1d1f40d3a324528d315674da45d26afb376e8670";
const ROOT_6_1 = "002f850ee998974d6cc00e50cd0814b098c05bfade466d28573240d057f25352";
/** The roots that belong to published circuit keys, by SHA-256 of the key (succinctlabs/sp1-contracts). */
const ROOTS: ReadonlyMap<string, string> = new Map([
  ["0e78f4db7a6771a3a6a7d9c3b0de6fe73d58781368967a7fe84d87aefffec896", ROOT_6_0],
  ["bb1a6f2930e94bfe8b35e794faf43133214534a17d2ad8e51358cad437b3c317", ROOT_6_0],
  ["4388a21c687fdd5f218d7e3d13190cac4c5355818d3605fd5fb811df468ee696", ROOT_6_1],
  ["5a093a2fcb46394f5cadfe55c44d4d572fad9cec7aeb38026b0278322ef07fac", ROOT_6_1],
]);

/** Reads what is behind the circuit's key. Throws where a part is missing, or where a known circuit has another root. */
export function readStatement(circuit: Uint8Array, behind: Uint8Array, hasRoot: boolean): Sp1Statement {
  const parts = hasRoot ? "the root of the recursion keys and the program's key" : "the program's key";
  const wanted = hasRoot ? 2 * WORD_BYTES : WORD_BYTES;
  if (behind.length !== wanted)
    throw new Error(`behind the circuit's key stand ${behind.length} bytes, not the ${wanted} of ${parts}`);
  const root = hasRoot ? behind.slice(0, WORD_BYTES) : null;
  const program = bigEndian(behind.subarray(wanted - WORD_BYTES));
  const digest = sha256(circuit);
  const known = ROOTS.get(bytesToHex(digest));
  if (root !== null && known !== undefined && bytesToHex(root) !== known)
    throw new Error(`the root of the recursion keys is ${bytesToHex(root)}; SP1 publishes ${known} for this circuit`);
  const { ORDER } = bn254.fields.Fr;
  if (program >= ORDER) throw new Error("the program's key is no element of the scalar field");
  if (root !== null && bigEndian(root) >= ORDER) throw new Error("the root is no element of the scalar field");
  return { prefix: digest.slice(0, PREFIX_BYTES), program, root };
}

/** The head of a proof of SP1 6. A program that ended with an exit code other than 0 has proven nothing. */
export function readHead({ prefix, root }: Sp1Statement, proof: Uint8Array, pointsBytes: number): Head | ProofCode {
  if (proof.length !== HEAD_BYTES + pointsBytes) return "proof.length";
  const word = (at: number): Uint8Array =>
    proof.subarray(PREFIX_BYTES + at * WORD_BYTES, PREFIX_BYTES + (at + 1) * WORD_BYTES);
  if (!equalBytes(proof.subarray(0, PREFIX_BYTES), prefix)) return "proof.wrong-key";
  if (root === null || !equalBytes(word(1), root)) return "proof.wrong-key";
  if (word(0).some((byte) => byte !== 0)) return "proof.exit-code";
  return { exitCode: 0n, root: bigEndian(root), nonce: bigEndian(word(2)), points: proof.subarray(HEAD_BYTES) };
}

export function inputsOf(
  { program }: Sp1Statement,
  digest: bigint,
  { exitCode, root, nonce }: Head,
): readonly bigint[] {
  return [program, digest, exitCode, root, nonce];
}

/** Asks with the SHA-256 of the public values, and with their BLAKE3 where the equation does not hold. */
export function holdsForOne(values: Uint8Array, holds: (digest: bigint) => Verdict): Verdict {
  const verdict = holds(bigEndian(sha256(values)) & DIGEST_MASK);
  if (verdict.valid || verdict.code !== "proof.equation") return verdict;
  return holds(bigEndian(blake3(values)) & DIGEST_MASK);
}
