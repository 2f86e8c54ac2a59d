/** What an EVM chain, or the way to it, refuses: as faults with codes of their own. */
import { BaseError, ContractFunctionRevertedError, HttpRequestError, TimeoutError } from "viem";
import type { SinkFault } from "../ports.ts";
import { publicUrl, redacted } from "../address.ts";
import { lastWords } from "../protocol/words.ts";
import { retryAfter } from "./http.ts";

const DETAILS_CHARS_MAX = 200;

export interface Refused {
  readonly ok: false;
  readonly fault: SinkFault;
}

export function refused(code: string, message: string): Refused {
  return { ok: false, fault: { code, message } };
}

/** viem wraps errors in errors, and names the RPC node's address, which may hold a key, in their messages. */
export function evmFault(error: unknown, rpc: string): Refused {
  if (!(error instanceof BaseError)) {
    const text = error instanceof Error ? error.message : String(error);
    return refused(error instanceof Error && error.name === "AbortError" ? "contract.closed" : "contract.failed", text);
  }
  const cause = error.walk((inner) => inner instanceof ContractFunctionRevertedError);
  if (cause instanceof ContractFunctionRevertedError) {
    const why = redacted(lastWords(cause.data?.errorName ?? cause.reason ?? "reverted"), rpc);
    return refused("contract.refused", `the contract refuses it: ${why.slice(0, DETAILS_CHARS_MAX)}`);
  }
  const shown = publicUrl(rpc);
  const text = redacted(detailsOf(error), rpc);
  if (/insufficient funds/i.test(text)) return refused("contract.funds", `the account cannot pay: ${text}`);
  const answer = error.walk((inner) => inner instanceof HttpRequestError);
  if (!(answer instanceof HttpRequestError)) {
    const late = error.walk((inner) => inner instanceof TimeoutError) !== null;
    if (late) return refused("contract.timeout", `${shown} does not answer in time`);
    return refused("contract.rpc-error", `${shown}: ${text}`);
  }
  if (answer.status === undefined) return refused("contract.unreachable", `${shown} cannot be reached: ${text}`);
  const retryAfterMs = retryAfter(answer.headers?.get("retry-after") ?? null, Date.now());
  const code = answer.status === 429 ? "contract.rate-limited" : "contract.unavailable";
  const fault = { code, message: `${shown} answers with HTTP status ${answer.status}` };
  return { ok: false, fault: retryAfterMs === undefined ? fault : { ...fault, retryAfterMs } };
}

export function detailsOf(error: unknown): string {
  if (!(error instanceof BaseError)) return String(error);
  return (error.details || error.shortMessage).replace(/\s+/g, " ").slice(0, DETAILS_CHARS_MAX);
}
