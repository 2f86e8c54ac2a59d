/** What only the owner of a registry may do: allow and withdraw accounts, and make it forget a chain. */
import {
  createPublicClient,
  createWalletClient,
  type Hex,
  http,
  isAddress,
  WaitForTransactionReceiptTimeoutError,
} from "viem";
import { privateKeyToAccount } from "viem/accounts";
import type { Result, SinkFault } from "../ports.ts";
import { evmFault, refused } from "./evm.ts";
import { REGISTRY_ABI } from "./registry.ts";

export type OwnerAct =
  | { readonly kind: "recorder"; readonly recorder: string; readonly allowed: boolean }
  | { readonly kind: "forget"; readonly chain: number };

export interface OwnerOptions {
  readonly rpc: string;
  /** The registry's address. */
  readonly contract: string;
  /** Private key of its owner's account. */
  readonly account: Hex;
  readonly act: OwnerAct;
  /** Until the transaction is mined. */
  readonly timeoutMs: number;
  readonly pollMs: number;
}

export interface Acted {
  readonly transaction: Hex;
}

/**
 * Sends one transaction and waits until it is mined. Faults are those of the contract sink, `contract.recorder` for a
 * mistyped address, `contract.missing` where no registry is, `contract.owner` for an account that does not own it, and
 * `contract.unmined` once something was sent of which it is not known what became of it.
 */
export async function actAsOwner(options: OwnerOptions): Promise<Result<Acted, SinkFault>> {
  const { rpc, contract, act, timeoutMs, pollMs } = options;
  const named = act.kind === "recorder" ? [contract, act.recorder] : [contract];
  for (const each of named)
    if (!isAddress(each))
      return refused("contract.recorder", `${each} has a wrong checksum; allowed: an address as it was printed`);
  const account = privateKeyToAccount(options.account);
  const transport = http(rpc, { retryCount: 0 });
  const wallet = createWalletClient({ account, transport });
  const client = createPublicClient({ transport, cacheTime: 0, pollingInterval: pollMs });
  const registry = { address: contract as Hex, abi: REGISTRY_ABI } as const;
  let sent: Hex | null = null;
  try {
    const code = await client.getCode({ address: registry.address });
    if (code === undefined) return refused("contract.missing", `there is no contract at ${contract} on this chain`);
    const owner = await client.readContract({ ...registry, functionName: "owner" }).catch(() => null);
    if (owner === null) return refused("contract.missing", `the contract at ${contract} is no registry`);
    if (owner.toLowerCase() !== account.address.toLowerCase())
      return refused("contract.owner", `the registry is owned by ${owner}; --key-file is of ${account.address}`);
    sent =
      act.kind === "forget"
        ? await wallet.writeContract({
            ...registry,
            functionName: "forget",
            args: [BigInt(act.chain)],
            chain: null,
          })
        : await wallet.writeContract({
            ...registry,
            functionName: "setRecorder",
            args: [act.recorder as Hex, act.allowed],
            chain: null,
          });
    const receipt = await client.waitForTransactionReceipt({ hash: sent, timeout: timeoutMs });
    if (receipt.status !== "success") return refused("contract.refused", `transaction ${sent} was reverted`);
    return { ok: true, value: { transaction: sent } };
  } catch (error) {
    if (sent === null) return evmFault(error, rpc);
    const late = error instanceof WaitForTransactionReceiptTimeoutError;
    const why = late ? `it is not mined after ${timeoutMs / 1000} s` : evmFault(error, rpc).fault.message;
    return refused("contract.unmined", `transaction ${sent} was sent, and ${why}; to send it once more does no harm`);
  }
}
