/**
 * The data directory: where everything is, what wrote it, and which network it belongs to.
 *
 *     format                the version of this layout
 *     network               the network's id
 *     lock/                 who uses it now (`lock.ts`)
 *     journal-a, journal-b  the node's own feed (`journal.ts`)
 *     level/                batches and certificates (`level.ts`)
 *     partitions/<name>/    journal and level of a partition, where the network is divided; the level above then has
 *                           the certificates of the partitions that the node takes no part in
 *     artefacts/            payloads and proofs (`artefacts.ts`)
 */
import fs from "node:fs";
import path from "node:path";
import type { Hash } from "../protocol/ids.ts";
import { StorageFault, systemFault } from "./fault.ts";
import { makeDirectory, readIfThere, TEMPORARY_SUFFIX, writeFileDurably } from "./files.ts";
import { type DirectoryLock, lockDirectory } from "./lock.ts";

/** Paths in an open data directory, and the lock on it. */
export interface DataDirectory {
  readonly dir: string;
  /** The journal keeps its two files directly in here. */
  readonly journal: string;
  readonly level: string;
  readonly artefacts: string;
  readonly lock: DirectoryLock;
}

const FORMAT = 1;
const PARTITIONS = "partitions";

/**
 * Makes the directory or checks it, and locks it before anything in it is touched.
 *
 * Throws `data.not-writable`, `data.locked`, `data.format` or `disk.full`.
 */
export async function openDirectory(given: string): Promise<DataDirectory> {
  const dir = path.resolve(given);
  try {
    makeDirectory(dir, 0o700);
    fs.accessSync(dir, fs.constants.R_OK | fs.constants.W_OK | fs.constants.X_OK);
  } catch (error) {
    throw systemFault(error, "data.not-writable", `cannot use ${dir} as data directory`);
  }
  const lock = await lockDirectory(dir);
  try {
    checkFormat(dir);
  } catch (error) {
    await lock.release();
    throw systemFault(error, "data.not-writable", `cannot use ${dir} as data directory`);
  }
  return { dir, journal: dir, level: path.join(dir, "level"), artefacts: path.join(dir, "artefacts"), lock };
}

/** Binds an open directory to a network for good. Throws `data.other-network`, `data.not-writable` or `disk.full`. */
export function bindDirectory({ dir }: Pick<DataDirectory, "dir">, network: Hash): void {
  try {
    checkNetwork(dir, network);
  } catch (error) {
    throw systemFault(error, "data.not-writable", `cannot use ${dir} as data directory`);
  }
}

/** Where a partition's own feed and its log are; of an undivided network (`null`) they are the directory's own. */
export function partitionPaths(
  directory: Pick<DataDirectory, "dir" | "journal" | "level">,
  name: string | null,
): Pick<DataDirectory, "journal" | "level"> {
  if (name === null) return directory;
  const dir = path.join(directory.dir, PARTITIONS, name);
  try {
    makeDirectory(dir, 0o700);
  } catch (error) {
    throw systemFault(error, "data.not-writable", `cannot make ${dir}`);
  }
  return { journal: dir, level: path.join(dir, "level") };
}

/** Names of the partitions that the node has taken part in. */
export function partitionsIn(dir: string): string[] {
  const parent = path.join(dir, PARTITIONS);
  return fs.existsSync(parent) ? fs.readdirSync(parent).sort() : [];
}

function checkFormat(dir: string): void {
  const found = readOrWrite(path.join(dir, "format"), String(FORMAT));
  if (found !== String(FORMAT)) {
    throw new StorageFault("data.format", `${dir} has format ${JSON.stringify(found)}; this program knows ${FORMAT}`);
  }
}

function checkNetwork(dir: string, network: Hash): void {
  const found = readOrWrite(path.join(dir, "network"), network);
  if (found !== network) {
    throw new StorageFault("data.other-network", `${dir} belongs to network ${found}, not to ${network}`);
  }
}

/** The first line of a small file, which is written when it is not there. */
function readOrWrite(file: string, line: string): string {
  const found = readIfThere(file);
  if (found !== null) return found.toString("utf8", 0, 256).trim();
  fs.rmSync(`${file}${TEMPORARY_SUFFIX}`, { force: true });
  writeFileDurably(file, Buffer.from(`${line}\n`), 0o600);
  return line;
}
