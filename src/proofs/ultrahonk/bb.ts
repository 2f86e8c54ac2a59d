/**
 * What we use of Barretenberg and of Noir, typed. Both are optional dependencies.
 *
 * Only the instance without threads is used. It lives in the thread that made it, keeps no process from ending, and is
 * gone with its worker; the one with threads would leave workers behind wherever nobody calls `destroy`.
 *
 * Its reference string is always ours. Left to itself the library downloads one.
 */

/** A buffer that the library takes without a length in front of it. */
declare class RawBuffer extends Uint8Array {}

export interface Barretenberg {
  srsInitSrs(points: RawBuffer, count: number, g2: RawBuffer): void;
  acirProveUltraHonk(circuit: Uint8Array, recursive: boolean, witness: Uint8Array): Uint8Array;
  acirWriteVkUltraHonk(circuit: Uint8Array, recursive: boolean): Uint8Array;
  acirVerifyUltraHonk(proof: Uint8Array, key: RawBuffer): boolean;
  acirGetCircuitSizes(circuit: Uint8Array, recursive: boolean, honk: boolean): readonly [used: number, padded: number];
}

interface BarretenbergModule {
  readonly BarretenbergSync: { readonly new: () => Promise<Barretenberg> };
  readonly RawBuffer: typeof RawBuffer;
}

/** A compiled circuit, as much of it as proving takes. */
export interface Circuit {
  readonly abi: unknown;
  /** ACIR, compressed, in base64. */
  readonly bytecode: string;
}

interface NoirModule {
  readonly Noir: new (
    circuit: Circuit,
  ) => {
    /** The witness, compressed. Rejects where a constraint does not hold. */
    execute(inputs: Readonly<Record<string, unknown>>): Promise<{ readonly witness: Uint8Array }>;
  };
}

/** What they are called when npm installs them. */
export const VERIFIER_PACKAGES: readonly string[] = ["@aztec/bb.js@0.84.0"];
export const PROVER_PACKAGES: readonly string[] = [...VERIFIER_PACKAGES, "@noir-lang/noir_js@1.0.0-beta.3"];

/** Bytes of a point of the reference string: affine, big-endian; in the second group the real part first. */
export const G1_BYTES = 64;
export const G2_BYTES = 128;

/** Rejects when it is not installed. The name is kept from the compiler: its types are of another module system. */
async function loadBarretenberg(): Promise<BarretenbergModule> {
  const name: string = "@aztec/bb.js";
  return (await import(name)) as BarretenbergModule;
}

export async function loadNoir(): Promise<NoirModule> {
  const name: string = "@noir-lang/noir_js";
  return (await import(name)) as NoirModule;
}

/** An instance with its reference string: the powers in the first group, and the secret's in the second. */
export async function openBarretenberg(g1: Uint8Array, g2: Uint8Array): Promise<Barretenberg> {
  const { BarretenbergSync, RawBuffer: Raw } = await loadBarretenberg();
  const instance = await BarretenbergSync.new();
  instance.srsInitSrs(new Raw(g1), g1.length / G1_BYTES, new Raw(g2));
  return instance;
}

/** Keys go in without a length in front of them. */
export async function rawBuffer(bytes: Uint8Array): Promise<RawBuffer> {
  const { RawBuffer: Raw } = await loadBarretenberg();
  return new Raw(bytes);
}
