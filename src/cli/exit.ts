/** How a command ends: one line a person can act on, a stable code, and an exit status by kind of trouble. */

import type { Done, Fault } from "../ports.ts";

/** Exit statuses; `docs/errors.md` has them as a table. */
export const EXIT = {
  ok: 0,
  /** What was checked does not hold. */
  refused: 1,
  /** The command line, the configuration or the manifest is wrong. */
  usage: 2,
  /** Nobody answers: the node, the peer or the chain. */
  unreachable: 3,
  /** The data directory or the key is not usable. */
  data: 4,
  /** An address or a port cannot be used. */
  listen: 5,
  /** A bug, or a machine that is broken. */
  internal: 70,
  /** Try again later: the disk is full or slow. */
  temporary: 75,
} as const;

const STATUS_BY_PREFIX: readonly (readonly [string, number])[] = [
  ["config.", EXIT.usage],
  ["manifest.", EXIT.usage],
  ["keys.", EXIT.usage],
  ["usage.", EXIT.usage],
  ["commander.", EXIT.usage],
  ["submit.", EXIT.usage],
  ["tasks.", EXIT.usage],
  ["workflow.", EXIT.usage],
  ["replay.", EXIT.refused],
  ["certificate.missing", EXIT.unreachable],
  ["artefact.missing", EXIT.unreachable],
  ["artefact.unavailable", EXIT.unreachable],
  ["artefact.wrong-bytes", EXIT.refused],
  ["artefact.too-large", EXIT.usage],
  ["artefact.busy", EXIT.temporary],
  ["evidence.missing", EXIT.unreachable],
  ["evidence.", EXIT.refused],
  ["certificate.", EXIT.refused],
  ["proof.", EXIT.refused],
  ["payload.", EXIT.refused],
  ["join.", EXIT.unreachable],
  ["contract.recorder", EXIT.usage],
  ["contract.funds", EXIT.usage],
  ["contract.owner", EXIT.usage],
  ["contract.missing", EXIT.usage],
  ["contract.refused", EXIT.refused],
  ["contract.", EXIT.unreachable],
  ["source.wrong-chain", EXIT.usage],
  ["source.", EXIT.unreachable],
  ["devchain.", EXIT.unreachable],
  ["node.unreachable", EXIT.unreachable],
  ["listen.", EXIT.listen],
  ["key.", EXIT.data],
  ["data.", EXIT.data],
  ["prover.", EXIT.refused],
  ["verifier.", EXIT.refused],
  ["temporary.full", EXIT.temporary],
  ["temporary.", EXIT.data],
  ["journal.", EXIT.data],
  ["store.", EXIT.data],
  ["artefact.", EXIT.data],
  ["disk.full", EXIT.temporary],
];

/** An error whose message is meant for the user. */
export class CommandError extends Error {
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

/** A port's completion as a promise; a fault rejects. */
export function settled<T>(ask: (done: Done<T>) => void): Promise<T> {
  return new Promise((resolve, reject) => {
    ask((result) =>
      result.ok ? resolve(result.value) : reject(new CommandError(result.fault.code, result.fault.message)),
    );
  });
}

export function statusOf(code: string): number {
  return STATUS_BY_PREFIX.find(([prefix]) => code.startsWith(prefix))?.[1] ?? EXIT.internal;
}

/** An error as a fault. A full disk is the same fault whoever met it. */
export function faultOf(error: unknown): Fault {
  const code = error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "internal";
  const full = code === "ENOSPC" || code === "EDQUOT";
  return { code: full ? "disk.full" : code, message: error instanceof Error ? error.message : String(error) };
}

/** Prints what went wrong to standard error and says with which status to end. */
export function explain(error: unknown): number {
  const { code, message } = faultOf(error);
  const status = statusOf(code);
  for (const line of message.split("\n")) process.stderr.write(`proofmesh: ${line}  [${code}]\n`);
  if (status === EXIT.internal && error instanceof Error && error.stack !== undefined)
    process.stderr.write(`${error.stack}\n`);
  return status;
}
