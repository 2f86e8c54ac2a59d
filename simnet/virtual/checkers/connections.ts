/**
 * Judges whom the nodes of a network are connected to, by the connections alone. It shares no code with the keeper.
 * K1 judges PEER-1, PEER-2 and PEER-4, K2 judges PEER-5, K3 judges PEER-6, K5 judges PEER-3.
 */
import type { Key } from "../../../src/protocol/ids.ts";

/** Places for strangers that connect by themselves, and keys and targets that a node may keep. */
const STRANGERS_MAX = 32;
const BOOK_MAX = 512;
/** Of a target's keys some are new, and are gone with the next look. */
const TARGETS_MAX = 2 * BOOK_MAX;
/** The longest pause between two dials of a member with its jitter, a dial, and the way to the member's address. */
const RECONNECT_MS = 50_000;
/** The first term of a ban. Each further one is twice as long, up to a day. */
const TERM_MS = 600_000;
const TERM_MS_MAX = 86_400_000;

type Kind = "member" | "stranger" | "hostile";

export class ConnectionJudge {
  readonly #members: ReadonlySet<Key>;
  readonly #complain: (violation: string) => void;
  readonly #kinds = new Map<Key, Kind>();
  readonly #links = new Set<string>();
  readonly #cut = new Set<string>();
  /** By pair of an honest node and a member: since when nothing keeps the two apart, and they are not connected. */
  readonly #apartMs = new Map<string, number>();
  readonly #bans = new Map<string, { untilMs: number; times: number }>();

  constructor(members: ReadonlySet<Key>, complain: (violation: string) => void) {
    this.#members = members;
    this.#complain = complain;
  }

  started(key: Key, kind: Kind, nowMs: number): void {
    this.#kinds.set(key, kind);
    if (kind === "hostile") return;
    for (const [other, of] of this.#kinds) if (of !== "hostile" && other !== key) this.#mayConnect(key, other, nowMs);
  }

  stopped(key: Key): void {
    this.#kinds.delete(key);
    for (const pair of this.#apartMs.keys()) if (pair.includes(key)) this.#apartMs.delete(pair);
  }

  parted(a: Key, b: Key): void {
    this.#cut.add(pairOf(a, b));
    this.#apartMs.delete(pairOf(a, b));
  }

  mended(a: Key, b: Key, nowMs: number): void {
    this.#cut.delete(pairOf(a, b));
    if (this.#kinds.has(a) && this.#kinds.has(b)) this.#mayConnect(a, b, nowMs);
  }

  connected(a: Key, b: Key, wallMs: number): void {
    for (const [by, of] of [
      [a, b],
      [b, a],
    ] as const)
      if ((this.#bans.get(`${by}|${of}`)?.untilMs ?? 0) > wallMs)
        this.#complain(`K3: ${short(by)} is connected to ${short(of)}, which is banned`);
    this.#links.add(pairOf(a, b));
    this.#apartMs.delete(pairOf(a, b));
  }

  disconnected(a: Key, b: Key, nowMs: number): void {
    this.#links.delete(pairOf(a, b));
    if (this.#kinds.has(a) && this.#kinds.has(b)) this.#mayConnect(a, b, nowMs);
  }

  /** A node cuts a connection to make room. */
  cut(by: Key, leaver: Key): void {
    if (this.#members.has(leaver)) this.#complain(`K2: ${short(by)} cuts the member ${short(leaver)} to make room`);
  }

  banned(by: Key, key: Key, wallMs: number, termMs: number): void {
    const name = `${by}|${key}`;
    const times = (this.#bans.get(name)?.times ?? 0) + 1;
    const rightMs = Math.min(TERM_MS * 2 ** (times - 1), TERM_MS_MAX);
    if (termMs !== rightMs) this.#complain(`K3: ban ${times} of ${short(key)} lasts ${termMs} ms; allowed: ${rightMs}`);
    this.#bans.set(name, { untilMs: wallMs + rightMs, times });
  }

  /** A node refuses a connection because its dialler is banned. */
  refused(by: Key, key: Key, wallMs: number): void {
    const ban = this.#bans.get(`${by}|${key}`);
    if (ban === undefined || ban.untilMs <= wallMs)
      this.#complain(`K3: ${short(by)} refuses ${short(key)} without a ban`);
  }

  counted(key: Key, strangers: number, { book, targets }: { readonly book: number; readonly targets: number }): void {
    if (strangers > STRANGERS_MAX) this.#complain(`K2: ${strangers} strangers have places at ${short(key)}`);
    if (book > BOOK_MAX) this.#complain(`K5: ${short(key)} keeps the addresses of ${book} keys`);
    if (targets > TARGETS_MAX) this.#complain(`K5: ${short(key)} keeps ${targets} targets`);
  }

  look(nowMs: number): void {
    for (const [pair, sinceMs] of this.#apartMs) {
      if (nowMs - sinceMs <= RECONNECT_MS) continue;
      const [a = "", b = ""] = pair.split("|");
      this.#complain(`K1: ${short(a)} and ${short(b)} have been apart for ${Math.round(nowMs - sinceMs)} ms`);
      this.#apartMs.set(pair, nowMs);
    }
    this.#lookAtGraph(nowMs);
  }

  /** Members that nothing keeps apart reach each other over members. */
  #lookAtGraph(nowMs: number): void {
    const members = [...this.#members].filter((key) => this.#kinds.has(key));
    const isCalm = this.#cut.size === 0 && members.length === this.#members.size;
    const isRecent = [...this.#apartMs].some(([pair, ms]) => this.#isOfMembers(pair) && nowMs - ms <= RECONNECT_MS);
    if (!isCalm || isRecent) return;
    const reached = new Set(members.slice(0, 1));
    for (const key of reached) for (const other of members) if (this.#links.has(pairOf(key, other))) reached.add(other);
    if (reached.size < members.length) this.#complain(`K4: ${reached.size} of ${members.length} members are connected`);
  }

  #isOfMembers(pair: string): boolean {
    return pair.split("|").every((key) => this.#members.has(key));
  }

  #mayConnect(a: Key, b: Key, nowMs: number): void {
    const pair = pairOf(a, b);
    const isHonest = [a, b].every((key) => (this.#kinds.get(key) ?? "hostile") !== "hostile");
    if (!isHonest || this.#links.has(pair) || this.#cut.has(pair)) return;
    if (this.#members.has(a) || this.#members.has(b)) this.#apartMs.set(pair, nowMs);
  }
}

function pairOf(a: Key, b: Key): string {
  return a < b ? `${a}|${b}` : `${b}|${a}`;
}

function short(key: Key): string {
  return key.slice(0, 8);
}
