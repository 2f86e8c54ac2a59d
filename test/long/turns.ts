/** Test files of many cases, of which a run of `scripts/parts.ts` takes a slice, another one in each turn. */

/** All cases, or of so many slices the one whose turn it is. */
export function inTurn<T>(cases: readonly T[], slices: number): readonly T[] {
  const turn = process.env["LONG_SUITE_TURN"];
  return turn === undefined ? cases : cases.filter((_, at) => at % slices === Number(turn) % slices);
}
