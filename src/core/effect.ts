/**
 * What the core wants done. The runtime performs the effects of one step in this order, and starts no later rank before
 * the earlier one is done:
 *
 * 1. `append`: the entries are signed as one batch, which is durable in the journal (fdatasync);
 * 2. the batch is sent, and comes back to the core as an event;
 * 3. `prove`: work begins that the world was promised.
 *
 * Everything else promises nothing to anyone and may be done at once. A crash at any point therefore signs nothing
 * twice, and loses nothing that was sent.
 */
import type { Closed } from "../protocol/certificate.ts";
import type { BlockPlace, Hash, Key } from "../protocol/ids.ts";
import type { Entry } from "../protocol/messages.ts";
import type { Statement } from "../protocol/statement.ts";
import type { Payee } from "../protocol/systems.ts";
import type { StageRow } from "../protocol/workflow.ts";
import type { Span } from "../protocol/sync.ts";
import type { TaskRef } from "./event.ts";

/** A task as whoever makes its result has to know it. */
export interface Job {
  readonly task: TaskRef;
  readonly attempt: number;
  readonly chain: number;
  readonly height: number;
  readonly hash: Hash;
  /** Hash of the block before. */
  readonly parent: Hash;
  /** What the chain's own nodes call it. */
  readonly chainId: number;
  readonly system: string;
  readonly statement: Statement;
  readonly payee: Payee;
  /** Which of this node's provers makes it. */
  readonly executor: string;
  readonly key: Hash;
  readonly payload: Hash;
  readonly before: Uint8Array;
  /** Who is paid for it: this node. */
  readonly prover: Key;
  /** Public values that the block implies for the task and this prover. */
  readonly values: Uint8Array;
  readonly group: number;
  readonly shards: number;
  /** The result is committed to before anybody sees it. */
  readonly isCommitted: boolean;
  /** It is an admission proof: `prover` is its payee, and the block is certified already. */
  readonly isAdmission: boolean;
  /** Artefacts that this task takes, or which item of one, and who has them. */
  readonly inputs: readonly {
    readonly artefact: Hash;
    readonly maker: Key;
    readonly holders: readonly Key[];
    readonly item: number | null;
  }[];
}

export type Effect =
  | { readonly kind: "append"; readonly entries: readonly Entry[] }
  | ({ readonly kind: "prove" } & Job)
  | { readonly kind: "cancel"; readonly task: TaskRef; readonly isAdmission?: boolean }
  | {
      readonly kind: "prepare";
      readonly block: Hash;
      readonly chain: number;
      /** What the chain's own nodes call it. */
      readonly chainId: number;
      readonly height: number;
      readonly hash: Hash;
      readonly parent: Hash;
      readonly items: number;
      readonly payload: Hash;
      readonly before: Uint8Array | null;
      /** How many blocks of the chain it stands for. */
      readonly range: number;
      readonly stages: readonly StageRow[];
      readonly holders: readonly Key[];
    }
  | {
      readonly kind: "verify";
      readonly task: TaskRef;
      readonly artefact: Hash;
      /** Whose proof it has to be; `null` for a result without a proof. */
      readonly maker: Key | null;
      /** Whose admission proof it is; `maker` is its payee then. `null` for a task's proof. */
      readonly candidate: Key | null;
      readonly bytes: number;
      readonly inline: Uint8Array;
      readonly system: string;
      readonly statement: Statement;
      readonly payee: Payee;
      readonly about: BlockPlace;
      readonly key: Hash;
      readonly values: Uint8Array;
      readonly parts: readonly Uint8Array[];
      readonly holders: readonly Key[];
      /** Authors of whom one pays for the verification; nobody pays where there are none. */
      readonly payers: readonly Key[];
      /** To be run here, and compared; where it is not verified under a key. */
      readonly recompute: Job | null;
      /** Whether there is something to verify; what provers have to agree on is only looked at for what it is. */
      readonly isProven: boolean;
      /** It has to be a list of so many items at most; 0 where it may be anything. */
      readonly itemsMax: number;
    }
  /** The opening of a prover's commitment, which attesters alone may have. */
  | {
      readonly kind: "open";
      readonly task: TaskRef;
      readonly attempt: number;
      readonly prover: Key;
      readonly commitment: Hash;
      readonly holders: readonly Key[];
    }
  /** How many items an accepted output has. */
  | {
      readonly kind: "count";
      readonly task: TaskRef;
      readonly artefact: Hash;
      readonly inline: Uint8Array;
      readonly itemsMax: number;
      readonly holders: readonly Key[];
    }
  /** A certificate this node has assembled or received: stored, and delivered to the sinks in chain order. */
  | {
      readonly kind: "certify";
      readonly chain: number;
      readonly height: number;
      readonly block: Hash;
      readonly bytes: Uint8Array;
      /** What the index on disk keeps of the block for good. */
      readonly closed: Closed;
    }
  | { readonly kind: "sync"; readonly peer: Key }
  /** To be durable in the signing state before anything else is signed. */
  | { readonly kind: "remember"; readonly counter: number; readonly lost: boolean }
  /** The node signs another start record, with this counter; its disk is an old copy. */
  | { readonly kind: "renew"; readonly counter: number }
  /** The next batch leaves out the numbers that were signed and lost. */
  | { readonly kind: "leap" }
  /** Batches that nobody needs any more. */
  | {
      readonly kind: "forget";
      readonly batches: readonly { readonly author: Key; readonly number: number }[];
      /** All that is let go of in the feeds of their authors. */
      readonly gone: readonly { readonly author: Key; readonly spans: readonly Span[] }[];
    }
  | { readonly kind: "report"; readonly event: string; readonly fields: Readonly<Record<string, unknown>> }
  /** A message, or part of one, that changed nothing, and why. */
  | { readonly kind: "refused"; readonly code: string; readonly author: Key; readonly entry: string };
