/**
 * Checks the barrier certificates of all nodes against each other and against the log.
 *
 * It reads the files as any outsider would and shares no code with the node. Signatures and proofs are not its part:
 * `proofmesh verify --proofs` is run on the same files.
 */
import { createHash } from "node:crypto";
import type { VoteChecker } from "./votes.ts";

interface Task {
  readonly stage: string;
  readonly index: number;
  readonly attempt: number;
  readonly prover: string;
  readonly credited: boolean;
  readonly artefact: string;
}

interface Content {
  readonly chain: number;
  readonly height: number;
  readonly hash: string;
  readonly parent: string;
  readonly start: boolean;
  readonly workflow: string;
  readonly items: number;
  readonly payload: string;
  readonly tasks: readonly Task[];
}

/** A certificate of a node; `certificate` is the text of the file. */
export interface Held {
  readonly height: number;
  readonly certificate: string;
}

const VIOLATIONS_MAX = 100;

export class CertificateChecker {
  readonly violations: string[] = [];
  readonly #network: Buffer;
  /** By height, what the first node holds. */
  readonly #contents = new Map<number, Content>();

  constructor(network: string) {
    this.#network = Buffer.from(network, "hex");
  }

  /** Takes in one node's certificates; each must say what the others' say. */
  add(node: string, files: readonly Held[]): void {
    for (const { height, certificate } of files) {
      const { content } = JSON.parse(certificate) as { readonly content: Content };
      const known = this.#contents.get(height);
      if (known === undefined) this.#contents.set(height, content);
      else if (JSON.stringify(known) !== JSON.stringify(content))
        this.#violation(
          `S1: height ${height}: ${node} holds a certificate that says something else: ${differ(known, content)}`,
        );
      if (content.height !== height)
        this.#violation(`S1: ${node} holds the certificate of ${content.height} at ${height}`);
    }
  }

  /** Ids of the certified blocks. */
  blocks(): ReadonlySet<string> {
    return new Set([...this.#contents.values()].map((content) => this.#blockOf(content)));
  }

  /** What the network certified at a height, as the first node told it. */
  at(height: number): Content | undefined {
    return this.#contents.get(height);
  }

  /** The order of the chain, each task once, credits as the log has them; `votes` has the whole log from a height on. */
  finish(votes: VoteChecker, coveredFrom: number): readonly string[] {
    for (const [height, content] of this.#contents) {
      const before = this.#contents.get(height - 1);
      if (!content.start && before?.hash !== content.parent)
        this.#violation(`S3: height ${height} is certified and its parent is not`);
      const names = content.tasks.map(({ stage, index }) => `${stage}/${index}`);
      if (new Set(names).size !== names.length) this.#violation(`S1: height ${height} names a task twice`);
      for (const task of content.tasks) this.#credit(content, task, height >= coveredFrom, votes);
    }
    return this.violations;
  }

  #credit(content: Content, task: Task, covered: boolean, votes: VoteChecker): void {
    const { stage, index, prover, credited, artefact } = task;
    const id = `${this.#blockOf(content)}/${stage}/${index}`;
    const name = `${content.height}/${stage}/${index}`;
    const credits = votes.creditsOf(id);
    const others = credits.filter((subject) => subject !== `${prover}:${artefact}`);
    if (credited && others.length > 0)
      this.#violation(`S1: ${name} is credited to ${prover} and, by the log, to ${others.join()}`);
    // An uncredited task may still find its credit: the barrier only says that it had none when it closed.
    if (covered && !votes.isComplete(id, artefact))
      this.#violation(`S2: ${name} is certified, and no quorum of the log vouches for its proof`);
  }

  #blockOf({ chain, height, hash, parent, start, workflow, items, payload }: Content): string {
    const digest = createHash("sha256").update("proofmesh/block/1\0").update(this.#network);
    for (const named of [hash, parent, payload]) digest.update(Buffer.from(named, "hex"));
    for (const number of [chain, height, items]) {
      const bytes = Buffer.alloc(8);
      bytes.writeBigUInt64BE(BigInt(number));
      digest.update(bytes);
    }
    return digest
      .update(Buffer.of(start ? 1 : 0))
      .update(workflow)
      .digest("hex");
  }

  #violation(text: string): void {
    if (this.violations.length < VIOLATIONS_MAX) this.violations.push(text);
  }
}

/** The parts in which two contents differ; the whole of one is screens long. */
function differ(one: Content, other: Content): string {
  const parts = [one, other].map((content) => JSON.stringify(content).split(/(?<=[{},])/));
  return parts
    .map((own) => own.filter((part) => !parts.every((all) => all.includes(part))).join(" "))
    .join(" | ")
    .slice(0, 1000);
}
