/** What long runs of real nodes share: questions to their HTTP endpoint, and moments that a seed decides. */
import type { Held } from "../../simnet/checkers/certificates.ts";
import { CHAIN } from "../node/blocks.ts";
import type { StartedNode } from "../node/processes.ts";

export async function logOf(node: StartedNode): Promise<string> {
  return (await fetch(`${node.http}/log`, { signal: AbortSignal.timeout(15_000) })).text();
}

export async function certifiedBy(node: StartedNode): Promise<number> {
  const response = await fetch(`${node.http}/status`, { signal: AbortSignal.timeout(5_000) });
  const { chains } = (await response.json()) as {
    readonly chains: { readonly id: number; readonly certified: number }[];
  };
  return chains.find(({ id }) => id === CHAIN)?.certified ?? -1;
}

export async function certificatesOf(node: StartedNode, top: number): Promise<readonly Held[]> {
  const held: Held[] = [];
  for (let from = 1; from <= top; ) {
    const response = await fetch(`${node.http}/certificates/${CHAIN}?from=${from}`);
    const page = (await response.json()) as readonly Held[];
    if (page.length === 0) break;
    held.push(...page);
    from = Math.max(...page.map(({ height }) => height)) + 1;
  }
  return held;
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Mulberry32: the same numbers for the same seed, though not the same moments. */
export function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
