/**
 * zkboost's Proof Node API, generation G1 (v0.4 to 0.7): a payload in SSZ goes in, and is known by its hash-tree-root; what
 * became of it comes as server-sent events, and the proof is fetched by root and proof type.
 *
 * Errors are JSON `{code, message}`. Events have no ids, and a slow reader loses some, so nobody may wait for an event alone.
 */
import { createParser } from "eventsource-parser";
import { ask, type Answer, listen } from "../http.ts";

export interface ZkboostServer {
  /** Such as `http://127.0.0.1:3000`. */
  readonly url: string;
  /** Such as `reth-zisk`. */
  readonly proofType: string;
}

export type ZkboostEvent =
  | { readonly kind: "complete" }
  /** `reason`: witness_timeout, proving_timeout, proving_error or internal_error. */
  | { readonly kind: "failure"; readonly reason: string; readonly message: string };

const SMALL_BYTES_MAX = 64 * 1024;
/** It answers before it proves. */
const ANSWER_MS = 10_000;
const ROOT = /^0x[0-9a-f]{64}$/;

/** The server says no. `status` as in HTTP. */
export class ZkboostRefusal extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/** Has the payload proven; said twice it is one request. Returns the payload's root. */
export async function requestProof(server: ZkboostServer, payload: Uint8Array, signal: AbortSignal): Promise<string> {
  const answer = await ask({
    method: "POST",
    url: at(server, `/v1/execution_proof_requests?proof_types=${encodeURIComponent(server.proofType)}`),
    type: "application/octet-stream",
    body: payload,
    bytesMax: SMALL_BYTES_MAX,
    timeoutMs: ANSWER_MS,
    signal,
  });
  const { new_payload_request_root: root } = jsonOf(accepted(answer));
  if (typeof root !== "string" || !ROOT.test(root)) throw new ZkboostRefusal(200, "the answer names no payload root");
  return root;
}

/** The proof, or `null` where there is none yet. */
export async function fetchProof(
  server: ZkboostServer,
  root: string,
  bytesMax: number,
  signal: AbortSignal,
): Promise<Uint8Array | null> {
  const url = at(server, `/v1/execution_proofs/${root}/${encodeURIComponent(server.proofType)}`);
  const answer = await ask({ method: "GET", url, bytesMax, timeoutMs: ANSWER_MS, signal });
  return answer.status === 404 ? null : accepted(answer).body;
}

/** Any error in verifying is INVALID there. */
export async function verifyProof(
  server: ZkboostServer,
  root: string,
  proof: Uint8Array,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<"VALID" | "INVALID"> {
  const query = `new_payload_request_root=${root}&proof_type=${encodeURIComponent(server.proofType)}`;
  const answer = await ask({
    method: "POST",
    url: at(server, `/v1/execution_proof_verifications?${query}`),
    type: "application/octet-stream",
    body: proof,
    bytesMax: SMALL_BYTES_MAX,
    timeoutMs,
    signal,
  });
  const { status } = jsonOf(accepted(answer));
  if (status === "VALID" || status === "INVALID") return status;
  throw new ZkboostRefusal(200, "the answer to a verification is neither VALID nor INVALID");
}

/** What becomes of a root, until the signal ends it or the server does. Proofs that are there are told first, failures never again. */
export async function followProof(
  server: ZkboostServer,
  root: string,
  heard: (event: ZkboostEvent) => void,
  opened: () => void,
  signal: AbortSignal,
): Promise<void> {
  const parser = createParser({
    onEvent: ({ event, data }) => {
      const parsed = eventOf(server, root, event, data);
      if (parsed !== null) heard(parsed);
    },
  });
  const text = new TextDecoder();
  const url = at(server, `/v1/execution_proof_requests?new_payload_request_root=${root}`);
  await listen({ url, type: "text/event-stream", silenceMs: SILENCE_MS, signal, opened }, (part) =>
    parser.feed(text.decode(part, { stream: true })),
  );
}

/** A comment comes every 15 s: a connection that is silent for longer than two of them is dead. */
const SILENCE_MS = 40_000;

function eventOf(server: ZkboostServer, root: string, name: string | undefined, data: string): ZkboostEvent | null {
  let fields: Record<string, unknown>;
  try {
    fields = JSON.parse(data) as Record<string, unknown>;
  } catch {
    return null;
  }
  if (fields["proof_type"] !== server.proofType || fields["new_payload_request_root"] !== root) return null;
  if (name === "proof_complete") return { kind: "complete" };
  if (name !== "proof_failure") return null;
  const { reason, error } = fields;
  return {
    kind: "failure",
    reason: typeof reason === "string" ? reason : "internal_error",
    message: typeof error === "string" ? error : "",
  };
}

function at({ url }: ZkboostServer, path: string): string {
  return `${url.replace(/\/+$/, "")}${path}`;
}

function accepted(answer: Answer): Answer {
  if (answer.status === 200) return answer;
  const { message } = jsonOf(answer);
  throw new ZkboostRefusal(answer.status, typeof message === "string" ? message : `status ${answer.status}`);
}

function jsonOf({ body }: Answer): Record<string, unknown> {
  try {
    const json: unknown = JSON.parse(new TextDecoder().decode(body));
    return typeof json === "object" && json !== null ? (json as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}
