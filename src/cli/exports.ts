/** What a node exports: over HTTP while it runs, from its data directory while it does not. */
import { defaultData } from "../config.ts";
import { exportLine } from "../protocol/batch.ts";
import type { Archive } from "../storage/archive.ts";
import { ask, type Where } from "./client.ts";
import { CommandError } from "./exit.ts";

export interface Exports {
  /** Line by line, or in larger pieces. */
  log(): AsyncIterable<Uint8Array | string>;
  /** Up to where each chain is certified; below 0 for nothing yet. */
  certified(): Promise<readonly { readonly id: number; readonly certified: number }[]>;
  /** The file. Throws `certificate.missing`. */
  certificate(chain: number, height: number): Promise<Uint8Array>;
  /** Throws `artefact.missing`. */
  artefact(hash: string): Promise<Uint8Array>;
  close(): Promise<void>;
}

/** Throws `node.unreachable` where there is neither a node that answers nor one that has stopped. */
export async function openExports(where: Where): Promise<Exports> {
  try {
    await ask(where, "/manifest");
    return overHttp(where);
  } catch (error) {
    if (!(error instanceof CommandError) || error.code !== "node.unreachable" || where.http !== undefined) throw error;
    return fromDisk(where.data ?? defaultData("dev"), error);
  }
}

function overHttp(where: Where): Exports {
  const bytesOf = async (path: string): Promise<Uint8Array> =>
    new Uint8Array(await (await ask(where, path)).arrayBuffer());
  return {
    async *log() {
      const { body } = await ask(where, "/log");
      if (body !== null) yield* body;
    },
    async certified() {
      const { chains } = (await (await ask(where, "/status")).json()) as {
        readonly chains: readonly { readonly id: number; readonly certified: number }[];
      };
      return chains;
    },
    certificate: (chain, height) => bytesOf(`/certificates/${chain}/${height}`),
    artefact: (hash) => bytesOf(`/artefacts/${hash}`),
    close: async () => {},
  };
}

async function fromDisk(dir: string, unreachable: CommandError): Promise<Exports> {
  // Loaded when it is wanted: a node that answers needs no database here.
  const { openArchive } = await import("../storage/archive.ts");
  const archive = await openArchive(dir).catch((error: unknown) => {
    const code = error instanceof Error && "code" in error ? error.code : "";
    if (code === "data.not-a-node") throw unreachable;
    // Its files change while it runs, so they are not read behind its back.
    if (code === "data.locked" && error instanceof Error)
      throw new CommandError(unreachable.code, `${unreachable.message}; ${error.message}, so its files are not read`);
    throw error;
  });
  return ofArchive(dir, archive);
}

function ofArchive(dir: string, archive: Archive): Exports {
  return {
    async *log() {
      for (const { partition, batches } of archive.logs)
        for (const batch of batches) yield exportLine(batch, partition);
    },
    async certified() {
      const heights = new Map(archive.certificates.map(({ chain, height }) => [chain, height]));
      return [...heights].map(([id, certified]) => ({ id, certified }));
    },
    async certificate(chain, height) {
      const found = archive.certificates.find((stored) => stored.chain === chain && stored.height === height);
      if (found !== undefined) return found.bytes;
      throw new CommandError("certificate.missing", `${dir} has no certificate of chain ${chain}, height ${height}`);
    },
    async artefact(hash) {
      const found = archive.artefact(hash);
      if (found !== null) return found;
      throw new CommandError("artefact.missing", `${dir} does not hold ${hash}`);
    },
    close: () => archive.close(),
  };
}
