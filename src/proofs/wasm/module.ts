/**
 * Reads a WebAssembly module before it is compiled, and refuses what a verifier does not need.
 *
 * A module may use WebAssembly 2.0: what every engine computes alike. It may not share memory, address it with 64 bits,
 * use threads, relaxed SIMD, exceptions, garbage collection or tail calls. It may import functions of wasm-bindgen's
 * runtime and nothing else, so it reaches no clock, no random number and no file. The compiler of the engine checks the
 * rest, such as types.
 */
import { ascii } from "../bytes.ts";

export interface ModuleImport {
  readonly module: string;
  readonly name: string;
}

export interface ModuleFacts {
  readonly imports: readonly ModuleImport[];
  /** Names of exported functions. */
  readonly functions: ReadonlySet<string>;
  /** Pages of 64 KiB that the memory has at first; `null` where the module has no memory. */
  readonly pages: number | null;
}

const MAGIC = [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0];
const SECTION = { type: 1, import: 2, table: 4, memory: 5, global: 6, export: 7, code: 10 } as const;
/** Custom sections have the id 0, and the count of data segments has the last. */
const SECTION_LAST = 12;
/** i32, i64, f32, f64, v128, funcref, externref. */
const VALUE_TYPES: ReadonlySet<number> = new Set([0x7f, 0x7e, 0x7d, 0x7c, 0x7b, 0x70, 0x6f]);
const REFERENCE_TYPES: ReadonlySet<number> = new Set([0x70, 0x6f]);
const FUNCTION_TYPE = 0x60;
const HAS_MAXIMUM = 1;
const IMPORTS_MAX = 64;

/** The functions of wasm-bindgen's runtime that a verifier may import, without the hash that ends their names. */
export const RUNTIME_FUNCTIONS = [
  "__wbg_new",
  "__wbg_stack",
  "__wbg_error",
  "__wbindgen_throw",
  "__wbg___wbindgen_throw",
  "__wbindgen_init_externref_table",
  "__wbindgen_object_drop_ref",
] as const;
export type RuntimeFunction = (typeof RUNTIME_FUNCTIONS)[number];

/** `null` for the name of anything else. */
export function runtimeFunction(name: string): RuntimeFunction | null {
  const base = name.replace(/_[0-9a-f]{16}$/, "");
  return RUNTIME_FUNCTIONS.find((known) => known === base) ?? null;
}

/** Throws for a module that is malformed or uses more than it may; the message says what. */
export function readModule(bytes: Uint8Array): ModuleFacts {
  const reader = new Reader(bytes, 0, bytes.length);
  if (MAGIC.some((byte) => reader.byte() !== byte)) throw new Error("the file is no WebAssembly module of version 1");
  const facts = { imports: [] as ModuleImport[], functions: new Set<string>(), pages: null as number | null };
  while (!reader.isAtEnd) {
    const id = reader.byte();
    const section = reader.part(reader.u32());
    if (id > SECTION_LAST)
      throw new Error(`the module has a section ${id}; WebAssembly 2.0 has sections up to ${SECTION_LAST}`);
    readSection(id, section, facts);
  }
  return facts;
}

function readSection(
  id: number,
  section: Reader,
  facts: { imports: ModuleImport[]; functions: Set<string>; pages: number | null },
): void {
  switch (id) {
    case SECTION.type:
      return section.each(() => readType(section));
    case SECTION.import:
      return section.each(() => void facts.imports.push(readImport(section, facts.imports.length)));
    case SECTION.table:
      return section.each(() => readTable(section));
    case SECTION.memory:
      return section.each(() => {
        if (facts.pages !== null) throw new Error("the module has more than one memory");
        facts.pages = readLimits(section, "memory");
      });
    case SECTION.global:
      return section.each(() => {
        valueType(section.byte(), VALUE_TYPES);
        section.byte();
        readExpression(section);
      });
    case SECTION.export:
      return section.each(() => {
        const name = section.name();
        if (section.byte() === 0) facts.functions.add(name);
        section.u32();
      });
    case SECTION.code:
      return section.each(() => readBody(section.part(section.u32())));
  }
}

function readType(section: Reader): void {
  const form = section.byte();
  if (form !== FUNCTION_TYPE) throw new Error(`the module has a type of form ${hex(form)}; only functions are allowed`);
  section.each(() => valueType(section.byte(), VALUE_TYPES));
  section.each(() => valueType(section.byte(), VALUE_TYPES));
}

function readImport(section: Reader, count: number): ModuleImport {
  if (count >= IMPORTS_MAX) throw new Error(`the module has more than ${IMPORTS_MAX} imports`);
  const found = { module: section.name(), name: section.name() };
  const isFunction = section.byte() === 0;
  if (!isFunction || runtimeFunction(found.name) === null)
    throw new Error(
      `the module imports ${found.module} ${found.name}; allowed: functions of wasm-bindgen's runtime (${RUNTIME_FUNCTIONS.join(", ")})`,
    );
  section.u32();
  return found;
}

function readTable(section: Reader): void {
  valueType(section.byte(), REFERENCE_TYPES);
  readLimits(section, "table");
}

function readLimits(section: Reader, what: string): number {
  const flags = section.byte();
  if (flags > HAS_MAXIMUM)
    throw new Error(`the module has a ${what} that is shared or of 64 bits (flags ${hex(flags)})`);
  const first = section.u32();
  if (flags === HAS_MAXIMUM) section.u32();
  return first;
}

function valueType(type: number, allowed: ReadonlySet<number>): void {
  if (!allowed.has(type)) throw new Error(`the module has the type ${hex(type)}, which WebAssembly 2.0 does not have`);
}

function readBody(body: Reader): void {
  body.each(() => {
    body.u32();
    valueType(body.byte(), VALUE_TYPES);
  });
  while (!body.isAtEnd) readInstruction(body);
}

/** An initial value: one expression up to its `end`. */
function readExpression(reader: Reader): void {
  while (readInstruction(reader) !== END) continue;
}

const END = 0x0b;
/** What follows an instruction's first byte: none, an index, two indices, a place in memory, and so on. */
const INDEX: ReadonlySet<number> = new Set([0x0c, 0x0d, 0x10, 0x20, 0x21, 0x22, 0x23, 0x24, 0x25, 0x26, 0xd2]);
const PLAIN: ReadonlySet<number> = new Set([0x00, 0x01, 0x05, END, 0x0f, 0x1a, 0x1b, 0xd1]);
const PREFIX_MISC = 0xfc;
const PREFIX_SIMD = 0xfd;

function readInstruction(reader: Reader): number {
  const code = reader.byte();
  if (PLAIN.has(code) || (code >= 0x45 && code <= 0xc4)) return code;
  if (INDEX.has(code)) reader.u32();
  else if (code >= 0x28 && code <= 0x3e) readPlace(reader);
  else if (!readWithOperands(code, reader))
    throw new Error(`the module has the instruction ${hex(code)}, which is not allowed`);
  return code;
}

function readWithOperands(code: number, reader: Reader): boolean {
  switch (code) {
    // block, loop, if
    case 0x02:
    case 0x03:
    case 0x04:
    case 0x41:
    case 0x42:
      reader.skipNumber();
      return true;
    // br_table
    case 0x0e:
      reader.each(() => reader.u32());
      reader.u32();
      return true;
    // call_indirect
    case 0x11:
      reader.u32();
      reader.u32();
      return true;
    // select with types
    case 0x1c:
      reader.each(() => valueType(reader.byte(), VALUE_TYPES));
      return true;
    // memory.size, memory.grow
    case 0x3f:
    case 0x40:
      onlyMemory(reader.byte());
      return true;
    case 0x43:
      reader.skip(4);
      return true;
    case 0x44:
      reader.skip(8);
      return true;
    case 0xd0:
      valueType(reader.byte(), REFERENCE_TYPES);
      return true;
    case PREFIX_MISC:
      return readMisc(reader.u32(), reader);
    case PREFIX_SIMD:
      return readSimd(reader.u32(), reader);
    default:
      return false;
  }
}

/** Indices that follow an instruction of the prefix 0xfc; those below 8 convert numbers and have none. */
const MISC_INDICES: readonly number[] = [2, 1, 2, 1, 2, 1, 2, 1, 1, 1];
const MISC_FIRST = 8;

function readMisc(code: number, reader: Reader): boolean {
  if (code < MISC_FIRST) return true;
  const indices = MISC_INDICES[code - MISC_FIRST];
  for (let i = 0; i < (indices ?? 0); i++) reader.u32();
  return indices !== undefined;
}

/** 128-bit SIMD has codes up to 255. Relaxed SIMD, whose results depend on the machine, has those behind. */
const SIMD_LAST = 255;

function readSimd(code: number, reader: Reader): boolean {
  if (code > SIMD_LAST) return false;
  const isAtPlace = code <= 11 || (code >= 84 && code <= 93);
  if (isAtPlace) readPlace(reader);
  if (code === 12 || code === 13) reader.skip(16);
  if ((code >= 21 && code <= 34) || (code >= 84 && code <= 91)) reader.byte();
  return true;
}

/** Alignment and offset. The bit 6 of the alignment names another memory. */
function readPlace(reader: Reader): void {
  if (reader.u32() >= 64) throw new Error("the module uses more than one memory");
  reader.u32();
}

function onlyMemory(index: number): void {
  if (index !== 0) throw new Error("the module uses more than one memory");
}

function hex(byte: number): string {
  return `0x${byte.toString(16)}`;
}

class Reader {
  readonly #bytes: Uint8Array;
  readonly #end: number;
  #at: number;

  constructor(bytes: Uint8Array, from: number, to: number) {
    this.#bytes = bytes;
    this.#at = from;
    this.#end = to;
  }

  get isAtEnd(): boolean {
    return this.#at === this.#end;
  }

  byte(): number {
    const byte = this.#at < this.#end ? this.#bytes[this.#at] : undefined;
    if (byte === undefined) throw new Error("the module is cut short");
    this.#at++;
    return byte;
  }

  u32(): number {
    let value = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.byte();
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) {
        if (value >= 2 ** 32) break;
        return value;
      }
    }
    throw new Error("a number of the module is above 32 bits");
  }

  /** A signed number of up to 64 bits. */
  skipNumber(): void {
    for (let i = 0; i < 10; i++) if (this.byte() < 0x80) return;
    throw new Error("a number of the module is above 64 bits");
  }

  skip(length: number): void {
    if (length > this.#end - this.#at) throw new Error("the module is cut short");
    this.#at += length;
  }

  part(length: number): Reader {
    const from = this.#at;
    this.skip(length);
    return new Reader(this.#bytes, from, this.#at);
  }

  name(): string {
    const length = this.u32();
    const from = this.#at;
    this.skip(length);
    return ascii(this.#bytes.subarray(from, this.#at));
  }

  /** A list: its length, then so many things. */
  each(read: () => void): void {
    for (let left = this.u32(); left > 0; left--) read();
  }
}
