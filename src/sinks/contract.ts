/**
 * Certified blocks on an EVM chain: the registry contract (`Registry.sol`) holds the newest one of each chain.
 *
 * The contract is the only record of what was done. It refuses what is not next, so two nodes that submit at once do so
 * once in effect, and the refusal of the second is found to be "there" when it is looked at again. A node sends one
 * transaction at a time, always under the account's next nonce: what a crash left in the pool is waited for and then
 * replaced, and can never be recorded beside its replacement.
 */
import { setTimeout as sleep } from "node:timers/promises";
import {
  BaseError,
  ContractFunctionZeroDataError,
  createPublicClient,
  encodeFunctionData,
  type Hex,
  http,
  type PublicClient,
} from "viem";
import { type PrivateKeyAccount, privateKeyToAccount } from "viem/accounts";
import type { CertifiedBlock, Done, Presence, Result, Sink, SinkFault } from "../ports.ts";
import { answer, failSafe } from "./answer.ts";
import type { Hash } from "../protocol/ids.ts";
import { detailsOf, evmFault, type Refused, refused } from "./evm.ts";
import { type Fees, feesNow, priceOf, replacing } from "./fees.ts";
import { REGISTRY_ABI } from "./registry.ts";

export interface ContractOptions {
  readonly network: Hash;
  readonly rpc: string;
  /** The id that the EVM chain must have, so that nothing is spent on another one. */
  readonly evmChain: number;
  readonly address: Hex;
  /** Private key of the account that pays; one that nothing else uses. */
  readonly account: Hex;
  /** How many blocks, its own included, make a recorded block count as there. */
  readonly confirmations: number;
  /** A transaction that waits for longer is replaced by one that pays more. */
  readonly stuckMs: number;
  /** No transaction pays more for a unit of gas. */
  readonly gasPriceWeiMax: bigint;
  readonly pollMs: number;
  readonly timeoutMs: number;
}

/** Transactions sent for one block; then the sink fails, waits, and begins again with the fees of that time. */
const SENDS_MAX = 8;
/** Of the gas that the transaction would take now; the chain moves on before it is mined. */
const GAS_PERCENT = 130n;

interface Newest {
  readonly known: boolean;
  readonly height: number;
  /** With 0x in front. */
  readonly hash: Hex;
}

type Outcome = Result<void, SinkFault>;

export function contractSink(options: ContractOptions): Sink {
  return new ContractSink(options);
}

class ContractSink implements Sink {
  readonly #options: ContractOptions;
  readonly #account: PrivateKeyAccount;
  readonly #client: PublicClient;
  readonly #closing = new AbortController();
  /** One transaction at a time, whatever chain its block is of: they share the account's nonces. */
  #last: Promise<unknown> = Promise.resolve();
  #checked = false;
  /** Heights up to which blocks are recorded, by chain: those far behind need not be asked for one by one. */
  readonly #reached = new Map<number, number>();

  constructor(options: ContractOptions) {
    this.#options = options;
    this.#account = privateKeyToAccount(options.account);
    const { signal } = this.#closing;
    const transport = http(options.rpc, { timeout: options.timeoutMs, retryCount: 0, fetchOptions: { signal } });
    this.#client = createPublicClient({ transport, cacheTime: 0 });
  }

  look(block: CertifiedBlock, done: Done<Presence, SinkFault>): void {
    answer("contract", () => this.#guarded(() => this.#look(block)), done);
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

  /** Whether this is the chain and the contract that the operator means. Only once: a contract does not change. */
  async #check(): Promise<Refused | null> {
    const { address, evmChain, network } = this.#options;
    const id = await this.#client.getChainId();
    if (id !== evmChain) return refused("contract.wrong-chain", `the RPC node is of chain ${id}, not of ${evmChain}`);
    const code = await this.#client.getCode({ address });
    if (code === undefined) return refused("contract.missing", `there is no contract at ${address}`);
    const registry = { address, abi: REGISTRY_ABI };
    const found = await this.#client.readContract({ ...registry, functionName: "network" });
    if (found !== `0x${network}`) {
      return refused("contract.other-network", `the contract at ${address} is of network ${found.slice(2)}`);
    }
    const { address: self } = this.#account;
    if (!(await this.#client.readContract({ ...registry, functionName: "recorders", args: [self] }))) {
      return refused("contract.not-recorder", `the contract lets ${self} record nothing; its owner can (setRecorder)`);
    }
    this.#checked = true;
    return null;
  }

  async #look(block: CertifiedBlock): Promise<Result<Presence, SinkFault>> {
    if (block.height < (this.#reached.get(block.chain) ?? 0)) return { ok: true, value: { kind: "there" } };
    const newest = await this.#newest(block.chain, this.#options.confirmations);
    if (newest.known) this.#reached.set(block.chain, newest.height);
    return presenceOf(newest, block);
  }

  async #deliver(block: CertifiedBlock): Promise<Outcome> {
    let nonce = await this.#freeNonce(block);
    /** What the transaction under that nonce pays; `null` while there is none that this process knows. */
    let pays: Fees | null = null;
    for (let sends = 0; sends < SENDS_MAX; sends++) {
      const presence = presenceOf(await this.#newest(block.chain, 1), block);
      if (!presence.ok) return presence;
      if (presence.value.kind === "there") return await this.#confirm(block);
      if (presence.value.kind === "behind") return refused("contract.behind", `it goes on at ${presence.value.from}`);
      const now: Fees = await feesNow(this.#client);
      const fees: Fees = pays === null ? now : replacing(pays, now);
      const isAffordable = priceOf(fees) <= this.#options.gasPriceWeiMax;
      if (!isAffordable && pays === null)
        return refused("contract.fees", `gas costs ${priceOf(fees)} wei; allowed: ${this.#options.gasPriceWeiMax}`);
      // What cannot be outbid is waited for once more.
      const sent = isAffordable ? await this.#send(block, nonce, fees) : "taken";
      if (isAffordable) pays = fees;
      const end = sent === "taken" ? await this.#mined(block, nonce) : sent;
      if (end === "recorded") return await this.#confirm(block);
      if (end === "used") [nonce, pays] = [await this.#nonce("latest"), null];
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

  async #send(block: CertifiedBlock, nonce: number, fees: Fees): Promise<"taken" | "underpriced" | "used"> {
    const { address, evmChain: chainId } = this.#options;
    const { chain, height, hash, parent } = block.content;
    const args = [BigInt(chain), BigInt(height), `0x${parent}`, `0x${hash}`, `0x${block.contentHash}`] as const;
    const call = { abi: REGISTRY_ABI, functionName: "record", args } as const;
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
    try {
      await this.#client.sendRawTransaction({ serializedTransaction: serialized });
      return "taken";
    } catch (error) {
      const text = detailsOf(error);
      if (/already known|already imported|known transaction/i.test(text)) return "taken";
      if (/underpriced|replacement/i.test(text)) return "underpriced";
      if (/nonce too low|nonce is too low|invalid nonce/i.test(text)) return "used";
      throw error;
    }
  }

  /** Waits until the block is recorded, by whomever, or the nonce is used, or the transaction counts as stuck. */
  async #mined(block: CertifiedBlock, nonce: number): Promise<"recorded" | "used" | "stuck"> {
    const { stuckMs, pollMs } = this.#options;
    for (const endMs = performance.now() + stuckMs; performance.now() < endMs; ) {
      // In this order: what used the nonce is then part of the state that is looked at.
      const next = await this.#nonce("latest");
      const presence = presenceOf(await this.#newest(block.chain, 1), block);
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
      const deep = presenceOf(await this.#newest(block.chain, confirmations), block);
      if (deep.ok && deep.value.kind === "there") return { ok: true, value: undefined };
      const shallow = presenceOf(await this.#newest(block.chain, 1), block);
      if (!shallow.ok) return shallow;
      if (shallow.value.kind !== "there") return refused("contract.reorg", "the chain has dropped the record again");
      await this.#pause(pollMs);
    }
    return refused("contract.unconfirmed", `it is recorded, but not ${confirmations} blocks deep`);
  }

  /** The newest record of a chain, as of the block that has so many confirmations. */
  async #newest(chain: number, confirmations: number): Promise<Newest> {
    const { address } = this.#options;
    const depth = BigInt(confirmations - 1);
    const head = depth === 0n ? 0n : await this.#client.getBlockNumber();
    const at = depth === 0n ? {} : { blockNumber: head > depth ? head - depth : 0n };
    const call = { address, abi: REGISTRY_ABI, functionName: "newest", args: [BigInt(chain)] } as const;
    try {
      const [known, height, hash] = await this.#client.readContract({ ...call, ...at });
      return { known, height: Number(height), hash };
    } catch (error) {
      // So long ago there was no contract yet.
      const young = error instanceof BaseError && error.walk((cause) => cause instanceof ContractFunctionZeroDataError);
      if (depth > 0n && young) return { known: false, height: 0, hash: "0x" };
      throw error;
    }
  }

  async #pause(delayMs: number): Promise<void> {
    await sleep(delayMs, undefined, { signal: this.#closing.signal });
  }
}

/** What a chain's newest record says of a block. */
function presenceOf(newest: Newest, block: CertifiedBlock): Result<Presence, SinkFault> {
  const { height, content } = block;
  if (!newest.known) return { ok: true, value: { kind: "missing" } };
  if (newest.height > height) return { ok: true, value: { kind: "there" } };
  const same = newest.height === height;
  const expected = same ? content.hash : content.parent;
  if (newest.height + 1 < height) return { ok: true, value: { kind: "behind", from: newest.height + 1 } };
  if (newest.hash === `0x${expected}`) return { ok: true, value: { kind: same ? "there" : "missing" } };
  const message = `the contract has another block at height ${newest.height}: ${newest.hash.slice(2)}`;
  return refused("contract.conflict", `${message}; its owner can make it forget the chain`);
}
