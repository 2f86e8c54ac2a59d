/**
 * The one place where an exception of an adapter becomes a fault.
 *
 * The node calls provers, verifiers, sources and sinks. Each of them may break its port's contract: it may throw where it
 * should report, or return a promise that rejects. A guarded adapter reports such an exception as the fault of the task,
 * block or source that it was called for, so the node goes on. An exception of the node's own callback is no fault of the
 * adapter: it is thrown outside of the adapter's call, where nothing swallows it.
 */
import type {
  Cancel,
  Clock,
  Done,
  Fault,
  ProveEvent,
  ProveJob,
  Prover,
  Result,
  Sink,
  Source,
  SourceEvent,
  Tell,
  Verifier,
} from "../ports.ts";

/** Errors of the operating system which say that a disk, or a user's share of it, is full. */
const FULL: readonly unknown[] = ["ENOSPC", "EDQUOT"];

/** How long a source rests after an exception before it is started again. */
const RESTART_MS_MIN = 1_000;
const RESTART_MS_MAX = 60_000;

/** `name` is what the code begins with: `prover.threw`, `sink.disk-full`. */
export function faultOfThrown(name: string, error: unknown): Fault {
  const message = error instanceof Error ? error.message : String(error);
  const errno = typeof error === "object" && error !== null && "code" in error ? error.code : null;
  return { code: `${name}.${FULL.includes(errno) ? "disk-full" : "threw"}`, message };
}

/** A call of ours that an adapter makes. Our own exception must not look like the adapter's. */
function ours<A extends readonly unknown[], R = void>(call: (...given: A) => R): (...given: A) => R | undefined {
  return (...given) => {
    try {
      return call(...given);
    } catch (error) {
      queueMicrotask(() => {
        throw error;
      });
      return undefined;
    }
  };
}

/** Runs a call of an adapter. `failed` is told of an exception, whether thrown or rejected. */
function attempt<T>(run: () => T, failed: (error: unknown) => void): T | null {
  try {
    const result: unknown = run();
    if (result instanceof Promise) result.catch(failed);
    return result as T;
  } catch (error) {
    failed(error);
    return null;
  }
}

/**
 * Of a prover that throws the task fails as this machine's fault. `disabled` says that the prover is in no state to prove
 * anything, so the node uses it again only after a trial.
 */
export function guardedProver(prover: Prover): Prover {
  const vacate = prover.vacate?.bind(prover);
  return {
    system: prover.system,
    slots: prover.slots,
    prove(job: ProveJob, emit: (event: ProveEvent) => void): Cancel {
      let isOver = false;
      const heard = ours((event: ProveEvent) => {
        if (isOver) return;
        isOver = event.kind !== "progress";
        emit(event);
      });
      const failed = (error: unknown): void =>
        // On a later turn: whoever asked does not have the cancel yet.
        queueMicrotask(() =>
          heard({ kind: "failed", logical: false, disabled: true, fault: faultOfThrown("prover", error) }),
        );
      const cancel = attempt(() => prover.prove(job, heard), failed);
      return () => {
        isOver = true;
        // What a cancel throws is nobody's any more: the task has ended.
        if (cancel !== null) attempt(cancel, () => {});
      };
    },
    ...(vacate === undefined
      ? {}
      : {
          vacate(moved: () => void, done: () => void): void {
            const free = once(ours(done));
            attempt(() => vacate(ours(moved), free), free);
          },
        }),
    close: async () => prover.close(),
  };
}

/** Of a verifier that throws the answer is a fault, which is no verdict. */
export function guardedVerifier(verifier: Verifier): Verifier {
  const guard = <T>(run: (done: Done<T>) => Cancel, done: Done<T>): Cancel => {
    let isCancelled = false;
    const answer = completion("verifier", (result: Result<T>) => {
      if (!isCancelled) done(result);
    });
    const cancel = attempt(() => run(answer.done), answer.failed);
    return () => {
      isCancelled = true;
      if (cancel !== null) attempt(cancel, () => {});
    };
  };
  return {
    prepare: (job, done) => guard((settle) => verifier.prepare(job, settle), done),
    verify: (job, done) => guard((settle) => verifier.verify(job, settle), done),
    close: async () => verifier.close(),
  };
}

/** Of a sink that throws the block is tried again after a pause, as after any other fault. */
export function guardedSink(sink: Sink): Sink {
  const notice = sink.notice?.bind(sink);
  return {
    look(block, done) {
      const answer = completion("sink", done);
      attempt(() => sink.look(block, answer.done), answer.failed);
    },
    deliver(block, done) {
      const answer = completion("sink", done);
      attempt(() => sink.deliver(block, answer.done), answer.failed);
    },
    // Best effort: nothing waits for it.
    ...(notice === undefined
      ? {}
      : {
          notice: (of) =>
            void attempt(
              () => notice(of),
              () => {},
            ),
        }),
    close: async () => sink.close(),
  };
}

/** A source that throws is in trouble. It is started again after a pause, behind the last block that it emitted. */
export function guardedSource(
  source: Source,
  { chain, clock }: { readonly chain: number; readonly clock: Pick<Clock, "after"> },
): Source {
  let [failures, isClosed] = [0, false];
  let rest: Cancel = () => {};
  const start = (after: SourcePlace, emit: Tell): void => {
    let [isOver, last] = [false, after];
    const heard: Tell = ours((event: SourceEvent) => {
      if (isOver || isClosed) return undefined;
      if (event.kind === "block") {
        failures = 0;
        last = { height: event.block.height, hash: event.block.hash };
      }
      // The blocks behind a retracted one are emitted again, which changes nothing.
      if (event.kind === "retract") last = after;
      // The source waits where the node is slower than the chain.
      return emit(event);
    });
    const failed = (error: unknown): void => {
      void heard({ kind: "trouble", chain, fault: faultOfThrown("source", error) });
      if (isOver || isClosed) return;
      isOver = true;
      const restMs = Math.min(RESTART_MS_MIN * 2 ** Math.min(failures++, 16), RESTART_MS_MAX);
      rest = clock.after(restMs, () => start(last, emit));
    };
    attempt(() => source.start(after, heard), failed);
  };
  return {
    start,
    close: async () => {
      isClosed = true;
      rest();
      await source.close();
    },
  };
}

type SourcePlace = Parameters<Source["start"]>[0];

function once(call: () => void): () => void {
  let isCalled = false;
  return () => {
    if (isCalled) return;
    isCalled = true;
    call();
  };
}

/** The one answer to a question: the adapter's own, or the fault that an exception is. */
function completion<T>(
  name: string,
  done: Done<T>,
): { readonly done: Done<T>; readonly failed: (error: unknown) => void } {
  let isOver = false;
  const answer = ours((result: Result<T>) => {
    if (isOver) return;
    isOver = true;
    done(result);
  });
  const failed = (error: unknown): void =>
    queueMicrotask(() => answer({ ok: false, fault: faultOfThrown(name, error) }));
  return { done: answer, failed };
}
