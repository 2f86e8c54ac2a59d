/**
 * Reports to Ethproofs: `queued` and `proving` when a block is announced and opened, `proved` with the proof when it is
 * certified.
 *
 * Its rules, which no answer explains: `proved` does not make a block's row, so one of the others goes before it, or the
 * answer is 500; both put a row back that is not proved yet, so neither is repeated out of order; 409 means that the
 * block is proved, by whomever; errors are plain text, but for 429; 60 requests a minute for a key.
 */
import type { CertifiedBlock, Done, Notice, Presence, Result, Sink, SinkFault } from "../ports.ts";
import { failSafe } from "./answer.ts";
import type { BarrierContent, BarrierTask } from "../protocol/certificate.ts";
import type { Hash } from "../protocol/ids.ts";
import { type HttpAnswer, type HttpRequest, refusal, request } from "./http.ts";
import type { ProvingTimes } from "./times.ts";
import { RequestWindow } from "./window.ts";

/** Which of a block's proofs is the cluster's. */
export interface Reported {
  /** `null`: the last one. */
  readonly stage: string | null;
  /** `null`: any. */
  readonly system: string | null;
}

export interface EthproofsOptions extends Reported {
  readonly network: Hash;
  readonly url: string;
  readonly apiKey: string;
  /** The team's small number of the cluster, as `POST /clusters` returned it. */
  readonly cluster: number;
  /** Only blocks whose height this divides. */
  readonly every: number;
  readonly requestsPerMinute: number;
  readonly timeoutMs: number;
}

export interface EthproofsCollaborators {
  readonly times: ProvingTimes;
  /** How long the block took to prove up to a stage, where the log still says so. */
  readonly provingMs: (block: Hash, which: Reported) => number | null;
  /** A proof's bytes, from this node or its peers. */
  readonly proof: (artefact: Hash, bytesMax: number, done: Done<Uint8Array>) => void;
  /** How many bytes of public values stand before the proof in a task's artefact; none if left out. */
  readonly valuesBefore?: (content: BarrierContent, task: BarrierTask) => number;
}

/** What fits a request of 6 MB in base64. */
const PROOF_BYTES_MAX = 4_500_000;
/** Notices that wait; reports of blocks long past tell nobody anything. */
const NOTICES_MAX = 32;
/** Peers that have the proof may be away; after so many tries it is taken to be gone. */
const PROOF_TRIES_MAX = 10;
/** Heights whose row this process has made. */
const ROWS_MAX = 1024;

type State = "queued" | "proving" | "proved";

export function ethproofsSink(options: EthproofsOptions, collaborators: EthproofsCollaborators): Sink {
  return new EthproofsSink(options, collaborators);
}

class EthproofsSink implements Sink {
  readonly #options: EthproofsOptions;
  readonly #collaborators: EthproofsCollaborators;
  readonly #closing = new AbortController();
  readonly #window: RequestWindow;
  /** One thing after the other: posts about one block must arrive in their order. */
  #last: Promise<unknown> = Promise.resolve();
  #notices = 0;
  readonly #rows = new Set<number>();
  #versions: ReadonlySet<string> | null = null;
  readonly #proofTries = new Map<Hash, number>();

  constructor(options: EthproofsOptions, collaborators: EthproofsCollaborators) {
    this.#options = options;
    this.#collaborators = collaborators;
    this.#window = new RequestWindow(options.requestsPerMinute, this.#closing.signal);
  }

  look(block: CertifiedBlock, done: Done<Presence, SinkFault>): void {
    void this.#inTurn(() => this.#look(block)).then(done);
  }

  deliver(block: CertifiedBlock, done: Done<void, SinkFault>): void {
    void this.#inTurn(() => this.#deliver(block)).then(done);
  }

  notice({ state, height, block }: Notice): void {
    if (!this.#reports(height)) return;
    const { requestsPerMinute } = this.#options;
    if (state === "certified") {
      const ms = this.#collaborators.provingMs(block, this.#options);
      if (ms !== null) this.#collaborators.times.note(block, ms);
      return;
    }
    // What is left of the limit belongs to proofs.
    if (this.#notices >= NOTICES_MAX || this.#window.left - this.#notices < requestsPerMinute / 2) return;
    this.#notices++;
    void this.#inTurn(async () => {
      this.#notices--;
      return await this.#post(state, height, {});
    });
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await this.#last;
  }

  #reports(height: number): boolean {
    return height % this.#options.every === 0;
  }

  #inTurn<T>(run: () => Promise<Result<T, SinkFault>>): Promise<Result<T, SinkFault>> {
    const turn = this.#last.then(async () => {
      const result = await failSafe("ethproofs", run);
      return result.ok || !this.#closing.signal.aborted ? result : fault("ethproofs.closed", "the sink is closed");
    });
    this.#last = turn;
    return turn;
  }

  async #look({ height, block }: CertifiedBlock): Promise<Result<Presence, SinkFault>> {
    if (!this.#reports(height)) return { ok: true, value: { kind: "there" } };
    const versions = await this.#clusterVersions();
    if (!versions.ok) return versions;
    const answer = await this.#ask("GET", `/proofs?block=${height}&limit=1000`);
    if (!answer.ok) return answer;
    const proofs = member(parse(answer.value.text), "proofs");
    if (!Array.isArray(proofs)) return fault("ethproofs.malformed", "the list of proofs is none");
    const there = proofs.some(
      (row: unknown) =>
        member(row, "proof_status") === "proved" &&
        member(row, "block_number") === height &&
        versions.value.has(String(member(row, "cluster_version_id"))),
    );
    if (there) this.#collaborators.times.forget(block);
    return { ok: true, value: { kind: there ? "there" : "missing" } };
  }

  /** Rows name versions of clusters by ids that only this list connects with the team's numbers. */
  async #clusterVersions(): Promise<Result<ReadonlySet<string>, SinkFault>> {
    if (this.#versions !== null) return { ok: true, value: this.#versions };
    const answer = await this.#ask("GET", "/clusters");
    if (!answer.ok) return answer;
    const clusters = parse(answer.value.text);
    const { cluster } = this.#options;
    const own = Array.isArray(clusters) ? clusters.find((each: unknown) => member(each, "id") === cluster) : undefined;
    const versions = member(own, "versions");
    if (!Array.isArray(versions)) return fault("ethproofs.cluster", `the team has no cluster ${cluster}`);
    this.#versions = new Set(versions.map((version: unknown) => String(member(version, "id"))));
    return { ok: true, value: this.#versions };
  }

  async #deliver(block: CertifiedBlock): Promise<Result<void, SinkFault>> {
    const { times, provingMs } = this.#collaborators;
    const { stage, system } = this.#options;
    const task = block.content.tasks.findLast(
      (each) => (stage === null || each.stage === stage) && (system === null || each.system === system),
    );
    if (task === undefined) {
      const which = `stage ${stage ?? "any"}, system ${system ?? "any"}`;
      return hopeless("ethproofs.stage", `the certificate of ${block.height} names no proof of ${which}`);
    }
    const ms = times.get(block.block) ?? provingMs(block.block, this.#options);
    if (ms === null) return hopeless("ethproofs.time", `this node does not know how long ${block.height} took`);
    const found = await this.#proof(task);
    if (!found.ok) return found;
    const proof = found.value.subarray(this.#collaborators.valuesBefore?.(block.content, task) ?? 0);
    if (!this.#rows.has(block.height)) {
      const row = await this.#post("proving", block.height, {});
      if (!row.ok || row.value === "proved") return this.#done(block, row);
    }
    const proved = await this.#post("proved", block.height, {
      proving_time: Math.max(1, Math.round(ms)),
      proof: Buffer.from(proof).toString("base64"),
      verifier_id: task.key,
    });
    return this.#done(block, proved);
  }

  #done(block: CertifiedBlock, result: Result<"taken" | "proved", SinkFault>): Result<void, SinkFault> {
    if (!result.ok) return result;
    this.#collaborators.times.forget(block.block);
    return { ok: true, value: undefined };
  }

  async #proof({ artefact, bytes }: BarrierTask): Promise<Result<Uint8Array, SinkFault>> {
    if (bytes > PROOF_BYTES_MAX) return hopeless("ethproofs.too-large", `a proof of ${bytes} bytes; it takes 4.5 MB`);
    const found = await new Promise<Result<Uint8Array>>((resolve) => {
      this.#collaborators.proof(artefact, PROOF_BYTES_MAX, resolve);
    });
    const tries = this.#proofTries.get(artefact) ?? 0;
    this.#proofTries.clear();
    if (found.ok) return found;
    this.#proofTries.set(artefact, tries + 1);
    return tries + 1 < PROOF_TRIES_MAX ? found : hopeless(found.fault.code, found.fault.message);
  }

  /** `proved`: the block was proved before, so there is nothing to do. */
  async #post(
    state: State,
    height: number,
    fields: Readonly<Record<string, unknown>>,
  ): Promise<Result<"taken" | "proved", SinkFault>> {
    const body = JSON.stringify({ block_number: height, cluster_id: this.#options.cluster, ...fields });
    const answer = await this.#ask("POST", `/proofs/${state}`, body, [409]);
    if (answer.ok) {
      if (this.#rows.size >= ROWS_MAX) this.#rows.clear();
      this.#rows.add(height);
      return { ok: true, value: answer.value.status === 409 ? "proved" : "taken" };
    }
    // Perhaps because the row is gone: the next try makes it again.
    if (state === "proved") this.#rows.delete(height);
    return answer;
  }

  async #ask(
    method: HttpRequest["method"],
    path: string,
    body?: string,
    allowed: readonly number[] = [],
  ): Promise<Result<HttpAnswer, SinkFault>> {
    const { apiKey, timeoutMs, url } = this.#options;
    await this.#window.take();
    const headers = {
      authorization: `Bearer ${apiKey}`,
      ...(body === undefined ? {} : { "content-type": "application/json" }),
    };
    const target = `${url}${path}`;
    const { signal } = this.#closing;
    const asked = { method, url: target, headers, ...(body === undefined ? {} : { body }) };
    const answer = await request(asked, { timeoutMs, signal });
    if (!answer.ok) return answer;
    const { status, retryAfterMs } = answer.value;
    if (status === 429 && retryAfterMs !== undefined) this.#window.rest(retryAfterMs);
    const good = (status >= 200 && status < 300) || allowed.includes(status);
    return good ? answer : refusal("ethproofs", target, answer.value);
  }
}

function member(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null ? (value as Readonly<Record<string, unknown>>)[name] : undefined;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

function fault(code: string, message: string): { readonly ok: false; readonly fault: SinkFault } {
  return { ok: false, fault: { code, message } };
}

function hopeless(code: string, message: string): { readonly ok: false; readonly fault: SinkFault } {
  return { ok: false, fault: { code, message, hopeless: true } };
}
