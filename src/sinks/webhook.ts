/**
 * Certificates by HTTP POST.
 *
 * The body is the certificate file. The request names the block in `Idempotency-Key` (network/chain/height/block), so
 * that a receiver can tell a repetition: an answer can be lost after the receiver has taken the block. What is signed is
 * `proofmesh/webhook/1`, a zero byte, that key, a line feed and the body:
 *
 *     Proofmesh-Signature: ed25519=<128 hex digits>; key=<the node's key>
 *     Proofmesh-Signature: hmac-sha256=<64 hex digits>
 *
 * Status 2xx means that the receiver has it, durably; everything else is tried again.
 */
import { createHmac } from "node:crypto";
import type { CertifiedBlock, Done, Presence, Result, Signer, Sink, SinkFault } from "../ports.ts";
import { answer } from "./answer.ts";
import { type HttpRequest, refusal, request } from "./http.ts";

export interface WebhookOptions {
  readonly url: string;
  /**
   * Where the receiver tells whether it has a block: an address with `{network}`, `{chain}`, `{height}` and `{block}` in it,
   * which answers 2xx or 404. Without it the receiver is handed every block and goes by the key.
   */
  readonly lookup: string | null;
  readonly timeoutMs: number;
  /** The secret that the receiver shares, or `null`: signed with the node's key. */
  readonly secret: string | null;
}

const DOMAIN = "proofmesh/webhook/1\0";

export function webhookSink(options: WebhookOptions, { signer }: { readonly signer: Signer }): Sink {
  return new WebhookSink(options, signer);
}

export function idempotencyKey({ content, block }: CertifiedBlock): string {
  return `${content.network}/${content.chain}/${content.height}/${block}`;
}

class WebhookSink implements Sink {
  readonly #options: WebhookOptions;
  readonly #signer: Signer;
  readonly #closing = new AbortController();

  constructor(options: WebhookOptions, signer: Signer) {
    this.#options = options;
    this.#signer = signer;
  }

  look(block: CertifiedBlock, done: Done<Presence, SinkFault>): void {
    answer("webhook", () => this.#look(block), done);
  }

  deliver(block: CertifiedBlock, done: Done<void, SinkFault>): void {
    answer("webhook", () => this.#deliver(block), done);
  }

  async close(): Promise<void> {
    this.#closing.abort();
  }

  async #look(block: CertifiedBlock): Promise<Result<Presence, SinkFault>> {
    const { lookup } = this.#options;
    if (lookup === null) return { ok: true, value: { kind: "missing" } };
    const { network, chain, height } = block.content;
    const named: Readonly<Record<string, string>> = {
      network,
      chain: String(chain),
      height: String(height),
      block: block.block,
    };
    const url = lookup.replace(/\{(\w+)\}/g, (whole, name: string) => named[name] ?? whole);
    const key = idempotencyKey(block);
    const answered = await this.#request({ method: "GET", url, headers: this.#headers(key, new Uint8Array()) });
    if (!answered.ok) return answered;
    const { status } = answered.value;
    if (status >= 200 && status < 300) return { ok: true, value: { kind: "there" } };
    if (status === 404) return { ok: true, value: { kind: "missing" } };
    return refusal("webhook", url, answered.value);
  }

  async #deliver(block: CertifiedBlock): Promise<Result<void, SinkFault>> {
    const { url } = this.#options;
    const headers = { "content-type": "application/json", ...this.#headers(idempotencyKey(block), block.bytes) };
    const answered = await this.#request({ method: "POST", url, headers, body: new Uint8Array(block.bytes) });
    if (!answered.ok) return answered;
    const { status } = answered.value;
    return status >= 200 && status < 300 ? { ok: true, value: undefined } : refusal("webhook", url, answered.value);
  }

  #request(asked: HttpRequest): ReturnType<typeof request> {
    return request(asked, { timeoutMs: this.#options.timeoutMs, signal: this.#closing.signal });
  }

  #headers(key: string, body: Uint8Array): Readonly<Record<string, string>> {
    return { "idempotency-key": key, "proofmesh-signature": this.#sign(key, body) };
  }

  #sign(key: string, body: Uint8Array): string {
    const message = Buffer.concat([Buffer.from(`${DOMAIN}${key}\n`), body]);
    const { secret } = this.#options;
    if (secret !== null) return `hmac-sha256=${createHmac("sha256", secret).update(message).digest("hex")}`;
    return `ed25519=${Buffer.from(this.#signer.sign(message)).toString("hex")}; key=${this.#signer.key}`;
  }
}
