/** `proofmesh status`: what a running node does, and why it waits. */
import { Command } from "commander";
import type { NodeStatus, PartitionStatus } from "../node.ts";
import { ask, type Where } from "./client.ts";

interface Flags extends Where {
  readonly json?: boolean;
}

const BLOCKS_SHOWN = 12;

export function statusCommand(): Command {
  return new Command("status")
    .description("Show what a running node does and why it waits.")
    .option("--data <dir>", "the node's data directory (default: ~/.proofmesh/dev)")
    .option("--http <host:port>", "the node's HTTP endpoint")
    .option("--json", "print the whole status as JSON")
    .addHelpText("after", "\nExample:\n  $ proofmesh status --json | jq .chains")
    .action(async (flags: Flags) => {
      const status = (await (await ask(flags, "/status")).json()) as NodeStatus;
      process.stdout.write(flags.json === true ? `${JSON.stringify(status)}\n` : describe(status));
    });
}

/** Why a node signs nothing, in words; the code for what is not listed. */
function whySilent(code: string): string {
  if (code.startsWith("verifier."))
    return `cannot sign: the verifier of the key ${code.slice("verifier.".length)} is missing or failed its canaries (${code})`;
  const why = SILENT[code];
  return why === undefined ? code : `${why} (${code})`;
}

const SILENT: Readonly<Record<string, string>> = {
  "feed.unchecked": "asks a quorum of attesters how far its own feed has come",
  "feed.behind": "peers have words of its own that its disk has not; takes them over",
  "feed.waiting": "its disk had lost words of its own; waits one lease before it votes again",
  "key.copied":
    "another process started with a copy of its keys directory; end one, delete signed/ of the other, start it",
  "key.cloned": "somebody signs with its key; another has to take its place in the manifest",
  "key.out": "its key broke a rule; proofmesh evidence shows what it signed",
  draining: "it is being stopped",
};

function describe(status: NodeStatus): string {
  const lines = [
    `node      ${status.key.slice(0, 12)}  ${status.roles.join(", ")}${status.mute === null ? "" : `  SILENT: ${whySilent(status.mute)}`}`,
    `network   ${status.network.name}  ${status.network.id.slice(0, 12)}`,
    `peers     ${status.peers.length}`,
    ...status.partitions.flatMap(describePartition),
    `provers   ${[...silentByProver(status)].map(([key, silent]) => `${key.slice(0, 12)}${silent ? " (silent)" : ""}`).join(", ")}`,
  ];
  for (const { chain, why } of status.admission) lines.push(`WAITS     to prove on chain ${chain}: ${why}`);
  for (const { prover, fault, retryInMs } of status.abilities) {
    const again = retryInMs === null ? "is being tried again" : `tried again in ${Math.ceil(retryInMs / 1000)} s`;
    if (fault !== null) lines.push(`UNABLE    ${prover}  ${again}: ${fault.message}  [${fault.code}]`);
  }
  for (const { id, name, holder } of status.devices)
    lines.push(`device    ${id}  ${name}  ${holder === null ? "free" : `${holder.task} by ${holder.prover}`}`);
  for (const { key, offence, where, partition } of status.out) {
    const place = partition === undefined ? where : `${where}, in partition ${partition}`;
    lines.push(`OUT       ${key.slice(0, 12)}  ${offence}: ${place} (proofmesh evidence shows what it signed)`);
  }
  const chains = status.chains.filter(({ certified, source }) => certified >= 0 || source !== null);
  for (const { id, reproves, certified, source } of chains)
    lines.push(
      `chain     ${id}${reproves === null ? "" : ` (${reproves} again)`}  certified up to ${certified < 0 ? "nothing yet" : certified}${source === null ? "" : `  source: ${source}`}`,
    );
  if (chains.length === 0 && status.blocks.length === 0)
    lines.push("WAITS     for a first block: proofmesh submit hands one in, and with --rpc the node follows a chain");
  for (const { sink, chain, delivered, height, state, why, failures } of status.sinks) {
    if (state === "idle" && delivered === null) continue;
    const at = height === null ? "" : `  at ${height}`;
    const often = failures > 1 ? ` (${failures} times)` : "";
    lines.push(`sink      ${sink}  ${chain} up to ${delivered ?? "nothing yet"}${at}  ${state}${often}: ${why}`);
  }
  for (const block of status.blocks.slice(-BLOCKS_SHOWN)) {
    lines.push(`block     ${block.chain}/${block.height}  ${block.state}: ${block.why}`);
    if (block.state !== "open") continue;
    for (const task of block.tasks) {
      if (task.state !== "complete")
        lines.push(`            ${task.stage} ${task.index}  attempt ${task.attempt + 1}  ${task.state}: ${task.why}`);
    }
  }
  return `${lines.join("\n")}\n`;
}

/** A network that is not divided has a line only where it waits. */
function describePartition({ name, chains, roles, mute, why }: PartitionStatus): string[] {
  if (name === null) return why === null ? [] : [`WAITS     ${why}`];
  const part = roles === null ? "not here, only its certificates" : roles.length === 0 ? "listens" : roles.join(", ");
  const head = `partition ${name}  chains ${chains.join(", ")}  ${part}`;
  const silent = mute === null ? [] : [`            SILENT: ${whySilent(mute)}`];
  return [head, ...silent, ...(why === null ? [] : [`            WAITS: ${why}`])];
}

/** A prover is silent where no partition hears of it. */
function silentByProver({ provers }: NodeStatus): ReadonlyMap<string, boolean> {
  const silent = new Map<string, boolean>();
  for (const { key, benched } of provers) silent.set(key, benched && (silent.get(key) ?? true));
  return silent;
}
