/** What a run counts while it goes, and the last of what happened, to tell the story of a failure. */
import type { Cluster, SimNode } from "./cluster.ts";
import type { Fault } from "./fault.ts";

const REMEMBERED_MAX = 65_536;
const STORY_LINES_MAX = 40;
/** What every node says all the time and explains nothing. */
const NOISE: ReadonlySet<string> = new Set(["refused", "certificate.stored", "block.learned"]);

interface Moment {
  readonly atMs: number;
  readonly who: string;
  readonly event: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

export class Figures {
  readonly #over = new Set<string>();
  readonly #proven = new Set<string>();
  /** By block hash: when the first node announced it, and when the first node had its certificate. */
  readonly #announcedMs = new Map<string, number>();
  readonly #certifiedMs = new Map<string, number>();
  wastedProofs = 0;
  wastedMs = 0;
  #recent: Moment[] = [];

  get reclaims(): number {
    return this.#over.size;
  }

  /** From announcement to certificate, in the median of the certified blocks; `null` where there is none. */
  get blockMedianMs(): number | null {
    const took = [...this.#certifiedMs].map(([hash, atMs]) => atMs - (this.#announcedMs.get(hash) ?? atMs));
    took.sort((a, b) => a - b);
    return took[took.length >> 1] ?? null;
  }

  event(atMs: number, node: SimNode, event: string, fields: Readonly<Record<string, unknown>>): void {
    if (event === "task.proved") this.#proved(fields);
    if (event === "block.announced") noteFirst(this.#announcedMs, fields, atMs);
    if (event === "block.certified") noteFirst(this.#certifiedMs, fields, atMs);
    if (event === "attempt.over") this.#over.add(taskOf(fields) + textOf(fields["attempt"]));
    if (!NOISE.has(event)) this.#remember({ atMs, who: node.name, event, fields });
  }

  fault(fault: Fault): void {
    const { number, kind, atMs, ...fields } = fault;
    this.#remember({ atMs, who: `fault ${number}`, event: kind, fields });
  }

  #proved(fields: Readonly<Record<string, unknown>>): void {
    const task = taskOf(fields);
    if (this.#proven.has(task)) {
      this.wastedProofs++;
      this.wastedMs += Number(fields["provingMs"]);
    }
    this.#proven.add(task);
  }

  #remember(moment: Moment): void {
    this.#recent.push(moment);
    if (this.#recent.length >= 2 * REMEMBERED_MAX) this.#recent = this.#recent.slice(-REMEMBERED_MAX);
  }

  /** The last that happened to what the violations are about, with the faults in between. */
  story(cluster: Cluster, violations: readonly string[]): string[] {
    const [first] = violations;
    if (first === undefined) return [];
    const height = Number(/heights? (\d+)/.exec(first)?.[1] ?? Number.NaN);
    const [, block, stage, index] = /\b([0-9a-f]{8}) (\w+)\/(\d+)/.exec(first) ?? [];
    const isAbout = ({ who, fields }: Moment): boolean => {
      if (who.startsWith("fault")) return true;
      if (Number.isNaN(height) && block === undefined) return true;
      if (fields["height"] === height && stage === undefined) return true;
      if (block === undefined || !cluster.idsOf(textOf(fields["hash"])).some((id) => id.startsWith(block)))
        return false;
      return fields["stage"] === undefined || (fields["stage"] === stage && textOf(fields["index"]) === index);
    };
    return this.#recent.filter(isAbout).slice(-STORY_LINES_MAX).map(lineOf);
  }
}

function noteFirst(times: Map<string, number>, fields: Readonly<Record<string, unknown>>, atMs: number): void {
  const hash = textOf(fields["hash"]);
  if (!times.has(hash)) times.set(hash, atMs);
}

function lineOf({ atMs, who, event, fields }: Moment): string {
  const details = Object.entries(fields).map(([name, value]) => `${name}=${shortOf(value)}`);
  return `${(atMs / 1000).toFixed(3)}s ${who} ${event} ${details.join(" ")}`;
}

function shortOf(value: unknown): string {
  if (typeof value === "string" && /^[0-9a-f]{64}$/.test(value)) return value.slice(0, 8);
  return typeof value === "string" ? value : JSON.stringify(value);
}

function taskOf(fields: Readonly<Record<string, unknown>>): string {
  return [fields["hash"], fields["stage"], fields["index"], ""].map(textOf).join(" ");
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value : (JSON.stringify(value) ?? "");
}
