/**
 * What we use of o1js, typed: Kimchi proofs over the Pasta curves, made recursive by Pickles. There is no setup; what is
 * large is computed here and kept in o1js's own cache.
 *
 * With its native backend it takes 194 MB, so it is no dependency, not even an optional one, which npm would give to everybody: whoever
 * wants it installs it beside us (`npm ci --prefix config/pickles`), or among what the node has anyway.
 */
import { createRequire } from "node:module";

/** A field element, a bit, or a struct of them, inside a circuit or outside. */
export interface Field {
  add(other: Field | bigint): Field;
  mul(other: Field | bigint): Field;
  assertEquals(other: Field | bigint): void;
  toBigInt(): bigint;
}

export interface Bool {
  toField(): Field;
}

/** Public values, as the circuit has them. */
export interface CircuitValues {
  readonly before: Field;
  readonly after: Field;
  readonly fees: Field;
  readonly count: Field;
  readonly context: Field;
}

export interface CircuitItem {
  readonly active: Bool;
  readonly sender: Field;
  readonly recipient: Field;
  readonly creation: Bool;
  readonly value: Field;
  readonly feeLimit: Field;
}

export interface RecursiveProof {
  readonly publicInput: CircuitValues;
  /** In a circuit: that the proof holds. */
  verify(): void;
  toJSON(): ProofJson;
}

/** Numbers in decimal, the proof in base64. */
export interface ProofJson {
  readonly publicInput: readonly string[];
  readonly publicOutput: readonly string[];
  readonly maxProofsVerified: 0 | 1 | 2;
  readonly proof: string;
}

type Made = Promise<{ readonly proof: RecursiveProof }>;

export interface CircuitProgram {
  readonly Proof: { fromJSON(json: ProofJson): Promise<RecursiveProof> };
  compile(options: { readonly cache: unknown }): Promise<{ readonly verificationKey: { readonly data: string } }>;
  shard(values: CircuitValues, items: readonly CircuitItem[]): Made;
  merge(values: CircuitValues, left: RecursiveProof, right: RecursiveProof): Made;
}

export interface O1js {
  setBackend(backend: "native" | "wasm"): Promise<void>;
  readonly Field: (value: bigint) => Field;
  readonly Bool: (value: boolean) => Bool;
  readonly Struct: (shape: Readonly<Record<string, unknown>>) => unknown;
  readonly Provable: {
    Array(type: unknown, length: number): unknown;
    witness<T>(type: unknown, compute: () => T): T;
    if(condition: Bool, then: Field, otherwise: Field): Field;
  };
  readonly Gadgets: { rangeCheck64(value: Field): void };
  readonly Poseidon: { hash(inputs: readonly Field[]): Field };
  readonly SelfProof: unknown;
  readonly Cache: { readonly FileSystemDefault: unknown };
  readonly ZkProgram: (program: unknown) => CircuitProgram;
  /** Throws for what is no proof. */
  verify(proof: ProofJson, key: string): Promise<boolean>;
}

const VERSION = "2.15.0";

/** What it is called when npm installs it. */
export const PICKLES_PACKAGES: readonly string[] = [`o1js@${VERSION}`];

/** Where it is; throws `MODULE_NOT_FOUND` where it is not installed. */
export function resolveO1js(): string {
  try {
    return createRequire(import.meta.url).resolve("o1js");
  } catch {
    return createRequire(new URL("../../../config/pickles/package.json", import.meta.url)).resolve("o1js");
  }
}

export async function loadO1js(): Promise<O1js> {
  const o1js = createRequire(import.meta.url)(resolveO1js()) as O1js;
  // In WebAssembly everything takes five times as long.
  await o1js.setBackend("native");
  return o1js;
}
