/**
 * What we use of Axiom's Halo2, typed: PLONK with lookups and KZG over BN254, in WebAssembly of one thread.
 *
 * A panic leaves an instance of WebAssembly with whatever it was in the middle of, so every fault costs the instance; the
 * next one is made from the same file. Left to itself the library's wrapper fetches a reference string, so only what lies
 * below it is used. It is no dependency, not even an optional one: whoever wants it installs it beside us (`npm ci --prefix
 * config/halo2`), or among what the node has anyway.
 */
import { createRequire } from "node:module";

/** A cell of the circuit: its place among the values that the builder has made. */
export type Cell = number;

/** Numbers in decimal. */
export interface Halo2Builder {
  witness(value: string): Cell;
  constant(value: string): Cell;
  add(a: Cell, b: Cell): Cell;
  mul(a: Cell, b: Cell): Cell;
  /** a b + c */
  mul_add(a: Cell, b: Cell, c: Cell): Cell;
  /** (1 - a) b */
  mul_not(a: Cell, b: Cell): Cell;
  inner_product(a: Uint32Array, b: Uint32Array): Cell;
  /** `a` where the bit `by` is 1, else `b`. */
  select(a: Cell, b: Cell, by: Cell): Cell;
  assert_bit(a: Cell): void;
  assert_is_const(a: Cell, value: string): void;
  constrain_equal(a: Cell, b: Cell): void;
  /** 0 <= a < 2^bits */
  range_check(a: Cell, bits: string): void;
  make_public(circuit: Halo2Circuit, a: Cell, column: number): void;
  free(): void;
}

export interface Halo2Config {
  /** The circuit has 2^k rows. */
  readonly k: number;
  readonly numAdvice: number;
  readonly numLookupAdvice: number;
  readonly numInstance: number;
  readonly numLookupBits: number;
  readonly numVirtualInstance: number;
}

export interface Halo2Circuit {
  config(config: Halo2Config): void;
  /** Forgets the values, not the keys. */
  clear(): void;
  assignInstances(): void;
  getCircuitStats(): { readonly advice: number; readonly lookup: number; readonly fixed: number };
  loadParams(params: Uint8Array): void;
  genVk(): void;
  genPk(): void;
  getVk(): Uint8Array;
  loadVk(key: Uint8Array): void;
  prove(): Uint8Array;
  /** Panics where the proof does not hold for the circuit's public values. */
  verify(proof: Uint8Array): void;
  mock(): void;
}

export interface Halo2Module {
  /** Has a panic write its message to `console.error`; without it a panic says nothing. */
  initPanicHook(): void;
  readonly Halo2Wasm: new () => Halo2Circuit;
  readonly Halo2LibWasm: new (circuit: Halo2Circuit) => Halo2Builder;
}

const PACKAGE = "@axiom-crypto/halo2-wasm";
const VERSION = "0.3.4";

/** What it is called when npm installs it. */
export const HALO2_PACKAGES: readonly string[] = [`${PACKAGE}@${VERSION}`];

/** Where it is; throws `MODULE_NOT_FOUND` where it is not installed. */
export function resolveHalo2(): string {
  const name = `${PACKAGE}/js/halo2_wasm.js`;
  try {
    return createRequire(import.meta.url).resolve(name);
  } catch {
    return createRequire(new URL("../../../config/halo2/package.json", import.meta.url)).resolve(name);
  }
}

/** An instance of its own: it is made when the file is loaded, so the file is loaded anew. */
export function loadHalo2(): Halo2Module {
  const require = createRequire(import.meta.url);
  const file = resolveHalo2();
  delete require.cache[file];
  const module = require(file) as Halo2Module;
  module.initPanicHook();
  return module;
}
