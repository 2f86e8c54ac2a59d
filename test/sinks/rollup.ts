/** Contracts of others on a real EVM chain: a rollup's, which verifies SP1 proofs, and one that keeps what it is handed. */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { type Abi, createPublicClient, createWalletClient, type Hex, http } from "viem";
import { privateKeyToAccount } from "viem/accounts";
import { hexToBytes } from "viem/utils";
import { readG1, readG2 } from "../../src/proofs/bn254/gnark.ts";
import type { DevChain } from "../../src/sources/devchain.ts";
import type { Sp1Vector } from "../proofs/sp1-vectors.ts";
import { keyOf } from "./evm.ts";

/** Where gnark puts the points of a Groth16 key. */
const G2_AT = [64, 128, 224] as const;
const INPUTS_AT = 292;
const PROGRAM_BYTES = 32;

interface Compiled {
  readonly abi: Abi;
  readonly bytecode: Hex;
}

type Name = "Rollup" | "Notes";

let compiled: Readonly<Record<Name, Compiled>> | null = null;

function compile(): Readonly<Record<Name, Compiled>> {
  const solc = createRequire(import.meta.url)("solc") as { compile(input: string): string };
  const content = readFileSync(new URL("Rollup.sol", import.meta.url), "utf8");
  const settings = { outputSelection: { "*": { "*": ["abi", "evm.bytecode.object"] } }, viaIR: true };
  const input = { language: "Solidity", sources: { "Rollup.sol": { content } }, settings };
  const answer = JSON.parse(solc.compile(JSON.stringify(input))) as {
    readonly errors?: readonly { readonly formattedMessage: string }[];
    readonly contracts: Record<
      string,
      Record<string, { readonly abi: Abi; readonly evm: { readonly bytecode: { readonly object: string } } }>
    >;
  };
  const of = (name: Name): Compiled => {
    const made = answer.contracts["Rollup.sol"]?.[name];
    if (made === undefined) throw new Error(answer.errors?.map((each) => each.formattedMessage).join("\n"));
    return { abi: made.abi, bytecode: `0x${made.evm.bytecode.object}` };
  };
  return { Rollup: of("Rollup"), Notes: of("Notes") };
}

async function deploy(chain: DevChain, name: Name, args: readonly unknown[]): Promise<Hex> {
  compiled ??= compile();
  const account = privateKeyToAccount(keyOf(0));
  const wallet = createWalletClient({ account, transport: http(chain.url) });
  const hash = await wallet.deployContract({ ...compiled[name], args, chain: null });
  const client = createPublicClient({ transport: http(chain.url), pollingInterval: 20 });
  const { contractAddress } = await client.waitForTransactionReceipt({ hash });
  if (contractAddress == null) throw new Error("no contract");
  return contractAddress;
}

/** Deploys it for the program and the key of a proof. */
export function deployRollup(chain: DevChain, { keyBytes }: Sp1Vector): Promise<Hex> {
  const program = `0x${Buffer.from(keyBytes.subarray(-PROGRAM_BYTES)).toString("hex")}`;
  return deploy(chain, "Rollup", [program, pointsOf(keyBytes)]);
}

export function deployNotes(chain: DevChain): Promise<Hex> {
  return deploy(chain, "Notes", []);
}

function pointsOf(key: Uint8Array): readonly bigint[] {
  const g1 = (at: number) => {
    const { x, y } = readG1(key, at).toAffine();
    return [x, y];
  };
  const g2 = (at: number) => {
    const { x, y } = readG2(key, at).toAffine();
    return [x.c1, x.c0, y.c1, y.c0];
  };
  return [...g1(0), ...G2_AT.flatMap(g2), ...[0, 1, 2].flatMap((at) => g1(INPUTS_AT + 32 * at))];
}

/** The hash of the block that the rollup has taken at a height. */
export async function finalizedOf(chain: DevChain, address: Hex, height: number): Promise<string> {
  return String(await ask(chain, address, "Rollup", "finalized", [BigInt(height)])).slice(2);
}

/** What was handed to the notes, in order. */
export async function notesOf(
  chain: DevChain,
  address: Hex,
): Promise<readonly { readonly height: number; readonly values: Uint8Array; readonly proof: Uint8Array }[]> {
  const count = Number(await ask(chain, address, "Notes", "count", []));
  return await Promise.all(
    Array.from({ length: count }, async (_, at) => {
      const height = await ask(chain, address, "Notes", "heights", [BigInt(at)]);
      const [values, proof] = (await ask(chain, address, "Notes", "noted", [height])) as readonly [Hex, Hex];
      return { height: Number(height), values: hexToBytes(values), proof: hexToBytes(proof) };
    }),
  );
}

async function ask(chain: DevChain, address: Hex, name: Name, functionName: string, args: readonly unknown[]) {
  if (compiled === null) throw new Error("not deployed");
  const client = createPublicClient({ transport: http(chain.url), cacheTime: 0 });
  return await client.readContract({ address, abi: compiled[name].abi, functionName, args });
}
