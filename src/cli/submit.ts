/** `proofmesh submit`: hands blocks to a running node, which announces them. */
import { Command } from "commander";
import { readFileSync } from "node:fs";
import { ask, type Where } from "./client.ts";
import { CommandError } from "./exit.ts";
import { whole } from "./flags.ts";

interface Flags extends Where {
  readonly chain?: number;
  readonly json?: boolean;
  readonly wait?: boolean;
}

const WAIT_MS_MAX = 600_000;
const POLL_MS = 500;

export function submitCommand(): Command {
  return new Command("submit")
    .description("Hand a block (JSON as eth_getBlockByNumber(n, true) returns it) to a running node.")
    .argument("<file...>", "files with one block each")
    .option("--chain <id>", "the chain that the blocks are of (default: what their transactions say)", whole)
    .option("--wait", "wait for the certificates")
    .option("--data <dir>", "the node's data directory (default: ~/.proofmesh/dev)")
    .option("--http <host:port>", "the node's HTTP endpoint")
    .option("--json", "print JSON lines")
    .addHelpText("after", "\nExample:\n  $ proofmesh submit --chain 1 --wait block.json")
    .action(async (files: string[], flags: Flags) => {
      for (const file of files) await submit(file, flags);
    });
}

interface Announced {
  readonly chain: number;
  readonly height: number;
  readonly hash: string;
}

async function submit(file: string, flags: Flags): Promise<void> {
  const block = readBlock(file);
  const chain = flags.chain ?? chainOf(block);
  if (chain === null)
    throw new CommandError("usage.chain", `${file}: its transactions do not say which chain it is of; give --chain`);
  const response = await ask(flags, `/submit?chain=${chain}`, { method: "POST", body: JSON.stringify(block) });
  const announced = (await response.json()) as Announced;
  if (flags.wait === true) await waitFor(announced, flags);
  const done = flags.wait === true ? "certified" : "announced";
  process.stdout.write(
    flags.json === true
      ? `${JSON.stringify({ ...announced, state: done })}\n`
      : `${done}  ${announced.chain}/${announced.height}  ${announced.hash}\n`,
  );
}

function readBlock(file: string): Record<string, unknown> {
  let json: unknown;
  try {
    json = JSON.parse(readFileSync(file, "utf8"));
  } catch (error) {
    throw new CommandError("usage.file", `${file}: ${error instanceof Error ? error.message : String(error)}`);
  }
  const block = json !== null && typeof json === "object" && "result" in json ? json.result : json;
  if (block !== null && typeof block === "object" && !Array.isArray(block)) return block as Record<string, unknown>;
  throw new CommandError(
    "usage.file",
    `${file}: is no block; allowed: one JSON object as eth_getBlockByNumber(n, true) returns it`,
  );
}

function chainOf(block: Record<string, unknown>): number | null {
  const transactions = Array.isArray(block["transactions"]) ? (block["transactions"] as unknown[]) : [];
  for (const transaction of transactions) {
    if (transaction === null || typeof transaction !== "object" || !("chainId" in transaction)) continue;
    if (typeof transaction.chainId === "string") return Number(transaction.chainId);
  }
  return null;
}

async function waitFor(block: Announced, where: Where): Promise<void> {
  const untilMs = performance.now() + WAIT_MS_MAX;
  while (performance.now() < untilMs) {
    try {
      await ask(where, `/certificates/${block.chain}/${block.height}`);
      return;
    } catch (error) {
      if (!(error instanceof CommandError) || error.code !== "certificate.missing") throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
  throw new CommandError(
    "certificate.missing",
    `no certificate of ${block.chain}/${block.height} within ${WAIT_MS_MAX / 1000} s; proofmesh status says why`,
  );
}
