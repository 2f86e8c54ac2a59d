/** What the node knows of one proof system. `table.ts` lists the systems; each has a row in its own folder. */
import type { Prover, VerifyJob } from "../ports.ts";
import type { Hash } from "../protocol/ids.ts";
import type { Payee } from "../protocol/systems.ts";
import type { Check } from "../provers/statement.ts";
import type { WasmKey } from "./wasm/settings.ts";

export interface ProofSystem<Key = unknown> {
  /** As manifests name it. */
  readonly name: string;
  /** What verifies its proofs, for people. */
  readonly library: string;
  /** Which systems share its mistakes (`protocol/systems.ts`). */
  readonly family: string;
  readonly payee: Payee;
  /** Packages without which no proof is verified here, as npm takes them. None where the verifier is our own. */
  readonly packages: readonly string[];
  /** Finds a package that is installed apart from the others. Throws where it is not installed. */
  readonly resolve?: () => string;
  /** How the public values are bound to the proof, for people. */
  readonly binds: string;
  /** The length of its largest proofs; `null` where the key or the task decides. */
  readonly proofBytes: number | null;
  /** Systems with the same `circuit` have keys of one form. */
  readonly circuit: string;
  /** Throws for a key that is unsound or of another system: the manifest is wrong. */
  readKey(bytes: Uint8Array): Key;
  /** Verifies in a worker thread, one proof after the other. Left out where a module verifies. */
  readonly verifier?: ThreadVerifier<Key>;
  /** A module verifies, in a process of its own. The key's file is the network's unless `file` gives it. */
  readonly module?: { keyOf(key: Key): WasmKey; readonly file?: () => Promise<Uint8Array> };
  /** How this package proves it; left out where an outside prover does. */
  readonly proving?: Proving;
  readonly note?: Note;
}

export interface ThreadVerifier<Key> {
  /** Takes what takes long before the first proof. */
  load?(key: Key): void | Promise<void>;
  verify(key: Key, job: VerifyJob): Check | Promise<Check>;
}

export interface ProvingOptions {
  readonly slots: number;
  /** Where the files are. */
  readonly keysDir: string;
  readonly timeoutMs: number;
  readonly memoryBytesMax?: number;
}

export interface Proving {
  /** What the configuration and `init --system` call it. */
  readonly kind: "groth16" | "ultrahonk" | "stark" | "halo2" | "pickles";
  /** The name of its key in a new manifest. */
  readonly key: string;
  /** The file of the verifying key in `config/keys`, and the files that a prover needs. */
  readonly keyFile: string;
  readonly files: readonly string[];
  /** The system that puts shards together, and the name of its key, which is that of the shards. */
  readonly aggregate?: { readonly system: string; readonly key: string };
  open(options: ProvingOptions): readonly Prover[];
}

/** How far its proofs may be believed, where that is less than it seems. */
export interface Note {
  readonly code: string;
  readonly text: string;
  /** Said where a node verifies its proofs, or where it proves with the keys of the package. */
  readonly when: "verified" | "package-keys";
}

/** A verifying key's own bytes, and the system of the stages that name it. */
export interface KeyBytes {
  readonly system: string;
  readonly bytes: Uint8Array;
}

/** Keys by the SHA-256 of their bytes. */
export type Keys = ReadonlyMap<Hash, KeyBytes>;
