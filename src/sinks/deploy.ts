/** Puts the registry contract on a chain. */
import { createPublicClient, createWalletClient, type Hex, http } from "viem";
import { privateKeyToAccount } from "viem/accounts";
import type { Hash } from "../protocol/ids.ts";
import { REGISTRY_ABI, REGISTRY_BYTECODE } from "./registry.ts";

export interface DeployOptions {
  readonly network: Hash;
  readonly rpc: string;
  /** Private key of the account that pays, and then owns the contract. */
  readonly account: Hex;
  /** Accounts of the nodes that may record. */
  readonly recorders: readonly Hex[];
  readonly timeoutMs: number;
  readonly pollMs: number;
}

/** The contract's address. Throws what the chain refuses. */
export async function deployRegistry(options: DeployOptions): Promise<Hex> {
  const { network, recorders, timeoutMs, pollMs } = options;
  const account = privateKeyToAccount(options.account);
  const transport = http(options.rpc, { retryCount: 0 });
  const wallet = createWalletClient({ account, transport });
  const client = createPublicClient({ transport, cacheTime: 0, pollingInterval: pollMs });
  const hash = await wallet.deployContract({
    abi: REGISTRY_ABI,
    bytecode: REGISTRY_BYTECODE,
    args: [`0x${network}`, [...recorders]],
    chain: null,
  });
  const { contractAddress, status } = await client.waitForTransactionReceipt({ hash, timeout: timeoutMs });
  if (status !== "success" || contractAddress === null || contractAddress === undefined)
    throw new Error(`transaction ${hash} made no contract`);
  return contractAddress;
}
