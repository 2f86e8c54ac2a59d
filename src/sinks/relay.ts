/**
 * Proofs of certified blocks for a relay, which passes them on: `POST URL?block_hash=0x…&proof_type=NAME` with the bytes of the
 * proof as they are. Status 2xx means that the relay has it, and so does 409; everything else is tried again. A relay cannot
 * be asked what it has, so it gets a proof twice where an answer is lost, under the same hash and type.
 */
import type { CertifiedBlock, Done, Presence, Result, Sink, SinkFault } from "../ports.ts";
import { answer } from "./answer.ts";
import type { Prove } from "./call.ts";
import { refusal, request } from "./http.ts";

export interface RelayOptions {
  /** Without a query. */
  readonly url: string;
  /** What the relay calls proofs of this guest and zkVM, such as `reth-sp1`. */
  readonly proofType: string;
  /** The stage and the proof system whose first proof is handed on; `null` for the last stage, and for any system. */
  readonly stage: string | null;
  readonly system: string | null;
  /** For an `Authorization: Bearer` header; `null` for none. */
  readonly token: string | null;
  readonly timeoutMs: number;
}

const CONFLICT = 409;

export function relaySink(options: RelayOptions, proven: Prove): Sink {
  return new RelaySink(options, proven);
}

class RelaySink implements Sink {
  readonly #options: RelayOptions;
  readonly #proven: Prove;
  readonly #closing = new AbortController();

  constructor(options: RelayOptions, proven: Prove) {
    this.#options = options;
    this.#proven = proven;
  }

  look(_: CertifiedBlock, done: Done<Presence, SinkFault>): void {
    queueMicrotask(() => done({ ok: true, value: { kind: "missing" } }));
  }

  deliver(block: CertifiedBlock, done: Done<void, SinkFault>): void {
    answer("relay", () => this.#deliver(block), done);
  }

  async close(): Promise<void> {
    this.#closing.abort();
  }

  async #deliver(block: CertifiedBlock): Promise<Result<void, SinkFault>> {
    const { url, proofType, stage, system, token, timeoutMs } = this.#options;
    const { tasks, hash, height } = block.content;
    const last = stage ?? tasks.at(-1)?.stage;
    const task = tasks.find((each) => each.stage === last && (system === null || each.system === system));
    if (task === undefined) {
      const message = `the certificate of ${height} names no proof of stage ${last ?? "any"}, system ${system ?? "any"}`;
      return { ok: false, fault: { code: "relay.stage", message, hopeless: true } };
    }
    const found = await this.#proven(block, task);
    if (!found.ok) return found;
    const query = new URLSearchParams({ block_hash: `0x${hash}`, proof_type: proofType });
    const target = `${url}?${query.toString()}`;
    const headers = {
      "content-type": "application/octet-stream",
      ...(token === null ? {} : { authorization: `Bearer ${token}` }),
    };
    const body = new Uint8Array(found.value.proof);
    const asked = { method: "POST", url: target, headers, body } as const;
    const answered = await request(asked, { timeoutMs, signal: this.#closing.signal });
    if (!answered.ok) return answered;
    const { status } = answered.value;
    const isTaken = (status >= 200 && status < 300) || status === CONFLICT;
    return isTaken ? { ok: true, value: undefined } : refusal("relay", url, answered.value);
  }
}
