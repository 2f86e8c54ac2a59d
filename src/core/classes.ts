/** The class of an author decides how large its account is (`account.ts`). */
import type { Key } from "../protocol/ids.ts";
import type { Manifest } from "../protocol/manifest.ts";

/** `member`: a source or a member of the roster that is no attester. `stranger`: everybody else. */
export type AuthorClass = "attester" | "member" | "stranger";

/** What says which class an author has. */
export interface Known {
  readonly manifest: Pick<Manifest, "weights" | "sources">;
  readonly roster: { has(key: Key): boolean };
}

export function classOf({ manifest, roster }: Known, author: Key): AuthorClass {
  if (manifest.weights.has(author)) return "attester";
  return manifest.sources.has(author) || roster.has(author) ? "member" : "stranger";
}
