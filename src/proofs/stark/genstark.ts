/**
 * What we use of genSTARK, typed. It is an optional dependency, in JavaScript alone with WebAssembly for its field; its
 * authors call it research and not for production, and it has not changed since 2020.
 */
import type { Assertion } from "./air.ts";

/** A batch of Merkle paths. */
export interface Paths {
  readonly values: readonly Buffer[];
  readonly nodes: readonly (readonly Buffer[])[];
  readonly depth: number;
}

export interface StarkProof {
  readonly evRoot: Buffer;
  readonly evProof: Paths;
  readonly ldProof: {
    readonly lcRoot: Buffer;
    readonly lcProof: Paths;
    readonly components: readonly {
      readonly columnRoot: Buffer;
      readonly columnProof: Paths;
      readonly polyProof: Paths;
    }[];
    readonly remainder: readonly bigint[];
  };
  readonly iShapes: readonly (readonly number[])[];
}

interface Context {
  generateExecutionTrace(): unknown;
}

export interface Stark {
  /** Bits, by the library's own account. */
  readonly securityLevel: number;
  readonly air: {
    readonly field: { newMatrixFrom(rows: readonly (readonly bigint[])[]): unknown };
    initProvingContext: (inputs: readonly unknown[], seed: readonly bigint[]) => Context;
  };
  prove(assertions: readonly Assertion[], inputs: readonly unknown[], seed: readonly bigint[]): StarkProof;
  /** Throws where the proof does not hold. */
  verify(assertions: readonly Assertion[], proof: StarkProof): boolean;
  serialize(proof: StarkProof): Buffer;
  /** Takes anything, and reads memory that was never written where the bytes are too few. */
  parse(bytes: Buffer): StarkProof;
}

export interface StarkOptions {
  readonly extensionFactor: number;
  readonly exeQueryCount: number;
  readonly friQueryCount: number;
  readonly hashAlgorithm: "blake2s256";
  readonly wasm: boolean;
}

export interface Genstark {
  instantiate(source: Buffer, component: string, options: StarkOptions, logger: null): Stark;
}

/** What it is called when npm installs it. */
export const STARK_PACKAGES: readonly string[] = ["@guildofweavers/genstark@0.7.6"];

/** Rejects when it is not installed. The name is kept from the compiler: the package's types are of another time. */
export async function loadGenstark(): Promise<Genstark> {
  const name: string = "@guildofweavers/genstark";
  const { default: module } = (await import(name)) as { readonly default: Genstark };
  return module;
}

/**
 * Proves a trace that was made outside. The library's own language has field arithmetic only, and the bits of a word are
 * none; it holds the trace against every constraint all the same and throws where one does not hold.
 */
export function proveTrace(
  stark: Stark,
  columns: readonly (readonly bigint[])[],
  assertions: readonly Assertion[],
): StarkProof {
  const { air } = stark;
  const original = air.initProvingContext;
  air.initProvingContext = (inputs, seed) => {
    const context = original.call(air, inputs, seed);
    return { ...context, generateExecutionTrace: () => air.field.newMatrixFrom(columns) };
  };
  try {
    return stark.prove(
      assertions,
      [],
      columns.map(() => 0n),
    );
  } finally {
    air.initProvingContext = original;
  }
}
