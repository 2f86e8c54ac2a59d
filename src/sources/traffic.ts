/**
 * Transactions for a dev chain: every kind that real blocks are full of, the same for the same seed.
 *
 * The accounts are those that anvil gives money to. Nonces are asked for in every round instead of counted, because a
 * reorg or a restart takes transactions back.
 */
import { pbkdf2Sync } from "node:crypto";
import { type HDAccount, HDKey, hdKeyToAccount } from "viem/accounts";
import type { Result } from "../ports.ts";
import { pause } from "./pace.ts";
import type { Rpc } from "./rpc.ts";

export interface TrafficOptions {
  readonly chain: number;
  readonly seed: number;
}

export interface TrafficRate {
  /** About how many transactions a round; the number is drawn anew each time. */
  readonly perRound: number;
  readonly roundMs: number;
}

const MNEMONIC = "test test test test test test test test test test test junk";
const ACCOUNTS = 10;
/** Transactions under way at once; each is about 200 bytes, and anvil answers within milliseconds. */
const IN_FLIGHT_MAX = 8;
/** Rounds in the pool that say that the chain makes no blocks. */
const POOL_ROUNDS_MAX = 4;
/** Above any base fee that blocks of a few transactions reach. */
const GAS_PRICE_WEI_MAX = 20_000_000_000n;
const TIP_WEI_MAX = 2_000_000_000n;
/** Returns 42 whatever it is asked: PUSH1 42 PUSH1 0 MSTORE PUSH1 32 PUSH1 0 RETURN, behind its constructor. */
const CONTRACT_CODE = "0x600a600c600039600a6000f3602a60005260206000f3";

type Kind = "transfer" | "legacy" | "call" | "listed" | "create";
const KINDS: readonly Kind[] = [
  "transfer",
  "transfer",
  "transfer",
  "legacy",
  "legacy",
  "call",
  "call",
  "listed",
  "create",
];

export class Traffic {
  readonly #options: TrafficOptions;
  readonly #rpc: Rpc;
  readonly #random: () => number;
  readonly #closing = new AbortController();
  #accounts: readonly HDAccount[] | null = null;
  #running: Promise<void> = Promise.resolve();

  constructor(options: TrafficOptions, rpc: Rpc) {
    this.#options = options;
    this.#rpc = rpc;
    this.#random = generator(options.seed);
  }

  start(rate: TrafficRate): void {
    this.#running = this.#run(rate);
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await this.#running;
  }

  /** Sends so many transactions and ends when the node has them all in its pool. */
  async send(count: number): Promise<Result<void>> {
    this.#accounts ??= fundedAccounts();
    const senders = this.#accounts;
    const nonces: number[] = [];
    for (const account of senders) {
      const answer = await this.#rpc.request("eth_getTransactionCount", [account.address, "pending"]);
      if (!answer.ok) return answer;
      nonces.push(Number(answer.value));
    }
    for (let sent = 0; sent < count; sent += IN_FLIGHT_MAX) {
      const few = Array.from({ length: Math.min(IN_FLIGHT_MAX, count - sent) }, async () => {
        const index = this.#below(senders.length);
        const nonce = nonces[index] ?? 0;
        nonces[index] = nonce + 1;
        const account = senders[index];
        if (account === undefined) throw new RangeError(`no account ${index}`);
        return this.#rpc.request("eth_sendRawTransaction", [await this.#sign(account, nonce)]);
      });
      for (const answer of await Promise.all(few)) if (!answer.ok) return answer;
    }
    return { ok: true, value: undefined };
  }

  async #run({ perRound, roundMs }: TrafficRate): Promise<void> {
    const { signal } = this.#closing;
    while (!signal.aborted) {
      const waiting = await this.#pool();
      // A round that fails is repeated by the next one: what a dev chain lacks is seen in its blocks.
      if (waiting !== null && waiting < POOL_ROUNDS_MAX * perRound) await this.send(this.#below(2 * perRound + 1));
      await pause(roundMs, signal);
    }
  }

  async #pool(): Promise<number | null> {
    const answer = await this.#rpc.request("txpool_status", []);
    if (!answer.ok) return null;
    const { pending, queued } = answer.value as { readonly pending?: unknown; readonly queued?: unknown };
    return Number(pending) + Number(queued);
  }

  #sign(account: HDAccount, nonce: number): Promise<string> {
    const { chain: chainId } = this.#options;
    const kind = KINDS[this.#below(KINDS.length)] ?? "transfer";
    const value = BigInt(this.#below(1_000_000)) * 10n ** BigInt(this.#below(10));
    const to = this.#address();
    const tip = BigInt(1 + this.#below(Number(TIP_WEI_MAX)));
    const fees = { maxFeePerGas: GAS_PRICE_WEI_MAX, maxPriorityFeePerGas: tip };
    const gasPrice = GAS_PRICE_WEI_MAX - TIP_WEI_MAX + tip;
    const legacyWithoutChain = this.#below(4) === 0;
    switch (kind) {
      case "transfer":
        return account.signTransaction({ type: "eip1559", chainId, nonce, to, value, gas: 21_000n, ...fees });
      case "legacy": {
        const fields = { type: "legacy", nonce, to, value, gas: 21_000n, gasPrice } as const;
        // Signed before EIP-155 or after it; both are still seen.
        return account.signTransaction(legacyWithoutChain ? fields : { ...fields, chainId });
      }
      case "call":
        return account.signTransaction({
          type: "eip1559",
          chainId,
          nonce,
          to,
          value,
          gas: 120_000n,
          data: this.#data(),
          ...fees,
        });
      case "listed": {
        const accessList = [{ address: this.#address(), storageKeys: [`0x${"0".repeat(63)}1`] }] as const;
        return account.signTransaction({
          type: "eip2930",
          chainId,
          nonce,
          to,
          value,
          gas: 60_000n,
          gasPrice,
          accessList,
        });
      }
      case "create":
        return account.signTransaction({
          type: "eip1559",
          chainId,
          nonce,
          gas: 200_000n,
          data: CONTRACT_CODE,
          ...fees,
        });
    }
  }

  /** A new account, so that no transaction depends on what an earlier one did. */
  #address(): `0x${string}` {
    return `0x${this.#hex(20)}`;
  }

  #data(): `0x${string}` {
    return `0x${this.#hex(4 + 32 * this.#below(5))}`;
  }

  #hex(bytes: number): string {
    return Array.from({ length: bytes }, () => this.#below(256).toString(16).padStart(2, "0")).join("");
  }

  #below(limit: number): number {
    return Math.floor(this.#random() * limit);
  }
}

/** The accounts of anvil's own mnemonic. Its seed (BIP-39) is stretched natively: viem takes half a second for ten. */
function fundedAccounts(): readonly HDAccount[] {
  const root = HDKey.fromMasterSeed(pbkdf2Sync(MNEMONIC, "mnemonic", 2048, 64, "sha512"));
  return Array.from({ length: ACCOUNTS }, (_, addressIndex) => hdKeyToAccount(root, { addressIndex }));
}

/** Numbers in [0, 1) from a 32-bit state (mulberry32). For traffic only: it decides nothing. */
function generator(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
