/**
 * What we use of snarkjs, typed. It is an optional dependency, is GPL-3 and keeps a process from ending, so only
 * programs of their own load it: `program.ts` and the script that builds the keys. Never the node.
 */

export interface SnarkjsProof {
  readonly pi_a: readonly string[];
  readonly pi_b: readonly (readonly string[])[];
  readonly pi_c: readonly string[];
}

/** A file by its name, or bytes in memory. */
export type SnarkjsFile = string | { type: "mem"; data?: Uint8Array };

export interface SnarkjsLogger {
  debug(line: string): void;
  info(line: string): void;
  warn(line: string): void;
  error(line: string): void;
}

interface Contribution {
  (from: SnarkjsFile, to: SnarkjsFile, name: string, entropy: string, logger?: SnarkjsLogger): Promise<unknown>;
}

/** Its arithmetic: elements and affine points in Montgomery form, little-endian. */
export interface SnarkjsCurve {
  readonly Fr: {
    readonly one: Uint8Array;
    /** Roots of unity, of the order 2^i. */
    readonly w: readonly Uint8Array[];
    random(): Uint8Array;
    toObject(element: Uint8Array): bigint;
  };
  readonly G1: {
    readonly g: Uint8Array;
    toAffine(point: Uint8Array): Uint8Array;
    /** Plain and big-endian. */
    fromRprUncompressed(from: Uint8Array, at: number): Uint8Array;
    toRprUncompressed(to: Uint8Array, at: number, point: Uint8Array): void;
    /** Each point times `first`, `first * ratio`, ... */
    batchApplyKey(points: Uint8Array, first: Uint8Array, ratio: Uint8Array): Promise<Uint8Array>;
    /** Of a secret's powers: the value of each of Lagrange's polynomials at the secret. */
    lagrangeEvaluations(powers: Uint8Array, from: "affine", to: "affine"): Promise<Uint8Array>;
  };
  readonly G2: {
    readonly g: Uint8Array;
    toAffine(point: Uint8Array): Uint8Array;
    timesFr(point: Uint8Array, factor: Uint8Array): Uint8Array;
    toObject(point: Uint8Array): readonly (readonly bigint[])[];
  };
}

export interface Snarkjs {
  readonly curves: { getCurveFromName(name: "bn128"): Promise<SnarkjsCurve> };
  readonly wtns: {
    calculate(input: Readonly<Record<string, unknown>>, wasm: SnarkjsFile, to: SnarkjsFile): Promise<void>;
  };
  readonly groth16: {
    prove(
      key: SnarkjsFile,
      witness: SnarkjsFile,
      logger?: SnarkjsLogger,
    ): Promise<{ readonly proof: SnarkjsProof; readonly publicSignals: readonly string[] }>;
    verify(key: unknown, values: readonly string[], proof: SnarkjsProof): Promise<boolean>;
  };
  readonly powersOfTau: {
    newAccumulator(curve: unknown, power: number, to: SnarkjsFile, logger?: SnarkjsLogger): Promise<unknown>;
    readonly contribute: Contribution;
    preparePhase2(from: SnarkjsFile, to: SnarkjsFile, logger?: SnarkjsLogger): Promise<unknown>;
  };
  readonly r1cs: {
    info(file: SnarkjsFile): Promise<{ readonly nConstraints: number }>;
  };
  readonly zKey: {
    newZKey(r1cs: SnarkjsFile, powers: SnarkjsFile, to: SnarkjsFile, logger?: SnarkjsLogger): Promise<unknown>;
    readonly contribute: Contribution;
    verifyFromR1cs(r1cs: SnarkjsFile, powers: SnarkjsFile, key: SnarkjsFile, logger?: SnarkjsLogger): Promise<boolean>;
    exportVerificationKey(key: SnarkjsFile, logger?: SnarkjsLogger): Promise<unknown>;
  };
}

/** Rejects when snarkjs is not installed. The name is kept from the compiler because the package has no types. */
export async function loadSnarkjs(): Promise<Snarkjs> {
  const name: string = "snarkjs";
  return (await import(name)) as Snarkjs;
}
