/**
 * What a node makes of something that it was sent.
 *
 * `reject` is for what the sender itself is answerable for (size, shape, signature) and costs it its score; what only
 * our own state makes unacceptable is `ignore`, or a node that lags would cut itself off from its peers.
 */
export type Verdict =
  | { readonly kind: "accept" }
  | { readonly kind: "ignore"; readonly code: Refusal }
  | { readonly kind: "reject"; readonly code: Refusal };

export const ACCEPT: Verdict = { kind: "accept" };

export function ignore(code: Refusal): Extract<Verdict, { kind: "ignore" }> {
  return { kind: "ignore", code };
}

export function reject(code: Refusal): Extract<Verdict, { kind: "reject" }> {
  return { kind: "reject", code };
}

/** Every refusal has a code; the code is also the metric's label and the name of the test. */
export type Refusal =
  // shape
  | "message.too-large"
  | "message.malformed"
  | "message.empty"
  | "message.root-mismatch"
  // signature
  | "signature.malformed"
  | "signature.invalid"
  | "author.unknown"
  | "author.out"
  | "author.role"
  // log
  | "batch.known"
  | "batch.equivocation"
  | "batch.chain-broken"
  | "batch.too-far"
  // state
  | "block.unknown"
  | "block.unprepared"
  | "block.too-many"
  | "block.chain-unknown"
  | "block.workflow-unknown"
  | "block.before-start"
  | "retract.twice"
  | "block.too-far"
  | "block.too-large"
  | "block.cancelled"
  | "task.unknown"
  | "task.complete"
  | "attempt.not-open"
  | "attempt.ahead"
  | "proof.unknown"
  | "round.too-many"
  | "claim.not-owner"
  | "claim.capacity"
  | "claim.other-copy"
  | "claim.duplicate"
  | "receipt.wrong-key"
  | "receipt.wrong-values"
  | "receipt.replayed"
  | "receipt.wrong-bytes"
  | "receipt.not-held"
  | "receipt.inline-mismatch"
  | "receipt.too-many"
  | "receipt.not-committed"
  | "commit.not-agree"
  | "commit.duplicate"
  | "vote.duplicate"
  | "vote.too-many"
  | "certificate.known"
  | "certificate.invalid"
  | "evidence.false"
  | "roster.full"
  | "account.full"
  | "account.busy"
  | "peer.flood";
