/**
 * Files that are either there whole or not there, after any crash.
 *
 * A rename replaces a name atomically, but it is durable only once its directory has been synced, and the new content
 * only if the file was synced before.
 */
import { randomBytes } from "node:crypto";
import fs from "node:fs";
import path from "node:path";

export const TEMPORARY_SUFFIX = ".tmp";

/** Writes a small file durably; blocks, so only at start. Under a temporary name first, then renamed. */
export function writeFileDurably(file: string, bytes: Uint8Array, mode: number): void {
  putFile(file, `${file}${TEMPORARY_SUFFIX}`, bytes, mode, fs.renameSync);
}

/** The same for a file that must not be there yet: throws `EEXIST` where it is, and leaves it as it was. */
export function createFileDurably(file: string, bytes: Uint8Array, mode: number): void {
  // Two processes may create it at once, each under a temporary name of its own.
  const temporary = `${file}.${randomBytes(8).toString("hex")}${TEMPORARY_SUFFIX}`;
  putFile(file, temporary, bytes, mode, (from, to) => {
    // A link fails where there is a file already; a rename would replace it.
    fs.linkSync(from, to);
    fs.unlinkSync(from);
  });
}

function putFile(
  file: string,
  temporary: string,
  bytes: Uint8Array,
  mode: number,
  move: (from: string, to: string) => void,
): void {
  fs.rmSync(temporary, { force: true });
  const fd = fs.openSync(temporary, "wx", mode);
  try {
    try {
      // The mask of the process may have taken bits away or the file system may ignore the mode at creation.
      fs.fchmodSync(fd, mode);
      writeAllSync(fd, bytes, 0);
      fs.fsyncSync(fd);
    } finally {
      fs.closeSync(fd);
    }
    move(temporary, file);
  } catch (error) {
    fs.rmSync(temporary, { force: true });
    throw error;
  }
  syncDirectory(path.dirname(file));
}

export function syncDirectory(directory: string): void {
  const fd = fs.openSync(directory, "r");
  try {
    fs.fsyncSync(fd);
  } finally {
    fs.closeSync(fd);
  }
}

export function writeAllSync(fd: number, bytes: Uint8Array, position: number): void {
  for (let written = 0; written < bytes.length; ) {
    written += fs.writeSync(fd, bytes, written, bytes.length - written, position + written);
  }
}

/** `null` where there is no such file. */
export function readIfThere(file: string): Buffer | null {
  try {
    return fs.readFileSync(file);
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return null;
    throw error;
  }
}

/**
 * Makes a directory and those above it. Node's own recursive variant never returns where a file system answers that a
 * directory cannot be found although its parent is there, as /proc does.
 */
export function makeDirectory(directory: string, mode: number): void {
  if (fs.statSync(directory, { throwIfNoEntry: false })?.isDirectory() === true) return;
  const parent = path.dirname(directory);
  if (parent !== directory) makeDirectory(parent, mode);
  fs.mkdirSync(directory, mode);
}
