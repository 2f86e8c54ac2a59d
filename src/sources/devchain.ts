/**
 * A chain of one's own: an anvil that lives and dies with this process, for `npm start`, tests and the local network.
 *
 * anvil is a dev dependency; where it is not installed the fault says what to do instead.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname } from "node:path";
import type { Result } from "../ports.ts";
import { openRpc, type Rpc } from "./rpc.ts";
import { Traffic } from "./traffic.ts";

export interface DevChainOptions {
  /** Chain id; 31337 if not given. */
  readonly chain?: number;
  /** 0 (the default): any free port. */
  readonly port?: number;
  /** Seconds between blocks, fractions allowed; `null`: blocks are made by `mine` only. */
  readonly blockTimeS: number | null;
  /** Where the chain is kept between runs; a chain without a file starts over. */
  readonly stateFile?: string;
  readonly slotsInEpoch?: number;
  /** About how many transactions a block gets; 0 (the default): none but those sent with `send`. */
  readonly transactionsPerBlock?: number;
  readonly seed?: number;
}

export interface DevChain {
  readonly chain: number;
  readonly url: string;
  readonly socketUrl: string;
  readonly pid: number;
  /** Resolves when anvil is gone, asked or not. */
  readonly gone: Promise<void>;
  /** Sends so many transactions of the generator; they wait for the next block. */
  send(count: number): Promise<void>;
  mine(blocks: number): Promise<void>;
  /** Replaces the newest blocks by as many others. */
  reorg(depth: number): Promise<void>;
  /** Makes a block for each transaction, or not. */
  setAutomine(on: boolean): Promise<void>;
  /** Remembers the state; `revert` makes the chain shorter again. An id works once. */
  snapshot(): Promise<string>;
  revert(id: string): Promise<void>;
  /** Any call of anvil's; throws what it refuses. */
  call(method: string, params: readonly unknown[]): Promise<unknown>;
  /** Ends the traffic and anvil, which writes its state file. */
  close(): Promise<void>;
}

/** Cold from disk on a busy machine anvil takes seconds; what takes longer hangs. */
const READY_MS_MAX = 30_000;
const CALL_MS_MAX = 10_000;
const CLOSE_MS_MAX = 5_000;
const OUTPUT_CHARS_MAX = 4_000;

/**
 * anvil takes the shell's place, so its pid and its end are our child's. Beside it a subshell reads our end of a pipe
 * that nobody writes: it ends when we do, even by SIGKILL, and then anvil is ended too. A session of its own keeps
 * the terminal's Ctrl-C from reaching anvil before us.
 */
const KEEPER = `exec 3<&0
(
  cat <&3
  kill -TERM $$
  for i in 1 2 3 4 5 6 7 8 9 10; do sleep 0.5; kill -0 $$ || exit 0; done
  kill -KILL $$
) >/dev/null 2>&1 &
exec "$@" 3<&- </dev/null`;

export async function startDevChain(options: DevChainOptions): Promise<Result<DevChain>> {
  const binary = anvilBinary();
  if (binary === null) {
    return failed(
      "devchain.missing",
      "no dev chain: anvil is not installed (npm install). Use --rpc URL for a chain that runs",
    );
  }
  const { chain = 31337, stateFile } = options;
  if (stateFile !== undefined) mkdirSync(dirname(stateFile), { recursive: true });
  const child = spawn("sh", ["-c", KEEPER, "sh", binary, ...anvilArguments(options)], { detached: true });
  const gone = new Promise<void>((resolve) => {
    child.once("error", () => resolve());
    child.once("exit", () => resolve());
  });
  // The keeper waits for this pipe; when anvil is gone it has nothing more to do.
  child.stdin.on("error", () => {});
  void gone.then(() => child.stdin.end());
  const port = await listening(child);
  if (!port.ok) {
    child.kill("SIGKILL");
    return port;
  }
  const url = `http://127.0.0.1:${port.value}`;
  const rpc = openRpc({ url, timeoutMs: CALL_MS_MAX });
  return { ok: true, value: new AnvilChain({ ...options, chain }, url, child, gone, rpc) };
}

class AnvilChain implements DevChain {
  readonly chain: number;
  readonly url: string;
  readonly socketUrl: string;
  readonly pid: number;
  readonly gone: Promise<void>;
  readonly #child: ChildProcess;
  readonly #rpc: Rpc;
  readonly #traffic: Traffic;

  constructor(
    options: DevChainOptions & { readonly chain: number },
    url: string,
    child: ChildProcess,
    gone: Promise<void>,
    rpc: Rpc,
  ) {
    const { chain, blockTimeS, transactionsPerBlock = 0, seed = 1 } = options;
    this.chain = chain;
    this.url = url;
    this.socketUrl = url.replace("http:", "ws:");
    this.pid = child.pid ?? 0;
    this.gone = gone;
    this.#child = child;
    this.#rpc = rpc;
    this.#traffic = new Traffic({ chain, seed }, rpc);
    if (transactionsPerBlock > 0 && blockTimeS !== null) {
      this.#traffic.start({ perRound: transactionsPerBlock, roundMs: blockTimeS * 1000 });
    }
  }

  async send(count: number): Promise<void> {
    const sent = await this.#traffic.send(count);
    if (!sent.ok) throw new Error(sent.fault.message);
  }

  async mine(blocks: number): Promise<void> {
    await this.call("anvil_mine", [`0x${blocks.toString(16)}`]);
  }

  async reorg(depth: number): Promise<void> {
    await this.call("anvil_reorg", [depth, []]);
  }

  async setAutomine(on: boolean): Promise<void> {
    await this.call("evm_setAutomine", [on]);
  }

  async snapshot(): Promise<string> {
    return String(await this.call("evm_snapshot", []));
  }

  async revert(id: string): Promise<void> {
    await this.call("evm_revert", [id]);
  }

  async call(method: string, params: readonly unknown[]): Promise<unknown> {
    const answer = await this.#rpc.request(method, params);
    if (!answer.ok) throw new Error(`${method}: ${answer.fault.message}`);
    return answer.value;
  }

  async close(): Promise<void> {
    await this.#traffic.close();
    this.#rpc.close();
    const late = setTimeout(() => this.#child.kill("SIGKILL"), CLOSE_MS_MAX);
    this.#child.kill("SIGTERM");
    await this.gone;
    clearTimeout(late);
  }
}

function anvilArguments(options: DevChainOptions): readonly string[] {
  const { chain = 31337, port = 0, blockTimeS, stateFile, slotsInEpoch } = options;
  const given = ["--host", "127.0.0.1", "--port", String(port), "--chain-id", String(chain)];
  given.push(...(blockTimeS === null ? ["--no-mining"] : ["--block-time", String(blockTimeS)]));
  if (stateFile !== undefined) given.push("--state", stateFile);
  if (slotsInEpoch !== undefined) given.push("--slots-in-an-epoch", String(slotsInEpoch));
  return given;
}

/** The platform's binary itself: the launcher in `.bin` stays as a parent that forwards no signals. */
function anvilBinary(): string | null {
  const names: Readonly<Record<string, string>> = { x64: "amd64", arm64: "arm64" };
  const name = `@foundry-rs/anvil-${process.platform}-${names[process.arch] ?? process.arch}`;
  try {
    const launcher = createRequire(import.meta.url).resolve("@foundry-rs/anvil/package.json");
    return createRequire(launcher).resolve(`${name}/bin/anvil`);
  } catch {
    return null;
  }
}

/** Reads anvil's output until it names its port, and throws the rest away: it writes a line for each request. */
async function listening(child: ChildProcess): Promise<Result<number>> {
  const { promise, resolve } = Promise.withResolvers<Result<number>>();
  let output = "";
  const read = (chunk: Buffer): void => {
    output = (output + chunk.toString()).slice(-OUTPUT_CHARS_MAX);
    const port = /Listening on [^\s]*:(\d+)/.exec(output)?.[1];
    if (port !== undefined) resolve({ ok: true, value: Number(port) });
  };
  const late = setTimeout(() => resolve(failed("devchain.failed", "anvil does not listen")), READY_MS_MAX);
  child.stdout?.on("data", read);
  child.stderr?.on("data", read);
  child.once("error", (error) => resolve(failed("devchain.failed", `anvil cannot be started: ${error.message}`)));
  child.once("close", () => resolve(failed("devchain.failed", `anvil ended: ${output.trim().slice(-500)}`)));
  const result = await promise;
  clearTimeout(late);
  for (const stream of [child.stdout, child.stderr]) stream?.off("data", read).resume();
  return result;
}

function failed(
  code: string,
  message: string,
): { readonly ok: false; readonly fault: { code: string; message: string } } {
  return { ok: false, fault: { code, message } };
}
