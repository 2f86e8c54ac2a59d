/** How a node that has nothing but an address gets the manifest of the network that it is to join. */
import { randomBytes } from "node:crypto";
import type { Hash } from "../protocol/ids.ts";
import { configuredAddress, keyOfAddress } from "./addresses.ts";
import { NetworkFault, faultOf } from "./fault.ts";
import { privateKeyOfSeed } from "./identity.ts";
import { createNode } from "./libp2p.ts";
import { REQUEST } from "./limits.ts";
import { protocolOf } from "./serve.ts";
import { collect, exchange } from "./streams.ts";

/**
 * The manifest's bytes from the node at `address`, at most 1 MiB. They are as the node sent them: the caller checks
 * that they hash to the network's id.
 *
 * Rejects with a `Fault`: `config.address`, `join.unreachable`, `join.refused` (no node of this network), `join.too-large`.
 */
export async function fetchManifest(address: string, network: Hash, timeoutMs: number): Promise<Uint8Array> {
  const target = configuredAddress(address, "bootstrap");
  const signal = AbortSignal.timeout(timeoutMs);
  const node = await createNode(
    {
      privateKey: await privateKeyOfSeed(randomBytes(32)),
      listen: [],
      announce: [],
      appendAnnounce: [],
      profile: "public",
      members: 0,
    },
    { gater: {} },
  );
  try {
    await node.start();
    const connection = await node.dial(target, { signal }).catch((error: unknown) => {
      const who = keyOfAddress(target) === null ? "" : " with that peer id";
      const text = signal.aborted ? `nothing within ${timeoutMs} ms` : faultOf(error, "").message;
      throw new NetworkFault("join.unreachable", `no node${who} answers at ${address}: ${text}`, error);
    });
    const limits = { bytesMax: REQUEST.manifestBytesMax, code: "join.too-large", signal };
    const frames = await exchange(connection, protocolOf(network, "manifest"), new Uint8Array(0), limits, collect);
    return Buffer.concat(frames);
  } catch (error) {
    if (error instanceof NetworkFault && error.code !== "join.too-large") throw error;
    throw manifestFault(error, address, network, signal.aborted ? timeoutMs : null);
  } finally {
    await node.stop();
  }
}

function manifestFault(error: unknown, address: string, network: Hash, lateMs: number | null): NetworkFault {
  const { code, message } = faultOf(error, "join.refused");
  const which = `manifest of network ${network.slice(0, 16)} from ${address}`;
  if (lateMs !== null) return new NetworkFault("join.unreachable", `no ${which} within ${lateMs} ms`, error);
  const hint = code === "join.too-large" ? "" : "; is the node part of that network?";
  return new NetworkFault(code, `cannot get the ${which}: ${message}${hint}`, error);
}
