/**
 * zkboost's Proof Node API as G1 is: one worker in sequence, requests that are idempotent, events that are not replayed when they
 * are failures, and errors as JSON `{code, message}`. Its root is a hash of the body, its proof a hash of root and proof type.
 */
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex, utf8ToBytes } from "@noble/hashes/utils.js";

export interface FakeZkboost {
  readonly url: string;
  provingMs: number;
  /** Reason and error of a proof that fails; `null` for none. */
  failure: { readonly reason: string; readonly error: string } | null;
  /** Events that are lost on the way. */
  losesEvents: boolean;
  /** Statuses with which something in between answers the next questions for a proof; 0 breaks the connection. */
  lost: number[];
  readonly proved: () => number;
  close(): Promise<void>;
}

export const PROOF_TYPES: readonly string[] = ["ethrex-sp1", "ethrex-zisk", "reth-sp1", "reth-zisk"];
const CONFIGURED = "reth-zisk";

export function rootOf(body: Uint8Array): Uint8Array {
  return sha256(body);
}

export async function fakeZkboost(): Promise<FakeZkboost> {
  const proofs = new Map<string, Uint8Array>();
  const requested = new Set<string>();
  const readers = new Map<ServerResponse, string | null>();
  let worker: Promise<void> = Promise.resolve();
  let proved = 0;
  const fake = { provingMs: 20, failure: null as FakeZkboost["failure"], losesEvents: false, lost: [] as number[] };

  const tell = (event: string, root: string, more: object = {}): void => {
    if (fake.losesEvents) return;
    const data = JSON.stringify({ new_payload_request_root: root, proof_type: CONFIGURED, ...more });
    for (const [reader, filter] of readers)
      if (filter === null || filter === root) reader.write(`event: ${event}\ndata: ${data}\n\n`);
  };
  const work = async (root: string): Promise<void> => {
    await new Promise((resolve) => setTimeout(resolve, fake.provingMs));
    requested.delete(root);
    if (fake.failure !== null) return tell("proof_failure", root, fake.failure);
    proved++;
    proofs.set(root, proofOf(root));
    tell("proof_complete", root);
  };
  const request = (types: string | null, body: Uint8Array, response: ServerResponse): void => {
    const names = types?.split(",").filter((name) => name !== "") ?? [];
    const unknown = names.find((name) => !PROOF_TYPES.includes(name));
    const missing = names.find((name) => name !== CONFIGURED);
    if (types === null) return refuse(response, 400, "Failed to deserialize query string: missing field `proof_types`");
    if (unknown !== undefined) return refuse(response, 400, `Unsupported proof type '${unknown}'`);
    if (names.length === 0) return refuse(response, 400, "empty proof types in request");
    if (new Set(names).size < names.length) return refuse(response, 400, "duplicate proof types in request");
    if (missing !== undefined) return refuse(response, 400, `no zkVM configured for proof type '${missing}'`);
    if (body.length < 32) return refuse(response, 400, "invalid SSZ body: offset out of bounds");
    const root = `0x${bytesToHex(rootOf(body))}`;
    if (!requested.has(root) && !proofs.has(root)) {
      requested.add(root);
      worker = worker.then(() => work(root));
    }
    json(response, 200, { new_payload_request_root: root });
  };
  const server = createServer((asked, response) => {
    const url = new URL(asked.url ?? "/", "http://fake");
    const parts: Buffer[] = [];
    asked.on("data", (part: Buffer) => parts.push(part));
    asked.on("end", () => {
      const body = new Uint8Array(Buffer.concat(parts));
      const [, , what, root = "", type = ""] = url.pathname.split("/");
      const route = `${asked.method} ${what}`;
      if (route === "POST execution_proof_requests")
        return request(url.searchParams.get("proof_types"), body, response);
      if (route === "GET execution_proof_requests") {
        const filter = url.searchParams.get("new_payload_request_root");
        response.writeHead(200, { "content-type": "text/event-stream" }).write(": hello\n\n");
        readers.set(response, filter);
        response.on("close", () => readers.delete(response));
        if (filter !== null && proofs.has(filter)) tell("proof_complete", filter);
        return;
      }
      if (route === "GET execution_proofs") {
        const lost = fake.lost.shift();
        if (lost === 0) return void asked.socket.destroy();
        if (lost !== undefined) return refuse(response, lost, "bad gateway");
        const proof = type === CONFIGURED ? proofs.get(root) : undefined;
        if (proof === undefined) return refuse(response, 404, `proof not found for root ${root} and type ${type}`);
        return void response.writeHead(200, { "content-type": "application/octet-stream" }).end(proof);
      }
      if (route === "POST execution_proof_verifications") {
        const wanted = proofOf(url.searchParams.get("new_payload_request_root") ?? "");
        if (url.searchParams.get("proof_type") !== CONFIGURED)
          return refuse(response, 404, `unknown proof_type: ${url.searchParams.get("proof_type")}`);
        return json(response, 200, { status: Buffer.compare(wanted, body) === 0 ? "VALID" : "INVALID" });
      }
      refuse(response, 404, "route not found");
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return Object.assign(fake, {
    url: `http://127.0.0.1:${port}`,
    proved: () => proved,
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  });
}

function proofOf(root: string): Uint8Array {
  return sha256(utf8ToBytes(`${root}/${CONFIGURED}`));
}

function json(response: ServerResponse, status: number, value: unknown): void {
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(value));
}

function refuse(response: ServerResponse, status: number, message: string): void {
  json(response, status, { code: status, message });
}
