/**
 * Feeds of strangers: authors of joins that are on nobody's list and not admitted yet.
 *
 * A log holds a limited number of them. Keys cost nothing, so somebody could fill the log with them and no newcomer would
 * be heard again. Therefore the feed of the stranger that was heard longest ago makes room for a new one, once it has
 * been silent for `strangerKeptMs`. A shorter time would let two nodes whose logs are full hand each other the same
 * strangers in turn for ever. Nothing is lost with such a feed: a newcomer asks again until it is admitted.
 */
import type { Key } from "../protocol/ids.ts";
import { classOf } from "./classes.ts";
import type { State } from "./state.ts";

export function isStranger({ manifest, roster, options }: State, author: Key): boolean {
  return classOf({ manifest, roster }, author) === "stranger" && author !== options.self;
}

/** Whether a stranger may have a feed: it has one, there is room, or another one makes room. */
export function hasRoomForStranger(state: State, author: Key): boolean {
  return state.log.admits(author) || oldestStranger(state) !== null;
}

/** Drops the feed that makes room for this stranger, where one has to. */
export function makeRoomFor(state: State, author: Key): void {
  if (!isStranger(state, author) || state.log.admits(author)) return;
  // JOIN-6.
  // mutant: newest-goes
  const oldest = oldestStranger(state);
  if (oldest === null) return;
  const batches = state.log.feed(oldest)?.kept() ?? [];
  state.effects.push({
    kind: "forget",
    batches: batches.map(({ head }) => ({ author: oldest, number: head.number })),
    gone: [{ author: oldest, spans: [] }],
  });
  state.log.drop(oldest);
  state.strangers.delete(oldest);
  state.candidates.delete(oldest);
  state.forgotten.delete(oldest);
}

/** The author was heard just now. */
export function heardStranger(state: State, author: Key): void {
  state.strangers.delete(author);
  if (isStranger(state, author)) state.strangers.set(author, state.nowMs);
}

function oldestStranger(state: State): Key | null {
  for (const [key, heardMs] of state.strangers) {
    // Admitted since, or guilty: the log has to remember where the feed of a guilty key ends.
    if (!isStranger(state, key) || state.out.has(key) || state.log.feed(key) === undefined) state.strangers.delete(key);
    else return state.nowMs - heardMs >= state.limits.strangerKeptMs ? key : null;
  }
  return null;
}
