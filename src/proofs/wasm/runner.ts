/**
 * Runs a verifier module in a child process of its own, because a worker's limits do not bind WebAssembly's memory. V8
 * limits the memory's pages, the table and the compiled code; this process limits the time. One question at a time.
 *
 * Only true and false are answers. A trap, an exception, a limit and a process that ends are a `WasmTrap`, which says
 * nothing of the proof. The process is then killed, and the next question starts another one.
 *
 * A process that cannot be started, or that ends before it is asked, is a fault of this machine, whatever the proof is.
 */
import { createInterface } from "node:readline";
import { extname } from "node:path";
import { fileURLToPath } from "node:url";
import { type Group, startGroup } from "../../provers/group.ts";
import type { WasmLine } from "./program.ts";
import type { WasmCall } from "./settings.ts";

export class WasmTrap extends Error {
  /** Whether this machine failed before the module was asked, for example for want of memory or descriptors. */
  readonly isOwn: boolean;

  constructor(message: string, isOwn: boolean = false) {
    super(message);
    this.isOwn = isOwn;
  }
}

export interface WasmRunner {
  /** Whether the proof holds, by the module. Rejects with `WasmTrap`. */
  ask(proof: Uint8Array): Promise<boolean>;
  close(): void;
}

const PROGRAM = fileURLToPath(new URL(`program${extname(import.meta.url)}`, import.meta.url));
/** For starting Node and compiling a module of 8 MiB on a busy machine. */
const START_MS_MAX = 60_000;
const HEAP_MIB = 128;
const CODE_MIB = 128;
const TABLE_ENTRIES = 100_000;

interface Running {
  readonly group: Group;
  /** The next line of the process; `null` once it has ended. */
  next(timeoutMs: number): Promise<WasmLine>;
}

export function createWasmRunner(
  module: Uint8Array,
  call: Pick<WasmCall, "key" | "memoryPagesMax" | "timeMsMax">,
): WasmRunner {
  let running: Running | null = null;
  let last: Promise<unknown> = Promise.resolve();
  let isClosed = false;
  const stop = (): void => {
    running?.group.kill();
    running = null;
  };
  const begin = async (): Promise<Running> => {
    try {
      running = start(call);
      send(running, module);
      await verdict(running, START_MS_MAX, "was not ready");
      return running;
    } catch (error) {
      throw new WasmTrap(error instanceof Error ? error.message : String(error), true);
    }
  };
  const answer = async (proof: Uint8Array): Promise<boolean> => {
    if (isClosed) throw new WasmTrap("the verifier is closed");
    try {
      const started = running ?? (await begin());
      send(started, proof);
      if (call.key !== null) send(started, call.key);
      return await verdict(started, call.timeMsMax, "gave no answer");
    } catch (error) {
      stop();
      throw error;
    }
  };
  return {
    ask(proof) {
      const asked = last.then(() => answer(proof));
      last = asked.catch(() => {});
      return asked;
    },
    close() {
      isClosed = true;
      stop();
    },
  };
}

function start({ key, memoryPagesMax }: Pick<WasmCall, "key" | "memoryPagesMax">): Running {
  const limits = [
    `--max-old-space-size=${HEAP_MIB}`,
    `--wasm-max-table-size=${TABLE_ENTRIES}`,
    `--wasm-max-committed-code-mb=${CODE_MIB}`,
  ];
  const group = startGroup({
    command: process.execPath,
    args: [...limits, PROGRAM, key === null ? "no-key" : "key", String(memoryPagesMax)],
  });
  // Without descriptors or processes Node throws nothing here. The child then has no number and may have no pipes.
  if (group.child.pid === undefined || group.child.stdout == null)
    throw new Error("the module's process cannot be started: no processes, descriptors or memory are left");
  const lines: WasmLine[] = [];
  let wake: () => void = () => {};
  const push = (line: WasmLine): void => {
    lines.push(line);
    wake();
  };
  createInterface({ input: group.child.stdout }).on("line", (text) => push(parse(text)));
  group.ended((status, signal) =>
    push({ holds: null, message: `its process ended (${signal ?? `status ${status}`}). ${group.complaint()}`.trim() }),
  );
  const next = async (timeoutMs: number): Promise<WasmLine> => {
    if (lines.length === 0) {
      let timer: NodeJS.Timeout | null = null;
      await new Promise<void>((resolve) => {
        wake = resolve;
        timer = setTimeout(resolve, timeoutMs);
      });
      if (timer !== null) clearTimeout(timer);
    }
    return lines.shift() ?? { holds: null, message: `no answer within ${timeoutMs} ms` };
  };
  return { group, next };
}

async function verdict(running: Running, timeoutMs: number, what: string): Promise<boolean> {
  const { holds, message = "" } = await running.next(timeoutMs);
  if (holds === null) throw new WasmTrap(`the module ${what}: ${message}`);
  return holds;
}

function parse(text: string): WasmLine {
  try {
    const { holds, message } = JSON.parse(text) as WasmLine;
    if (typeof holds === "boolean") return { holds };
    return { holds: null, message: String(message) };
  } catch {
    return { holds: null, message: "its process wrote no line of ours" };
  }
}

function send({ group }: Running, bytes: Uint8Array): void {
  const length = Buffer.alloc(4);
  length.writeUInt32LE(bytes.length);
  group.child.stdin?.write(length);
  group.child.stdin?.write(bytes);
}
