/**
 * L3: a key whose two receipts for one proof, or two votes of one attempt, exclude each other, and reached an honest node,
 * is soon excluded on every honest node. A contradiction that its author kept to itself concerns nobody.
 */
import type { Key } from "../../../src/protocol/ids.ts";
import { equalBytes, type EntryOf } from "../../../src/protocol/messages.ts";
import type { SimNode } from "../cluster.ts";

/** Names of the honest nodes that do not exclude the key, though one of them has both receipts. */
export function notExcluding(nodes: readonly SimNode[], key: Key): string[] {
  if (!nodes.some((node) => isExcluded(node, key) || hasBoth(node, key))) return [];
  return nodes.filter((node) => node.runtime !== null && !isExcluded(node, key)).map(({ name }) => name);
}

// EVIDENCE-1, EVIDENCE-7.
export function isExcluded({ runtime }: SimNode, key: Key): boolean {
  return runtime?.state.out.has(key) === true;
}

function hasBoth(node: SimNode, key: Key): boolean {
  return hasReceipts(node, key) || hasVotes(node, key);
}

type Vote = EntryOf<"grant"> | EntryOf<"attest"> | EntryOf<"timeout">;

/** Two grants, two attests, or an attest and a timeout, of an attempt that the node keeps. */
function hasVotes({ runtime }: SimNode, key: Key): boolean {
  const said = new Map<string, Set<string>>();
  for (const { entries } of runtime?.state.log.feed(key)?.kept() ?? []) {
    for (const entry of entries) {
      if (entry.kind !== "grant" && entry.kind !== "attest" && entry.kind !== "timeout") continue;
      const { block, stage, index, attempt } = entry;
      const tasks = runtime?.state.blocks.get(block)?.tasks ?? [];
      // What is said of attempts far ahead waits, and of a certified block it may come too late.
      if (attempt > 2 || !tasks.some((task) => task.stage.name === stage && task.index === index)) continue;
      const name = `${entry.kind === "grant" ? "grant" : "end"} ${block}/${stage}/${index}#${attempt}`;
      const before = (said.get(name) ?? new Set<string>()).add(wordOf(entry));
      said.set(name, before);
      if (before.size > 1) return true;
    }
  }
  return false;
}

function wordOf(entry: Vote): string {
  if (entry.kind === "timeout") return "timeout";
  return entry.kind === "grant" ? entry.prover : `${entry.prover} ${entry.artefact}`;
}

function hasReceipts({ runtime }: SimNode, key: Key): boolean {
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
