/** Where certified blocks are handed on to. */
import { join } from "node:path";
import type { Manifest } from "../protocol/manifest.ts";
import type { SinkLine } from "../runtime/proposer.ts";
import type { Signer } from "../ports.ts";
import { fileSink } from "../sinks/file.ts";
import { openCursor } from "../storage/cursor.ts";
import type { DataDirectory } from "../storage/directory.ts";

interface Parts {
  readonly manifest: Manifest;
  readonly directory: DataDirectory;
  readonly signer: Signer;
}

/** The sink that every node has: its certificates as files. */
const OWN = "certificates";
const TAKEOVER_MS = 15_000;

export async function openSinks(parts: Parts, closers: (() => Promise<void> | void)[]): Promise<SinkLine[]> {
  const { directory, manifest, signer } = parts;
  const sink = fileSink({ directory: join(directory.dir, OWN) });
  const cursor = openCursor(join(directory.dir, "sinks", `${OWN}.json`));
  closers.push(() => cursor.close());
  closers.push(() => sink.close());
  const chains = manifest.json.chains.map(({ id }) => id);
  return [{ name: OWN, sink, cursor, chains, from: null, nodes: [signer.key], takeoverMs: TAKEOVER_MS }];
}
