/** `proofmesh certificate`: exports a certificate, with all that it takes to check its proofs. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Command } from "commander";
import type { BarrierContent } from "../protocol/certificate.ts";
import { isVoteKind, VOTE_KINDS } from "../protocol/votes.ts";
import { ask, type Where } from "./client.ts";
import { CommandError } from "./exit.ts";
import { type Exports, openExports } from "./exports.ts";
import { whole } from "./flags.ts";

interface Flags extends Where {
  readonly chain?: number;
  readonly out?: string;
  readonly kind?: string;
  readonly attempt?: number;
}

const TASK = /^\d{1,15}\/\d{1,15}\/[a-z0-9][a-z0-9._-]{0,31}\/\d{1,9}$/;

export function certificateCommand(): Command {
  return new Command("certificate")
    .description(
      "Export the barrier certificate of a block; with --out, also the block and its proofs. Of a node that has stopped, from its data directory. With --kind, what votes certify about one task, of a running node.",
    )
    .argument("<height>", "the block's height, or latest; with --kind a task, CHAIN/HEIGHT/STAGE/INDEX")
    .option("--kind <kind>", "assignment, timeout or credit: of a task instead of a block")
    .option("--attempt <n>", "with --kind: of this attempt, from 0 (default: the last that has one)", whole)
    .option("--chain <id>", "the chain (default: the one with the latest certificate)", whole)
    .option("--out <dir>", "write certificate.json, and the block and proofs named by their SHA-256")
    .option("--data <dir>", "the node's data directory (default: ~/.proofmesh/dev)")
    .option("--http <host:port>", "the node's HTTP endpoint")
    .addHelpText(
      "after",
      "\nExamples:\n  $ proofmesh certificate latest --out proofs\n  $ proofmesh certificate 1/21000000/shard/3 --kind credit > credit.json",
    )
    .action((height: string, flags: Flags) => (flags.kind === undefined ? run(height, flags) : votes(height, flags)));
}

async function votes(task: string, { kind, attempt, out, ...where }: Flags): Promise<void> {
  if (!isVoteKind(kind ?? null))
    throw new CommandError("usage.kind", `--kind is "${kind}"; allowed: ${VOTE_KINDS.join(", ")}`);
  if (!TASK.test(task))
    throw new CommandError("usage.task", `the task is "${task}"; allowed with --kind: CHAIN/HEIGHT/STAGE/INDEX`);
  const query = attempt === undefined ? "" : `?attempt=${attempt}`;
  const bytes = Buffer.from(await (await ask(where, `/tasks/${task}/${kind}${query}`)).arrayBuffer());
  if (out === undefined) return void process.stdout.write(bytes);
  mkdirSync(out, { recursive: true });
  const file = join(out, `${kind}.json`);
  writeFileSync(file, bytes);
  process.stdout.write(`${file}\n`);
}

async function run(heightText: string, flags: Flags): Promise<void> {
  checkHeight(heightText);
  const exports = await openExports(flags);
  try {
    await write(exports, heightText, flags);
  } finally {
    await exports.close();
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
