/** The owner function, computed once for all simulated nodes that ask the same. */
import { type Candidate, ownersOf } from "../../src/protocol/owner.ts";

const KEPT_MAX = 512;

export function sharedOwners(): typeof ownersOf {
  const known = new Map<string, ReturnType<typeof ownersOf>>();
  return (network, block, stage, count, candidates, copies) => {
    const name = `${block} ${stage} ${count} ${copies} ${candidates.map(({ key, weight, group = 0 }: Candidate) => `${key}${weight}/${group}`).join(" ")}`;
    const owners = known.get(name) ?? ownersOf(network, block, stage, count, candidates, copies);
    known.set(name, owners);
    const [oldest] = known.keys();
    if (known.size > KEPT_MAX && oldest !== undefined) known.delete(oldest);
    return owners;
  };
}
