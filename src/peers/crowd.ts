/**
 * Decides who gives up its connection when too many have one (PEER-5).
 *
 * Members that the manifest names always stay. Provers that the network has admitted compete with each other only, and
 * strangers (joiners, observers) with each other only. Keys cost nothing, so a place cannot belong to whoever came
 * first: a newcomer gets the place of the peer that has been idle for longest.
 */
import type { Key } from "../protocol/ids.ts";
import { CROWD } from "./limits.ts";

/** `dialled`: this node chose the connection itself; the keeper bounds these. */
export type Standing = "member" | "admitted" | "stranger" | "dialled";

export interface Seat {
  readonly key: Key;
  readonly standing: Standing;
  /** How long the peer has asked and sent nothing. */
  readonly idleMs: number;
}

/** The key that has to go for the newcomer: an idle peer of the same standing, the newcomer itself, or `null`. */
export function leaves(newcomer: Key, seats: readonly Seat[]): Key | null {
  const standing = seats.find(({ key }) => key === newcomer)?.standing;
  if (standing !== "admitted" && standing !== "stranger") return null;
  // mutant: members-cut
  const rivals = seats.filter((seat) => seat.standing === standing);
  // mutant: room-unbounded
  if (rivals.length <= CROWD.roomMax[standing]) return null;
  const others = rivals.filter(({ key, idleMs }) => key !== newcomer && idleMs >= CROWD.idleMsMin);
  return others.toSorted((a, b) => b.idleMs - a.idleMs)[0]?.key ?? newcomer;
}
