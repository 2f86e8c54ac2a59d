/** How a sink's work becomes its answer: an exception is a fault of the place, and the block is tried again. */
import type { Done, Result, SinkFault } from "../ports.ts";

/** Calls `done` once. `name` is what the code of an exception begins with: `webhook.threw`. */
export function answer<T>(name: string, run: () => Promise<Result<T, SinkFault>>, done: Done<T, SinkFault>): void {
  void failSafe(name, run).then(done);
}

/** The work's own result, or the fault that its exception is. */
export async function failSafe<T>(
  name: string,
  run: () => Promise<Result<T, SinkFault>>,
): Promise<Result<T, SinkFault>> {
  try {
    return await run();
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    return { ok: false, fault: { code: `${name}.threw`, message } };
  }
}
