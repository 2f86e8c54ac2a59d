/** What can happen to a node. Everything that the core ever learns comes in as one of these. */
import type { Batch } from "../protocol/batch.ts";
import type { Certificate, Closed } from "../protocol/certificate.ts";
import type { Hash, Key } from "../protocol/ids.ts";
import type { EntryOf } from "../protocol/messages.ts";
import type { Opening } from "../protocol/opening.ts";
import type { StartRecord } from "../protocol/start.ts";
import type { Frontier, Span, Twin } from "../protocol/sync.ts";

export interface TaskRef {
  readonly block: Hash;
  readonly stage: string;
  readonly index: number;
}

/** What the tasks of a block must prove, by stage and index, and the running commitment before and after the block. */
export interface Prepared {
  readonly before: Uint8Array;
  readonly after: Uint8Array;
  readonly values: Readonly<Record<string, readonly Uint8Array[]>>;
}

export type Event =
  /** Time has passed; nothing else. */
  | { readonly kind: "tick" }
  /**
   * A batch whose signature holds; our own come back this way once they are durable. `isPulled`: it was in `from`'s answer
   * to our frontier. `closed`: of the blocks that it announces, and of their parents, those that the disk's index of
   * certified blocks has (`lookUps`).
   */
  | {
      readonly kind: "batch";
      readonly batch: Batch;
      readonly from: Key | null;
      readonly isPulled?: boolean;
      readonly closed?: readonly Closed[];
    }
  /** A certificate that checks against the manifest; `from` names the peer whose answer to our frontier it was in. */
  | {
      readonly kind: "certificate";
      readonly certificate: Certificate;
      readonly bytes: Uint8Array;
      readonly from?: Key;
    }
  | { readonly kind: "peer"; readonly peer: Key; readonly state: "up" | "down" }
  /**
   * A peer has answered our frontier with its own, and with what it has heard of other processes with our key. The batches
   * and certificates of the answer have come before.
   */
  | {
      readonly kind: "synced";
      readonly peer: Key;
      readonly frontier: Frontier | null;
      readonly twins?: readonly Twin[];
      /** Start records of this node's key that the peer has shown, and whose signature holds. */
      readonly starts?: readonly StartRecord[];
    }
  /** This node has signed another start record, after a `renew`. */
  | { readonly kind: "renewed"; readonly counter: number; readonly nonce: string }
  /** The peer says that it has let go of the author's batches with these numbers. */
  | { readonly kind: "forgotten"; readonly peer: Key; readonly author: Key; readonly span: Span }
  /** This node's own source has a block whose payload is stored; `handed`: the operator has handed it in. */
  | {
      readonly kind: "source-block";
      readonly block: Omit<EntryOf<"announce">, "kind" | "round" | "workflow" | "start">;
      readonly handed?: true;
      readonly closed?: readonly Closed[];
    }
  /** The own source has answered, with news or without. */
  | { readonly kind: "source-seen"; readonly chain: number }
  | { readonly kind: "source-retract"; readonly chain: number; readonly hash: Hash }
  | { readonly kind: "source-trouble"; readonly chain: number; readonly fault: string | null }
  | { readonly kind: "prepared"; readonly block: Hash; readonly result: PreparedResult }
  | {
      readonly kind: "verified";
      readonly task: TaskRef;
      readonly artefact: Hash;
      readonly maker: Key | null;
      /** Whose admission proof it is; left out or `null` for a task's proof. */
      readonly candidate?: Key | null;
      readonly verdict: VerifiedResult;
    }
  /** What is behind a commitment; `null` where nobody shows it, `false` where it is no opening of this prover. */
  | {
      readonly kind: "opened";
      readonly task: TaskRef;
      readonly attempt: number;
      readonly commitment: Hash;
      readonly opening: Opening | null | false;
    }
  /** How many items an accepted output has that others count by; `null` where it cannot be had or is no list. */
  | { readonly kind: "counted"; readonly task: TaskRef; readonly artefact: Hash; readonly items: number | null }
  | { readonly kind: "progress"; readonly task: TaskRef; readonly attempt: number; readonly units: number }
  /** `isAdmission`: it is this node's own admission proof. */
  | {
      readonly kind: "proved";
      readonly task: TaskRef;
      readonly isAdmission?: boolean;
      readonly attempt: number;
      readonly proof: MadeProof;
    }
  | {
      readonly kind: "prove-failed";
      readonly task: TaskRef;
      readonly isAdmission?: boolean;
      readonly attempt: number;
      readonly code: string;
      readonly logical: boolean;
      /** For this node's operator alone: bounded, printable and without secrets (`protocol/words.ts`). */
      readonly message: string;
    }
  /** Whether this node's own prover can do its work, as far as a task has shown by now. */
  | { readonly kind: "ability"; readonly executor: string; readonly isAble: boolean }
  /** Why this node can verify no proofs of one of the network's keys (`verifier.NAME`); `null` once it can. */
  | { readonly kind: "verifier"; readonly fault: string | null }
  /** The operator wants the pause of a task in quarantine to end. */
  | { readonly kind: "requeue"; readonly task: TaskRef }
  /** The operator wants the node to stop: release what is not finished, then be silent. */
  | { readonly kind: "drain" };

export type PreparedResult =
  | { readonly kind: "ready"; readonly prepared: Prepared }
  /** Objective: the payload is not the block's. */
  | { readonly kind: "invalid"; readonly code: string }
  /** The payload cannot be had, or the machine failed: tried again. */
  | { readonly kind: "unavailable"; readonly code: string };

export type VerifiedResult =
  /** There was no room to wait in, or nobody needed the verdict any more. */
  | { readonly kind: "skipped" }
  /**
   * `bytes` is how long the proof is, by the bytes that were verified. `possession` is what the maker's receipts have to
   * show, 32 bytes; empty where the proof names its maker or there is none (`protocol/payee.ts`).
   */
  | { readonly kind: "valid"; readonly bytes: number; readonly possession: Uint8Array }
  | { readonly kind: "invalid"; readonly code: string }
  /** The proof, or what it rests on, cannot be had. */
  | { readonly kind: "unavailable"; readonly code: string }
  /** The verifier traps at this proof: neither valid nor invalid, and nobody's offence. */
  | { readonly kind: "verdictless"; readonly code: string }
  /** This node cannot make the result again itself, which says nothing of whoever made it. */
  | { readonly kind: "unable"; readonly code: string };

export interface MadeProof {
  readonly artefact: Hash;
  readonly bytes: number;
  readonly values: Uint8Array;
  readonly provingMs: number;
  /** The proof itself where it is small enough to travel in the receipt. */
  readonly inline: Uint8Array;
  /** Shows that this node holds the proof; empty where the proof names its maker. */
  readonly possession: Uint8Array;
  /** In an `agree` stage: the nonce of the opening, which is durable. */
  readonly nonce?: Uint8Array;
}
