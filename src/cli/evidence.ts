/** `proofmesh evidence`: keys that broke a rule, and what they signed. */
import { Command } from "commander";
import type { NodeStatus } from "../node.ts";
import { ask, type Where } from "./client.ts";
import { CommandError } from "./exit.ts";

interface Flags extends Where {
  readonly json?: boolean;
}

export function evidenceCommand(): Command {
  return new Command("evidence")
    .description("List the keys that broke a rule; with a key, export what it signed, for proofmesh verify.")
    .argument("[key]", "the key, or its first digits")
    .option("--data <dir>", "the node's data directory (default: ~/.proofmesh/dev)")
    .option("--http <host:port>", "the node's HTTP endpoint")
    .option("--json", "print the list as JSON")
    .addHelpText("after", "\nExample:\n  $ proofmesh evidence 3fc4cc > evidence.json")
    .action((key: string | undefined, flags: Flags) => run(key, flags));
}

async function run(key: string | undefined, flags: Flags): Promise<void> {
  const { out } = (await (await ask(flags, "/status")).json()) as NodeStatus;
  if (key === undefined) {
    const lines = out.map((each) => `${each.key}  ${each.offence}  ${each.where}\n`);
    if (flags.json === true) process.stdout.write(`${JSON.stringify(out)}\n`);
    else process.stdout.write(lines.length === 0 ? "nobody is known to have broken a rule\n" : lines.join(""));
    return;
  }
  const found = out.filter((each) => each.key.startsWith(key));
  const [first] = found;
  if (first === undefined || found.length > 1) {
    const allowed =
      out.length === 0 ? "none is known" : `known: ${out.map((each) => each.key.slice(0, 12)).join(", ")}`;
    throw new CommandError("evidence.missing", `${found.length} keys begin with "${key}"; ${allowed}`);
  }
  process.stdout.write(Buffer.from(await (await ask(flags, `/evidence/${first.key}`)).arrayBuffer()));
}
