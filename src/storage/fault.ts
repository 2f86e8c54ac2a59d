/**
 * Faults of the storage.
 *
 * What is opened at start throws a `StorageFault`, because without it there is no node; what runs afterwards hands the
 * same object to its completion as a value.
 */
import type { Fault, Result } from "../ports.ts";

export class StorageFault extends Error implements Fault {
  readonly code: string;

  constructor(code: string, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = "StorageFault";
    this.code = code;
  }
}

/** The result of something that returns nothing. */
export const DONE: Result<void> = { ok: true, value: undefined };

export function succeeded<T>(value: T): Result<T> {
  return { ok: true, value };
}

export function failed(fault: Fault): { readonly ok: false; readonly fault: Fault } {
  return { ok: false, fault };
}

/**
 * A failed system call as a fault. A full disk has a code of its own: it is the one failure that time heals.
 */
export function systemFault(error: unknown, code: string, doing: string): StorageFault {
  if (error instanceof StorageFault) return error;
  return new StorageFault(isDiskFull(error) ? "disk.full" : code, `${doing}: ${messageOf(error)}`, error);
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** The code of a Node or LevelDB error; LevelDB hides the interesting one in the cause. */
export function codeOf(error: unknown): string {
  for (let at: unknown = error, depth = 0; at instanceof Error && depth < 4; at = at.cause, depth++) {
    const code: unknown = "code" in at ? at.code : undefined;
    if (typeof code === "string" && code !== "LEVEL_DATABASE_NOT_OPEN") return code;
  }
  return "";
}

/**
 * Whether LevelDB says that its files are not what it wrote. A file that is missing or too short it reports as an
 * input/output error, like a disk that does not answer.
 */
export function isDamage(error: unknown): boolean {
  const code = codeOf(error);
  if (code === "LEVEL_CORRUPTION") return true;
  return code === "LEVEL_IO_ERROR" && someMessage(error, /no such file or directory|invalid argument|truncated/i);
}

export function isDiskFull(error: unknown): boolean {
  const code = codeOf(error);
  return code === "ENOSPC" || code === "EDQUOT" || someMessage(error, /no space left|quota exceeded/i);
}

function someMessage(error: unknown, pattern: RegExp): boolean {
  for (let at: unknown = error, depth = 0; at instanceof Error && depth < 4; at = at.cause, depth++) {
    if (pattern.test(at.message)) return true;
  }
  return false;
}
