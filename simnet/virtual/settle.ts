/** How long a run waits after its faults: as long as the rules let the next block take, and no longer. */
import type { Manifest } from "../../src/protocol/manifest.ts";

/** What the last faults leave behind: processes that stand still, sources that do not answer, links without gossip. */
const AFTERMATH_MS = 240_000;
/** PACE-5: the longest claim window, from attempt 16 on. */
const WINDOW_MS_MAX = 60_000;

/**
 * Before the owner of an attempt is honest, each hostile owner may use its claim window, the absolute limit and a pause.
 * A block waits so for each of its stages.
 */
export function patienceMs({ json, retry }: Manifest, hostile: number): number {
  const pauseMs = Math.max(retry.pauseMsMax, retry.backoffMsMax);
  const blocks = Object.values(json.workflows).map(({ stages }) =>
    stages.reduce((sum, { limitMs }) => sum + hostile * (WINDOW_MS_MAX + limitMs + pauseMs), 0),
  );
  return AFTERMATH_MS + Math.max(...blocks);
}
