/** Gathers what nodes export and hands it to the checkers, during the run because compaction forgets, and at the end. */
import { CertificateChecker, type Held } from "../checkers/certificates.ts";
import { type Hashes, lostBatches, type Missing, missingBatches, type Retention } from "../checkers/durability.ts";
import { type Figures as VoteFigures, VoteChecker } from "../checkers/votes.ts";
import type { LocalNode } from "./nodes.ts";
import type { Watch } from "./watch.ts";

export interface JudgeOptions {
  readonly network: string;
  readonly attesters: readonly string[];
  readonly retentionBlocks: number;
  readonly chain: number;
}

const ANSWER_MS_MAX = 20_000;
/** Lines that are checked before links and timers get their turn: a signature is 0.1 ms. */
const LINES_AT_ONCE = 100;

export class Judge {
  readonly #options: JudgeOptions;
  readonly #watch: Watch;
  readonly #votes: VoteChecker;
  readonly #certificates: CertificateChecker;
  /** The log is known whole from this height on. */
  #coveredFrom = 1;
  #collectedAt = 0;
  lookedFor = 0;

  constructor(options: JudgeOptions, watch: Watch) {
    this.#options = options;
    this.#watch = watch;
    this.#votes = new VoteChecker(options.network, options.attesters);
    this.#certificates = new CertificateChecker(options.network);
  }

  /** Takes in the logs of all nodes that can answer, before compaction takes them. */
  async collect(nodes: readonly LocalNode[]): Promise<void> {
    const top = Math.max(0, ...nodes.flatMap((node) => [...this.#watch.heldBy(node)]));
    const logs = await this.logsOf(nodes);
    if (logs.length === 0) return;
    if (top - this.#options.retentionBlocks > this.#collectedAt) this.#coveredFrom = top;
    this.#collectedAt = top;
  }

  /** The logs of nodes that answer, one after the other. */
  async logsOf(nodes: readonly LocalNode[]): Promise<Hashes[]> {
    const all: Hashes[] = [];
    for (const node of nodes) {
      const text = await textOf(node, "/log");
      if (text !== null) all.push(await this.read(text));
    }
    return all;
  }

  /** Takes in one exported log. */
  async read(ndjson: string): Promise<Hashes> {
    const lines = ndjson.split("\n");
    const found = new Map<string, Map<number, string>>();
    for (let from = 0; from < lines.length; from += LINES_AT_ONCE) {
      for (const [author, hashes] of this.#votes.add(lines.slice(from, from + LINES_AT_ONCE).join("\n"))) {
        const known = found.get(author) ?? new Map<number, string>();
        for (const [number, hash] of hashes) known.set(number, hash);
        found.set(author, known);
      }
      await new Promise((resolve) => setImmediate(resolve));
    }
    return found;
  }

  /** What others have heard of a node that was killed must be in its own log. */
  async lookForLosses(node: LocalNode, others: readonly Hashes[]): Promise<void> {
    await this.certificatesOf(node);
    const text = await textOf(node, "/log");
    if (text === null) return;
    const own = await this.read(text);
    const { lookedFor, violations } = lostBatches(node.key, others, own, this.#retentionOf(node), this.#votes);
    this.lookedFor += lookedFor;
    for (const violation of violations) this.#watch.violation(violation);
  }

  /** What the exported log of a stopped node lacks of a log that every node had. */
  async missingOf(node: LocalNode, common: Hashes, exported: string): Promise<Missing> {
    return missingBatches(common, await this.read(exported), this.#retentionOf(node), this.#votes);
  }

  #retentionOf(node: LocalNode): Retention {
    const certified = Math.max(0, ...this.#watch.heldBy(node));
    return { certified, blocks: this.#options.retentionBlocks };
  }

  /** Reads all certificates of a node. What it has once said to have stored must be there. */
  async certificatesOf(node: LocalNode): Promise<readonly Held[]> {
    const held: Held[] = [];
    const said = [...this.#watch.heldBy(node)];
    for (let from = 1; ; ) {
      const text = await textOf(node, `/certificates/${this.#options.chain}?from=${from}`);
      if (text === null) return [];
      const page = JSON.parse(text) as readonly Held[];
      if (page.length === 0) break;
      held.push(...page);
      from = Math.max(...page.map(({ height }) => height)) + 1;
    }
    const heights = new Set(held.map(({ height }) => height));
    for (const height of said)
      if (!heights.has(height)) this.#watch.violation(`S5: ${node.name} has lost the certificate of height ${height}`);
    this.#watch.learnHeld(node, heights);
    this.#certificates.add(node.name, held);
    return held;
  }

  /** What the log and all certificates show together; of a run that broke, only what has been read is known of them. */
  finish(whole: boolean): { readonly violations: readonly string[]; readonly votes: VoteFigures } {
    const found = whole ? this.#certificates.finish(this.#votes, this.#coveredFrom) : this.#certificates.violations;
    const violations = [...found, ...this.#votes.finish(this.#certificates.blocks(), whole)];
    return { violations, votes: this.#votes.figures };
  }
}

/** What the node itself says of how far its log reaches. */
export async function frontierHashOf(node: LocalNode): Promise<string | null> {
  const text = await textOf(node, "/status");
  if (text === null) return null;
  const { log } = JSON.parse(text) as { readonly log: { readonly frontier: string } };
  return log.frontier;
}

/** `null` from a node that does not answer now: it may be dying, or be cut off by its own load. */
async function textOf(node: LocalNode, path: string): Promise<string | null> {
  try {
    const response = await fetch(`${node.http ?? ""}${path}`, { signal: AbortSignal.timeout(ANSWER_MS_MAX) });
    return response.ok ? await response.text() : null;
  } catch {
    return null;
  }
}
