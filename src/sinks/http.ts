/** One HTTP request of a sink: with a deadline, without redirects, and with every failure as a value. */
import { publicUrl, redacted, withAuthorization } from "../address.ts";
import type { Result, SinkFault } from "../ports.ts";

export interface HttpRequest {
  readonly method: "GET" | "POST";
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array<ArrayBuffer>;
}

export interface HttpAnswer {
  readonly status: number;
  readonly text: string;
  /** How long the server asked to be left alone. */
  readonly retryAfterMs: number | undefined;
}

export interface HttpOptions {
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

/** More than any answer that is waited for; what is longer is cut off. */
const ANSWER_BYTES_MAX = 4 * 1024 * 1024;
const SHOWN_CHARS_MAX = 200;

/** The server's answer whatever its status; a fault (`http.timeout`, `http.unreachable`) where there is none. */
export async function request(asked: HttpRequest, options: HttpOptions): Promise<Result<HttpAnswer, SinkFault>> {
  const { method, body } = asked;
  const { url, headers } = withAuthorization(asked.url);
  const shown = publicUrl(url);
  try {
    const response = await fetch(url, {
      method,
      headers: { ...headers, ...asked.headers },
      ...(body === undefined ? {} : { body }),
      // A redirect could carry signature and secrets to somebody else.
      redirect: "manual",
      signal: AbortSignal.any([options.signal, AbortSignal.timeout(options.timeoutMs)]),
    });
    const text = await readText(response);
    const retryAfterMs = retryAfter(response.headers.get("retry-after"), Date.now());
    return { ok: true, value: { status: response.status, text, retryAfterMs } };
  } catch (error) {
    if (error instanceof Error && error.name === "TimeoutError") {
      return fault("http.timeout", `${shown} does not answer within ${options.timeoutMs} ms`);
    }
    return fault("http.unreachable", `${shown} cannot be reached: ${redacted(innermost(error), asked.url)}`);
  }
}

/** An answer that was no success, as a fault with what the server says of it. */
export function refusal(prefix: string, url: string, answer: HttpAnswer): { ok: false; fault: SinkFault } {
  const { status, retryAfterMs } = answer;
  const says = redacted(answer.text.replace(/\s+/g, " ").trim(), url).slice(0, SHOWN_CHARS_MAX);
  const code = status === 429 ? "rate-limited" : status >= 500 ? "unavailable" : "refused";
  const message = `${publicUrl(url)} answers with HTTP status ${status}${says === "" ? "" : `: ${says}`}`;
  return {
    ok: false,
    fault: { code: `${prefix}.${code}`, message, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) },
  };
}

/** `Retry-After` is a number of seconds or a date (RFC 9110, 10.2.3). */
export function retryAfter(header: string | null, wallMs: number): number | undefined {
  if (header === null) return undefined;
  const ms = /^\d+$/.test(header.trim()) ? Number(header) * 1000 : Date.parse(header) - wallMs;
  return Number.isFinite(ms) ? Math.max(0, Math.round(ms)) : undefined;
}

async function readText(response: Response): Promise<string> {
  const reader = response.body?.getReader();
  if (reader === undefined) return "";
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    chunks.push(part.value);
    bytes += part.value.length;
    if (bytes > ANSWER_BYTES_MAX) break;
  }
  await reader.cancel().catch(() => {});
  return Buffer.concat(chunks).toString("utf8", 0, ANSWER_BYTES_MAX);
}

function innermost(error: unknown): string {
  let inner = error;
  while (inner instanceof Error && inner.cause !== undefined) inner = inner.cause;
  if (!(inner instanceof Error)) return String(inner);
  return "code" in inner && typeof inner.code === "string" ? inner.code : inner.message;
}

function fault(code: string, message: string): { ok: false; fault: SinkFault } {
  return { ok: false, fault: { code, message } };
}
