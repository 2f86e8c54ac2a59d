/** `proofmesh evidence`: keys that broke a rule, and what they signed. */
import { Command } from "commander";
import type { NodeStatus } from "../node.ts";
import { ask, type Where } from "./client.ts";
import { CommandError } from "./exit.ts";

interface Flags extends Where {
  readonly partition?: string;
  readonly json?: boolean;
}

export function evidenceCommand(): Command {
  return new Command("evidence")
    .description("List the keys that broke a rule; with a key, export what it signed, for proofmesh verify.")
    .argument("[key]", "the key, or its first digits")
    .option("--partition <name>", "of a network in partitions: only of this one")
    .option("--data <dir>", "the node's data directory (default: ~/.proofmesh/dev)")
    .option("--http <host:port>", "the node's HTTP endpoint")
    .option("--json", "print the list as JSON")
    .addHelpText("after", "\nExample:\n  $ proofmesh evidence 3fc4cc > evidence.json")
    .action((key: string | undefined, flags: Flags) => run(key, flags));
}

async function run(key: string | undefined, flags: Flags): Promise<void> {
  const { partition } = flags;
  const status = (await (await ask(flags, "/status")).json()) as NodeStatus;
  const out = status.out.filter((each) => partition === undefined || each.partition === partition);
  if (key === undefined) {
    const lines = out.map((each) => {
      const where = each.partition === undefined ? each.where : `${each.where}, in partition ${each.partition}`;
      return `${each.key}  ${each.offence}  ${where}\n`;
    });
    if (flags.json === true) process.stdout.write(`${JSON.stringify(out)}\n`);
    else process.stdout.write(lines.length === 0 ? "nobody is known to have broken a rule\n" : lines.join(""));
    return;
  }
  const found = out.filter((each) => each.key.startsWith(key));
  const [first] = found;
  const keys = new Set(found.map((each) => each.key));
  if (first === undefined || keys.size > 1) {
    const allowed =
      out.length === 0 ? "none is known" : `known: ${out.map((each) => each.key.slice(0, 12)).join(", ")}`;
    throw new CommandError("evidence.missing", `${keys.size} keys begin with "${key}"; ${allowed}`);
  }
  const query = partition === undefined ? "" : `?partition=${encodeURIComponent(partition)}`;
  process.stdout.write(Buffer.from(await (await ask(flags, `/evidence/${first.key}${query}`)).arrayBuffer()));
}
