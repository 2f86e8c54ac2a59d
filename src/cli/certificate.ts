/** `proofmesh certificate`: exports a certificate, with all that it takes to check its proofs. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Command } from "commander";
import type { BarrierContent } from "../protocol/certificate.ts";
import type { Where } from "./client.ts";
import { CommandError } from "./exit.ts";
import { type Exports, openExports } from "./exports.ts";
import { whole } from "./flags.ts";

interface Flags extends Where {
  readonly chain?: number;
  readonly out?: string;
}

export function certificateCommand(): Command {
  return new Command("certificate")
    .description(
      "Export the barrier certificate of a block; with --out, also the block and its proofs. Of a node that has stopped, from its data directory.",
    )
    .argument("<height>", "the block's height, or latest")
    .option("--chain <id>", "the chain (default: the one with the latest certificate)", whole)
    .option("--out <dir>", "write certificate.json, and the block and proofs named by their SHA-256")
    .option("--data <dir>", "the node's data directory (default: ~/.proofmesh/dev)")
    .option("--http <host:port>", "the node's HTTP endpoint")
    .addHelpText("after", "\nExample:\n  $ proofmesh certificate latest --out proofs")
    .action(async (height: string, flags: Flags) => run(height, flags));
}

async function run(heightText: string, flags: Flags): Promise<void> {
  checkHeight(heightText);
  const exports = await openExports(flags);
  try {
    await write(exports, heightText, flags);
  } finally {
    exports.close();
  }
}

async function write(exports: Exports, heightText: string, flags: Flags): Promise<void> {
  const { chain, height } = await find(exports, heightText, flags);
  const bytes = await exports.certificate(chain, height);
  if (flags.out === undefined) {
    process.stdout.write(bytes);
    return;
  }
  const { content } = JSON.parse(Buffer.from(bytes).toString("utf8")) as { readonly content: BarrierContent };
  mkdirSync(flags.out, { recursive: true });
  const hashes = new Set([content.payload, ...content.tasks.map((task) => task.artefact)]);
  for (const hash of hashes) writeFileSync(join(flags.out, hash), await exports.artefact(hash));
  // Last: a directory with a certificate in it is whole.
  const file = join(flags.out, "certificate.json");
  writeFileSync(file, bytes);
  process.stdout.write(`${file}  block ${content.height}  ${content.tasks.length} proofs\n`);
}

function checkHeight(text: string): void {
  if (text !== "latest" && !/^\d{1,15}$/.test(text))
    throw new CommandError("usage.height", `the height is "${text}"; allowed: a whole number, or latest`);
}

async function find(
  exports: Exports,
  heightText: string,
  flags: Flags,
): Promise<{ readonly chain: number; readonly height: number }> {
  if (heightText !== "latest" && flags.chain !== undefined) return { chain: flags.chain, height: Number(heightText) };
  const known = (await exports.certified()).filter(
    ({ id, certified }) => certified >= 0 && (flags.chain === undefined || id === flags.chain),
  );
  const [first] = known;
  if (first === undefined)
    throw new CommandError("certificate.missing", "the node has no certificate yet; proofmesh status says why");
  return { chain: first.id, height: heightText === "latest" ? first.certified : Number(heightText) };
}
