/** One transaction of an account that a person handles: checked, sent, and waited for until it is mined. */
import {
  type Chain,
  createPublicClient,
  createWalletClient,
  type Hex,
  http,
  type HttpTransport,
  isAddress,
  type PrivateKeyAccount,
  type PublicClient,
  WaitForTransactionReceiptTimeoutError,
  type WalletClient,
} from "viem";
import { privateKeyToAccount } from "viem/accounts";
import type { Result, SinkFault } from "../ports.ts";
import { evmFault, type Refused, refused } from "./evm.ts";

export interface Sender {
  readonly rpc: string;
  /** Private key of the account that pays. */
  readonly account: Hex;
  /** Until the transaction is mined. */
  readonly timeoutMs: number;
  readonly pollMs: number;
}

export interface SendingClients {
  readonly account: PrivateKeyAccount;
  readonly wallet: WalletClient<HttpTransport, Chain | undefined, PrivateKeyAccount>;
  readonly client: PublicClient;
}

export interface Sent<T> {
  readonly transaction: Hex;
  /** What it will have been worth. */
  readonly value: T;
  /** What its sender should know while nobody knows what became of it. */
  readonly advice: string;
}

/**
 * Faults are those of the contract sink and what `send` refuses, which then has sent nothing; and `contract.unmined` once
 * something was sent of which it is not known what became of it.
 */
export async function sendAndWait<T>(
  { rpc, account: privateKey, timeoutMs, pollMs }: Sender,
  send: (clients: SendingClients) => Promise<Sent<T> | Refused>,
): Promise<Result<T, SinkFault>> {
  const account = privateKeyToAccount(privateKey);
  const transport = http(rpc, { retryCount: 0 });
  const wallet = createWalletClient({ account, transport });
  const client = createPublicClient({ transport, cacheTime: 0, pollingInterval: pollMs });
  let sent: Sent<T> | null = null;
  try {
    const begun = await send({ account, wallet, client });
    if ("fault" in begun) return begun;
    sent = begun;
    const { transaction, value } = sent;
    const receipt = await client.waitForTransactionReceipt({ hash: transaction, timeout: timeoutMs });
    if (receipt.status !== "success") return refused("contract.refused", `transaction ${transaction} was reverted`);
    return { ok: true, value };
  } catch (error) {
    if (sent === null) return evmFault(error, rpc);
    const late = error instanceof WaitForTransactionReceiptTimeoutError;
    const why = late ? `it is not mined after ${timeoutMs / 1000} s` : evmFault(error, rpc).fault.message;
    return refused("contract.unmined", `transaction ${sent.transaction} was sent, and ${why}; ${sent.advice}`);
  }
}

/** Capital letters are an address's checksum (EIP-55). The mistake would be noticed only when blocks are refused. */
export function mistyped(addresses: readonly string[]): Refused | null {
  const wrong = addresses.find((address) => !isAddress(address));
  if (wrong === undefined) return null;
  return refused("contract.recorder", `${wrong} has a wrong checksum; allowed: an address as it was printed`);
}
