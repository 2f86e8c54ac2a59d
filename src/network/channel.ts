/**
 * What of the network a peer may share with us: a topic, and the protocol by which two logs are compared.
 *
 * An undivided network has one channel. One of partitions has one for each that this node takes part in, and one that
 * everybody shares, where certificates travel. Connections, files, addresses and bans are the same for all of them; what a
 * peer may send is counted for each, so that a busy partition takes nothing from another.
 */
import type { TransportHandler } from "../ports.ts";
import type { Hash } from "../protocol/ids.ts";

export interface Channel {
  /** Names it in counters. */
  readonly label: string;
  /** In its topic and its protocol: peers of another one find neither. */
  readonly network: Hash;
  readonly topic: string;
  readonly messageBytesMax: number;
  readonly handler: TransportHandler;
}

export function topicOf(network: Hash, what: "tasks" | "certificates" = "tasks"): string {
  return `/proofmesh/${network.slice(0, 16)}/${what}/1`;
}
