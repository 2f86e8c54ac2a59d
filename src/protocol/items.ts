/**
 * The output of a stage that says how many tasks another has: a JSON list, one item a task. An item's bytes are its
 * canonical JSON, so that one output has one meaning for everybody.
 */
import { canonicalJson } from "./shape.ts";

/** `null` for what is no list of one item at least and as many as are allowed at most. */
export function itemsIn(text: string, countMax: number): readonly string[] | null {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return null;
  }
  if (!Array.isArray(json) || json.length === 0 || json.length > countMax) return null;
  return json.map(canonicalJson);
}
