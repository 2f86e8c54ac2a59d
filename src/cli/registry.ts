/** `proofmesh registry`: what it takes to hand certified blocks on to a contract: accounts, and the contract itself. */
import { Command, InvalidArgumentError } from "commander";
import { publicUrl } from "../address.ts";
import { actOnRegistry, deployRegistry, openAccount, readManifestFile } from "../node.ts";
import { positive, whole } from "./flags.ts";

interface DeployFlags {
  readonly network: string;
  readonly rpc: string;
  readonly keyFile: string;
  readonly recorder: readonly string[];
  readonly timeout: number;
  readonly json?: boolean;
}

interface OwnerFlags {
  readonly contract: string;
  readonly rpc: string;
  readonly keyFile: string;
  readonly timeout: number;
  readonly json?: boolean;
}

type Act = Parameters<typeof actOnRegistry>[0]["act"];

export function registryCommand(): Command {
  const command = new Command("registry").description(
    "The contract that takes certified blocks: make accounts for the nodes, put it on a chain, and do what its owner may.",
  );
  command
    .command("account")
    .description("Print the address of an account; where the file is not there, make one and write its private key.")
    .argument("<file>", "the account's private key: 0x and 64 hex digits")
    .option("--json", "print JSON")
    .addHelpText("after", "\nExample:\n  $ proofmesh registry account node-1.account")
    .action((file: string, flags: { readonly json?: boolean }) => account(file, flags.json === true));
  command
    .command("deploy")
    .description(
      "Put the registry on an EVM chain, for the blocks of one network. The account of --key-file pays for it and owns it: it alone can allow other accounts, and make the contract forget a chain.",
    )
    .requiredOption("--network <manifest>", "the network's manifest")
    .requiredOption("--rpc <url>", "an Ethereum node of the chain that the contract is to be on", webAddress)
    .requiredOption("--key-file <file>", "the private key of the account that pays: 0x and 64 hex digits")
    .requiredOption("--recorder <address>", "an account that a node records with; repeatable", recordersOf)
    .option("--timeout <s>", "give up when the transaction is not mined in that time", positive, 300)
    .option("--json", "print JSON")
    .addHelpText(
      "after",
      "\nExample:\n  $ proofmesh registry deploy --network manifest.json --rpc http://127.0.0.1:8545 --key-file owner.account \\\n      --recorder 0x70997970C51812dc3A010C7d01b50e0d17dc79C8",
    )
    .action((flags: DeployFlags) => deploy(flags));
  const printed = "an account's address, as it was printed";
  const example = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8";
  ownerCommand(command, "allow", example)
    .description("Let an account record blocks.")
    .argument("<address>", printed, anAddress)
    .action((recorder: string, flags: OwnerFlags) => act({ kind: "recorder", recorder, allowed: true }, flags));
  ownerCommand(command, "withdraw", example)
    .description("Let an account record no more blocks.")
    .argument("<address>", printed, anAddress)
    .action((recorder: string, flags: OwnerFlags) => act({ kind: "recorder", recorder, allowed: false }, flags));
  ownerCommand(command, "forget", "1")
    .description(
      "Make the contract forget a chain whose recorded blocks were given up: the next block that it takes is a first one.",
    )
    .argument("<chain>", "the chain's id in the manifest", whole)
    .action((chain: number, flags: OwnerFlags) => act({ kind: "forget", chain }, flags));
  return command;
}

async function account(file: string, json: boolean): Promise<void> {
  const { address, made } = await openAccount(file);
  process.stdout.write(
    json
      ? `${JSON.stringify({ address, file, made })}\n`
      : `account   ${address}\nkey file  ${file}  (${made ? "new; " : ""}secret: keep it, give each node its own)\n`,
  );
}

async function deploy(flags: DeployFlags): Promise<void> {
  const { rpc, keyFile, recorder: recorders, timeout } = flags;
  const { network } = readManifestFile(flags.network);
  const deployed = await deployRegistry({ network, rpc, keyFile, recorders, timeoutMs: timeout * 1000 });
  const { address, evmChain, owner, transaction } = deployed;
  if (flags.json === true) {
    process.stdout.write(`${JSON.stringify({ address, evmChain, owner, recorders, network, transaction })}\n`);
    return;
  }
  // Whoever copies the output should not copy a key with it.
  const shown = publicUrl(rpc) === rpc.replace(/\/$/, "") ? rpc : { file: "RPC_FILE" };
  const sink = { kind: "contract", rpc: shown, evmChain, address, account: { file: "FILE" } };
  const lines = [
    `registry     ${address}`,
    `chain        ${evmChain}`,
    `network      ${network}`,
    `owner        ${owner}`,
    ...recorders.map((each) => `recorder     ${each}`),
    `transaction  ${transaction}`,
    "",
    "A node hands certified blocks on to it with this in its --config, where FILE holds the key of a recorder's account:",
    "",
    JSON.stringify({ sinks: [sink] }, null, 2),
  ];
  process.stdout.write(`${lines.join("\n")}\n`);
}

/** What only the account of --key-file may do, which put the contract there. */
function ownerCommand(registry: Command, name: string, example: string): Command {
  return registry
    .command(name)
    .requiredOption("--contract <address>", "the registry", anAddress)
    .requiredOption("--rpc <url>", "an Ethereum node of the chain that it is on", webAddress)
    .requiredOption("--key-file <file>", "the private key of its owner's account: 0x and 64 hex digits")
    .option("--timeout <s>", "give up when the transaction is not mined in that time", positive, 300)
    .option("--json", "print JSON")
    .addHelpText(
      "after",
      `\nExample:\n  $ proofmesh registry ${name} ${example} --contract 0x5FbDB2315678afecb367f032d93F642f64180aa3 \\\n      --rpc http://127.0.0.1:8545 --key-file owner.account`,
    );
}

async function act(what: Act, flags: OwnerFlags): Promise<void> {
  const { contract, rpc, keyFile, timeout } = flags;
  const { transaction } = await actOnRegistry({ contract, rpc, keyFile, act: what, timeoutMs: timeout * 1000 });
  const [done, of] =
    what.kind === "forget" ? ["forgotten", what.chain] : [what.allowed ? "allowed" : "withdrawn", what.recorder];
  process.stdout.write(
    flags.json === true
      ? `${JSON.stringify({ contract, done, of, transaction })}\n`
      : `${done}  ${of}  transaction ${transaction}\n`,
  );
}

function anAddress(text: string): string {
  if (!/^0x[0-9a-fA-F]{40}$/.test(text)) throw new InvalidArgumentError("allowed: an address, 0x and 40 hex digits.");
  return text;
}

function recordersOf(text: string, previous: readonly string[] = []): readonly string[] {
  return [...previous, anAddress(text)];
}

function webAddress(text: string): string {
  if (!/^https?:\/\//.test(text) || !URL.canParse(text))
    throw new InvalidArgumentError("allowed: a URL that starts with http:// or https://.");
  return text;
}
