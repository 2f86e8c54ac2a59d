/**
 * JSON-RPC over http(s) or ws(s) whose every failure is a value with a code.
 *
 * Uses viem's lowest layer: one request, one answer, JSON as the node sent it. Trying again is the caller's business,
 * because only the caller knows what else it would like to know by then.
 */
import { getHttpRpcClient, getWebSocketRpcClient } from "viem/utils";
import { publicUrl, redacted } from "../address.ts";
import type { Fault } from "../ports.ts";

export interface RpcFault extends Fault {
  /** How long the node asked to be left alone. */
  readonly retryAfterMs?: number;
}

export type RpcResult =
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; readonly fault: RpcFault };

export interface RpcOptions {
  /** http(s):// or ws(s)://, with credentials if the node wants them. */
  readonly url: string;
  readonly timeoutMs: number;
}

export interface Rpc {
  request(method: string, params: readonly unknown[]): Promise<RpcResult>;
  /** Whether the node pushes its heads now. */
  readonly pushing: boolean;
  /** Where the node can push: calls `onHead` for each new head from now on. Ends when it does, or will not. */
  subscribe(onHead: () => void): Promise<void>;
  close(): void;
}

/** A block of 10 MiB (EIP-7934) is a little over twice that in JSON; the rest is generosity. */
const ANSWER_BYTES_MAX = 64 * 1024 * 1024;

const SNIPPET_CHARS = 80;

export function openRpc(options: RpcOptions): Rpc {
  return /^wss?:/i.test(options.url) ? new SocketRpc(options) : new HttpRpc(options);
}

class HttpRpc implements Rpc {
  readonly pushing = false;
  readonly #url: string;
  readonly #closing = new AbortController();
  readonly #client: ReturnType<typeof getHttpRpcClient>;

  constructor(options: RpcOptions) {
    this.#url = options.url;
    this.#client = getHttpRpcClient(options.url, {
      timeout: options.timeoutMs,
      maxResponseBodySize: ANSWER_BYTES_MAX,
      fetchFn: async (input, init) => refuseMarkup(await fetch(input, init)),
    });
  }

  async request(method: string, params: readonly unknown[]): Promise<RpcResult> {
    try {
      const fetchOptions = { signal: this.#closing.signal };
      return unwrap(await this.#client.request({ body: { method, params }, fetchOptions }), this.#url);
    } catch (error) {
      return { ok: false, fault: classify(error, this.#url) };
    }
  }

  async subscribe(): Promise<void> {}

  close(): void {
    this.#closing.abort();
  }
}

type Socket = Awaited<ReturnType<typeof getWebSocketRpcClient>>;

/** Heads are pushed; when the connection is gone the next request makes a new one, and the caller subscribes again. */
class SocketRpc implements Rpc {
  readonly #options: RpcOptions;
  #socket: Socket | null = null;
  #subscription: "none" | "refused" | "on" = "none";
  #closed = false;

  constructor(options: RpcOptions) {
    this.#options = options;
  }

  async request(method: string, params: readonly unknown[]): Promise<RpcResult> {
    const { url, timeoutMs } = this.#options;
    try {
      const socket = await this.#connect();
      return unwrap(await socket.requestAsync({ body: { method, params }, timeout: timeoutMs }), url);
    } catch (error) {
      this.#drop();
      return { ok: false, fault: classify(error, url) };
    }
  }

  get pushing(): boolean {
    return this.#subscription === "on";
  }

  async subscribe(onHead: () => void): Promise<void> {
    const socket = this.#socket;
    if (socket === null || this.#subscription !== "none") return;
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const late = setTimeout(() => resolve(false), this.#options.timeoutMs);
    socket.request({
      body: { method: "eth_subscribe", params: ["newHeads"] },
      onError: () => {
        if (socket === this.#socket) this.#drop();
        resolve(false);
        onHead();
      },
      onResponse: (message: unknown) => {
        // The first answer is the subscription's name, all others are heads.
        if (isRecord(message) && message["method"] === "eth_subscription") onHead();
        else resolve(isRecord(message) && typeof message["result"] === "string");
      },
    });
    const subscribed = await promise;
    clearTimeout(late);
    // A node that refuses is not asked again over this connection.
    if (socket === this.#socket) this.#subscription = subscribed ? "on" : "refused";
  }

  close(): void {
    this.#closed = true;
    this.#drop();
  }

  async #connect(): Promise<Socket> {
    if (this.#socket !== null) return this.#socket;
    const { url, timeoutMs } = this.#options;
    const { promise: late, reject } = Promise.withResolvers<never>();
    const timer = setTimeout(() => reject(named("TimeoutError", "no connection in time")), timeoutMs);
    try {
      const socket = await Promise.race([getWebSocketRpcClient(url, { keepAlive: true, reconnect: false }), late]);
      this.#socket = socket;
      if (this.#closed) this.#drop();
      return socket;
    } finally {
      clearTimeout(timer);
    }
  }

  #drop(): void {
    const socket = this.#socket;
    this.#socket = null;
    this.#subscription = "none";
    socket?.close();
  }
}

function unwrap(answer: unknown, url: string): RpcResult {
  if (isRecord(answer)) {
    const error = answer["error"];
    if (isRecord(error)) return { ok: false, fault: rpcFault(error["code"], error["message"], url) };
    if (answer["result"] !== undefined) return { ok: true, value: answer["result"] };
  }
  const shown = JSON.stringify(answer).slice(0, SNIPPET_CHARS);
  return { ok: false, fault: notJsonRpc(url, shown) };
}

function rpcFault(code: unknown, message: unknown, url: string): RpcFault {
  const text = `${publicUrl(url)} answers with error ${String(code)}: ${redacted(String(message), url).slice(0, 200)}`;
  // -32005 is "limit exceeded" (EIP-1474).
  return { code: code === -32005 ? "source.rate-limited" : "source.rpc-error", message: text };
}

function notJsonRpc(url: string, shown: string): RpcFault {
  return {
    code: "source.not-json-rpc",
    message: `${publicUrl(url)} does not speak JSON-RPC; it says: ${redacted(shown, url)}`,
  };
}

/**
 * A login page or a proxy's error page answers 200 now and then. It is looked at before it is parsed, because the
 * parser's complaint says too little of it.
 */
async function refuseMarkup(response: Response): Promise<Response> {
  const type = response.headers.get("content-type") ?? "";
  if (type.includes("json") || response.status === 429 || response.status >= 500) return response;
  const reader = response.clone().body?.getReader();
  const chunk = await reader?.read();
  void reader?.cancel().catch(() => {});
  const start = new TextDecoder().decode(chunk?.value?.subarray(0, 4 * SNIPPET_CHARS)).trimStart();
  if (start.startsWith("{")) return response;
  void response.body?.cancel().catch(() => {});
  throw named("NotJsonRpc", start.replace(/\s+/g, " ").slice(0, SNIPPET_CHARS));
}

function named(name: string, message: string): Error {
  const error = new Error(message);
  error.name = name;
  return error;
}

/** viem wraps errors in errors; the innermost that says something decides. */
function classify(error: unknown, url: string): RpcFault {
  const shown = publicUrl(url);
  for (let cause: unknown = error; isRecord(cause); cause = cause["cause"]) {
    switch (cause["name"]) {
      case "NotJsonRpc":
        return notJsonRpc(url, String(cause["message"]));
      case "SyntaxError":
        return notJsonRpc(url, String(cause["message"]).slice(0, SNIPPET_CHARS));
      case "TimeoutError":
        return { code: "source.timeout", message: `${shown} does not answer in time` };
      case "ResponseBodyTooLargeError":
        return { code: "source.too-large", message: `${shown} answers with more than ${ANSWER_BYTES_MAX} bytes` };
      case "RpcRequestError":
      case "HttpRequestError":
        if (typeof cause["status"] === "number") return statusFault(cause["status"], cause["headers"], shown);
        if (cause["name"] === "RpcRequestError") return rpcFault(cause["code"], cause["details"], url);
    }
  }
  return { code: "source.unreachable", message: `${shown} cannot be reached: ${redacted(innermost(error), url)}` };
}

function statusFault(status: number, headers: unknown, shown: string): RpcFault {
  const wait = headers instanceof Headers ? retryAfterMs(headers.get("retry-after"), Date.now()) : null;
  const code = status === 429 ? "source.rate-limited" : status >= 500 ? "source.unavailable" : "source.refused";
  const fault: RpcFault = { code, message: `${shown} answers with HTTP status ${status}` };
  return wait === null ? fault : { ...fault, retryAfterMs: wait };
}

/** `Retry-After` is a number of seconds or a date (RFC 9110, 10.2.3). */
export function retryAfterMs(header: string | null, wallMs: number): number | null {
  if (header === null) return null;
  const seconds = /^\d+$/.test(header.trim()) ? Number(header) : (Date.parse(header) - wallMs) / 1000;
  return Number.isFinite(seconds) ? Math.max(0, Math.round(seconds * 1000)) : null;
}

function innermost(error: unknown): string {
  let inner = error;
  while (isRecord(inner) && isRecord(inner["cause"])) inner = inner["cause"];
  if (!isRecord(inner)) return String(inner);
  const text = inner["code"] ?? inner["message"];
  return typeof text === "string" && text !== "" ? text : "connection failed";
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null;
}
