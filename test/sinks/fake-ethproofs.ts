/**
 * Ethproofs as far as a reporter meets it, with its order of checks: rate limit, key, JSON, shape, cluster, then
 * (for queued and proving) the block's row, then whether it is proved, then the write.
 */
import { z } from "zod";
import type { Answer, Passed } from "./lossy.ts";

const PLACE = z.object({ block_number: z.number().min(0), cluster_id: z.number() });
const PROVED = PLACE.extend({
  proving_time: z.number().positive(),
  proving_cycles: z.int().positive().optional(),
  proof: z.string(),
  verifier_id: z.string().optional(),
});

export interface Row {
  readonly proof_id: number;
  readonly block_number: number;
  readonly cluster_version_id: number;
  proof_status: "queued" | "proving" | "proved";
  proving_time: number | null;
  size_bytes: number | null;
}

export interface EthproofsOptions {
  readonly requests: number;
  readonly windowMs: number;
}

const KEYS: ReadonlySet<string> = new Set(["the key", "another key"]);
/** The team's numbers of its clusters, and the versions of each: the last one counts. */
const CLUSTERS: ReadonlyMap<number, readonly number[]> = new Map([
  [3, [31, 32]],
  [4, [41]],
]);

export class FakeEthproofs {
  readonly rows = new Map<string, Row>();
  /** What was answered to posts, in order: `proved 7 200`. */
  readonly log: string[] = [];
  readonly proofs = new Map<number, Buffer>();
  readonly #blocks = new Set<number>();
  readonly #options: EthproofsOptions;
  readonly #times = new Map<string, number[]>();

  constructor(options: EthproofsOptions = { requests: 100_000, windowMs: 60_000 }) {
    this.#options = options;
  }

  answer(request: Passed): Answer {
    const answer = this.#limited(request) ?? this.#authorised(request);
    const state = /^\/api\/v0\/proofs\/(queued|proving|proved)$/.exec(request.path)?.[1];
    if (state !== undefined) this.log.push(`${state} ${blockIn(request.body)} ${answer.status}`);
    return answer;
  }

  get proved(): readonly number[] {
    return this.log.filter((line) => /^proved .* 200$/.test(line)).map((line) => Number(line.split(" ")[1]));
  }

  #limited({ headers }: Passed): Answer | null {
    const token = /^Bearer (.+)$/.exec(headers.authorization ?? "")?.[1];
    if (token === undefined) return null;
    const nowMs = performance.now();
    const { requests, windowMs } = this.#options;
    const times = (this.#times.get(token) ?? []).filter((each) => each > nowMs - windowMs);
    this.#times.set(token, times);
    const [oldest = nowMs] = times;
    if (times.length < requests) {
      times.push(nowMs);
      return null;
    }
    const retryAfter = Math.ceil((oldest + windowMs - nowMs) / 1000);
    const message = `Rate limit exceeded. Try again in ${retryAfter} seconds`;
    return {
      status: 429,
      headers: { "content-type": "application/json", "retry-after": String(retryAfter), "x-ratelimit-remaining": "0" },
      text: JSON.stringify({ error: "Rate limit exceeded", message, retryAfter }),
    };
  }

  #authorised({ method, path, headers, body }: Passed): Answer {
    const token = headers.authorization?.split(" ")[1] === undefined ? null : headers.authorization.slice(7);
    if (token === null) return text(401, "No API key provided");
    if (!KEYS.has(token)) return text(401, "Invalid API key");
    const url = new URL(path, "http://ethproofs");
    if (method === "GET" && url.pathname === "/api/v0/clusters") return this.#clusters();
    if (method === "GET" && url.pathname === "/api/v0/proofs") return this.#list(Number(url.searchParams.get("block")));
    const state = /^\/api\/v0\/proofs\/(queued|proving|proved)$/.exec(url.pathname)?.[1];
    if (method !== "POST" || state === undefined) return text(404, "not found");
    return this.#post(state as Row["proof_status"], body);
  }

  #clusters(): Answer {
    return json(
      [...CLUSTERS].map(([id, versions]) => ({ id, name: `c${id}`, versions: versions.map((at) => ({ id: at })) })),
    );
  }

  #list(block: number): Answer {
    const proofs = [...this.rows.values()].filter((row) => row.block_number === block);
    return json({ proofs, total_count: proofs.length, limit: 1000, offset: 0 });
  }

  #post(state: Row["proof_status"], body: Buffer): Answer {
    let payload: unknown;
    try {
      payload = JSON.parse(body.toString());
    } catch {
      return text(500, "Internal Server Error");
    }
    const read = (state === "proved" ? PROVED : PLACE).safeParse(payload);
    if (!read.success) return text(400, `Invalid request: ${read.error.message}`);
    const { block_number: block, cluster_id: cluster } = read.data;
    const version = CLUSTERS.get(cluster)?.at(-1);
    if (version === undefined) return text(404, "Cluster not found");
    if (state !== "proved") this.#blocks.add(block);
    const name = `${block}/${version}`;
    const known = this.rows.get(name);
    if (known?.proof_status === "proved") return text(409, "Proof already proved");
    // `proofs.block_number` is a foreign key, and `proved` makes no row of `blocks`.
    if (!this.#blocks.has(block)) return text(500, "Internal server error");
    const row: Row = known ?? {
      proof_id: this.rows.size + 1,
      block_number: block,
      cluster_version_id: version,
      proof_status: state,
      proving_time: null,
      size_bytes: null,
    };
    this.rows.set(name, row);
    row.proof_status = state;
    if (state === "proved") {
      const { proof, proving_time: time } = read.data as z.infer<typeof PROVED>;
      // The column is an integer.
      if (!Number.isInteger(time)) return text(500, "Internal server error");
      this.proofs.set(block, Buffer.from(proof, "base64"));
      row.proving_time = time;
      row.size_bytes = this.proofs.get(block)?.length ?? 0;
    }
    return json({ proof_id: row.proof_id });
  }
}

function blockIn(body: Buffer): string {
  return /"block_number":(\d+)/.exec(body.toString())?.[1] ?? "?";
}

function text(status: number, message: string): Answer {
  return { status, headers: { "content-type": "text/plain" }, text: message };
}

function json(value: unknown): Answer {
  return { status: 200, headers: { "content-type": "application/json" }, text: JSON.stringify(value) };
}
