/**
 * Checks what nodes have signed, from their exported logs alone; a violation starts with the invariant that it breaks.
 *
 * A second implementation on purpose: it shares no code with the node, so that a mistake in the node's reader, hashes or
 * rules does not hide itself. It reads the signed bytes of each batch (`bytes` of a line of `proofmesh log`) by the
 * rules of `wire.proto`, and believes nothing else of the line.
 */
import { createHash, createPublicKey, type KeyObject, verify } from "node:crypto";

/** A field of a message: a number, or bytes. */
type Wire = ReadonlyMap<number, readonly (bigint | Buffer)[]>;

interface Head {
  readonly author: string;
  readonly number: number;
  readonly previous: string;
  readonly root: string;
  readonly count: number;
  readonly hash: string;
}

/** A statement as far as the rules about votes need it. */
export interface Statement {
  readonly kind: number;
  /** `block/stage/index`, or the block alone. */
  readonly task: string;
  readonly block: string;
  readonly attempt: number;
  /** Whom or what it is for: the prover of a grant, prover and artefact of an attest. */
  readonly subject: string;
}

interface Kept {
  readonly head: Head;
  readonly statements: readonly Statement[];
}

interface Locked {
  readonly subject: string;
  /** Position in the author's feed: batch number, then entry. */
  readonly at: readonly [number, number];
}

export interface Figures {
  batches: number;
  entries: number;
  grants: number;
  attests: number;
  timeouts: number;
  barriers: number;
  assignments: number;
  credits: number;
}

interface Announced {
  readonly height: number;
  /** Chain and hash; `null` for a block that starts a run. */
  readonly parent: string | null;
}

const KIND = { announce: 1, grant: 7, beat: 8, attest: 12, complete: 13, timeout: 15, barrier: 16 } as const;
/** Kinds whose first four fields are block, stage, index, attempt; those that name a task only; a block only. */
const OF_ATTEMPT: ReadonlySet<number> = new Set([6, 7, 9, 10, 11, 12, 15]);
const OF_TASK: ReadonlySet<number> = new Set([13, 14]);
/** Who may prove: these speak of no block. */
const OF_ROSTER: ReadonlySet<number> = new Set([4, 5, 17]);
const ZERO = "0".repeat(64);
const KEY_PREFIX = Buffer.from("302a300506032b6570032100", "hex");

export class VoteChecker {
  readonly violations: string[] = [];
  readonly figures: Figures = {
    batches: 0,
    entries: 0,
    grants: 0,
    attests: 0,
    timeouts: 0,
    barriers: 0,
    assignments: 0,
    credits: 0,
  };
  readonly #network: Buffer;
  readonly #attesters: ReadonlySet<string>;
  readonly #keys = new Map<string, KeyObject>();
  readonly #feeds = new Map<string, Map<number, Kept>>();
  readonly #seen = new Map<string, string>();
  /** By kind, author, task and attempt. */
  readonly #locks = new Map<string, Locked>();
  /** Authors by kind, task, attempt and subject. */
  readonly #votes = new Map<string, Set<string>>();
  /** Attesters that vouch for a proof, by task and artefact: attests and completes together. */
  readonly #vouched = new Map<string, Set<string>>();
  /** By block and author: where it has first signed the block's barrier. */
  readonly #barriers = new Map<string, Map<string, Locked>>();
  readonly #blocks = new Map<string, Announced>();
  /** By chain and hash: a block may be announced falsely as well, and is another one then. */
  readonly #named = new Map<string, Set<string>>();

  constructor(network: string, attesters: readonly string[]) {
    this.#network = Buffer.from(network, "hex");
    this.#attesters = new Set(attesters);
  }

  /** Takes in one node's exported log; returns the hashes of the batches in it, by author. */
  add(ndjson: string): Map<string, Map<number, string>> {
    const found = new Map<string, Map<number, string>>();
    for (const line of ndjson.split("\n")) {
      if (line === "") continue;
      // Not parsed: of all that a line says only this is signed.
      const [, bytes] = /"bytes":"([0-9a-f]*)"/.exec(line) ?? [];
      if (bytes === undefined) throw new Error(`no line of a log: ${line.slice(0, 200)}`);
      // The whole line is the key: a batch that one node tells differently from another is looked at twice.
      const known = this.#seen.get(bytes);
      const name = known ?? this.#take(Buffer.from(bytes, "hex"));
      if (name === null) continue;
      this.#seen.set(bytes, name);
      const [author = "", number = "", hash = ""] = name.split(" ");
      const feed = found.get(author) ?? new Map<number, string>();
      found.set(author, feed.set(Number(number), hash));
    }
    return found;
  }

  /** Statements of a batch, to judge whether it may have been forgotten. */
  statements(author: string, number: number): readonly Statement[] {
    return this.#feeds.get(author)?.get(number)?.statements ?? [];
  }

  heightOf(block: string): number | null {
    return this.#blocks.get(block)?.height ?? null;
  }

  /** The `prover artefact` pairs that a quorum credits with a task. */
  creditsOf(task: string): readonly string[] {
    const found = new Set<string>();
    for (const [name, authors] of this.#votes) {
      const [which = "", of = "", , subject = ""] = name.split(" ");
      if (Number(which) === KIND.attest && of === task && this.#isQuorum(authors)) found.add(subject);
    }
    return [...found];
  }

  /** Whether the log shows a quorum that vouches for the proof. */
  isComplete(task: string, artefact: string): boolean {
    return this.#isQuorum(this.#vouched.get(`${task} ${artefact}`) ?? new Set());
  }

  /**
   * What only the whole log can show: chains without forks, one certificate a lock, barriers in the order of the chain.
   * `certified` are blocks whose certificates are known from elsewhere, since compaction takes their votes; of a log that
   * is not whole (`isWhole`) only what no other part of it can explain is said.
   */
  finish(certified: ReadonlySet<string> = new Set(), isWhole = true): readonly string[] {
    for (const [author, feed] of this.#feeds) {
      for (const { head } of feed.values()) {
        const before = feed.get(head.number - 1);
        if (before !== undefined && before.head.hash !== head.previous)
          this.#violation(`S4: feed ${author}: ${head.number} does not name the batch before it`);
        if (head.number === 0 && head.previous !== ZERO)
          this.#violation(`S4: feed ${author}: 0 names a batch before it`);
      }
    }
    this.figures.assignments = this.#certificates(KIND.grant, (name) => `S1: two assignments of ${name}`);
    this.figures.credits = this.#credits();
    // What comes before another vote may be in the part of the log that is not known.
    if (!isWhole) return this.violations;
    this.#assignedInOrder();
    this.#closedInOrder(certified);
    return this.violations;
  }

  #take(bytes: Buffer): string | null {
    const outer = read(bytes);
    const headBytes = bytesOf(outer, 1);
    const signature = bytesOf(outer, 2);
    const entries = (outer.get(3) ?? []).filter((entry) => Buffer.isBuffer(entry));
    const head = headOf(headBytes);
    const name = `${head.author} ${head.number} ${head.hash}`;
    this.figures.batches++;
    this.figures.entries += entries.length;
    const message = Buffer.concat([Buffer.from("proofmesh/batch/1\0"), this.#network, headBytes]);
    if (!verify(null, message, this.#keyOf(head.author), signature)) this.#violation(`S7: batch ${name}: signature`);
    if (head.count !== entries.length || merkleRoot(entries) !== head.root) this.#violation(`S7: batch ${name}: root`);
    const feed = this.#feeds.get(head.author) ?? new Map<number, Kept>();
    this.#feeds.set(head.author, feed);
    const other = feed.get(head.number);
    if (other !== undefined && other.head.hash !== head.hash)
      this.#violation(`S4: feed ${head.author}: two batches with number ${head.number}`);
    const statements = entries.flatMap((entry, at) => this.#statement(head, read(entry), at));
    feed.set(head.number, { head, statements });
    return name;
  }

  #statement(head: Head, entry: Wire, at: number): Statement[] {
    const [[kind, [body] = []] = [0, []]] = entry;
    if (!Buffer.isBuffer(body)) return [];
    const fields = read(body);
    if (kind === KIND.announce) return [this.#announced(fields)];
    if (kind === KIND.beat) return allOf(fields, 1).map((task) => attemptOf(kind, read(task)));
    if (OF_ATTEMPT.has(kind)) {
      const statement = attemptOf(kind, fields);
      this.#vote(head, at, statement);
      return [statement];
    }
    if (OF_ROSTER.has(kind)) return [];
    const block = hex(fields, 1);
    const task = OF_TASK.has(kind) ? taskOf(fields) : block;
    if (kind === KIND.complete) this.#vouch(head.author, task, hex(fields, 5));
    if (kind === KIND.barrier) this.#closes(head, at, block);
    return [{ kind, task, block, attempt: 0, subject: "" }];
  }

  #announced(fields: Wire): Statement {
    const [chain, height, items, start] = [1, 2, 8, 9].map((field) => whole(fields, field)) as [
      number,
      number,
      number,
      number,
    ];
    const hashes = [3, 4, 6].map((field) => bytesOf(fields, field));
    const numbers = [chain, height, items].map((number) => {
      const eight = Buffer.alloc(8);
      eight.writeBigUInt64BE(BigInt(number));
      return eight;
    });
    const rest = [Buffer.of(start), bytesOf(fields, 5)];
    const block = digest("block", this.#network, ...hashes, ...numbers, ...rest).toString("hex");
    const [own, parent] = [3, 4].map((field) => `${chain}/${hex(fields, field)}`) as [string, string];
    this.#blocks.set(block, { height, parent: start === 1 ? null : parent });
    this.#named.set(own, (this.#named.get(own) ?? new Set<string>()).add(block));
    return { kind: KIND.announce, task: block, block, attempt: 0, subject: "" };
  }

  #vouch(author: string, task: string, artefact: string): void {
    if (!this.#attesters.has(author)) return;
    const name = `${task} ${artefact}`;
    this.#vouched.set(name, (this.#vouched.get(name) ?? new Set<string>()).add(author));
  }

  #closes(head: Head, entry: number, block: string): void {
    if (!this.#attesters.has(head.author)) return;
    this.figures.barriers++;
    const signed = this.#barriers.get(block) ?? new Map<string, Locked>();
    const own: Locked = { subject: "", at: [head.number, entry] };
    const before = signed.get(head.author);
    if (before === undefined || isAfter(before, own)) signed.set(head.author, own);
    this.#barriers.set(block, signed);
  }

  #vote(head: Head, entry: number, statement: Statement): void {
    const { kind, task, attempt, subject } = statement;
    if (kind !== KIND.grant && kind !== KIND.attest && kind !== KIND.timeout) return;
    const { author } = head;
    if (!this.#attesters.has(author)) return;
    if (kind === KIND.grant) this.figures.grants++;
    if (kind === KIND.attest) {
      this.figures.attests++;
      this.#vouch(author, task, subject.split(":")[1] ?? "");
    }
    if (kind === KIND.timeout) this.figures.timeouts++;
    const lock = (which: number): Locked | undefined => this.#locks.get(`${which} ${author} ${task} ${attempt}`);
    const own: Locked = { subject, at: [head.number, entry] };
    const before = lock(kind);
    // The code of a timeout is no part of the lock.
    if (before !== undefined && before.subject !== subject && kind !== KIND.timeout)
      this.#violation(
        `S4: ${author} signed two of kind ${kind} for ${task} attempt ${attempt}: ${before.subject}, ${subject}`,
      );
    // The first timeout and the last grant are those that may contradict each other.
    const replaces = before === undefined || (kind === KIND.grant ? isAfter(own, before) : isAfter(before, own));
    if (replaces) this.#locks.set(`${kind} ${author} ${task} ${attempt}`, own);
    const [grant, attest, timeout] = [lock(KIND.grant), lock(KIND.attest), lock(KIND.timeout)];
    if (timeout !== undefined && attest !== undefined)
      this.#violation(`S4: ${author} signed attest and timeout for ${task} attempt ${attempt}`);
    if (timeout !== undefined && grant !== undefined && isAfter(grant, timeout))
      this.#violation(`S4: ${author} granted ${task} attempt ${attempt} after its own timeout`);
    const name = `${kind} ${task} ${attempt} ${kind === KIND.timeout ? "" : subject}`;
    this.#votes.set(name, (this.#votes.get(name) ?? new Set<string>()).add(author));
  }

  /** How many locks of a kind a quorum has signed; each for one subject only. */
  #certificates(kind: number, complain: (name: string) => string): number {
    const certified = new Set<string>();
    for (const [name, authors] of this.#votes) {
      const [which = "", task = "", attempt = ""] = name.split(" ");
      if (Number(which) !== kind || !this.#isQuorum(authors)) continue;
      const lock = `${task} ${attempt}`;
      if (certified.has(lock)) this.#violation(complain(lock));
      certified.add(lock);
    }
    return certified.size;
  }

  /** A task is credited to one prover in one attempt. */
  #credits(): number {
    const credited = new Set<string>();
    for (const [name, authors] of this.#votes) {
      const [which = "", task = ""] = name.split(" ");
      if (Number(which) !== KIND.attest || !this.#isQuorum(authors)) continue;
      if (credited.has(task)) this.#violation(`S1: two credits for ${task}`);
      credited.add(task);
    }
    return credited.size;
  }

  /** An attempt is assigned only once a quorum has given up the one before it. */
  #assignedInOrder(): void {
    for (const [name, authors] of this.#votes) {
      const [which = "", task = "", attempt = ""] = name.split(" ");
      if (Number(which) !== KIND.grant || attempt === "0" || !this.#isQuorum(authors)) continue;
      const over = this.#votes.get(`${KIND.timeout} ${task} ${Number(attempt) - 1} `);
      if (over === undefined || !this.#isQuorum(over))
        this.#violation(`S1: ${task} attempt ${attempt} is assigned, and the one before it is not over`);
    }
  }

  /** An attester signs a barrier once it has signed the parent's, or a quorum has. */
  #closedInOrder(certified: ReadonlySet<string>): void {
    for (const [block, signed] of this.#barriers) {
      const parent = this.#blocks.get(block)?.parent ?? null;
      const parents = [...(this.#named.get(parent ?? "") ?? [])];
      if (parent === null || parents.some((each) => certified.has(each))) continue;
      const before = new Map(parents.flatMap((each) => [...(this.#barriers.get(each) ?? [])]));
      if (this.#isQuorum(new Set(before.keys()))) continue;
      for (const [author, own] of signed) {
        const earlier = before.get(author);
        if (earlier === undefined || isAfter(earlier, own))
          this.#violation(`S3: ${author} signed the barrier of ${block} before that of its parent`);
      }
    }
  }

  #isQuorum(authors: ReadonlySet<string>): boolean {
    return authors.size >= Math.floor((2 * this.#attesters.size) / 3) + 1;
  }

  #keyOf(author: string): KeyObject {
    let key = this.#keys.get(author);
    if (key === undefined) {
      const der = Buffer.concat([KEY_PREFIX, Buffer.from(author, "hex")]);
      key = createPublicKey({ key: der, format: "der", type: "spki" });
      this.#keys.set(author, key);
    }
    return key;
  }

  #violation(text: string): void {
    if (this.violations.length < 100) this.violations.push(text);
  }
}

function isAfter(one: Locked, other: Locked): boolean {
  return one.at[0] > other.at[0] || (one.at[0] === other.at[0] && one.at[1] > other.at[1]);
}

function headOf(bytes: Buffer): Head {
  const head = read(bytes);
  const hash = digest("batch-head", bytes).toString("hex");
  const [author, previous, root] = [hex(head, 1), hex(head, 3), hex(head, 4)];
  return { author, number: whole(head, 2), previous, root, count: whole(head, 5), hash };
}

function attemptOf(kind: number, fields: Wire): Statement {
  const [block, attempt] = [hex(fields, 1), whole(fields, 4)];
  let subject = kind === KIND.timeout || !fields.has(5) ? "" : String(kind);
  if (kind === KIND.grant) subject = hex(fields, 5);
  if (kind === KIND.attest) subject = `${hex(fields, 5)}:${hex(fields, 6)}`;
  return { kind, task: taskOf(fields), block, attempt, subject };
}

function taskOf(fields: Wire): string {
  return `${hex(fields, 1)}/${bytesOf(fields, 2).toString("latin1")}/${whole(fields, 3)}`;
}

/** Protocol buffers: a tag, then a varint or bytes with their length in front. */
function read(bytes: Buffer): Wire {
  const fields = new Map<number, (bigint | Buffer)[]>();
  let at = 0;
  const varint = (): bigint => {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = bytes[at++];
      if (byte === undefined || shift > 63n) throw new Error("a varint that does not end");
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
  };
  while (at < bytes.length) {
    const tag = Number(varint());
    const field = tag >> 3;
    const values = fields.get(field) ?? [];
    fields.set(field, values);
    if ((tag & 7) === 0) values.push(varint());
    else if ((tag & 7) === 2) {
      const length = Number(varint());
      if (at + length > bytes.length) throw new Error("a field that is longer than its message");
      values.push(bytes.subarray(at, at + length));
      at += length;
    } else throw new Error(`a field of wire type ${tag & 7}`);
  }
  return fields;
}

function allOf(fields: Wire, field: number): Buffer[] {
  return (fields.get(field) ?? []).filter((value) => Buffer.isBuffer(value));
}

function bytesOf(fields: Wire, field: number): Buffer {
  return allOf(fields, field)[0] ?? Buffer.alloc(0);
}

function hex(fields: Wire, field: number): string {
  return bytesOf(fields, field).toString("hex");
}

/** Zero is not written. */
function whole(fields: Wire, field: number): number {
  const [value] = fields.get(field) ?? [];
  return typeof value === "bigint" ? Number(value) : 0;
}

function digest(domain: string, ...parts: readonly Buffer[]): Buffer {
  const hash = createHash("sha256").update(`proofmesh/${domain}/1\0`);
  for (const part of parts) hash.update(part);
  return hash.digest();
}

/** Recursively: the left half of a tree is the largest power of two below its width. */
function merkleRoot(entries: readonly Buffer[]): string {
  const root = (from: number, to: number): Buffer => {
    const width = to - from;
    if (width === 1) return digest("merkle-leaf", entries[from] ?? Buffer.alloc(0));
    let left = 1;
    while (left * 2 < width) left *= 2;
    return digest("merkle-node", root(from, from + left), root(from + left, to));
  };
  return entries.length === 0 ? ZERO : root(0, entries.length).toString("hex");
}
