/**
 * Verifier modules of our own, in the text format. The toy's proof has 72 bytes: a program's name (8), a digest (32) and a
 * mask of the digest (32). It stands for a verifier that has its key inside; it proves nothing.
 */
import { sha256 } from "@noble/hashes/sha2.js";
import { artefactHash } from "../../src/protocol/ids.ts";

export const PROGRAM = "program1";
export const TOY_BYTES = 72;
export const TOY_DIGEST_AT = 8;

const MALLOC = `
  (global $free (mut i32) (i32.const 65536))
  (func (export "__wbindgen_malloc") (param $bytes i32) (param $align i32) (result i32)
    (global.get $free)
    (global.set $free (i32.add (global.get $free) (local.get $bytes))))`;

const CHECK = `
  (func $check (param $at i32) (param $bytes i32) (result i32)
    (local $i i32)
    (if (i32.ne (local.get $bytes) (i32.const ${TOY_BYTES})) (then (return (i32.const 0))))
    (if (i64.ne (i64.load (local.get $at)) (i64.load (i32.const 0))) (then (return (i32.const 0))))
    (loop $next
      (if (i32.ne
            (i32.load8_u offset=40 (i32.add (local.get $at) (local.get $i)))
            (i32.and (i32.const 255)
              (i32.xor
                (i32.load8_u offset=8 (i32.add (local.get $at) (local.get $i)))
                (i32.add (i32.const 3) (i32.mul (local.get $i) (i32.const 7))))))
        (then (return (i32.const 0))))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $next (i32.lt_u (local.get $i) (i32.const 32))))
    (i32.const 1))`;

/** `verify` is the body of verify_stark(at, bytes), and `more` are other parts of the module. */
export function toyText(
  verify: string = "(call $check (local.get $at) (local.get $bytes))",
  more: string = "",
): string {
  return `(module
  (memory (export "memory") 3)
  (data (i32.const 0) "${PROGRAM}")${MALLOC}${CHECK}${more}
  (func (export "verify_stark") (param $at i32) (param $bytes i32) (result i32) ${verify}))`;
}

/** What we use of wabt, typed. The package's own types are of its whole interface. */
interface Wabt {
  parseWat(
    file: string,
    text: string,
    features: Readonly<Record<string, boolean>>,
  ): { toBinary(options: object): { readonly buffer: Uint8Array } };
}

async function loadAssembler(): Promise<Wabt> {
  const name: string = "wabt";
  const { default: load } = (await import(name)) as { readonly default: () => Promise<Wabt> };
  return load();
}

const assembler = loadAssembler();

export async function assemble(
  text: string,
  features: Readonly<Record<string, boolean | undefined>> = {},
): Promise<Uint8Array> {
  const wanted = Object.fromEntries(Object.entries(features).map(([name, is]) => [name, is === true]));
  return Uint8Array.from((await assembler).parseWat("toy.wat", text, wanted).toBinary({}).buffer);
}

export function toyProof(digest: Uint8Array, program: string = PROGRAM): Uint8Array {
  const mask = digest.map((byte, i) => byte ^ (3 + i * 7));
  return Uint8Array.from([...new TextEncoder().encode(program), ...digest, ...mask]);
}

/** The key that names such a module: JSON, with canaries that say these values, of this program and of another. */
export function toyKeyJson(module: Uint8Array, canaryValues: Uint8Array, changes: object = {}): string {
  const [good, other] = toyCanaries(canaryValues);
  const values = Buffer.from(canaryValues).toString("hex");
  return JSON.stringify({
    module: artefactHash(module),
    bytes: TOY_BYTES,
    digest: { at: TOY_DIGEST_AT, form: "bytes", hashes: ["sha256"] },
    memoryPagesMax: 16,
    timeMsMax: 5_000,
    moduleBytesMax: 10_000,
    canaries: { good: { proof: artefactHash(good), values }, other: { proof: artefactHash(other), values } },
    ...changes,
  });
}

/** A proof that holds, and one of another program. */
export function toyCanaries(values: Uint8Array): readonly [good: Uint8Array, other: Uint8Array] {
  return [toyProof(sha256(values)), toyProof(sha256(values), "program2")];
}
