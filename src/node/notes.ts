/** What a node says of its proof systems when it starts. */
import type { NodeConfig } from "../config.ts";
import type { Prover } from "../ports.ts";
import { SYSTEMS } from "../proofs/table.ts";
import type { Manifest } from "../protocol/manifest.ts";

/** How far the proofs of a node's network may be believed, where that is less than it seems. */
export function notesOf(
  config: NodeConfig,
  manifest: Manifest,
  provers: readonly Prover[],
): ReadonlyMap<string, string> {
  const notes = new Map<string, string>();
  const verified = new Set(Object.values(manifest.json.keys).map(({ system }) => system));
  const proven = new Set(provers.map(({ system }) => system));
  const ours = new Set(config.provers.flatMap(({ kind, ...rest }) => ("keys" in rest && rest.keys ? [] : [kind])));
  for (const { name, note, proving } of SYSTEMS) {
    if (note === undefined) continue;
    const isSaid =
      note.when === "verified" ? verified.has(name) : proven.has(name) && ours.has(proving?.kind ?? "mock");
    if (isSaid) notes.set(note.code, note.text);
  }
  return notes;
}
