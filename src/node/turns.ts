/**
 * How partitions share one node's machines, so that one of them in trouble does not slow another.
 *
 * Slots are dealt out at the start, in the order of the configuration, the remainder to the first. What is dealt is not
 * lent, though it stands idle: a task that hangs in one partition would hold the slot of another. Only where there are
 * fewer slots than partitions does each get one on paper, and their tasks wait in line for the machine, a line for each
 * partition, the lines served in turn; so nobody waits for longer than one task of each other partition takes (`bench.ts`).
 *
 * The threads that verify are one line for each partition, too: a partition that has fallen behind brings hundreds of
 * proofs at once.
 */
import type { Cancel, Done, Result, Verifier } from "../ports.ts";

/** Of one partition; as many as the verifier itself would take. */
const WAITING_MAX = 256;

/** Proofs at once by partition; at least one each. */
export function dealSlots(slots: number, names: readonly (string | null)[]): ReadonlyMap<string | null, number> {
  const rest = slots % Math.max(names.length, 1);
  return new Map(
    names.map((name, at) => [name, Math.max(1, Math.floor(slots / names.length) + (at < rest ? 1 : 0))] as const),
  );
}

type Leave = () => void;

interface Waiting {
  readonly run: (leave: Leave) => void;
  /** Takes what else it needs, or nothing where some of it is not free. */
  readonly claim: () => boolean;
}

/** Places for so many at once, and a line before them for each partition. */
export class Turns {
  readonly #placesMax: number;
  #taken = 0;
  #turn = 0;
  readonly #lines = new Map<string, { servedAt: number; readonly waiting: Waiting[] }>();

  constructor(placesMax: number) {
    this.#placesMax = placesMax;
  }

  waiting(line: string): number {
    return this.#lines.get(line)?.waiting.length ?? 0;
  }

  get full(): boolean {
    return this.#taken >= this.#placesMax;
  }

  /**
   * Runs it when it has a place and its claim succeeds, at once where both are so; `leave` gives the place back. Cancel
   * leaves the line only.
   */
  wait(line: string, run: (leave: Leave) => void, claim: () => boolean = () => true): Cancel {
    const own = this.#lines.get(line) ?? { servedAt: 0, waiting: [] };
    this.#lines.set(line, own);
    const waiting = { run, claim };
    own.waiting.push(waiting);
    this.serve();
    return () => {
      const at = own.waiting.indexOf(waiting);
      if (at !== -1) own.waiting.splice(at, 1);
    };
  }

  /** To be called as well when what claims need has become free. */
  serve(): void {
    for (let next = this.#next(); next !== null; next = this.#next()) {
      let left = false;
      next.run(() => {
        if (left) return;
        left = true;
        this.#taken--;
        this.serve();
      });
    }
  }

  /** The first that can begin, taken out of its line with a place and what it claims. */
  #next(): Waiting | null {
    if (this.full) return null;
    for (const line of [...this.#lines.values()].sort((a, b) => a.servedAt - b.servedAt)) {
      const at = line.waiting.findIndex(({ claim }) => claim());
      const [next] = at === -1 ? [] : line.waiting.splice(at, 1);
      if (next === undefined) continue;
      line.servedAt = ++this.#turn;
      this.#taken++;
      return next;
    }
    return null;
  }
}

/** The verifier as one partition has it. */
export function sharedVerifier(verifier: Verifier, turns: Turns, partition: string): Verifier {
  const enter = <T>(ask: (done: Done<T>) => Cancel, done: Done<T>): Cancel => {
    if (turns.waiting(partition) >= WAITING_MAX) return refuse(done);
    let stop: Cancel = () => {};
    const cancelWait = turns.wait(partition, (leave) => {
      const cancel = ask((result) => {
        leave();
        done(result);
      });
      stop = () => {
        cancel();
        leave();
      };
    });
    return () => {
      cancelWait();
      stop();
    };
  };
  return {
    prepare: (job, done) => enter((settle) => verifier.prepare(job, settle), done),
    verify: (job, done) => enter((settle) => verifier.verify(job, settle), done),
    close: () => Promise.resolve(),
  };
}

/** On a later turn: a completion never runs inside the call that asked for it. */
function refuse<T>(done: Done<T>): Cancel {
  const fault = { code: "verifier.busy", message: `${WAITING_MAX} jobs are waiting` };
  const result: Result<T> = { ok: false, fault };
  const timer = setImmediate(() => done(result));
  return () => clearImmediate(timer);
}
