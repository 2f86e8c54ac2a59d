/**
 * The data directory of a node that does not run, for reading only.
 *
 * It is locked meanwhile, so that no node starts on it. Journal and artefacts are read where they are. LevelDB cannot be
 * opened without writing to it, so a copy of the store is: what is damaged stays as it is, for the node to deal with.
 */
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import type { Clock, Result, StoredBatch, StoredCertificate, Telemetry } from "../ports.ts";
import { type Batch, openBatch } from "../protocol/batch.ts";
import { artefactHash, type Hash, type Key } from "../protocol/ids.ts";
import { bindDirectory, openDirectory, partitionPaths, partitionsIn } from "./directory.ts";
import { StorageFault, systemFault } from "./fault.ts";
import { readIfThere } from "./files.ts";
import { peekCopies } from "./journal-copies.ts";
import { openLevelStore } from "./level.ts";

export interface Archive {
  /** What the node would export while it runs: its own feed from the journal, those of others from the store. */
  readonly logs: readonly ArchivedLog[];
  /** By chain and height. */
  readonly certificates: readonly StoredCertificate[];
  /** `null` where it is not held; throws `artefact.damaged` where it is not what it was. */
  artefact(hash: Hash): Uint8Array | null;
  close(): Promise<void>;
}

export interface ArchivedLog {
  /** `null` for the log of an undivided network. */
  readonly partition: string | null;
  readonly batches: readonly Batch[];
}

/**
 * Throws `data.not-a-node` where there is nothing to read, `data.locked` while a process has the directory,
 * `journal.damaged` and `store.damaged` where what is there cannot be told whole, and what `openDirectory` throws.
 */
export async function openArchive(dir: string): Promise<Archive> {
  const network = networkOf(dir);
  const directory = await openDirectory(dir);
  try {
    bindDirectory(directory, network);
    const logs: ArchivedLog[] = [];
    const certificates: StoredCertificate[] = [];
    const partitions = partitionsIn(directory.dir);
    for (const partition of [null, ...partitions]) {
      const paths = partitionPaths(directory, partition);
      const journal = peekCopies(paths.journal);
      const stored = await readStore(paths.level);
      certificates.push(...stored.certificates);
      // Of a divided network only certificates are above its partitions.
      if (partition === null && partitions.length > 0) continue;
      const others = stored.batches.filter(({ author }) => author !== journal?.key).map(({ bytes }) => bytes);
      logs.push({ partition, batches: inOrder([...(journal?.records ?? []), ...others], journal?.key ?? null) });
    }
    return {
      logs,
      certificates: certificates.toSorted((a, b) => a.chain - b.chain || a.height - b.height),
      artefact: (hash) => readArtefact(directory.artefacts, hash),
      close: () => directory.lock.release(),
    };
  } catch (error) {
    await directory.lock.release();
    throw error;
  }
}

function networkOf(dir: string): Hash {
  const file = path.join(dir, "network");
  let found: Buffer | null;
  try {
    found = readIfThere(file);
  } catch (error) {
    throw systemFault(error, "data.not-a-node", `cannot read ${file}`);
  }
  if (found === null) throw new StorageFault("data.not-a-node", `${dir} is no node's data directory: no ${file}`);
  return found.toString("utf8", 0, 256).trim();
}

/** Feed by feed, the own one first. */
function inOrder(records: readonly Uint8Array[], own: Key | null): Batch[] {
  const batches = records.map((bytes) => {
    const opened = openBatch(bytes);
    if (!opened.ok) throw new StorageFault("store.damaged", `a stored batch cannot be read: ${opened.code}`);
    return opened.value;
  });
  const rank = ({ head }: Batch): string => (head.author === own ? "" : head.author);
  return batches.sort((a, b) => (rank(a) < rank(b) ? -1 : rank(a) > rank(b) ? 1 : a.head.number - b.head.number));
}

interface Stored {
  readonly batches: readonly StoredBatch[];
  readonly certificates: readonly StoredCertificate[];
}

async function readStore(level: string): Promise<Stored> {
  if (!fs.existsSync(level)) return { batches: [], certificates: [] };
  const temporary = fs.mkdtempSync(path.join(os.tmpdir(), "proofmesh-archive-"));
  const copy = path.join(temporary, "level");
  try {
    copyStore(level, copy);
    const { store, report } = await openLevelStore({ dir: copy }, { clock: CLOCK, telemetry: SILENT });
    try {
      const loaded = await new Promise<Result<Stored>>((resolve) => store.load(resolve));
      if (!loaded.ok) throw new StorageFault(loaded.fault.code, loaded.fault.message);
      const lost = (report.scrubbed?.damaged ?? 0) + store.damaged();
      if (report.replaced !== null || lost > 0)
        throw new StorageFault(
          "store.damaged",
          `${level}: ${report.replaced?.reason ?? `${lost} values`} damaged; a start of the node gets them from its peers`,
        );
      return loaded.value;
    } finally {
      await store.close();
    }
  } finally {
    fs.rmSync(temporary, { recursive: true, force: true });
  }
}

function copyStore(level: string, copy: string): void {
  try {
    fs.cpSync(level, copy, { recursive: true });
  } catch (error) {
    throw systemFault(error, "store.failed", `cannot copy ${level} to ${copy}`);
  }
}

function readArtefact(dir: string, hash: Hash): Uint8Array | null {
  const file = path.join(dir, hash.slice(0, 2), hash);
  const bytes = readIfThere(file);
  if (bytes === null || artefactHash(bytes) === hash) return bytes;
  throw new StorageFault("artefact.damaged", `${file} is not what its name says`);
}

/** The copy lives for one reading: nothing of it is worth a line. */
const SILENT: Telemetry = { emit: () => {}, count: () => {} };

const CLOCK: Clock = {
  now: () => performance.now(),
  wall: () => Date.now(),
  after: (delayMs, run) => {
    const timer = setTimeout(run, delayMs);
    return () => clearTimeout(timer);
  },
};
