/** Puts the registry contract on a chain. */
import { getContractAddress, type Hex } from "viem";
import { generatePrivateKey, privateKeyToAddress } from "viem/accounts";
import type { Result, SinkFault } from "../ports.ts";
import type { Hash } from "../protocol/ids.ts";
import { REGISTRY_ABI, REGISTRY_BYTECODE } from "./registry.ts";
import { mistyped, type Sender, sendAndWait } from "./send.ts";

/** Whoever pays owns the contract. */
export interface DeployOptions extends Sender {
  /** Whose blocks it takes, and no other's. */
  readonly network: Hash;
  /** Addresses of the nodes' accounts, which may record. */
  readonly recorders: readonly string[];
}

export interface Deployed {
  readonly address: Hex;
  /** Id of the chain it is on. */
  readonly evmChain: number;
  readonly owner: Hex;
  readonly transaction: Hex;
}

/** Faults are those of `sendAndWait`, and `contract.recorder` for an address that is mistyped. */
export async function deployRegistry(options: DeployOptions): Promise<Result<Deployed, SinkFault>> {
  const { network, recorders } = options;
  const wrong = mistyped(recorders);
  if (wrong !== null) return wrong;
  return sendAndWait(options, async ({ account, wallet, client }) => {
    const evmChain = await client.getChainId();
    const nonce = await client.getTransactionCount({ address: account.address, blockTag: "pending" });
    const args = [`0x${network}`, recorders as readonly Hex[]] as const;
    const contract = { abi: REGISTRY_ABI, bytecode: REGISTRY_BYTECODE, args } as const;
    const transaction = await wallet.deployContract({ ...contract, nonce, chain: null });
    const address = getContractAddress({ from: account.address, nonce: BigInt(nonce) });
    const advice = `look for the contract at ${address} before you deploy another`;
    return { transaction, value: { address, evmChain, owner: account.address, transaction }, advice };
  });
}

/** An account's address, from its private key. */
export function addressOfAccount(account: Hex): Hex {
  return privateKeyToAddress(account);
}

/** The private key of an account that nobody has. */
export function newAccount(): Hex {
  return generatePrivateKey();
}
