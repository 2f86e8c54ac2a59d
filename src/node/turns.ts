/**
 * How partitions share one node's machines, so that one of them in trouble does not slow another.
 *
 * Slots are dealt out at the start, in the order of the configuration, the remainder to the first. What is dealt is not
 * lent, though it stands idle: a task that hangs in one partition would hold the slot of another. Only where there are
 * fewer slots than partitions does each get one on paper, and their tasks wait in line for the machine, a line for each
 * partition, the lines served in turn; so nobody waits for longer than one task of each other partition takes. While it
 * waits, a task moves as the machine does, exactly as a core says of the tasks it has queued itself: its lease holds as
 * long as the work before it makes progress, and is lost with it where that hangs.
 *
 * The threads that verify are one line for each partition, too: a partition that has fallen behind brings hundreds of
 * proofs at once.
 */
import type { Cancel, Done, ProveEvent, Prover, Result, Verifier } from "../ports.ts";

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

/** Places for so many at once, and a line before them for each partition. */
export class Turns {
  readonly #placesMax: number;
  #taken = 0;
  #turn = 0;
  readonly #lines = new Map<string, { servedAt: number; readonly waiting: ((leave: Leave) => void)[] }>();

  constructor(placesMax: number) {
    this.#placesMax = placesMax;
  }

  waiting(line: string): number {
    return this.#lines.get(line)?.waiting.length ?? 0;
  }

  /** Runs it when it has a place, at once where one is free; `leave` gives the place back. Cancel leaves the line only. */
  wait(line: string, run: (leave: Leave) => void): Cancel {
    const own = this.#lines.get(line) ?? { servedAt: 0, waiting: [] };
    this.#lines.set(line, own);
    own.waiting.push(run);
    this.#serve();
    return () => {
      const at = own.waiting.indexOf(run);
      if (at !== -1) own.waiting.splice(at, 1);
    };
  }

  #serve(): void {
    while (this.#taken < this.#placesMax) {
      const lines = [...this.#lines.values()].filter(({ waiting }) => waiting.length > 0);
      const [next] = lines.sort((a, b) => a.servedAt - b.servedAt);
      if (next === undefined) return;
      next.servedAt = ++this.#turn;
      const run = next.waiting.shift();
      this.#taken++;
      let left = false;
      run?.(() => {
        if (left) return;
        left = true;
        this.#taken--;
        this.#serve();
      });
    }
  }
}

/** A job's units as its core sees them: those of what it has waited for, and its own. */
interface Moving {
  units: number;
  readonly emit: (event: ProveEvent) => void;
}

/** The provers of one node, handed out to its partitions. */
export class ProverBench {
  readonly #provers: readonly Prover[];
  readonly #turns: Turns;
  readonly #waiting = new Set<Moving>();

  constructor(provers: readonly Prover[], slots: number) {
    this.#provers = provers;
    this.#turns = new Turns(slots);
  }

  for(partition: string): Prover[] {
    return this.#provers.map((prover) => ({
      system: prover.system,
      slots: prover.slots,
      prove: (job, emit) => this.#enter(partition, (moving) => prover.prove(job, moving), emit),
      // Whoever opened the provers closes them.
      close: () => Promise.resolve(),
    }));
  }

  #enter(
    line: string,
    prove: (emit: (event: ProveEvent) => void) => Cancel,
    emit: (event: ProveEvent) => void,
  ): Cancel {
    const moving: Moving = { units: 0, emit };
    this.#waiting.add(moving);
    let stop: Cancel = () => {};
    const cancelWait = this.#turns.wait(line, (leave) => {
      this.#waiting.delete(moving);
      const before = moving.units;
      let done = 0;
      const cancel = prove((event) => {
        if (event.kind !== "progress") {
          leave();
          return emit(event);
        }
        this.#moved(event.units - done);
        done = event.units;
        emit({ kind: "progress", units: before + done });
      });
      stop = () => {
        cancel();
        leave();
      };
    });
    return () => {
      cancelWait();
      this.#waiting.delete(moving);
      stop();
    };
  }

  #moved(units: number): void {
    for (const moving of this.#waiting) {
      moving.units += units;
      moving.emit({ kind: "progress", units: moving.units });
    }
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
