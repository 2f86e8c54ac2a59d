/** What a transaction pays for a unit of gas, on chains with a base fee (EIP-1559) and on those without. */
import type { PublicClient } from "viem";

export type Fees =
  | { readonly type: "eip1559"; readonly maxFeePerGas: bigint; readonly maxPriorityFeePerGas: bigint }
  | { readonly type: "legacy"; readonly gasPrice: bigint };

/** Pools take a replacement for 10 % more, some for 12.5 %. */
const BUMP_PERCENT = 125n;

/** What it takes now: the base fee may double before the transaction is mined. */
export async function feesNow(client: PublicClient): Promise<Fees> {
  const { baseFeePerGas } = await client.getBlock({ blockTag: "latest" });
  if (baseFeePerGas === null) return { type: "legacy", gasPrice: await client.getGasPrice() };
  const maxPriorityFeePerGas = await client.estimateMaxPriorityFeePerGas();
  return { type: "eip1559", maxFeePerGas: 2n * baseFeePerGas + maxPriorityFeePerGas, maxPriorityFeePerGas };
}

export function priceOf(fees: Fees): bigint {
  return fees.type === "legacy" ? fees.gasPrice : fees.maxFeePerGas;
}

/** What replaces a transaction that pays `before`, and is not less than it takes now. */
export function replacing(before: Fees, now: Fees): Fees {
  if (before.type === "legacy" || now.type === "legacy") {
    return { type: "legacy", gasPrice: larger(bump(priceOf(before)), priceOf(now)) };
  }
  const maxPriorityFeePerGas = larger(bump(before.maxPriorityFeePerGas), now.maxPriorityFeePerGas);
  const maxFeePerGas = larger(bump(before.maxFeePerGas), now.maxFeePerGas);
  return { type: "eip1559", maxFeePerGas: larger(maxFeePerGas, maxPriorityFeePerGas), maxPriorityFeePerGas };
}

function bump(price: bigint): bigint {
  return (price * BUMP_PERCENT) / 100n + 1n;
}

function larger(a: bigint, b: bigint): bigint {
  return a > b ? a : b;
}
