import type { Done, Fault } from "../ports.ts";

/** A fault on its way through promises: `code` and `message` as in `Fault`. */
export class NetworkFault extends Error implements Fault {
  readonly code: string;

  constructor(code: string, message: string, cause?: unknown) {
    super(message, cause === undefined ? {} : { cause });
    this.name = "NetworkFault";
    this.code = code;
  }
}

/** What went wrong, as a value. `code` names what libp2p could not. */
export function faultOf(error: unknown, code: string): Fault {
  if (error instanceof NetworkFault) return { code: error.code, message: error.message };
  return { code, message: error instanceof Error ? error.message : String(error) };
}

/** A port's completion as a promise; a fault rejects. */
export function settled<T>(run: (done: Done<T>) => void): Promise<T> {
  return new Promise((resolve, reject) => {
    run((result) => {
      if (result.ok) resolve(result.value);
      else reject(new NetworkFault(result.fault.code, result.fault.message));
    });
  });
}

/** For errors that nobody could have expected, in places where libp2p would swallow them: they end the process. */
export function rethrow(error: unknown): void {
  queueMicrotask(() => {
    throw error;
  });
}
