/**
 * An ere-server as eth-act/ere v0.16 is: one program, one prove at a time in the order of arrival, no cancel once it runs, a
 * zkVM's failure as HTTP 200 with `err`, and Twirp's JSON for everything else. Its proofs are hashes of what they prove.
 */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { BinaryReader, BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { sha256 } from "@noble/hashes/sha2.js";
import { utf8ToBytes } from "@noble/hashes/utils.js";

export interface FakeEre {
  readonly url: string;
  /** The program's verifying key. */
  key: Uint8Array;
  /** What the guest commits to, or how it fails. */
  guest: (stdin: Uint8Array, proofs: Uint8Array | null) => { readonly values: Uint8Array } | { readonly error: string };
  /** Every verification ends with this error, whatever the proof is. */
  verifyError: string | null;
  /** How long a prove takes, and after which time health is 503. */
  provingMs: number;
  stuckAfterMs: number;
  /** What becomes of the next questions for its health, in their order; those after them are answered. */
  health: ("reset" | "late" | 502 | 503)[];
  /** Proves begun, and ended, whoever waits for them. */
  readonly begun: () => number;
  readonly ended: () => number;
  close(): Promise<void>;
}

const BYTES = WireType.LengthDelimited;
const MAGIC = utf8ToBytes("fake");

export async function fakeEre(): Promise<FakeEre> {
  let [begun, ended, startedMs] = [0, 0, Number.POSITIVE_INFINITY];
  let turn: Promise<void> = Promise.resolve();
  const fake = {
    key: utf8ToBytes("program 1"),
    guest: ((stdin) => ({ values: sha256(stdin) })) as FakeEre["guest"],
    verifyError: null as string | null,
    provingMs: 20,
    stuckAfterMs: Number.POSITIVE_INFINITY,
    health: [] as FakeEre["health"],
  };
  const prove = async (body: Uint8Array, request: IncomingMessage): Promise<Uint8Array> => {
    const fields = read(body);
    let left = false;
    request.socket.on("close", () => (left = true));
    const mine = turn.then(async () => {
      // Who has gone while it waited is passed over; who goes later is not noticed.
      if (left) return;
      begun++;
      startedMs = performance.now();
      await new Promise((resolve) => setTimeout(resolve, fake.provingMs));
      ended++;
      startedMs = Number.POSITIVE_INFINITY;
    });
    turn = mine;
    await mine;
    const made = fake.guest(fields.get(1) ?? new Uint8Array(), fields.get(2) ?? null);
    if ("error" in made) return refusal(made.error);
    return answer([made.values, proofOf(fake.key, made.values), new Uint8Array(13)]);
  };
  const verify = (body: Uint8Array, response: ServerResponse): Uint8Array | null => {
    const proof = read(body).get(1) ?? new Uint8Array();
    if (!MAGIC.every((byte, at) => proof[at] === byte)) {
      twirp(response, 400, "invalid_argument", "failed to decode proof: unexpected end of input");
      return null;
    }
    if (fake.verifyError !== null) return refusal(fake.verifyError);
    const values = proof.subarray(4 + 32);
    return same(proofOf(fake.key, values), proof) ? answer([values]) : refusal("invalid proof");
  };
  const server = createServer((request, response) => {
    const parts: Buffer[] = [];
    request.on("data", (part: Buffer) => parts.push(part));
    request.on("end", () => {
      const body = new Uint8Array(Buffer.concat(parts));
      const send = (bytes: Uint8Array | null): void => {
        if (bytes === null) return;
        response.writeHead(200, { "content-type": "application/protobuf" }).end(bytes);
      };
      const fail = (error: unknown): void => twirp(response, 400, "malformed", String(error));
      const { url } = request;
      const next = url === "/health" ? fake.health.shift() : undefined;
      if (next === "reset") return void request.socket.destroy();
      // Later than anybody waits for.
      if (next === "late") return;
      if (next !== undefined) return void response.writeHead(next).end();
      if (url === "/health")
        return void response.writeHead(performance.now() - startedMs > fake.stuckAfterMs ? 503 : 200).end();
      if (url === "/twirp/api.ZkvmService/Prove") return void prove(body, request).then(send, fail);
      if (url === "/twirp/api.ZkvmService/Verify") return send(verify(body, response));
      if (url === "/twirp/api.ZkvmService/ProgramVk") return send(answer([fake.key]));
      twirp(response, 404, "bad_route", `no handler for path ${JSON.stringify(url)}`);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return Object.assign(fake, {
    url: `http://127.0.0.1:${port}`,
    begun: () => begun,
    ended: () => ended,
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  });
}

function proofOf(key: Uint8Array, values: Uint8Array): Uint8Array {
  return Buffer.concat([MAGIC, sha256(Buffer.concat([key, values])), values]);
}

function same(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}

function read(bytes: Uint8Array): Map<number, Uint8Array> {
  const reader = new BinaryReader(bytes);
  const fields = new Map<number, Uint8Array>();
  while (reader.pos < reader.len) fields.set(reader.tag()[0], reader.bytes());
  return fields;
}

function answer(values: readonly Uint8Array[]): Uint8Array {
  const ok = new BinaryWriter();
  for (const [at, value] of values.entries()) ok.tag(at + 1, BYTES).bytes(value);
  return new BinaryWriter().tag(1, BYTES).bytes(ok.finish()).finish();
}

function refusal(message: string): Uint8Array {
  return new BinaryWriter().tag(2, BYTES).string(message).finish();
}

function twirp(response: ServerResponse, status: number, code: string, msg: string): void {
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify({ code, msg }));
}
