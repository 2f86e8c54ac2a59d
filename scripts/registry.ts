/**
 * Compiles the registry contract: `node scripts/registry.ts` writes `src/sinks/registry.ts` from `src/sinks/Registry.sol`.
 *
 * The node ships what the compiler made, so that it needs none. A test compares what it was made from; a longer one
 * compiles again.
 */
import { hash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";

export interface Compiled {
  readonly compiler: string;
  readonly abi: readonly unknown[];
  readonly bytecode: string;
}

/** What the settings leave open would depend on the machine: no metadata, and an EVM that every chain has. */
const SETTINGS = {
  evmVersion: "paris",
  optimizer: { enabled: true, runs: 1000 },
  metadata: { appendCBOR: false, bytecodeHash: "none" },
  outputSelection: { "*": { "*": ["abi", "evm.bytecode.object"] } },
};

const SOURCE = new URL("../src/sinks/Registry.sol", import.meta.url);
const OUTPUT = new URL("../src/sinks/registry.ts", import.meta.url);

interface Answer {
  readonly errors?: readonly { readonly severity: string; readonly formattedMessage: string }[];
  readonly contracts: Readonly<
    Record<
      string,
      Record<string, { abi: readonly unknown[]; evm: { readonly bytecode: { readonly object: string } } } | undefined>
    >
  >;
}

/** Names what was compiled, and how. */
export function registrySource(): string {
  return hash("sha256", `${JSON.stringify(SETTINGS)}\n${readFileSync(SOURCE, "utf8")}`);
}

export function compileRegistry(): Compiled {
  const solc = createRequire(import.meta.url)("solc") as { compile(input: string): string; version(): string };
  const input = {
    language: "Solidity",
    sources: { "Registry.sol": { content: readFileSync(SOURCE, "utf8") } },
    settings: SETTINGS,
  };
  const answer = JSON.parse(solc.compile(JSON.stringify(input))) as Answer;
  const errors = (answer.errors ?? []).map(({ formattedMessage }) => formattedMessage);
  if (errors.length > 0) throw new Error(errors.join("\n"));
  const compiled = answer.contracts["Registry.sol"]?.["Registry"];
  if (compiled === undefined) throw new Error("the compiler returned no contract");
  return { compiler: solc.version(), abi: compiled.abi, bytecode: `0x${compiled.evm.bytecode.object}` };
}

function moduleOf({ compiler, abi, bytecode }: Compiled): string {
  return [
    `/** Written by \`node scripts/registry.ts\` from \`Registry.sol\` with solc ${compiler}. */`,
    `export const REGISTRY_SOURCE = ${JSON.stringify(registrySource())};`,
    "",
    `export const REGISTRY_ABI = ${JSON.stringify(abi, null, 2)} as const;`,
    "",
    "export const REGISTRY_BYTECODE =",
    `  ${JSON.stringify(bytecode)} as const;`,
    "",
  ].join("\n");
}

if (import.meta.main) writeFileSync(OUTPUT, moduleOf(compileRegistry()));
