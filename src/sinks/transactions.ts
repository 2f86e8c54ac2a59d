/**
 * Transactions that hand certified blocks on to a contract of an EVM chain.
 *
 * The contract is the only record of what was done: a `Target` says what the contract has, and which call would change
 * that. A node sends one transaction at a time, always under the account's next nonce: what a crash left in the pool is
 * waited for and then replaced, and can never be mined beside its replacement. Two nodes that submit at once do so once in
 * effect where the contract refuses, or passes over, what it has already.
 */
import { setTimeout as sleep } from "node:timers/promises";
import {
  type Abi,
  BaseError,
  ContractFunctionZeroDataError,
  createPublicClient,
  encodeFunctionData,
  type Hex,
  http,
  keccak256,
  type PublicClient,
  type TransactionReceipt,
  TransactionReceiptNotFoundError,
} from "viem";
import { type PrivateKeyAccount, privateKeyToAccount } from "viem/accounts";
import type { CertifiedBlock, Done, Presence, Result, Sink, SinkFault } from "../ports.ts";
import type { Hash } from "../protocol/ids.ts";
import { answer, failSafe } from "./answer.ts";
import { detailsOf, evmFault, type Refused, refused } from "./evm.ts";
import { type Fees, feesNow, priceOf, replacing } from "./fees.ts";

export interface TransactionOptions {
  readonly rpc: string;
  /** The id that the EVM chain must have, so that nothing is spent on another one. */
  readonly evmChain: number;
  readonly address: Hex;
  /** Private key of the account that pays; one that nothing else uses. */
  readonly account: Hex;
  /** How many blocks, its own included, make a record count as there. */
  readonly confirmations: number;
  /** A transaction that waits for longer is replaced by one that pays more. */
  readonly stuckMs: number;
  /** No transaction pays more for a unit of gas. */
  readonly gasPriceWeiMax: bigint;
  readonly pollMs: number;
  readonly timeoutMs: number;
}

export interface Call {
  readonly abi: Abi;
  readonly functionName: string;
  readonly args: readonly unknown[];
}

/** What the contract is, as the transactions need it. Each function may throw what the client throws. */
export interface Target {
  /** Why the contract, or the account `self`, is not what the operator means; asked once, because contracts do not change. */
  check(client: PublicClient, self: Hex): Promise<Refused | null>;
  /** What the contract has of the block, as of the state that is so many blocks deep; 1 is the latest. */
  presence(client: PublicClient, block: CertifiedBlock, depth: number): Promise<Result<Presence, SinkFault>>;
  /** The same, of a block that may be far behind: what the contract was seen to have passed need not be asked for. */
  look?(client: PublicClient, block: CertifiedBlock, depth: number): Promise<Result<Presence, SinkFault>>;
  /** The call that hands the block on. */
  call(block: CertifiedBlock): Promise<Result<Call, SinkFault>>;
}

/** Transactions sent for one block; then the sink fails, waits, and begins again with the fees of that time. */
const SENDS_MAX = 8;
/** Of the gas that the transaction would take now; the chain moves on before it is mined. */
const GAS_PERCENT = 130n;

/** Blocks are handed on in order, so one is enough; chains share an account. */
const MADE_MAX = 64;

type Outcome = Result<void, SinkFault>;

function noEffect(transaction: Hex, at: bigint | null): string {
  const where = at === null ? "" : ` in block ${at}`;
  return `transaction ${transaction} was mined${where}, and the contract does not say that it has the block; nothing more is sent`;
}

export class TransactionSink implements Sink {
  readonly #options: TransactionOptions;
  readonly #target: Target;
  readonly #account: PrivateKeyAccount;
  readonly #client: PublicClient;
  readonly #closing = new AbortController();
  /** One transaction at a time, whatever chain its block is of: they share the account's nonces. */
  #last: Promise<unknown> = Promise.resolve();
  #checked = false;
  /** By block: a transaction of ours that was mined for it and after which the contract does not have it. */
  readonly #made = new Map<Hash, Hex>();

  constructor(options: TransactionOptions, target: Target) {
    this.#options = options;
    this.#target = target;
    this.#account = privateKeyToAccount(options.account);
    const { signal } = this.#closing;
    const transport = http(options.rpc, { timeout: options.timeoutMs, retryCount: 0, fetchOptions: { signal } });
    this.#client = createPublicClient({ transport, cacheTime: 0 });
  }

  look(block: CertifiedBlock, done: Done<Presence, SinkFault>): void {
    const { confirmations } = this.#options;
    const ask = () => this.#target.look?.(this.#client, block, confirmations) ?? this.#presence(block, confirmations);
    answer("contract", () => this.#guarded(ask), done);
  }

  deliver(block: CertifiedBlock, done: Done<void, SinkFault>): void {
    const turn = this.#last.then(() => failSafe("contract", () => this.#guarded(() => this.#deliver(block))));
    this.#last = turn;
    void turn.then(done);
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await this.#last;
  }

  async #guarded<T>(run: () => Promise<Result<T, SinkFault>>): Promise<Result<T, SinkFault>> {
    try {
      const wrong = this.#checked ? null : await this.#check();
      return wrong ?? (await run());
    } catch (error) {
      return evmFault(error, this.#options.rpc);
    }
  }

  async #check(): Promise<Refused | null> {
    const { address, evmChain } = this.#options;
    const id = await this.#client.getChainId();
    if (id !== evmChain) return refused("contract.wrong-chain", `the RPC node is of chain ${id}, not of ${evmChain}`);
    const code = await this.#client.getCode({ address });
    if (code === undefined) return refused("contract.missing", `there is no contract at ${address}`);
    const wrong = await this.#target.check(this.#client, this.#account.address);
    this.#checked = wrong === null;
    return wrong;
  }

  #presence(block: CertifiedBlock, depth: number): Promise<Result<Presence, SinkFault>> {
    return this.#target.presence(this.#client, block, depth);
  }

  async #deliver(block: CertifiedBlock): Promise<Outcome> {
    let nonce = await this.#freeNonce(block);
    /** What the transaction under that nonce pays; `null` while there is none that this process knows. */
    let pays: Fees | null = null;
    /** All that were sent under that nonce: one of them is mined at most. */
    let sentHashes: Hex[] = [];
    for (let sends = 0; sends < SENDS_MAX; sends++) {
      const presence = await this.#presence(block, 1);
      if (!presence.ok) return presence;
      if (presence.value.kind === "there") return await this.#confirm(block);
      if (presence.value.kind === "behind") return refused("contract.behind", `it goes on at ${presence.value.from}`);
      const made = this.#made.get(block.block);
      if (made !== undefined && (await this.#successOf([made])) !== null)
        return refused("contract.no-effect", noEffect(made, null));
      const call = await this.#target.call(block);
      if (!call.ok) return call;
      const now: Fees = await feesNow(this.#client);
      const fees: Fees = pays === null ? now : replacing(pays, now);
      const isAffordable = priceOf(fees) <= this.#options.gasPriceWeiMax;
      if (!isAffordable && pays === null)
        return refused("contract.fees", `gas costs ${priceOf(fees)} wei; allowed: ${this.#options.gasPriceWeiMax}`);
      // What cannot be outbid is waited for once more.
      const sent = isAffordable ? await this.#send(call.value, nonce, fees) : null;
      if (sent !== null) sentHashes.push(sent.hash);
      if (isAffordable) pays = fees;
      const end = sent === null || sent.is === "taken" ? await this.#mined(block, nonce) : sent.is;
      if (end === "recorded") return await this.#confirm(block);
      if (end !== "used") continue;
      const own = await this.#successOf(sentHashes);
      // It did what it could. To send the same again would pay for it again.
      if (own !== null) return await this.#takeEffect(block, own);
      [nonce, pays, sentHashes] = [await this.#nonce("latest"), null, []];
    }
    return refused("contract.stuck", `${SENDS_MAX} transactions were sent for it, and it is not recorded`);
  }

  /**
   * The account's next nonce. What is in the pool under it was left by a crash, or is of no use any more: it may be
   * mined yet, so it gets the time that any transaction gets before it is replaced.
   */
  async #freeNonce(block: CertifiedBlock): Promise<number> {
    const nonce = await this.#nonce("latest");
    if ((await this.#nonce("pending")) <= nonce) return nonce;
    return (await this.#mined(block, nonce)) === "used" ? await this.#nonce("latest") : nonce;
  }

  #nonce(blockTag: "latest" | "pending"): Promise<number> {
    return this.#client.getTransactionCount({ address: this.#account.address, blockTag });
  }

  /** The transaction among these that was mined and not reverted. */
  async #successOf(hashes: readonly Hex[]): Promise<TransactionReceipt | null> {
    for (const hash of hashes) {
      const receipt = await this.#client.getTransactionReceipt({ hash }).catch((error: unknown) => {
        const isUnknown =
          error instanceof BaseError && error.walk((at) => at instanceof TransactionReceiptNotFoundError);
        if (isUnknown) return null;
        throw error;
      });
      if (receipt?.status === "success") return receipt;
    }
    return null;
  }

  /**
   * A transaction of ours was mined, and the contract does not say that it has the block: the node behind the address may be
   * an older one, or the contract needs more than this call. Waits, and remembers that the call was made.
   */
  async #takeEffect(block: CertifiedBlock, { transactionHash, blockNumber }: TransactionReceipt): Promise<Outcome> {
    const { stuckMs, pollMs } = this.#options;
    this.#made.set(block.block, transactionHash);
    const [oldest] = this.#made.keys();
    if (this.#made.size > MADE_MAX && oldest !== undefined) this.#made.delete(oldest);
    for (const endMs = performance.now() + stuckMs; performance.now() < endMs; ) {
      const presence = await this.#presence(block, 1);
      if (presence.ok && presence.value.kind === "there") return await this.#confirm(block);
      await this.#pause(pollMs);
    }
    return refused("contract.no-effect", noEffect(transactionHash, blockNumber));
  }

  async #send(
    call: Call,
    nonce: number,
    fees: Fees,
  ): Promise<{ readonly hash: Hex; readonly is: "taken" | "underpriced" | "used" }> {
    const { address, evmChain: chainId } = this.#options;
    // By the latest state: after another node's transaction in the pool this one would do nothing, and take less gas.
    const account = this.#account.address;
    const gas = await this.#client.estimateContractGas({ ...call, address, account, blockTag: "latest" });
    const serialized = await this.#account.signTransaction({
      chainId,
      to: address,
      data: encodeFunctionData(call),
      gas: (gas * GAS_PERCENT) / 100n,
      nonce,
      ...fees,
    });
    const hash = keccak256(serialized);
    try {
      await this.#client.sendRawTransaction({ serializedTransaction: serialized });
      return { hash, is: "taken" };
    } catch (error) {
      const text = detailsOf(error);
      if (/already known|already imported|known transaction/i.test(text)) return { hash, is: "taken" };
      if (/underpriced|replacement/i.test(text)) return { hash, is: "underpriced" };
      if (/nonce too low|nonce is too low|invalid nonce/i.test(text)) return { hash, is: "used" };
      throw error;
    }
  }

  /** Waits until the block is recorded, by whomever, or the nonce is used, or the transaction counts as stuck. */
  async #mined(block: CertifiedBlock, nonce: number): Promise<"recorded" | "used" | "stuck"> {
    const { stuckMs, pollMs } = this.#options;
    for (const endMs = performance.now() + stuckMs; performance.now() < endMs; ) {
      // In this order: what used the nonce is then part of the state that is looked at.
      const next = await this.#nonce("latest");
      const presence = await this.#presence(block, 1);
      if (presence.ok && presence.value.kind === "there") return "recorded";
      if (next > nonce) return "used";
      await this.#pause(pollMs);
    }
    return "stuck";
  }

  /** Waits until the record is as deep as the operator wants it. */
  async #confirm(block: CertifiedBlock): Promise<Outcome> {
    const { confirmations, stuckMs, pollMs } = this.#options;
    for (const endMs = performance.now() + confirmations * stuckMs; performance.now() < endMs; ) {
      const deep = await this.#presence(block, confirmations);
      if (deep.ok && deep.value.kind === "there") return { ok: true, value: undefined };
      const shallow = await this.#presence(block, 1);
      if (!shallow.ok) return shallow;
      if (shallow.value.kind !== "there") return refused("contract.reorg", "the chain has dropped the record again");
      await this.#pause(pollMs);
    }
    return refused("contract.unconfirmed", `it is recorded, but not ${confirmations} blocks deep`);
  }

  async #pause(delayMs: number): Promise<void> {
    await sleep(delayMs, undefined, { signal: this.#closing.signal });
  }
}

/**
 * What a view function returns as of the state that is so many blocks deep; 1 is the latest. `null` where there was no contract
 * yet in that state.
 */
export async function readAt<T>(
  client: PublicClient,
  depth: number,
  read: (at: { readonly blockNumber?: bigint }) => Promise<T>,
): Promise<T | null> {
  if (depth <= 1) return await read({});
  const [head, above] = [await client.getBlockNumber(), BigInt(depth - 1)];
  try {
    return await read({ blockNumber: head > above ? head - above : 0n });
  } catch (error) {
    const isYoung = error instanceof BaseError && error.walk((cause) => cause instanceof ContractFunctionZeroDataError);
    if (isYoung) return null;
    throw error;
  }
}
