/** How what goes wrong outside the core reaches whoever opened the node. */
import type { Done, Fault } from "../ports.ts";

/** What a start could not get past, or what ended a node: `code` and `message` as in `Fault`. */
export class NodeFault extends Error implements Fault {
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

/** A port's completion as a promise; a fault rejects. */
export function settled<T>(run: (done: Done<T>) => void): Promise<T> {
  return new Promise((resolve, reject) => {
    run((result) =>
      result.ok ? resolve(result.value) : reject(new NodeFault(result.fault.code, result.fault.message)),
    );
  });
}
