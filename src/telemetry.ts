/**
 * Log lines and counters: the only place that prints.
 *
 * On a terminal a line a person reads, else one JSON object a line. What strangers can cause at will is counted, and
 * shown once in a while with how many lines were left out.
 */
import type { Clock, Telemetry } from "./ports.ts";

export type LogForm = "pretty" | "json";

export interface TelemetryOptions {
  readonly form: LogForm;
  readonly write: (line: string) => void;
}

export interface NodeTelemetry extends Telemetry {
  counters(): Readonly<Record<string, Readonly<Record<string, number>>>>;
}

type Fields = Readonly<Record<string, unknown>>;

/** Says of each event in which partition it happened; counts are the node's. */
export function labelled(telemetry: Telemetry, partition: string | null): Telemetry {
  if (partition === null) return telemetry;
  return {
    emit: (event, fields = {}) => telemetry.emit(event, { partition, ...fields }),
    count: (name, label) => telemetry.count(name, label),
  };
}

/** The same refusal of the same peer is shown at most this often. */
const REPEAT_MS = 10_000;
/** Peers and codes that are told apart; strangers can invent more. */
const REPEATED_MAX = 1024;
/**
 * What strangers can bring about at will. Of each event so many lines are shown at once and one more every so often;
 * the others are counted, and the next line that is shown says how many there were.
 */
const STRANGERS: ReadonlySet<string> = new Set([
  "refused",
  "peer.up",
  "peer.down",
  "network.banned",
  "network.flooded",
  "network.recycled",
]);
const SHARE = { burst: 64, everyMs: 1_000 };
/** Keys cost nothing, so whoever comes and goes under ever new ones has less. */
const STRANGERS_SHARE = { burst: 4, everyMs: 10_000 };

export function createTelemetry(options: TelemetryOptions, { clock }: { readonly clock: Clock }): NodeTelemetry {
  const counters = new Map<string, Map<string, number>>();
  const repeated = new Map<string, number>();
  const shares = new Map<string, { lines: number; atMs: number; hidden: number }>();

  const count = (name: string, label: string): void => {
    const labels = counters.get(name) ?? new Map<string, number>();
    labels.set(label, (labels.get(label) ?? 0) + 1);
    counters.set(name, labels);
  };

  /** Authors can be invented as well, so a refusal is its sender's where the sender is known. */
  const isRepeat = (event: string, fields: Fields): boolean => {
    const name = `${event}/${String(fields["code"])}/${String(fields["from"] ?? fields["author"])}`;
    const sinceMs = repeated.get(name);
    if (sinceMs !== undefined && clock.now() - sinceMs < REPEAT_MS) return true;
    if (repeated.size >= REPEATED_MAX) repeated.clear();
    repeated.set(name, clock.now());
    return false;
  };

  /** How many of the event were hidden since the last one shown, or `null` to hide this one too. */
  const hiddenBefore = (event: string, fields: Fields): number | null => {
    const nowMs = clock.now();
    const isStranger = fields["stranger"] === true;
    const { burst, everyMs } = isStranger ? STRANGERS_SHARE : SHARE;
    const name = isStranger ? `${event} of a stranger` : event;
    const share = shares.get(name) ?? { lines: burst, atMs: nowMs, hidden: 0 };
    shares.set(name, share);
    share.lines = Math.min(burst, share.lines + (nowMs - share.atMs) / everyMs);
    share.atMs = nowMs;
    if (share.lines < 1 || (event === "refused" && isRepeat(event, fields))) {
      share.hidden++;
      return null;
    }
    share.lines--;
    const { hidden } = share;
    share.hidden = 0;
    return hidden;
  };

  return {
    count,
    counters: () => Object.fromEntries([...counters].map(([name, labels]) => [name, Object.fromEntries(labels)])),
    emit(event, fields = {}) {
      let shown = fields;
      if (STRANGERS.has(event)) {
        const hidden = hiddenBefore(event, fields);
        if (hidden === null) return;
        if (hidden > 0) shown = { ...fields, hidden };
      }
      if (options.form === "json") return options.write(JSON.stringify({ t: clock.wall(), event, ...shown }));
      const line = LINES[event]?.(shown) ?? (QUIET.has(event) ? null : plain(event, shown));
      if (line === null) return;
      const where = typeof shown["partition"] === "string" ? `${shown["partition"]}  ` : "";
      options.write(`${new Date(clock.wall()).toISOString().slice(11, 19)}  ${where}${line}`);
    },
  };
}

/** Steps of a block that only fill the screen of a person; `status` and the JSON log have them. */
const QUIET: ReadonlySet<string> = new Set([
  "block.opened",
  "block.closed",
  "block.learned",
  "task.claimed",
  "task.started",
  "task.proved",
  "task.yielded",
  "task.hedged",
  "task.wasted",
  "certificate.stored",
  "sink.delivered",
  "sink.skipped",
  "journal.compacted",
]);

const LINES: Readonly<Record<string, (fields: Fields) => string>> = {
  "block.announced": (f) => `block ${num(f, "height")}  ${short(f["hash"])}  ${num(f, "items")} transactions`,
  "task.complete": (f) =>
    `  ${text(f, "stage")} ${num(f, "index")} of ${num(f, "height")}  verified  by ${short(f["prover"])}  ${seconds(num(f, "provingMs"))}` +
    (num(f, "attempt") > 0 ? `  attempt ${num(f, "attempt") + 1}` : ""),
  "block.certified": (f) =>
    `block ${num(f, "height")}  CERTIFIED  ${num(f, "shards")} shards by ${list(f["provers"])}  ${num(f, "attempts")} attempts  ${seconds(num(f, "tookMs"))}`,
  "certificate.heard": (f) => `block ${num(f, "height")} of chain ${num(f, "chain")}  CERTIFIED elsewhere`,
  "attempt.over": (f) =>
    `  ${text(f, "stage")} ${num(f, "index")} of ${num(f, "height")}  reclaimed from ${short(f["owner"])} (${text(f, "code")}), attempt ${num(f, "attempt") + 2} opens`,
  "prover.able": (f) => `prover ${text(f, "prover")} works: a proof in ${seconds(num(f, "provingMs"))}`,
  "prover.unable": (f) =>
    `prover ${text(f, "prover")} DOES NOT WORK and is not used: ${text(f, "message")}  [${text(f, "code")}]`,
  "task.quarantined": (f) =>
    `QUARANTINED  ${text(f, "stage")} ${num(f, "index")} of ${num(f, "height")}  ${text(f, "code")}  after ${num(f, "infrastructure")} failures of machines, ${num(f, "logical")} of the input; attempt ${num(f, "attempt") + 1} opens in ${seconds(num(f, "pauseMs"))}: proofmesh tasks`,
  "task.requeued": (f) =>
    `  ${text(f, "stage")} ${num(f, "index")} of ${num(f, "height")}  is requeued, attempt ${num(f, "attempt") + 1} opens`,
  "key.out": (f) =>
    `KEY OUT ${short(f["key"])}: ${text(f, "offence")}` +
    (f["stage"] === undefined
      ? `, batch ${num(f, "from")} of its feed`
      : `, ${text(f, "stage")} ${num(f, "index")}${f["height"] === undefined ? "" : ` of ${num(f, "height")}`}`) +
    "; what it says from there on does not count",
  refused: (f) =>
    `refused ${text(f, "entry")} of ${short(f["author"])}: ${text(f, "code")}${f["hidden"] === undefined ? "" : ` (${num(f, "hidden")} more refused)`}`,
};

function plain(event: string, fields: Fields): string {
  const { partition: _, ...others } = fields;
  const parts = Object.entries(others).map(
    ([key, value]) => `${key}=${typeof value === "string" ? shortHex(value) : JSON.stringify(value)}`,
  );
  return [event, ...parts].join("  ");
}

function num(fields: Fields, key: string): number {
  return Number(fields[key] ?? 0);
}

function text(fields: Fields, key: string): string {
  const value = fields[key];
  return typeof value === "string" || typeof value === "number" ? String(value) : "?";
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}

function short(value: unknown): string {
  return String(value).slice(0, 12);
}

function shortHex(value: string): string {
  return /^[0-9a-f]{64}$/.test(value) ? value.slice(0, 12) : value;
}

function list(value: unknown): string {
  return Array.isArray(value) ? value.map(short).join(", ") : "?";
}
