/** A real EVM chain with the registry on it. */
import { createPublicClient, createWalletClient, type Hex, http, parseAbiItem } from "viem";
import { mnemonicToAccount, privateKeyToAccount, privateKeyToAddress } from "viem/accounts";
import { toHex } from "viem/utils";
import { contractSink, type ContractOptions } from "../../src/sinks/contract.ts";
import { deployRegistry } from "../../src/sinks/deploy.ts";
import { REGISTRY_ABI } from "../../src/sinks/registry.ts";
import type { Sink } from "../../src/ports.ts";
import { type DevChain, startDevChain } from "../../src/sources/devchain.ts";
import { CHAIN, NETWORK } from "./blocks.ts";

/** Accounts that anvil gives money to. */
const MNEMONIC = "test test test test test test test test test test test junk";

export function keyOf(index: number): Hex {
  const { privateKey } = mnemonicToAccount(MNEMONIC, { addressIndex: index }).getHdKey();
  if (privateKey === null) throw new Error("no key");
  return toHex(privateKey);
}

export function addressOf(index: number): Hex {
  return privateKeyToAddress(keyOf(index));
}

export async function openChain(): Promise<DevChain> {
  const started = await startDevChain({ blockTimeS: null });
  if (!started.ok) throw new Error(started.fault.message);
  await started.value.setAutomine(true);
  return started.value;
}

const RECORDED = parseAbiItem(
  "event Recorded(uint256 indexed chain, uint64 indexed height, bytes32 hash, bytes32 content, address recorder)",
);

interface Recorded {
  readonly height: number;
  readonly hash: string;
  readonly content: string;
  /** The account that did it. */
  readonly recorder: Hex;
}

/** A registry, which lets the accounts of three nodes record. */
export class Registry {
  readonly chain: DevChain;
  readonly address: Hex;

  private constructor(chain: DevChain, address: Hex) {
    this.chain = chain;
    this.address = address;
  }

  static async deploy(chain: DevChain): Promise<Registry> {
    const recorders = [1, 2, 3].map(addressOf);
    const options = { network: NETWORK, rpc: chain.url, account: keyOf(0), recorders, timeoutMs: 10_000, pollMs: 20 };
    const deployed = await deployRegistry(options);
    if (!deployed.ok) throw new Error(deployed.fault.message);
    return new Registry(chain, deployed.value.address);
  }

  /** One that is there already. */
  static at(chain: DevChain, address: Hex): Registry {
    return new Registry(chain, address);
  }

  options(node: number, change: Partial<ContractOptions> = {}): ContractOptions {
    return {
      network: NETWORK,
      rpc: this.chain.url,
      evmChain: this.chain.chain,
      address: this.address,
      account: keyOf(node + 1),
      confirmations: 1,
      stuckMs: 5_000,
      gasPriceWeiMax: 10n ** 12n,
      pollMs: 20,
      timeoutMs: 5_000,
      ...change,
    };
  }

  sink(node: number, change: Partial<ContractOptions> = {}): Sink {
    return contractSink(this.options(node, change));
  }

  /** Everything that was ever recorded, in the order of the chain. */
  async recorded(): Promise<readonly Recorded[]> {
    const client = createPublicClient({ transport: http(this.chain.url), cacheTime: 0 });
    const logs = await client.getLogs({
      address: this.address,
      event: RECORDED,
      args: { chain: BigInt(CHAIN) },
      fromBlock: 0n,
      strict: true,
    });
    return logs.map(({ args }) => ({
      height: Number(args.height),
      hash: args.hash.slice(2),
      content: args.content.slice(2),
      recorder: args.recorder,
    }));
  }

  /** By the owner. */
  async forget(): Promise<void> {
    const account = privateKeyToAccount(keyOf(0));
    const wallet = createWalletClient({ account, transport: http(this.chain.url) });
    const call = { address: this.address, abi: REGISTRY_ABI, functionName: "forget", chain: null } as const;
    const hash = await wallet.writeContract({ ...call, args: [BigInt(CHAIN)] });
    await createPublicClient({ transport: http(this.chain.url), pollingInterval: 20 }).waitForTransactionReceipt({
      hash,
    });
  }

  async heights(): Promise<readonly number[]> {
    return (await this.recorded()).map(({ height }) => height);
  }
}
