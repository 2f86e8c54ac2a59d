/**
 * SP1 6 compressed STARK proofs, verified by the WebAssembly module that Ethproofs publishes.
 *
 * A key is the program's key (`vk.bytes32()`, 32 bytes), then nothing, or the version of SP1's SDK (such as `v6.1.0`).
 * Without a version a proof is bincode of SP1's proof alone. With a version the public values and that version follow,
 * as in the file that SP1's SDK and ere write. A network names one of the two, so that one proof has one name.
 *
 * The module does not look at the public values. This file binds them: the proof has their digest, SHA-256 or BLAKE3, at
 * byte 244, and the node compares it. The module does verify that the digest is the one that the program committed to.
 *
 * The module does not look at the exit code either, because SP1's SDK does. The proof has 187 words of 32 bits from byte
 * 116 (`RecursionPublicValues`, the same in SP1 6.0 to 6.4). The digest begins at word 32. The exit code is word 170, and
 * the module verifies that word 168 says that the execution is complete.
 */
import { utf8ToBytes } from "@noble/hashes/utils.js";
import { ascii, bigEndian } from "../bytes.ts";
import { LENGTH_BYTES, type WasmKey } from "../wasm/settings.ts";

export const HYPERCUBE_PACKAGE = "@ethproofs/sp1-hypercube-wasm-verifier";
export const HYPERCUBE_VERSION = "0.2.0";
/** The module's file in the package. */
export const HYPERCUBE_FILE = "pkg/sp1_hypercube_wasm_verifier_bg.wasm";
const MODULE = "8e1edf6f5e544ae06a7a82bdea9b82ac57655ab5f40cd634257373ece44425a5";

const PROGRAM_BYTES = 32;
const VERSION_BYTES_MAX = 32;
const DIGITS = 8;
const DIGIT_BITS = 31n;
/** The order of KoalaBear, the field that SP1 6 proves in. */
const FIELD_ORDER = 0x7f000001n;
const WORDS_AT = 116;
const WORD_BYTES = 4;
const DIGEST_AT: number = WORDS_AT + 32 * WORD_BYTES;
const EXIT_CODE_AT: number = WORDS_AT + 170 * WORD_BYTES;

/** Throws for anything that is not such a key. */
export function readHypercubeKey(bytes: Uint8Array): WasmKey {
  if (bytes.length < PROGRAM_BYTES || bytes.length > PROGRAM_BYTES + VERSION_BYTES_MAX)
    throw new Error(
      `the key has ${bytes.length} bytes; allowed: 32 bytes of the program, then a version of up to 32 bytes`,
    );
  const version = ascii(bytes.subarray(PROGRAM_BYTES));
  if (!/^[\x21-\x7e]*$/.test(version))
    throw new Error(`the version behind the program's key is ${JSON.stringify(version)}`);
  return {
    module: MODULE,
    key: digitsOf(bytes.subarray(0, PROGRAM_BYTES)),
    bytes: "shortest",
    behind: version === "" ? null : lengthAnd(utf8ToBytes(version)),
    digest: { at: DIGEST_AT, form: "u32", hashes: ["sha256", "blake3"] },
    zeros: [{ at: EXIT_CODE_AT, bytes: WORD_BYTES }],
    // The module takes 60 pages for a proof of 1.27 MB.
    memoryPagesMax: 1024,
    timeMsMax: 30_000,
    moduleBytesMax: 1024 * 1024,
    canaries: null,
  };
}

/** The program's key is eight digits of 31 bits, the first the most significant. The module takes 32-bit little-endian numbers. */
function digitsOf(program: Uint8Array): Uint8Array {
  const digits = new Uint8Array(DIGITS * 4);
  const view = new DataView(digits.buffer);
  let left = bigEndian(program);
  for (let i = DIGITS - 1; i >= 0; i--) {
    const digit = left & ((1n << DIGIT_BITS) - 1n);
    if (digit >= FIELD_ORDER) throw new Error(`digit ${i} of the program's key is no element of SP1's field`);
    view.setUint32(4 * i, Number(digit), true);
    left >>= DIGIT_BITS;
  }
  if (left !== 0n) throw new Error("the program's key has more than eight digits of 31 bits");
  return digits;
}

function lengthAnd(bytes: Uint8Array): Uint8Array {
  const text = new Uint8Array(LENGTH_BYTES + bytes.length);
  new DataView(text.buffer).setUint32(0, bytes.length, true);
  text.set(bytes, LENGTH_BYTES);
  return text;
}
