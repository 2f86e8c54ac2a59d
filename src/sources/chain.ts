/**
 * Blocks of an Ethereum chain, told by any JSON-RPC node.
 *
 * The node is believed in nothing: a block's payload is rebuilt from what the node says and must hash to the block's
 * hash (`protocol/ethereum.ts`). Which branch is the chain, though, only the node can say; a second opinion is
 * another node of the network with a source of its own.
 */
import { publicUrl } from "../address.ts";
import { type EncodedBlock, payloadOf } from "../protocol/ethereum.ts";
import type { PayloadCode } from "../protocol/payload-fault.ts";
import { type PayloadForm, PLAIN } from "../protocol/statement.ts";
import type { Fault, Result, Source, SourceBlock, Tell } from "../ports.ts";
import { beaconRequests } from "./beacon.ts";
import type { BlockName } from "./branch.ts";
import { type BlockHeader, type ChainView, Follower } from "./follow.ts";
import { Pace, pause, unlessAborted } from "./pace.ts";
import { withRaw } from "./raw.ts";
import { openRpc, type Rpc, type RpcFault } from "./rpc.ts";

export interface ChainSourceOptions {
  /** The chain id that the node must have, and that blocks are told of unless they are `toldAs` another's. */
  readonly chain: number;
  readonly toldAs?: number;
  readonly url: string;
  /** First height to tell; "latest" is the head when the source is started first. */
  readonly start: number | "latest";
  /** Blocks that must lie on top of one before it is told. */
  readonly confirmations?: number;
  /** How often the head is looked at; where heads are pushed, five times less often. */
  readonly pollMs?: number;
  readonly timeoutMs?: number;
  /** The highest block that may be told by now; left out, any. */
  readonly until?: () => number;
  /** What the payloads carry beside header and transactions; nothing if left out. */
  readonly form?: PayloadForm;
  /** A consensus node, for the execution requests that an execution node does not give. */
  readonly beacon?: string;
  /** How fast a source that is behind tells blocks, once it has told `burst` of them. */
  readonly blocksPerSecondMax?: number;
  readonly burst?: number;
}

/** A new head must be announced within 2 s after the node shows it. */
const POLL_MS = 1_000;
/** A full block from a busy public node takes seconds. */
const TIMEOUT_MS = 10_000;
const BLOCKS_PER_SECOND_MAX = 20;
const BURST_BLOCKS = 64;
/** Full blocks under way at once; each may be megabytes. */
const IN_FLIGHT_MAX = 4;
const BACK_OFF_MS_MIN = 250;
const BACK_OFF_MS_MAX = 30_000;
/** A node that asks for a longer silence is asked again after this. */
const RETRY_AFTER_MS_MAX = 300_000;
/** Where heads are pushed, polling only finds out about a subscription that went silent. */
const PUSHED_POLL_FACTOR = 5;

/** What the bytes themselves mend: headers and transactions of shapes that this version does not know. */
const RAW_HELPS: ReadonlySet<string> = new Set<PayloadCode>([
  "payload.malformed",
  "payload.header-mismatch",
  "payload.header-unknown",
  "payload.transaction-mismatch",
  "payload.transaction-type",
]);

const SURE: Result<unknown> = { ok: true, value: undefined };

export function chainSource(options: ChainSourceOptions): Source {
  return new ChainSource(options);
}

/** Asks the node for its chain id once, for a start that fails early. The value is the node's head. */
export async function checkChain(options: ChainSourceOptions): Promise<Result<number>> {
  const rpc = openRpc({ url: options.url, timeoutMs: options.timeoutMs ?? TIMEOUT_MS });
  try {
    const same = await sameChain(rpc, options);
    if (!same.ok) return same;
    const head = await viewOf(rpc, options).head();
    return head.ok ? { ok: true, value: head.value.height } : head;
  } finally {
    rpc.close();
  }
}

/** The id of the chain that a node serves, for a user who gave only its address. */
export async function chainIdOf(url: string): Promise<Result<number>> {
  const rpc = openRpc({ url, timeoutMs: TIMEOUT_MS });
  try {
    const answer = await rpc.request("eth_chainId", []);
    if (!answer.ok) return answer;
    const found = quantity(answer.value);
    return found === null ? malformed(url, "its chain id is no number") : { ok: true, value: found };
  } finally {
    rpc.close();
  }
}

class ChainSource implements Source {
  readonly #options: ChainSourceOptions;
  readonly #closing = new AbortController();
  #running: Promise<void> = Promise.resolve();
  #trouble: string | null = null;
  #headPushed = false;
  #wake: () => void = () => {};
  #emit: Tell = () => {};

  constructor(options: ChainSourceOptions) {
    this.#options = options;
  }

  start(after: BlockName | null, emit: Tell): void {
    const { signal } = this.#closing;
    this.#emit = (event) => (signal.aborted ? undefined : unlessAborted(emit(event), signal));
    this.#running = this.#run(after);
  }

  async close(): Promise<void> {
    this.#closing.abort();
    this.#wake();
    await this.#running;
  }

  async #run(after: BlockName | null): Promise<void> {
    const { url, start, confirmations = 0, timeoutMs = TIMEOUT_MS, until } = this.#options;
    const chain = toldAs(this.#options);
    const { blocksPerSecondMax = BLOCKS_PER_SECOND_MAX, burst = BURST_BLOCKS } = this.#options;
    const { signal } = this.#closing;
    const rpc = openRpc({ url, timeoutMs });
    signal.addEventListener("abort", () => rpc.close(), { once: true });
    const pace = new Pace({ perSecondMax: blocksPerSecondMax, burst }, signal);
    const options = {
      chain,
      start,
      confirmations,
      inFlightMax: IN_FLIGHT_MAX,
      after,
      ...(until === undefined ? {} : { until }),
    };
    const follower = new Follower(options, viewOf(rpc, this.#options), this.#emit, () => pace.take());
    let sure = false;
    let failures = 0;
    while (!signal.aborted) {
      this.#headPushed = false;
      const round: Result<void> = await this.#round(rpc, follower, sure).catch(threw);
      sure = round.ok;
      this.#report(round.ok ? null : round.fault);
      if (round.ok) void this.#emit({ kind: "seen", chain });
      if (!round.ok) await pause(backOffMs(++failures, round.fault), signal);
      else failures = 0;
    }
  }

  /** One look at the chain; where there is nothing more to tell it ends with the next head. `sure`: of the chain's id. */
  async #round(rpc: Rpc, follower: Follower, sure: boolean): Promise<Result<void>> {
    const same: Result<unknown> = sure ? SURE : await sameChain(rpc, this.#options);
    const round: Result<"more" | "caught-up"> = same.ok ? await follower.round() : same;
    if (!round.ok) return round;
    // Before the wait, which may be long.
    this.#report(null);
    if (round.value === "caught-up") await this.#headOrTimeout(rpc);
    return { ok: true, value: undefined };
  }

  /** A change of state is an event; a try that fails like the one before it is not. */
  #report(fault: Fault | null): void {
    if ((fault?.code ?? null) === this.#trouble) return;
    this.#trouble = fault?.code ?? null;
    void this.#emit({ kind: "trouble", chain: toldAs(this.#options), fault });
  }

  async #headOrTimeout(rpc: Rpc): Promise<void> {
    const { pollMs = POLL_MS } = this.#options;
    const early = new AbortController();
    this.#wake = () => early.abort();
    if (!rpc.pushing) {
      await rpc.subscribe(() => {
        this.#headPushed = true;
        this.#wake();
      });
      // What came between the last look and the subscription was pushed to nobody.
      if (rpc.pushing) return;
    }
    if (this.#headPushed || this.#closing.signal.aborted) return;
    await pause(rpc.pushing ? pollMs * PUSHED_POLL_FACTOR : pollMs, early.signal);
  }
}

/** An exception in a look at the chain is trouble like any other, and the next look follows after a pause. */
function threw(error: unknown): Result<never> {
  return fail("source.threw", error instanceof Error ? error.message : String(error));
}

function toldAs({ chain, toldAs: other = chain }: Pick<ChainSourceOptions, "chain" | "toldAs">): number {
  return other;
}

/** Doubles from 250 ms to 30 s, spread so that nodes that lost one RPC together do not come back together. */
function backOffMs(failures: number, fault: RpcFault): number {
  const longest = Math.min(BACK_OFF_MS_MAX, BACK_OFF_MS_MIN * 2 ** (failures - 1));
  const spread = longest * (0.5 + Math.random() / 2);
  return Math.max(spread, Math.min(RETRY_AFTER_MS_MAX, fault.retryAfterMs ?? 0));
}

async function sameChain(rpc: Rpc, { chain, url }: ChainSourceOptions): Promise<Result<void>> {
  const answer = await rpc.request("eth_chainId", []);
  if (!answer.ok) return answer;
  const found = quantity(answer.value);
  if (found === chain) return { ok: true, value: undefined };
  if (found === null) return malformed(url, "its chain id is no number");
  return fail("source.wrong-chain", `${publicUrl(url)} serves chain ${found}, not chain ${chain}`);
}

/** A block with the header of the one before under `parent`, where a statement needs that. */
async function withParent(rpc: Rpc, block: unknown, form: PayloadForm): Promise<Result<unknown>> {
  const isObject = typeof block === "object" && block !== null;
  if (!form.parent || !isObject || !("parentHash" in block)) return { ok: true, value: block };
  const parent = await rpc.request("eth_getBlockByHash", [block.parentHash, false]);
  return parent.ok ? { ok: true, value: { ...block, parent: parent.value ?? undefined } } : parent;
}

/** The payload, with the requests of a consensus node where the block has some and the execution node does not say which. */
async function payloadWithRequests(
  block: unknown,
  form: PayloadForm,
  { beacon, timeoutMs = TIMEOUT_MS }: Pick<ChainSourceOptions, "beacon" | "timeoutMs">,
): Promise<Result<EncodedBlock>> {
  const encoded = payloadOf(block, form);
  if (encoded.ok || encoded.fault.code !== "payload.requests-missing" || beacon === undefined) return encoded;
  const { hash, parentBeaconBlockRoot } = block as Readonly<Record<"hash" | "parentBeaconBlockRoot", string>>;
  const found = await beaconRequests({ url: beacon, timeoutMs }, { hash, parentBeaconBlockRoot });
  return found.ok ? payloadOf({ ...(block as object), requests: found.value }, form) : found;
}

/** The four questions that following a chain takes, and nothing of the answers that was not checked. */
function viewOf(rpc: Rpc, { url, ...options }: ChainSourceOptions): ChainView {
  const chain = toldAs(options);
  const header = async (method: string, tag: string): Promise<Result<BlockHeader | null>> => {
    const answer = await rpc.request(method, [tag, false]);
    if (!answer.ok) return answer;
    if (answer.value === null) return { ok: true, value: null };
    const value = headerOf(answer.value);
    return value === null ? malformed(url, `block ${tag} has no number, hash or parent`) : { ok: true, value };
  };
  return {
    head: async () => {
      const head = await header("eth_getBlockByNumber", "latest");
      if (!head.ok) return head;
      return head.value === null ? malformed(url, "it has no latest block") : { ok: true, value: head.value };
    },
    header: async (height) => {
      const found = await header("eth_getBlockByNumber", hex(height));
      if (found.ok && found.value !== null && found.value.height !== height) return otherHeight(url, height);
      return found;
    },
    headerByHash: (hash) => header("eth_getBlockByHash", `0x${hash}`),
    block: async (height) => {
      const answer = await rpc.request("eth_getBlockByNumber", [hex(height), true]);
      if (!answer.ok) return answer;
      if (answer.value === null) return { ok: true, value: null };
      const { form = PLAIN } = options;
      const whole = await withParent(rpc, answer.value, form);
      if (!whole.ok) return whole;
      const first = await payloadWithRequests(whole.value, form, options);
      const raw = !first.ok && RAW_HELPS.has(first.fault.code) ? await withRaw(rpc, whole.value, height) : null;
      const encoded = raw === null ? first : await payloadWithRequests(raw, form, options);
      if (!encoded.ok) return unreadable(url, height, encoded.fault);
      if (encoded.value.height !== height) return otherHeight(url, height);
      const { hash, parent, payload, items } = encoded.value;
      return { ok: true, value: { chain, height, hash, parent, payload, items } satisfies SourceBlock };
    },
  };
}

/** A block of an unknown shape is asked for again after a long while only: it stays unknown until its node tells more. */
function unreadable(
  url: string,
  height: number,
  { code, message }: Fault,
): { readonly ok: false; readonly fault: RpcFault } {
  const advice = RAW_HELPS.has(code)
    ? "; a node that serves debug_getRawBlock, or debug_getRawHeader and eth_getRawTransactionByHash, tells the bytes"
    : "";
  const text = `block ${height} of ${publicUrl(url)}: ${message}${advice}`;
  const isUnknown = code === "payload.header-unknown" || code === "payload.transaction-type";
  return { ok: false, fault: { code, message: text, ...(isUnknown ? { retryAfterMs: RETRY_AFTER_MS_MAX } : {}) } };
}

function headerOf(block: unknown): BlockHeader | null {
  if (typeof block !== "object" || block === null) return null;
  const { number, hash, parentHash } = block as Readonly<Record<string, unknown>>;
  const height = quantity(number);
  if (height === null || !isHash32(hash) || !isHash32(parentHash)) return null;
  return { height, hash: hash.slice(2).toLowerCase(), parent: parentHash.slice(2).toLowerCase() };
}

function quantity(value: unknown): number | null {
  if (typeof value !== "string" || !/^0x[0-9a-f]{1,14}$/i.test(value)) return null;
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : null;
}

function isHash32(value: unknown): value is string {
  return typeof value === "string" && /^0x[0-9a-f]{64}$/i.test(value);
}

function hex(height: number): string {
  return `0x${height.toString(16)}`;
}

function otherHeight(url: string, height: number): Result<never> {
  return malformed(url, `asked for block ${height}, it gave another one`);
}

function malformed(url: string, what: string): Result<never> {
  return fail("source.malformed", `${publicUrl(url)}: ${what}`);
}

function fail(code: string, message: string): Result<never> {
  return { ok: false, fault: { code, message } };
}
