/** Whether machines elsewhere can dial the node at an address that it tells. */
import { networkInterfaces } from "node:os";
import type { NodeConfig } from "../config.ts";
import type { Key } from "../protocol/ids.ts";
import type { Manifest } from "../protocol/manifest.ts";

/**
 * Why nobody elsewhere can dial the node, or `null`: it has a public address, or a network without others to need one.
 * `told` are the addresses of a node that runs; for one that does not they follow from the configuration.
 */
export async function whyNotPublic(
  config: NodeConfig,
  manifest: Manifest,
  key: Key,
  told?: readonly string[],
): Promise<string | null> {
  const others = [...manifest.weights.keys()].some((each) => each !== key);
  if (config.profile === "local" || !others) return null;
  // Loaded where it is asked: it takes libp2p with it.
  const { announceable, widestReach } = await import("../network/addresses.ts");
  const hosts = Object.values(networkInterfaces()).flatMap((each) => each?.map(({ address }) => address) ?? []);
  const addresses = told ?? announceable(config.listen, config.announce, hosts);
  if (widestReach(addresses) === "public") return null;
  const shown = addresses.length === 0 ? "none" : addresses.join(", ");
  return `peers are told no public address (${shown}), so only this machine or its own network can dial this node; --announce names one`;
}
