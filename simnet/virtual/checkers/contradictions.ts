/**
 * L3: a key whose two receipts for one proof exclude each other, and reached an honest node, is soon excluded on every
 * honest node. A contradiction that its author kept to itself concerns nobody.
 */
import type { Key } from "../../../src/protocol/ids.ts";
import { equalBytes, type EntryOf } from "../../../src/protocol/messages.ts";
import type { SimNode } from "../cluster.ts";

/** Names of the honest nodes that do not exclude the key, though one of them has both receipts. */
export function notExcluding(nodes: readonly SimNode[], key: Key): string[] {
  if (!nodes.some((node) => isExcluded(node, key) || hasBoth(node, key))) return [];
  return nodes.filter((node) => node.runtime !== null && !isExcluded(node, key)).map(({ name }) => name);
}

// EVIDENCE-7.
export function isExcluded({ runtime }: SimNode, key: Key): boolean {
  return runtime?.state.out.has(key) === true;
}

function hasBoth({ runtime }: SimNode, key: Key): boolean {
  const first = new Map<string, EntryOf<"receipt">>();
  for (const { entries } of runtime?.state.log.feed(key)?.kept() ?? []) {
    for (const entry of entries) {
      if (entry.kind !== "receipt") continue;
      const name = `${entry.block}/${entry.stage}/${entry.index}/${entry.artefact}`;
      const before = first.get(name);
      if (before !== undefined && (before.bytes !== entry.bytes || !equalBytes(before.values, entry.values)))
        return true;
      first.set(name, before ?? entry);
    }
  }
  return false;
}
