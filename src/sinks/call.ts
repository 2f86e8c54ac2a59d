/**
 * The proof of a certified block, handed to a contract of any kind: a rollup's own, which verifies it on its L1.
 *
 * The operator names the function and its arguments, and a view function with the value that means "done". The view is
 * asked first, before each transaction and after it, so a block is handed on once, whoever hands it on.
 */
import { type Abi, type AbiFunction, BaseError, type Hex, parseAbiItem, type PublicClient } from "viem";
import { encodeAbiParameters } from "viem/utils";
import type { CertifiedBlock, Presence, Result, Sink, SinkFault } from "../ports.ts";
import type { BarrierTask } from "../protocol/certificate.ts";
import type { Refused } from "./evm.ts";
import { type Argument, type BytesName, constantOf, readArgument, sliceOf, type Word } from "./template.ts";
import { type Call, readAt, type Target, type TransactionOptions, TransactionSink } from "./transactions.ts";

/** A function in human-readable ABI, and its arguments (`template.ts`). */
export interface CallText {
  readonly function: string;
  readonly args: readonly string[];
}

export interface CallOptions extends TransactionOptions {
  readonly call: CallText;
  /** A view function of one result, and the result that it has once the block is handed on. */
  readonly done: CallText & { readonly is: string };
}

/** What a task has proven. */
export interface Proven {
  readonly values: Uint8Array;
  readonly proof: Uint8Array;
}

export type Prove = (block: CertifiedBlock, task: BarrierTask) => Promise<Result<Proven>>;

/** Tasks whose values and proofs are remembered: the contract is asked again and again until a transaction is mined. */
const REMEMBERED_MAX = 8;

/** Throws an `Error` that names what is wrong with a function or an argument. */
export function callSink(options: CallOptions, proven: Prove): Sink {
  return new TransactionSink(options, new CallTarget(options, proven));
}

interface Template {
  readonly item: AbiFunction;
  readonly args: readonly Argument[];
}

class CallTarget implements Target {
  readonly #address: Hex;
  readonly #call: Template;
  readonly #view: Template;
  readonly #is: Argument;
  readonly #proven: Prove;
  /** By the ids of block and task. */
  readonly #remembered = new Map<string, Proven>();

  constructor({ address, call, done }: CallOptions, proven: Prove) {
    this.#address = address;
    this.#call = templateOf("call", call);
    this.#view = templateOf("done", done);
    this.#is = readArgument(done.is);
    this.#proven = proven;
    const { stateMutability, outputs } = this.#view.item;
    if ((stateMutability !== "view" && stateMutability !== "pure") || outputs.length !== 1)
      throw new Error(`done: "${done.function}" is no view function with one result`);
    checkType("done.is", this.#is, outputs[0]?.type ?? "");
  }

  async check(): Promise<Refused | null> {
    return null;
  }

  async presence(client: PublicClient, block: CertifiedBlock, depth: number): Promise<Result<Presence, SinkFault>> {
    const { item } = this.#view;
    const [output = { type: "" }] = item.outputs;
    const args = await this.#argumentsOf(this.#view, block);
    if (!args.ok) return args;
    const expected = await this.#valueOf(this.#is, output.type, block);
    if (!expected.ok) return expected;
    const call = { address: this.#address, abi: [item] as Abi, functionName: item.name, args: args.value };
    const found = await readAt(client, depth, async (at) => ({ value: await client.readContract({ ...call, ...at }) }));
    if (found === null) return { ok: true, value: { kind: "missing" } };
    const isSame = encodeAbiParameters([output], [found.value]) === encodeAbiParameters([output], [expected.value]);
    return { ok: true, value: { kind: isSame ? "there" : "missing" } };
  }

  async call(block: CertifiedBlock): Promise<Result<Call, SinkFault>> {
    const { item } = this.#call;
    const args = await this.#argumentsOf(this.#call, block);
    return args.ok ? { ok: true, value: { abi: [item], functionName: item.name, args: args.value } } : args;
  }

  async #argumentsOf({ item, args }: Template, block: CertifiedBlock): Promise<Result<readonly unknown[], SinkFault>> {
    const values: unknown[] = [];
    for (const [at, argument] of args.entries()) {
      const value = await this.#valueOf(argument, item.inputs[at]?.type ?? "", block);
      if (!value.ok) return value;
      values.push(value.value);
    }
    return { ok: true, value: values };
  }

  async #valueOf(argument: Argument, type: string, block: CertifiedBlock): Promise<Result<unknown, SinkFault>> {
    switch (argument.kind) {
      case "constant":
        return { ok: true, value: constantOf(argument.text, type) };
      case "word":
        return { ok: true, value: wordOf(argument.word, block) };
      case "bytes":
        return await this.#bytesOf(argument.name, block);
    }
  }

  async #bytesOf(name: BytesName, block: CertifiedBlock): Promise<Result<Hex, SinkFault>> {
    // Where any k of n proofs are enough, the certificate names the k. No block is passed over: the contract wants them in order.
    const task = block.content.tasks.find(
      ({ stage, index }) => stage === name.stage && (name.index === null || index === name.index),
    );
    if (task === undefined) {
      const message = `the certificate of ${block.height} names no task ${name.index ?? "at all"} of stage ${name.stage}`;
      return { ok: false, fault: { code: "contract.no-task", message } };
    }
    const found = await this.#provenBy(block, task);
    if (!found.ok) return found;
    const bytes = found.value[name.part];
    const slice = sliceOf(bytes, name);
    if (slice !== null) return { ok: true, value: slice };
    const message = `the ${name.part} of stage ${name.stage} of ${block.height} have ${bytes.length} bytes, fewer than the slice`;
    return { ok: false, fault: { code: "contract.slice", message } };
  }

  async #provenBy(block: CertifiedBlock, task: BarrierTask): Promise<Result<Proven>> {
    const name = `${block.block}/${task.stage}/${task.index}`;
    const known = this.#remembered.get(name);
    if (known !== undefined) return { ok: true, value: known };
    const found = await this.#proven(block, task);
    if (!found.ok) return found;
    const [oldest] = this.#remembered.keys();
    if (this.#remembered.size >= REMEMBERED_MAX && oldest !== undefined) this.#remembered.delete(oldest);
    this.#remembered.set(name, found.value);
    return found;
  }
}

function templateOf(where: string, { function: text, args }: CallText): Template {
  let item: unknown;
  try {
    item = parseAbiItem(text as never);
  } catch (error) {
    const why = error instanceof BaseError ? error.shortMessage : String(error);
    throw new Error(`${where}: "${text}" is no function in human-readable ABI: ${why}`, { cause: error });
  }
  if ((item as AbiFunction).type !== "function")
    throw new Error(
      `${where}: "${text}" is no function; allowed: function NAME(TYPES) with view and returns if need be`,
    );
  const { inputs } = item as AbiFunction;
  if (inputs.length !== args.length)
    throw new Error(`${where}: ${args.length} arguments; "${text}" takes ${inputs.length}`);
  const read = args.map(readArgument);
  for (const [at, argument] of read.entries()) checkType(where, argument, inputs[at]?.type ?? "");
  return { item: item as AbiFunction, args: read };
}

/** A mistake in a type is found when the node starts, and not with the first block. */
function checkType(where: string, argument: Argument, type: string): void {
  const sample = argument.kind === "constant" ? constantOf(argument.text, type) : sampleOf(argument, type);
  try {
    encodeAbiParameters([{ type }], [sample]);
  } catch (error) {
    const shown =
      argument.kind === "constant"
        ? `"${argument.text}"`
        : argument.kind === "word"
          ? `{${argument.word}}`
          : `{${argument.name.part}:${argument.name.stage}}`;
    const why = error instanceof BaseError ? error.shortMessage : String(error);
    throw new Error(`${where}: ${shown} is no ${type}: ${why}`, { cause: error });
  }
}

function sampleOf(argument: Exclude<Argument, { kind: "constant" }>, type: string): unknown {
  if (argument.kind === "word")
    return argument.word === "chain" || argument.word === "height" ? 1n : `0x${"ff".repeat(32)}`;
  const { from, to } = argument.name;
  // Bytes without an end fit a type of any length; whether the proof does is seen with the first block.
  const length = to === null ? Number(/^bytes(\d+)$/.exec(type)?.[1] ?? 1) : to - from;
  return `0x${"ff".repeat(length)}`;
}

function wordOf(word: Word, { block, content, contentHash }: CertifiedBlock): bigint | Hex {
  switch (word) {
    case "chain":
      return BigInt(content.chain);
    case "height":
      return BigInt(content.height);
    case "network":
      return `0x${content.network}`;
    case "block":
      return `0x${block}`;
    case "hash":
      return `0x${content.hash}`;
    case "parent":
      return `0x${content.parent}`;
    case "content":
      return `0x${contentHash}`;
  }
}
