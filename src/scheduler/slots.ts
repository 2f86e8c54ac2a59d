/**
 * Deals a node's slots to its partitions, so that one of them in trouble does not slow another.
 *
 * Slots are dealt once, in the order of the configuration, the remainder to the first. An idle slot is not lent, because
 * a job that hangs in one partition would hold the slot of another. Where there are fewer slots than partitions, each
 * partition gets one on paper. Their jobs then wait in the queues of the scheduler, which take turns.
 */
export function dealSlots(slots: number, names: readonly (string | null)[]): ReadonlyMap<string | null, number> {
  const rest = slots % Math.max(names.length, 1);
  return new Map(
    names.map((name, at) => {
      // SLOT-6.
      // mutant: slots-undealt
      const dealt = Math.max(1, Math.floor(slots / names.length) + (at < rest ? 1 : 0));
      return [name, dealt] as const;
    }),
  );
}
