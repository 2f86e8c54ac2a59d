/** The moves of a block from state to state; the type `BlockState` says when each of them is made. */
import { forget, isParentClosed } from "./ancestry.ts";
import { broken } from "./invariant.ts";
import type { Block, BlockState, State } from "./state.ts";

const MOVES: Readonly<Record<BlockState, readonly BlockState[]>> = {
  waiting: ["open", "closed", "cancelled"],
  open: ["closed", "cancelled", "waiting"],
  closed: ["open", "cancelled", "waiting"],
  cancelled: ["waiting", "closed"],
};

/** Moves the block; to the state that it has already is no move. An illegal move is a fault of this program. */
export function moveBlock(state: State, block: Block, to: BlockState): void {
  const from = block.state;
  if (from === to) return;
  const name = `block ${block.id} at height ${block.height} of chain ${block.chain}`;
  const isCertified = block.certificate !== null;
  if (
    !MOVES[from].includes(to) ||
    (isCertified && to !== "closed") ||
    (to === "closed" && from !== "open" && !isCertified)
  )
    broken(
      "block-state",
      `${name} is ${from}${isCertified ? " and certified" : ""} and shall be ${to}; allowed are ${MOVES[from].join(", ")}, to closed only from open or by a certificate, and no other state after a certificate`,
    );
  if (to === "closed" && !isCertified && !isParentClosed(state, block))
    broken("S3", `${name} shall be closed, and its parent ${block.parent} is not`);
  block.state = to;
}

/** Lets go of a block that will never be certified; whoever still works on it stops. */
export function abandon(state: State, block: Block): void {
  // Where more than f attesters are hostile, two blocks of one hash may be certified.
  if (block.certificate === null) moveBlock(state, block, "cancelled");
  forget(state, block);
}
