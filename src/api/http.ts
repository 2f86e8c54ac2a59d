/**
 * A small HTTP endpoint for the operator of this node: health, status, certificates, artefacts, the log, submitting
 * blocks. Bound to loopback by default; it authenticates nobody.
 */
import http from "node:http";
import { isIP } from "node:net";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { setTimeout as delay } from "node:timers/promises";
import type { SourceBlock, StoredCertificate } from "../ports.ts";
import { type Batch, exportLine } from "../protocol/batch.ts";
import { payloadOf } from "../protocol/ethereum.ts";
import type { PayloadForm } from "../protocol/statement.ts";
import { type Hash, isHash, type Key } from "../protocol/ids.ts";
import { isVoteKind, VOTE_KINDS, type VoteKind } from "../protocol/votes.ts";
import { PAYLOAD_BYTES_MAX } from "../protocol/limits.ts";
import { type Files, sendFile, takePiece } from "./artefacts.ts";
import { ApiFault } from "./fault.ts";

export interface ApiOptions {
  readonly host: string;
  /** 0 for any free port. */
  readonly port: number;
}

export interface ApiModules {
  readonly manifest: Uint8Array;
  readonly status: () => unknown;
  /** Why the node signs nothing, or `null` while it is well. */
  readonly health: () => string | null;
  /** By partition; of an undivided network (`null`) all are in one. */
  readonly batches: () => readonly { readonly partition: string | null; readonly batches: readonly Batch[] }[];
  readonly certificate: (chain: number, height: number) => Promise<readonly StoredCertificate[]>;
  readonly certificates: (chain: number, from: number, countMax: number) => Promise<readonly StoredCertificate[]>;
  readonly files: Files;
  /** Has a file here, from peers if need be; rejects with `artefact.unavailable` where nobody has it. */
  readonly fetch: (hash: Hash) => Promise<void>;
  /** Tasks that are not complete, and all that is known of one. */
  readonly tasks: () => unknown;
  readonly task: (name: TaskName) => unknown;
  /** A certificate of votes about the task; of the last attempt that has one where none is given. */
  readonly voteCertificate: (name: TaskName, kind: VoteKind, attempt: number | null) => Uint8Array | null;
  /** What is known against a key; in any partition where none is given. */
  readonly evidence: (key: Key, partition: string | null) => Uint8Array | null;
  readonly requeue: (name: TaskName) => Promise<unknown>;
  readonly submit: (block: SourceBlock) => Promise<void>;
  /** What the payloads of a chain carry. */
  readonly formOf: (chain: number) => PayloadForm;
}

/** How operators name a task; the same as in `core/bundle.ts`. */
interface TaskName {
  readonly chain: number;
  readonly height: number;
  readonly stage: string;
  readonly index: number;
}

export interface ApiServer {
  readonly address: string;
  close(): Promise<void>;
}

/** A block's JSON is about twice its bytes. */
const BODY_BYTES_MAX: number = 3 * PAYLOAD_BYTES_MAX;
const REQUEST_MS_MAX = 30_000;
const HEADERS_MS_MAX = 5_000;
/** Node looks for requests that are late this often; by default it would let them be so for half a minute. */
const LATE_EVERY_MS = 1_000;
/**
 * A connection on which nothing moves, in either direction: whoever does not read its answer holds it in our memory.
 * Longer than our own command line waits for a block to be announced.
 */
const IDLE_MS_MAX = 35_000;
/** A fetch that takes longer is answered with 202. */
const FETCH_ANSWER_MS = 10_000;
const CONNECTIONS_MAX = 64;
/** Answers of many megabytes, at once. */
const LARGE_MAX = 8;
/** Bodies that are being read, all together. */
const BODIES_BYTES_MAX: number = 2 * BODY_BYTES_MAX;
const CERTIFICATES_MAX = 256;
/** Of certificates in one answer; whoever wants more asks from the next height on. */
const CERTIFICATES_BYTES_MAX: number = 8 * 1024 * 1024;

/** Throws `listen.in-use` where something else has the port. */
export function openApi(options: ApiOptions, modules: ApiModules): Promise<ApiServer> {
  const limits = {
    requestTimeout: REQUEST_MS_MAX,
    headersTimeout: HEADERS_MS_MAX,
    connectionsCheckingInterval: LATE_EVERY_MS,
  };
  let large = 0;
  const bodies = { bytes: 0 };
  const server = http.createServer(limits, (request, response) => {
    const { pathname } = pathOf(request);
    const isLarge = LARGE.test(pathname);
    if (isLarge && large >= LARGE_MAX) {
      return refuse(response, new ApiFault(503, "http.busy", `${LARGE_MAX} large requests are being answered`));
    }
    if (isLarge) {
      large++;
      response.once("close", () => large--);
    }
    answer(modules, bodies, request, response).catch((error: unknown) => refuse(response, error));
  });
  server.maxConnections = CONNECTIONS_MAX;
  server.setTimeout(IDLE_MS_MAX);
  return new Promise((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) => {
      const inUse = error.code === "EADDRINUSE";
      const message = inUse
        ? `${options.host}:${options.port} is in use by another process; give another --http host:port, or --http off`
        : `cannot listen on ${options.host}:${options.port}: ${error.message}`;
      reject(new ApiFault(500, inUse ? "listen.in-use" : "listen.failed", message));
    });
    server.listen(options.port, options.host, () => {
      const bound = server.address();
      const port = bound !== null && typeof bound === "object" ? bound.port : options.port;
      resolve({
        address: `http://${options.host}:${port}`,
        close: () =>
          new Promise<void>((done) => {
            server.close(() => done());
            server.closeAllConnections();
          }),
      });
    });
  });
}

async function answer(
  modules: ApiModules,
  bodies: Bodies,
  request: http.IncomingMessage,
  response: http.ServerResponse,
): Promise<void> {
  const url = pathOf(request);
  if (isForeign(request)) {
    throw new ApiFault(403, "http.origin", "this endpoint is for programs on this machine, not for pages in a browser");
  }
  const [first = "", ...rest] = url.pathname.split("/").filter((part) => part !== "");
  const method = request.method ?? "GET";
  if (method === "POST" && first === "submit") return submit(modules, url, bodies, request, response);
  if (method === "POST" && first === "tasks" && rest[4] === "requeue")
    return json(response, 200, await modules.requeue(taskName(rest)));
  if (method === "PUT" && first === "artefacts") {
    const hash = hashNamed(rest[0]);
    const [length, from] = ["length", "from"].map((name) => whole(url.searchParams.get(name) ?? undefined, name));
    const bytes = await takePiece(modules.files, { hash, length: length ?? 0, from: from ?? 0 }, request);
    return json(response, 200, { hash, bytes });
  }
  if (method === "POST" && first === "artefacts" && rest[1] === "fetch") {
    const hash = hashNamed(rest[0]);
    // A long file takes longer than a silent connection may: whoever asks again joins the same fetch.
    const timer = new AbortController();
    const going = delay(FETCH_ANSWER_MS, "going", { signal: timer.signal }).catch(() => "going");
    const state = await Promise.race([modules.fetch(hash).then(() => "here"), going]).finally(() => timer.abort());
    return json(response, state === "here" ? 200 : 202, { hash, state });
  }
  if (method !== "GET")
    throw new ApiFault(
      405,
      "http.method",
      `${method} ${url.pathname}: only GET, PUT /artefacts/SHA256, and POST /submit, /tasks/…/requeue and /artefacts/SHA256/fetch`,
    );
  switch (first) {
    case "health": {
      const mute = modules.health();
      return json(response, mute === null ? 200 : 503, { ok: mute === null, mute });
    }
    case "status":
      return json(response, 200, modules.status());
    case "manifest":
      return send(response, 200, "application/json", modules.manifest);
    case "tasks":
      if (rest[4] !== undefined) return sendVotes(modules, url, rest, response);
      return json(response, 200, rest.length === 0 ? modules.tasks() : modules.task(taskName(rest)));
    case "evidence":
      return sendEvidence(modules, url, rest[0] ?? "", response);
    case "log":
      return sendLog(modules, response);
    case "certificates":
      return sendCertificates(modules, url, rest, response);
    case "artefacts":
      return sendFile(modules.files, hashNamed(rest[0]), response);
    default:
      throw new ApiFault(
        404,
        "http.path",
        `${url.pathname}: there are /health /status /manifest /log /tasks[/CHAIN/HEIGHT/STAGE/INDEX[/assignment|timeout|credit]] /evidence/KEY /certificates/CHAIN[/HEIGHT] /artefacts/SHA256 /submit`,
      );
  }
}

function hashNamed(hash = ""): Hash {
  if (!isHash(hash)) throw new ApiFault(400, "http.hash", `${hash} is no SHA-256 of 64 lower-case hex digits`);
  return hash;
}

function taskName([chain, height, stage = "", index]: readonly string[]): TaskName {
  return { chain: whole(chain, "chain"), height: whole(height, "height"), stage, index: whole(index, "index") };
}

function sendVotes(modules: ApiModules, url: URL, rest: readonly string[], response: http.ServerResponse): void {
  const [kind = "", attemptText] = [rest[4], url.searchParams.get("attempt")];
  if (!isVoteKind(kind)) throw new ApiFault(400, "http.kind", `${kind} is no kind; allowed: ${VOTE_KINDS.join(", ")}`);
  const attempt = attemptText === null ? null : whole(attemptText, "attempt");
  const found = modules.voteCertificate(taskName(rest), kind, attempt);
  if (found !== null) return send(response, 200, "application/json", found);
  const of = attempt === null ? "" : ` for attempt ${attempt}`;
  throw new ApiFault(
    404,
    "certificate.missing",
    `this node has no ${kind} certificate of ${rest.slice(0, 4).join("/")}${of}`,
  );
}

function sendEvidence(modules: ApiModules, url: URL, key: string, response: http.ServerResponse): void {
  if (!isHash(key)) throw new ApiFault(400, "http.hash", `${key} is no key of 64 lower-case hex digits`);
  const found = modules.evidence(key, url.searchParams.get("partition"));
  if (found === null) throw new ApiFault(404, "evidence.missing", `this node knows nothing against ${key}`);
  return send(response, 200, "application/json", found);
}

/**
 * The endpoint authenticates nobody, and a page that an operator looks at can reach loopback as well: by a form, which
 * names its origin, or under a name of its own that it lets point here. Programs do neither.
 */
function isForeign({ headers, socket }: http.IncomingMessage): boolean {
  const host = (headers.host ?? "").replace(/:\d+$/, "").replace(/^\[|\]$/g, "");
  const isNamed = host !== "" && host !== "localhost" && isIP(host) === 0;
  const isLoopback = /^(?:127\.|::1$|::ffff:127\.)/.test(socket.localAddress ?? "");
  return headers.origin !== undefined || (isLoopback && isNamed && host.includes("."));
}

/** What may hold megabytes in memory for as long as somebody reads them: files, and lists of certificates. */
const LARGE = /^\/+(?:artefacts(?:\/|$)|certificates\/+[^/]+\/*$)/;

/** What is asked for; a path that no URL can have is a path that is not there. */
function pathOf(request: http.IncomingMessage): URL {
  const text = request.url ?? "/";
  const base = "http://node";
  return URL.parse(text.startsWith("/") ? `${base}${text}` : text, base) ?? new URL("/none", base);
}

async function sendCertificates(
  modules: ApiModules,
  url: URL,
  [chainText, heightText]: string[],
  response: http.ServerResponse,
): Promise<void> {
  const chain = whole(chainText, "chain");
  if (heightText === undefined) {
    const from = whole(url.searchParams.get("from") ?? "0", "from");
    const found = await modules.certificates(chain, from, CERTIFICATES_MAX);
    let bytesLeft = CERTIFICATES_BYTES_MAX;
    const fitting = found.filter(({ bytes }) => (bytesLeft -= bytes.length) >= 0);
    return json(
      response,
      200,
      fitting.map(({ height, block, bytes }) => ({ height, block, certificate: Buffer.from(bytes).toString("utf8") })),
    );
  }
  const height = whole(heightText, "height");
  const [found] = await modules.certificate(chain, height);
  if (found === undefined)
    throw new ApiFault(404, "certificate.missing", `this node has no certificate of chain ${chain}, height ${height}`);
  return send(response, 200, "application/json", found.bytes);
}

async function sendLog(modules: ApiModules, response: http.ServerResponse): Promise<void> {
  response.writeHead(200, { "content-type": "application/x-ndjson" });
  const lines = modules.batches().flatMap(({ partition, batches }) => batches.map((batch) => ({ partition, batch })));
  const text = function* () {
    for (const { partition, batch } of lines) yield exportLine(batch, partition);
  };
  // A reader that hangs up is no fault.
  await pipeline(Readable.from(text()), response).catch(() => response.destroy());
}

/** Takes one block as a chain's node returns it (`eth_getBlockByNumber(n, true)`) and answers once it is announced for good. */
async function submit(
  modules: ApiModules,
  url: URL,
  bodies: Bodies,
  request: http.IncomingMessage,
  response: http.ServerResponse,
): Promise<void> {
  const chain = whole(url.searchParams.get("chain") ?? undefined, "chain");
  const block = payloadOf(parse(await body(request, bodies)), modules.formOf(chain));
  if (!block.ok) throw new ApiFault(400, block.fault.code, block.fault.message);
  await modules.submit({ chain, ...block.value });
  json(response, 200, { chain, height: block.value.height, hash: block.value.hash });
}

function parse(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString("utf8")) as unknown;
  } catch (error) {
    throw new ApiFault(
      400,
      "http.json",
      `the body is not JSON: ${error instanceof Error ? error.message : String(error)}`,
    );
  }
}

/** What the bodies that are being read take, over all connections. */
interface Bodies {
  bytes: number;
}

async function body(request: http.IncomingMessage, bodies: Bodies): Promise<Buffer> {
  const parts: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const part of request as AsyncIterable<Buffer>) {
      bytes += part.length;
      bodies.bytes += part.length;
      if (bytes > BODY_BYTES_MAX) throw new ApiFault(413, "http.body", `the body is over ${BODY_BYTES_MAX} bytes`);
      if (bodies.bytes > BODIES_BYTES_MAX) throw new ApiFault(503, "http.busy", "too much is being submitted at once");
      parts.push(part);
    }
    return Buffer.concat(parts);
  } finally {
    bodies.bytes -= bytes;
  }
}

function whole(text: string | undefined, name: string): number {
  if (text !== undefined && /^\d{1,15}$/.test(text)) return Number(text);
  throw new ApiFault(400, "http.number", `${name} is ${text ?? "missing"}; allowed: a whole number`);
}

function json(response: http.ServerResponse, status: number, value: unknown): void {
  send(response, status, "application/json", Buffer.from(`${JSON.stringify(value)}\n`));
}

function send(response: http.ServerResponse, status: number, type: string, bytes: Uint8Array): void {
  response.writeHead(status, { "content-type": type, "content-length": bytes.length });
  response.end(bytes);
}

/** Of faults that are not this endpoint's own, by what they are about. */
const STATUS: Readonly<Record<string, number>> = { submit: 409, tasks: 409, artefact: 404 };

function refuse(response: http.ServerResponse, error: unknown): void {
  const code = error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "internal";
  const status = error instanceof ApiFault ? error.status : (STATUS[code.split(".")[0] ?? ""] ?? 500);
  if (response.headersSent) return void response.destroy();
  json(response, status, { code, message: error instanceof Error ? error.message : String(error) });
}
