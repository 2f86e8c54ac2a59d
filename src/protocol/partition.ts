/**
 * Partitions: networks within the network, each of whole chains and attesters of its own.
 *
 * A chain is in exactly one, because strict order ties its blocks to each other. Everything about a block (tasks, claims,
 * receipts, votes) stays within its partition, so no barrier is ever put together in two places, and a partition in
 * trouble stalls only itself. Each has a network id of its own, so nothing signed in one is valid in another; the core
 * of a partition is the core of a network and knows of no others. Partitions of one node share its machines, so
 * they are told apart where those are handed out (`scheduler/slots.ts`), and nowhere else.
 */
import { hexToBytes, utf8ToBytes } from "@noble/hashes/utils.js";
import { z } from "zod";
import { int, key as publicKey, label, LIST } from "./fields.ts";
import { domainHash, type Hash, type Key } from "./ids.ts";
import { ATTESTERS_MAX, PARTITIONS_MAX } from "./limits.ts";
import type { ShapeError } from "./shape.ts";

interface Attester {
  readonly key: Key;
  readonly weight: number;
}

const KEYS = `1 to ${ATTESTERS_MAX} keys`;
const NAMES = `1 to ${PARTITIONS_MAX} partitions`;

/** What the manifest says of its partitions. */
export const PARTITIONS = z
  .array(
    z.strictObject(
      {
        name: label,
        chains: z
          .array(int(1, Number.MAX_SAFE_INTEGER), LIST)
          .min(1, "1 to 100 chain ids")
          .max(100, "1 to 100 chain ids"),
        attesters: z.array(publicKey, LIST).min(1, KEYS).max(ATTESTERS_MAX, KEYS),
        /** Of the listed provers those that prove here; left out, all of them do. */
        provers: z.array(publicKey, LIST).max(1000, "at most 1000 keys").optional(),
      },
      '{"name", "chains", "attesters"}, and "provers" where not all prove',
    ),
    LIST,
  )
  .min(1, NAMES)
  .max(PARTITIONS_MAX, NAMES);

type PartitionRule = z.infer<typeof PARTITIONS>[number];

/** As much of a manifest as its partitions depend on. */
interface Rules {
  readonly attesters: readonly Attester[];
  readonly chains: readonly { readonly id: number }[];
  readonly provers: { readonly list: readonly { readonly key: Key }[] };
  readonly partitions?: readonly PartitionRule[] | undefined;
}

interface Whole extends Weights {
  readonly json: Rules;
  readonly network: Hash;
}

export interface Weights {
  readonly weights: ReadonlyMap<Key, number>;
  readonly weight: number;
  /** floor(2n/3)+1: two quorums share an honest attester. */
  readonly quorum: number;
  /** f+1: at least one of them is honest. */
  readonly oneHonest: number;
}

export interface Partition<M> {
  /** `null` where the manifest names no partitions: then the network is one. */
  readonly name: string | null;
  /** The manifest as if the partition were all of the network. */
  readonly manifest: M;
}

export function weigh(attesters: readonly Attester[]): Weights {
  const weight = attesters.reduce((sum, attester) => sum + attester.weight, 0);
  return {
    weights: new Map(attesters.map((attester) => [attester.key, attester.weight])),
    weight,
    // mutant: quorum-too-small
    quorum: Math.floor((2 * weight) / 3) + 1,
    // mutant: one-honest-too-small
    oneHonest: Math.floor((weight - 1) / 3) + 1,
  };
}

/** The partitions in the manifest's order; of a manifest that names none the network itself. */
export function partitionsOf<M extends Whole>(manifest: M): readonly Partition<M>[] {
  const { partitions } = manifest.json;
  if (partitions === undefined) return [{ name: null, manifest }];
  return partitions.map((rule) => ({ name: rule.name, manifest: restrict(manifest, rule) }));
}

/** The partition that proves a chain. What is about a chain is checked there only: another's quorum may not say it. */
export function partitionOfChain<M extends Whole>(manifest: M, chain: number): Partition<M> | null {
  return partitionsOf(manifest).find((each) => each.manifest.json.chains.some(({ id }) => id === chain)) ?? null;
}

function restrict<M extends Whole>(manifest: M, { name, chains, attesters, provers }: PartitionRule): M {
  const { list } = manifest.json.provers;
  const json = {
    ...manifest.json,
    attesters: manifest.json.attesters.filter(({ key }) => attesters.includes(key)),
    chains: manifest.json.chains.filter(({ id }) => chains.includes(id)),
    provers: {
      ...manifest.json.provers,
      list: provers === undefined ? list : list.filter(({ key }) => provers.includes(key)),
    },
    partitions: undefined,
  };
  const network = domainHash("partition", hexToBytes(manifest.network), utf8ToBytes(name));
  return { ...manifest, json, network, ...weigh(json.attesters) };
}

/** What is wrong with a manifest's partitions, all of it, each with its place. */
export function checkPartitions({ attesters, chains, provers, partitions }: Rules): ShapeError[] {
  if (partitions === undefined) return [];
  const errors: ShapeError[] = [];
  const attesting = attesters.map(({ key }) => key);
  const proving = provers.list.map(({ key }) => key);
  const ids = chains.map(({ id }) => id);
  const places = new Map<number, string>();
  for (const [at, partition] of partitions.entries()) {
    const path = `partitions[${at}]`;
    const wrong = (place: string, value: unknown, allowed: string) =>
      errors.push({ path: `${path}.${place}`, value, allowed });
    if (partitions.findIndex(({ name }) => name === partition.name) < at)
      wrong("name", partition.name, "a name that no earlier partition has");
    for (const [index, chain] of partition.chains.entries()) {
      const before = places.get(chain);
      if (!ids.includes(chain)) wrong(`chains[${index}]`, chain, `one of the chains ${ids.join(", ")}`);
      else if (before !== undefined) wrong(`chains[${index}]`, chain, `a chain that is not in ${before}`);
      else places.set(chain, `${path}.chains[${index}]`);
    }
    checkKeys(partition.attesters, attesting, "the key of one of the manifest's attesters", (index, value, allowed) =>
      wrong(`attesters[${index}]`, value, allowed),
    );
    checkKeys(partition.provers ?? [], proving, "the key of one of the manifest's provers", (index, value, allowed) =>
      wrong(`provers[${index}]`, value, allowed),
    );
  }
  for (const [at, id] of ids.entries()) {
    if (!places.has(id))
      errors.push({ path: `chains[${at}].id`, value: id, allowed: "a chain that a partition names" });
  }
  return errors;
}

function checkKeys(
  keys: readonly Key[],
  known: readonly Key[],
  allowed: string,
  wrong: (index: number, value: Key, allowed: string) => void,
): void {
  for (const [index, key] of keys.entries()) {
    if (!known.includes(key)) wrong(index, key, allowed);
    else if (keys.indexOf(key) < index) wrong(index, key, "a key that is not listed before");
  }
}
