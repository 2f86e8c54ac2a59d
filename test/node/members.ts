/** A network's members on disk: a data directory with a key for each, and one manifest. */
import { mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { defaultKeys } from "../../src/config.ts";
import { createKeys, genesis, readManifestFile } from "../../src/node.ts";
import type { GenesisOptions } from "../../src/node.ts";
import type { ManifestJson } from "../../src/protocol/manifest.ts";
import { temporaryDirectory } from "../storage/directories.ts";

export interface Member {
  readonly key: string;
  readonly seed: Uint8Array;
  readonly data: string;
}

export interface Members {
  readonly dir: string;
  readonly manifest: string;
  readonly network: string;
  readonly list: readonly Member[];
}

/** `count` attesters that also prove and announce, with mock proofs unless told otherwise. */
export function makeMembers(
  count: number,
  options: Partial<GenesisOptions> = {},
  change: (json: ManifestJson) => ManifestJson = (json) => json,
  dir: string = temporaryDirectory(),
): Members {
  const list = Array.from({ length: count }, (_, index) => {
    const data = path.join(dir, `node-${index}`);
    mkdirSync(data, { mode: 0o700 });
    return { data, ...createKeys(defaultKeys(data)) };
  });
  const keys = list.map(({ key }) => key);
  const json = genesis({
    name: "test",
    attesters: keys,
    sources: keys,
    provers: keys.map((key) => ({ key, slots: 1, weight: 1 })),
    admission: "list",
    chains: [{ id: 31_337, start: 1, confirmations: 0, workflow: "block" }],
    shards: 2,
    window: 4,
    system: "mock",
    bootstrap: [],
    ...options,
  });
  const manifest = path.join(dir, "manifest.json");
  writeFileSync(manifest, `${JSON.stringify(change(json), null, 2)}\n`);
  return { dir, manifest, network: readManifestFile(manifest).network, list };
}

/** Flags of a node that disturbs nothing else on this machine. */
export function flagsOf(members: Members, member: Member, mockMs: number): string[] {
  const where = ["--data", member.data, "--manifest", members.manifest, "--mock", String(mockMs)];
  return [...where, "--listen", "/ip4/127.0.0.1/tcp/0", "--http", "127.0.0.1:0", "--profile", "local"];
}
