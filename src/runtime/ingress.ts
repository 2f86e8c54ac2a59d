/**
 * What comes in from peers: checked, cheapest first, before the core sees it. Nothing a stranger sends costs more to
 * refuse than to send: size, then shape, then known duplicate, then signature, then state.
 */
import { refusalOf } from "../core/account.ts";
import { counts } from "../core/conflict.ts";
import { isTooFar } from "../core/blocks.ts";
import { isKnownAuthor } from "../core/step.ts";
import type { State } from "../core/state.ts";
import { type Batch, openBatch, verifyBatch } from "../protocol/batch.ts";
import type { Equation } from "../protocol/signing.ts";
import { ignore, reject, type Verdict } from "../protocol/verdict.ts";

export type Admitted =
  | { readonly ok: true; readonly batch: Batch }
  | {
      readonly ok: false;
      readonly verdict: Exclude<Verdict, { readonly kind: "accept" }>;
      readonly author: string | null;
    };

/** Stand-ins for the checks that need no state: a simulator reads a message once for all the nodes that get it. */
export interface BatchChecks {
  readonly open: typeof openBatch;
  readonly verify: typeof verifyBatch;
}

const CHECKS: BatchChecks = { open: openBatch, verify: verifyBatch };

export function admit(
  state: State,
  equation: Equation,
  bytes: Uint8Array,
  { open, verify }: BatchChecks = CHECKS,
): Admitted {
  const opened = open(bytes);
  if (!opened.ok) return { ok: false, verdict: reject(opened.code), author: null };
  const batch = opened.value;
  const { author } = batch.head;
  // BATCH-6.
  if (state.log.knows(batch)) return { ok: false, verdict: ignore("batch.known"), author };
  // BATCH-7.
  if (!counts(state, author, batch.head.number)) return { ok: false, verdict: ignore("author.out"), author };
  // BATCH-8.
  // Our own roster may be behind, so a stranger's message is not the sender's fault.
  if (!isKnownAuthor(state, batch)) return { ok: false, verdict: ignore("author.unknown"), author };
  // BATCH-9.
  // Left with the peers before it costs a signature check; said to be nothing new, or they would be asked again at once.
  if (isTooFar(state, batch)) return { ok: false, verdict: ignore("block.too-far"), author };
  // BATCH-11.
  // Already known how far the author has come; nothing else about it counts until the gap is smaller.
  if (state.log.isTooFar(batch) && batch.head.number <= (state.log.feed(author)?.seen ?? -1))
    return { ok: false, verdict: ignore("batch.too-far"), author };
  const over = refusalOf(state, batch);
  if (over !== null) return { ok: false, verdict: ignore(over), author };
  // BATCH-10, S7.
  // mutant: believe-signatures
  if (!verify(state.manifest.network, batch, equation)) {
    return { ok: false, verdict: reject("signature.invalid"), author };
  }
  return { ok: true, batch };
}
