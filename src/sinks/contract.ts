/**
 * Certified blocks on an EVM chain: the registry contract (`Registry.sol`) holds the newest one of each chain.
 *
 * The contract refuses what is not next, so the refusal of a second node that submits at once is found to be "there" when
 * the contract is looked at again.
 */
import type { Hex, PublicClient } from "viem";
import type { CertifiedBlock, Presence, Result, Sink, SinkFault } from "../ports.ts";
import type { Hash } from "../protocol/ids.ts";
import { type Refused, refused } from "./evm.ts";
import { REGISTRY_ABI } from "./registry.ts";
import { type Call, readAt, type Target, type TransactionOptions, TransactionSink } from "./transactions.ts";

export interface ContractOptions extends TransactionOptions {
  readonly network: Hash;
}

interface Newest {
  readonly known: boolean;
  readonly height: number;
  /** With 0x in front. */
  readonly hash: Hex;
}

export function contractSink(options: ContractOptions): Sink {
  return new TransactionSink(options, new RegistryTarget(options));
}

class RegistryTarget implements Target {
  readonly #options: Pick<ContractOptions, "network" | "address">;
  /** Heights up to which blocks are recorded, by chain: those far behind need not be asked for one by one. */
  readonly #reached = new Map<number, number>();

  constructor(options: ContractOptions) {
    this.#options = options;
  }

  async check(client: PublicClient, self: Hex): Promise<Refused | null> {
    const { address, network } = this.#options;
    const registry = { address, abi: REGISTRY_ABI };
    const found = await client.readContract({ ...registry, functionName: "network" });
    if (found !== `0x${network}`) {
      return refused("contract.other-network", `the contract at ${address} is of network ${found.slice(2)}`);
    }
    if (!(await client.readContract({ ...registry, functionName: "recorders", args: [self] }))) {
      return refused("contract.not-recorder", `the contract lets ${self} record nothing; its owner can (setRecorder)`);
    }
    return null;
  }

  async presence(client: PublicClient, block: CertifiedBlock, depth: number): Promise<Result<Presence, SinkFault>> {
    return presenceOf(await this.#newest(client, block.chain, depth), block);
  }

  async look(client: PublicClient, block: CertifiedBlock, depth: number): Promise<Result<Presence, SinkFault>> {
    if (block.height < (this.#reached.get(block.chain) ?? 0)) return { ok: true, value: { kind: "there" } };
    const newest = await this.#newest(client, block.chain, depth);
    if (newest.known) this.#reached.set(block.chain, newest.height);
    return presenceOf(newest, block);
  }

  async call({ content, contentHash }: CertifiedBlock): Promise<Result<Call, SinkFault>> {
    const { chain, height, hash, parent } = content;
    const args = [BigInt(chain), BigInt(height), `0x${parent}`, `0x${hash}`, `0x${contentHash}`];
    return { ok: true, value: { abi: REGISTRY_ABI, functionName: "record", args } };
  }

  async #newest(client: PublicClient, chain: number, depth: number): Promise<Newest> {
    const { address } = this.#options;
    const call = { address, abi: REGISTRY_ABI, functionName: "newest", args: [BigInt(chain)] } as const;
    const found = await readAt(client, depth, (at) => client.readContract({ ...call, ...at }));
    if (found === null) return { known: false, height: 0, hash: "0x" };
    const [known, height, hash] = found;
    return { known, height: Number(height), hash };
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
