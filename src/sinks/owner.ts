/** What only the owner of a registry may do: allow and withdraw accounts, and make it forget a chain. */
import type { Hex } from "viem";
import type { Result, SinkFault } from "../ports.ts";
import { refused } from "./evm.ts";
import { REGISTRY_ABI } from "./registry.ts";
import { mistyped, type Sender, sendAndWait } from "./send.ts";

export type OwnerAct =
  | { readonly kind: "recorder"; readonly recorder: string; readonly allowed: boolean }
  | { readonly kind: "forget"; readonly chain: number };

/** The account is to be the registry's owner. */
export interface OwnerOptions extends Sender {
  /** The registry's address. */
  readonly contract: string;
  readonly act: OwnerAct;
}

export interface Acted {
  readonly transaction: Hex;
}

/**
 * Faults are those of `sendAndWait`, `contract.recorder` for a mistyped address, `contract.missing` where no registry is,
 * and `contract.owner` for an account that does not own it.
 */
export async function actAsOwner(options: OwnerOptions): Promise<Result<Acted, SinkFault>> {
  const { contract, act } = options;
  const wrong = mistyped(act.kind === "recorder" ? [contract, act.recorder] : [contract]);
  if (wrong !== null) return wrong;
  const registry = { address: contract as Hex, abi: REGISTRY_ABI } as const;
  return sendAndWait(options, async ({ account, wallet, client }) => {
    const code = await client.getCode({ address: registry.address });
    if (code === undefined) return refused("contract.missing", `there is no contract at ${contract} on this chain`);
    const owner = await client.readContract({ ...registry, functionName: "owner" }).catch(() => null);
    if (owner === null) return refused("contract.missing", `the contract at ${contract} is no registry`);
    if (owner.toLowerCase() !== account.address.toLowerCase())
      return refused("contract.owner", `the registry is owned by ${owner}; --key-file is of ${account.address}`);
    const call = { ...registry, chain: null } as const;
    const transaction = await (act.kind === "forget"
      ? wallet.writeContract({ ...call, functionName: "forget", args: [BigInt(act.chain)] })
      : wallet.writeContract({ ...call, functionName: "setRecorder", args: [act.recorder as Hex, act.allowed] }));
    return { transaction, value: { transaction }, advice: "to send it once more does no harm" };
  });
}
