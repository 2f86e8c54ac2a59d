/**
 * Calls a verifier module that wasm-bindgen has built: `verify_stark(proof, key)` or `verify_stark(proof)`.
 *
 * Each call has an instance of its own. What a call leaves in memory is gone with it, so an answer depends on the
 * arguments alone.
 */
import { type RuntimeFunction, runtimeFunction } from "./module.ts";

/** What we use of WebAssembly's interface, typed: the compiler's library for Node does not have it. */
export interface CompiledModule {
  readonly compiled: unique symbol;
}
interface Memory {
  readonly buffer: ArrayBuffer;
}
interface Table {
  grow(by: number): number;
  set(at: number, value: unknown): void;
}
interface Engine {
  readonly Module: (new (
    bytes: Uint8Array,
  ) => CompiledModule) & {
    imports(module: CompiledModule): readonly { readonly module: string; readonly name: string }[];
  };
  readonly Instance: new (module: CompiledModule, imports: object) => { readonly exports: Exports };
  readonly Memory: new (descriptor: object) => Memory;
  readonly Table: new (descriptor: object) => Table;
}
const { WebAssembly: engine } = globalThis as unknown as { readonly WebAssembly: Engine };

type Exports = Readonly<Record<string, unknown>>;

/** Throws where the module cannot be compiled. */
export function compileModule(bytes: Uint8Array): CompiledModule {
  return new engine.Module(Uint8Array.from(bytes));
}

/** The module's own answer. Throws for a trap, an exception, and an answer that is neither true nor false. */
export function callVerifier(module: CompiledModule, proof: Uint8Array, key: Uint8Array | null): boolean {
  let exports: Exports = {};
  const imports: Record<string, Record<string, unknown>> = {};
  for (const { module: from, name } of engine.Module.imports(module)) {
    const known = runtimeFunction(name);
    if (known === null) throw new Error(`the module imports ${name}`);
    (imports[from] ??= {})[name] = runtime(known, () => exports);
  }
  exports = new engine.Instance(module, imports).exports;
  for (const name of ["__wbindgen_start", "main"]) if (exports[name] !== undefined) functionOf(exports, name)();
  const passed = [proof, ...(key === null ? [] : [key])].flatMap((bytes) => pass(exports, bytes));
  const answer = functionOf(exports, "verify_stark")(...passed);
  if (answer !== 0 && answer !== 1) throw new Error(`the module answered ${String(answer)}, neither true nor false`);
  return answer === 1;
}

function functionOf(exports: Exports, name: string): (...given: readonly number[]) => unknown {
  const found = exports[name];
  if (typeof found !== "function") throw new Error(`the module exports no function ${name}`);
  return found as (...given: readonly number[]) => unknown;
}

function memoryOf({ memory }: Exports): Uint8Array {
  if (!(memory instanceof engine.Memory)) throw new Error("the module exports no memory");
  return new Uint8Array(memory.buffer);
}

function pass(exports: Exports, bytes: Uint8Array): [at: number, length: number] {
  const at = Number(functionOf(exports, "__wbindgen_malloc")(bytes.length, 1)) >>> 0;
  memoryOf(exports).set(bytes, at);
  return [at, bytes.length];
}

const TEXT_BYTES_MAX = 4096;

function runtime(name: RuntimeFunction, exports: () => Exports): (...given: never[]) => unknown {
  const text = (at: number, length: number): string => {
    const from = at >>> 0;
    return new TextDecoder().decode(memoryOf(exports()).subarray(from, from + Math.min(length >>> 0, TEXT_BYTES_MAX)));
  };
  switch (name) {
    case "__wbindgen_throw":
    case "__wbg___wbindgen_throw":
      return (at: number, length: number) => {
        throw new Error(text(at, length));
      };
    case "__wbg_new":
      return () => ({});
    // A stack would tell modules where they run. They get an empty text.
    case "__wbg_stack":
      return (at: number) => new DataView(memoryOf(exports()).buffer).setBigUint64(at >>> 0, 1n, true);
    // A panic reports its message here, and a trap follows.
    case "__wbg_error":
      return (at: number, length: number) => void process.stderr.write(`${text(at, length)}\n`);
    case "__wbindgen_init_externref_table":
      return () => initTable(exports()["__wbindgen_externrefs"]);
    case "__wbindgen_object_drop_ref":
      return () => {};
  }
}

/** The references that wasm-bindgen expects: undefined, null, true, false. */
function initTable(table: unknown): void {
  if (!(table instanceof engine.Table)) throw new Error("the module exports no table of references");
  const first = table.grow(4);
  table.set(0, undefined);
  [undefined, null, true, false].forEach((value, i) => table.set(first + i, value));
}
