/**
 * Blocks from a file or from standard input, as a node's JSON-RPC gives them.
 *
 * Either one block a line (NDJSON), or one file that is one block, pretty-printed as tools leave it. A block may
 * stand alone or in the `result` of the answer it came in.
 */
import { createReadStream } from "node:fs";
import { addAbortSignal } from "node:stream";
import { type EncodedBlock, payloadOf } from "../protocol/ethereum.ts";
import type { Hash } from "../protocol/ids.ts";
import { type PayloadForm, PLAIN } from "../protocol/statement.ts";
import type { Result, Source, Tell } from "../ports.ts";
import type { BlockName } from "./branch.ts";
import { Pace, unlessAborted } from "./pace.ts";

/** A block of the largest size (10 MiB, EIP-7934) is larger in JSON, but such blocks do not exist yet. */
export const LINE_BYTES_MAX: number = 16 * 1024 * 1024;
/** Hashes remembered to know a repetition: 64 bytes each. */
const REPETITIONS_MAX = 65_536;
const BLOCKS_PER_SECOND_MAX = 20;
const BURST_BLOCKS = 64;
const NEWLINE = 0x0a;

/** "-" is standard input. */
export interface FileSourceOptions {
  readonly chain: number;
  readonly path: string;
  /** What the payloads carry beside header and transactions; nothing if left out. */
  readonly form?: PayloadForm;
  readonly blocksPerSecondMax?: number;
  readonly burst?: number;
}

/**
 * Every block of a file in its order; what is wrong with a line is a fault `source.malformed` in its place, and the
 * lines after it follow. A block that was there before is left out. After `source.unreadable` nothing follows.
 */
export async function* readBlocks(
  path: string,
  signal?: AbortSignal,
  form: PayloadForm = PLAIN,
): AsyncGenerator<Result<EncodedBlock>> {
  const name = path === "-" ? "standard input" : path;
  let before: unknown;
  const known = new Set<Hash>();
  for await (const document of documents(path, name, signal)) {
    if (!document.ok) {
      yield document;
      continue;
    }
    const { line, value } = document.value;
    const source = unwrap(value);
    const block = payloadOf(form.parent ? withParent(source, before) : source, form);
    before = source;
    if (!block.ok) {
      yield malformed(name, line, `${block.fault.message} (${block.fault.code})`);
      continue;
    }
    if (known.has(block.value.hash)) continue;
    if (known.size >= REPETITIONS_MAX) known.delete(known.values().next().value ?? "");
    known.add(block.value.hash);
    yield block;
  }
}

/** A block with the header of the one before, which the file may have in the block or as the block before it. */
function withParent(block: unknown, before: unknown): unknown {
  const isObject = typeof block === "object" && block !== null;
  return isObject && !("parent" in block) && before !== undefined ? { ...block, parent: before } : block;
}

/** Heights must rise by one: a file is one branch of one chain. What does not fit is trouble and the end. */
export function fileSource(options: FileSourceOptions): Source {
  return new FileSource(options);
}

class FileSource implements Source {
  readonly #options: FileSourceOptions;
  readonly #closing = new AbortController();
  #running: Promise<void> = Promise.resolve();

  constructor(options: FileSourceOptions) {
    this.#options = options;
  }

  start(after: BlockName | null, emit: Tell): void {
    const { signal } = this.#closing;
    const heard: Tell = (event) => (signal.aborted ? undefined : unlessAborted(emit(event), signal));
    this.#running = this.#run(after, heard).catch((error: unknown) => {
      const { message } = error instanceof Error ? error : new Error(String(error));
      void heard({ kind: "trouble", chain: this.#options.chain, fault: { code: "source.threw", message } });
    });
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await this.#running;
  }

  async #run(after: BlockName | null, emit: Tell): Promise<void> {
    const { chain, path, blocksPerSecondMax = BLOCKS_PER_SECOND_MAX, burst = BURST_BLOCKS } = this.#options;
    const { signal } = this.#closing;
    const pace = new Pace({ perSecondMax: blocksPerSecondMax, burst }, signal);
    let newest = after;
    for await (const result of readBlocks(path, signal, this.#options.form)) {
      const fit = result.ok ? follows(result.value, newest, after) : result;
      if (!fit.ok) {
        void emit({ kind: "trouble", chain, fault: fit.fault });
        break;
      }
      if (fit.value === null) continue;
      await pace.take();
      if (signal.aborted) return;
      const { height, hash, parent, payload, items } = fit.value;
      newest = { height, hash };
      await emit({ kind: "block", block: { chain, height, hash, parent, payload, items } });
    }
    void emit({ kind: "end" });
  }
}

/** The block if it is next, `null` if an earlier run told it. */
function follows(block: EncodedBlock, newest: BlockName | null, after: BlockName | null): Result<EncodedBlock | null> {
  if (newest === null) return { ok: true, value: block };
  const { height, hash } = newest;
  if (block.height === height + 1 && block.parent === hash) return { ok: true, value: block };
  if (newest === after && (block.height < height || block.hash === hash)) return { ok: true, value: null };
  return fault("source.malformed", `block ${block.height} does not follow block ${height} (0x${hash})`);
}

interface Document {
  /** Where it begins, from 1. */
  readonly line: number;
  readonly value: unknown;
}

async function* documents(path: string, name: string, signal?: AbortSignal): AsyncGenerator<Result<Document>> {
  let whole: Uint8Array[] | null = null;
  let wholeBytes = 0;
  let wholeLine = 0;
  let first = true;
  for await (const found of lines(path, name, signal)) {
    if (!found.ok) {
      yield found;
      // In the middle of one large document the rest of it means nothing.
      if (whole !== null) return;
      continue;
    }
    const { line, bytes } = found.value;
    if (whole !== null) {
      whole.push(bytes, Uint8Array.of(NEWLINE));
      wholeBytes += bytes.length + 1;
      if (wholeBytes > LINE_BYTES_MAX) return yield malformed(name, wholeLine, `longer than ${LINE_BYTES_MAX} bytes`);
      continue;
    }
    if (isBlank(bytes)) continue;
    const parsed = parse(bytes);
    // Only a file that does not begin with a whole block can be one block over many lines.
    const alone: boolean = first;
    first = false;
    if (parsed.ok) yield { ok: true, value: { line, value: parsed.value } };
    else if (alone && bytes.toString().trimStart().startsWith("{")) {
      whole = [bytes, Uint8Array.of(NEWLINE)];
      wholeBytes = bytes.length;
      wholeLine = line;
    } else yield malformed(name, line, parsed.fault.message);
  }
  if (whole === null) return;
  const parsed = parse(Buffer.concat(whole));
  if (parsed.ok) yield { ok: true, value: { line: wholeLine, value: parsed.value } };
  else yield malformed(name, wholeLine, parsed.fault.message);
}

/** Lines as bytes; one that is too long is a fault and is skipped without being kept. */
async function* lines(
  path: string,
  name: string,
  signal?: AbortSignal,
): AsyncGenerator<Result<{ readonly line: number; readonly bytes: Buffer }>> {
  let parts: Uint8Array[] = [];
  let length = 0;
  let line = 1;
  const ended = (): Result<{ readonly line: number; readonly bytes: Buffer }> => {
    const bytes = Buffer.concat(parts);
    const result = length > LINE_BYTES_MAX ? malformed(name, line, `longer than ${LINE_BYTES_MAX} bytes`) : null;
    parts = [];
    length = 0;
    return result ?? { ok: true, value: { line: line++, bytes } };
  };
  try {
    for await (const chunk of chunks(path, signal)) {
      let from = 0;
      for (let to = chunk.indexOf(NEWLINE); to !== -1; to = chunk.indexOf(NEWLINE, from)) {
        keep(chunk.subarray(from, to));
        yield ended();
        from = to + 1;
      }
      keep(chunk.subarray(from));
    }
  } catch (error) {
    if (signal?.aborted !== true) yield fault("source.unreadable", `${name} cannot be read: ${codeOf(error)}`);
    return;
  }
  if (length > 0) yield ended();

  function keep(part: Uint8Array): void {
    length += part.length;
    if (length > LINE_BYTES_MAX) parts = [];
    else if (part.length > 0) parts.push(part);
  }
}

function chunks(path: string, signal?: AbortSignal): AsyncIterable<Uint8Array> {
  const stream = path === "-" ? process.stdin : createReadStream(path);
  return signal === undefined ? stream : addAbortSignal(signal, stream);
}

function parse(bytes: Uint8Array): Result<unknown> {
  try {
    return { ok: true, value: JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes)) as unknown };
  } catch (error) {
    return fault("source.malformed", error instanceof SyntaxError ? error.message : "not UTF-8");
  }
}

function unwrap(value: unknown): unknown {
  return typeof value === "object" && value !== null && "result" in value ? value.result : value;
}

function isBlank(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte === 0x20 || byte === 0x09 || byte === 0x0d);
}

function malformed(name: string, line: number, what: string): Result<never> {
  return fault("source.malformed", `${name}, line ${line}: ${what}`);
}

function fault(code: string, message: string): Result<never> {
  return { ok: false, fault: { code, message } };
}

function codeOf(error: unknown): string {
  if (typeof error === "object" && error !== null && "code" in error) return String(error.code);
  return String(error);
}
