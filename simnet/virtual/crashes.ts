/** Nodes that die and come back. */
import type { Cluster } from "./cluster.ts";
import { Chance } from "./world.ts";

/** kill -9 at any moment, with any part of what was not yet synced on disk; back after an instant or some seconds. */
export function crashNodes(
  cluster: Cluster,
  { everyMs, untilMs, diskLoss }: { readonly everyMs: number; readonly untilMs: number; readonly diskLoss: boolean },
  count: () => void,
): void {
  const { world, nodes } = cluster;
  const chance = new Chance(world.seed, "crash");
  const crash = () => {
    if (world.nowMs >= untilMs) return;
    const node = nodes[chance.between(0, nodes.length - 1)];
    if (node !== undefined && node.runtime !== null) {
      count();
      cluster.crash(node, chance.between(0, 2));
      if (diskLoss) cluster.loseDisk(node);
      world.after(chance.between(10, 5000), () => cluster.start(node));
    }
    world.after(chance.between(1, 2 * everyMs), crash);
  };
  world.after(chance.between(1, 2 * everyMs), crash);
}
