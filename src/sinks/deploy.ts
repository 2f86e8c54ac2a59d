/** Puts the registry contract on a chain. */
import {
  createPublicClient,
  createWalletClient,
  getContractAddress,
  type Hex,
  http,
  isAddress,
  WaitForTransactionReceiptTimeoutError,
} from "viem";
import { generatePrivateKey, privateKeyToAccount, privateKeyToAddress } from "viem/accounts";
import type { Result, SinkFault } from "../ports.ts";
import type { Hash } from "../protocol/ids.ts";
import { evmFault, refused } from "./evm.ts";
import { REGISTRY_ABI, REGISTRY_BYTECODE } from "./registry.ts";

export interface DeployOptions {
  /** Whose blocks it takes, and no other's. */
  readonly network: Hash;
  readonly rpc: string;
  /** Private key of the account that pays, and then owns the contract. */
  readonly account: Hex;
  /** Addresses of the nodes' accounts, which may record. */
  readonly recorders: readonly string[];
  /** Until the transaction is mined. */
  readonly timeoutMs: number;
  readonly pollMs: number;
}

export interface Deployed {
  readonly address: Hex;
  /** Id of the chain it is on. */
  readonly evmChain: number;
  readonly owner: Hex;
  readonly transaction: Hex;
}

/**
 * Sends one transaction and waits until it is mined. Faults are those of the contract sink, and `contract.recorder` for
 * an address that is mistyped, `contract.unmined` once something was sent of which it is not known what became of it.
 */
export async function deployRegistry(options: DeployOptions): Promise<Result<Deployed, SinkFault>> {
  const { network, recorders, rpc, timeoutMs, pollMs } = options;
  const addresses: Hex[] = [];
  for (const recorder of recorders) {
    // Capital letters are an address's checksum (EIP-55). The mistake would be noticed only when blocks are refused.
    if (!isAddress(recorder))
      return refused("contract.recorder", `${recorder} has a wrong checksum; allowed: an address as it was printed`);
    addresses.push(recorder);
  }
  const account = privateKeyToAccount(options.account);
  const transport = http(rpc, { retryCount: 0 });
  const wallet = createWalletClient({ account, transport });
  const client = createPublicClient({ transport, cacheTime: 0, pollingInterval: pollMs });
  let sent: { readonly transaction: Hex; readonly address: Hex } | null = null;
  try {
    const evmChain = await client.getChainId();
    const nonce = await client.getTransactionCount({ address: account.address, blockTag: "pending" });
    const contract = {
      abi: REGISTRY_ABI,
      bytecode: REGISTRY_BYTECODE,
      args: [`0x${network}`, addresses],
    } as const;
    const transaction = await wallet.deployContract({ ...contract, nonce, chain: null });
    const address = getContractAddress({ from: account.address, nonce: BigInt(nonce) });
    sent = { transaction, address };
    const receipt = await client.waitForTransactionReceipt({ hash: transaction, timeout: timeoutMs });
    if (receipt.status !== "success") return refused("contract.refused", `transaction ${transaction} was reverted`);
    return { ok: true, value: { address, evmChain, owner: account.address, transaction } };
  } catch (error) {
    if (sent === null) return evmFault(error, rpc);
    const late = error instanceof WaitForTransactionReceiptTimeoutError;
    const why = late ? `it is not mined after ${timeoutMs / 1000} s` : evmFault(error, rpc).fault.message;
    const look = `look for the contract at ${sent.address} before you deploy another`;
    return refused("contract.unmined", `transaction ${sent.transaction} was sent, and ${why}; ${look}`);
  }
}

/** An account's address, from its private key. */
export function addressOfAccount(account: Hex): Hex {
  return privateKeyToAddress(account);
}

/** The private key of an account that nobody has. */
export function newAccount(): Hex {
  return generatePrivateKey();
}
