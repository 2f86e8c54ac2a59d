/**
 * Griefing, counted once more: a certificate names the attempts that their owners lost, and a prover that lost too many of
 * its last ones has no first attempt for 32 blocks.
 *
 * Judged at the end of runs in which links lose nothing, because orders of owners follow the certificates that a node has.
 */
import type { BarrierContent } from "../../../src/protocol/certificate.ts";
import type { Key } from "../../../src/protocol/ids.ts";
import type { Manifest } from "../../../src/protocol/manifest.ts";
import type { Life, Lives } from "./lives.ts";

/** How an attempt ends that its owner lost after a quorum had granted it; one that nobody claimed names no owner for certain. */
const LOST: ReadonlySet<string> = new Set(["no-progress", "limit"]);
const FOLLOWS = "others-timed-out";
/** What is certified just before a block opens may come after its first claims. */
const LATE_BLOCKS = 3;

/** The contents of one node's certificates, in the order of heights, each the child of the one before. */
export function checkGriefing(manifest: Manifest, contents: readonly BarrierContent[], lives: Lives): string[] {
  return [...contents.flatMap((content) => checkLost(content, lives)), ...checkOrders(manifest, contents)];
}

function checkLost({ height, hash, tasks, lost }: BarrierContent, lives: Lives): string[] {
  const block = [...lives.blocks.values()].find(({ announce }) => announce.hash === hash);
  if (block === undefined) return [];
  const named = new Set(lost.map(({ stage, index, attempt }) => `${stage}/${index}#${attempt}`));
  return tasks.flatMap(({ stage, index, attempt, credited }) => {
    const life = block.tasks.find((task) => task.stage.name === stage && task.index === index);
    return (life?.attempts ?? []).slice(0, credited ? attempt : 0).flatMap((each) => {
      const place = `${stage}/${index}#${each.number}`;
      if (each.overMs === null && named.has(place))
        // BARRIER-8.
        return [`L4: height ${height} names ${place} lost, which is not over`];
      const isOmitted = each.overMs !== null && isLost(each, lives) && !named.has(place);
      return isOmitted ? [`L4: height ${height} does not name ${place}, which its owner lost`] : [];
    });
  });
}

/** Whether a quorum granted it, and all who judged it themselves say that it was lost, a quorum of them. */
function isLost({ grants, timeouts }: Life, lives: Lives): boolean {
  if (![...grants.values()].some((voters) => lives.isQuorum(voters))) return false;
  const own = [...timeouts].filter(([, code]) => code !== FOLLOWS);
  return own.every(([, code]) => LOST.has(code)) && own.length > 0 && lives.isQuorum(own.map(([key]) => key));
}

function checkOrders({ json }: Manifest, contents: readonly BarrierContent[]): string[] {
  const found: string[] = [];
  const { retentionBlocks } = json.limits;
  for (const content of contents) {
    const window = json.workflows[content.workflow]?.window ?? 1;
    const below = content.height - window - 1;
    const before = contents.filter(({ height }) => height < below && height >= below - retentionBlocks);
    const last = lastOf(before);
    const isStill = (key: Key) => lastOf(before.slice(0, -LATE_BLOCKS)).has(key);
    if (2 * last.size > json.provers.list.length) continue;
    for (const { stage, index, attempt, prover, credited } of content.tasks)
      if (credited && attempt === 0 && prover !== null && last.has(prover) && isStill(prover))
        found.push(
          `L4: ${prover.slice(0, 8)} had the first attempt of ${stage}/${index} of height ${content.height} and had lost too many`,
        );
  }
  return found;
}

/** Provers that are last after these blocks. One that has had its 32 blocks is judged no more: it may be tried again. */
function lastOf(contents: readonly BarrierContent[]): Set<Key> {
  const attempts = new Map<Key, boolean[]>();
  const since = new Map<Key, number>();
  for (const { height, tasks, lost } of contents) {
    const marks: (readonly [Key, boolean])[] = lost.map(({ owner }) => [owner, true]);
    for (const { prover, credited } of tasks) if (credited && prover !== null) marks.push([prover, false]);
    for (const [key, wasLost] of marks)
      if (!since.has(key)) attempts.set(key, [...(attempts.get(key) ?? []), wasLost].slice(-32));
    for (const [key, all] of attempts) {
      const bad = all.filter((each) => each).length;
      if (bad >= 3 && 4 * bad > all.length && !since.has(key)) since.set(key, height);
    }
  }
  const end = contents.at(-1)?.height ?? 0;
  return new Set([...since].flatMap(([key, height]) => (end - height < 32 ? [key] : [])));
}
