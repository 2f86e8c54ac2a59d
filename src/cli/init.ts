/** `proofmesh init`: makes a node's key, or the manifest of a new network. */
import { existsSync } from "node:fs";
import { Command, InvalidArgumentError, Option } from "commander";
import { defaultData, defaultKeys, manifestFile } from "../config.ts";
import { trustInSources } from "../protocol/manifest.ts";
import {
  createKeys,
  createManifestFile,
  genesis,
  keyFileIn,
  loadKey,
  PROOF_BYTES,
  readFragmentFile,
  SYSTEM_NAMES,
  type SystemName,
} from "../node.ts";
import { CommandError } from "./exit.ts";
import { collect, whole } from "./flags.ts";

interface Flags {
  readonly data?: string;
  readonly keys?: string;
  readonly network?: string;
  readonly manifest?: string;
  readonly attester: string[];
  readonly prover: string[];
  readonly chain: { readonly id: number; readonly start: number | "any" }[];
  readonly partition: { readonly name: string; readonly chains: number[]; readonly attesters: string[] }[];
  readonly shards: number;
  readonly window: number;
  readonly proofBytes: number;
  readonly open: boolean;
  readonly system: SystemName;
  readonly mock?: boolean;
  readonly workflow?: string;
  readonly bootstrap: string[];
  readonly json?: boolean;
}

export function initCommand(): Command {
  return new Command("init")
    .description("Make a node's key; with --network, also the manifest of a new network.")
    .option("--data <dir>", "the node's data directory (default: ~/.proofmesh/dev)")
    .option("--keys <dir>", "the key's directory (default: DATA-keys, beside the data directory)")
    .option("--network <name>", "make a manifest with this name")
    .option("--manifest <file>", "where to write it (default: manifest.json in the data directory)")
    .option(
      "--attester <key>",
      "a public key that attests and announces blocks; repeatable (default: this node)",
      collect,
      [],
    )
    .option(
      "--prover <key>",
      "a public key that proves from the start; repeatable (default: the attesters)",
      collect,
      [],
    )
    .option("--chain <id:start>", "a chain, and the height where proving starts or any; repeatable", chain, [])
    .option(
      "--partition <name:chains:keys>",
      "chains and their attesters, as west:1,10:KEY1,KEY2; every chain in one; repeatable (default: all are one)",
      partition,
      [],
    )
    .option("--shards <n>", "tasks of a block that run side by side", whole, 4)
    .option("--window <n>", "blocks in proof at once", whole, 4)
    .option("--proof-bytes <n>", "the largest proof that the network takes, at most 16 MiB", whole, PROOF_BYTES)
    .option("--no-open", "only listed provers may prove")
    .addOption(new Option("--system <name>", "what shards are proven with").choices(SYSTEM_NAMES).default("groth16"))
    .option("--mock", "pretend to prove, for experiments")
    .option("--workflow <file>", "prove by the workflows of this file (config/workflows has some)")
    .option("--bootstrap <multiaddr>", "a peer that everybody dials; repeatable", collect, [])
    .option("--json", "print JSON")
    .addHelpText(
      "after",
      "\nExample:\n  $ proofmesh init --data ./node-1 --network my-net --chain 1:21000000 --attester KEY1 --attester KEY2",
    )
    .action((flags: Flags) => run(flags));
}

function run(flags: Flags): void {
  const data = flags.data ?? defaultData("dev");
  const keys = flags.keys ?? defaultKeys(data);
  const file = keyFileIn(keys);
  const { key } = existsSync(file) ? loadKey(file) : createKeys(keys);
  const manifest = flags.network === undefined ? null : writeManifest(flags, flags.network, key, data);
  if (flags.json === true) {
    process.stdout.write(
      `${JSON.stringify({ key, keyFile: file, manifest: manifest?.file ?? null, network: manifest?.network ?? null })}\n`,
    );
    return;
  }
  process.stdout.write(`key       ${key}\nkey file  ${file}  (secret: keep it, never run two nodes with it)\n`);
  if (manifest === null) return;
  process.stdout.write(`manifest  ${manifest.file}\nnetwork   ${manifest.network}\nsources   ${manifest.sources}\n`);
}

function writeManifest(
  flags: Flags,
  name: string,
  key: string,
  data: string,
): { readonly file: string; readonly network: string; readonly sources: string } {
  const file = manifestFile({ manifest: flags.manifest, data });
  if (existsSync(file)) throw new CommandError("manifest.exists", `${file} exists; a manifest is never overwritten`);
  const attesters = flags.attester.length === 0 ? [key] : flags.attester;
  const provers = flags.prover.length === 0 ? attesters : flags.prover;
  const fragment = flags.workflow === undefined ? undefined : readFragmentFile(flags.workflow);
  const [workflow = "block"] = Object.keys(fragment?.workflows ?? {});
  const json = genesis({
    ...(fragment === undefined ? {} : { fragment }),
    name,
    attesters,
    sources: attesters,
    provers: provers.map((prover) => ({ key: prover, slots: 1, weight: 1 })),
    admission: flags.open ? "open" : "list",
    chains: flags.chain.map(({ id, start }) => ({ id, start, confirmations: 0, workflow })),
    ...(flags.partition.length === 0 ? {} : { partitions: flags.partition }),
    shards: flags.shards,
    window: flags.window,
    proofBytesMax: flags.proofBytes,
    system: flags.mock === true ? "mock" : flags.system,
    bootstrap: flags.bootstrap,
  });
  const made = createManifestFile(file, json);
  return { file, network: made.network, sources: trustInSources(made) };
}

function chain(text: string, previous: Flags["chain"]): Flags["chain"] {
  const found = /^(\d{1,15}):(any|\d{1,15})$/.exec(text);
  if (found === null) throw new InvalidArgumentError("allowed: a chain id, a colon, and a height or any.");
  return [...previous, { id: Number(found[1]), start: found[2] === "any" ? "any" : Number(found[2]) }];
}

function partition(text: string, previous: Flags["partition"]): Flags["partition"] {
  const found = /^([a-z0-9][a-z0-9._-]{0,31}):(\d{1,15}(?:,\d{1,15})*):([0-9a-f]{64}(?:,[0-9a-f]{64})*)$/.exec(text);
  if (found === null)
    throw new InvalidArgumentError(
      "allowed: a name, a colon, chain ids by comma, a colon, and attesters' keys by comma.",
    );
  const [, name = "", chains = "", keys = ""] = found;
  return [...previous, { name, chains: chains.split(",").map(Number), attesters: keys.split(",") }];
}
