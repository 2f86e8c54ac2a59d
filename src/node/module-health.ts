/**
 * Loads the verifier modules of a running node, and tells each partition whether this node can verify what others prove.
 * A module that is missing is asked for again, because it may come from a peer or from the operator.
 */
import type { Artefacts, Fault, Telemetry } from "../ports.ts";
import type { Hash } from "../protocol/ids.ts";
import type { Manifest } from "../protocol/manifest.ts";
import { systemOf } from "../proofs/table.ts";
import type { FindFile } from "../proofs/wasm/verifier.ts";
import type { Modules } from "./modules.ts";
import type { NodePartition } from "./partition.ts";

const RELOAD_MS = 1_000;

export class VerifierHealth {
  readonly #names: ReadonlyMap<Hash, string>;
  readonly #telemetry: Telemetry;
  readonly #partitions: readonly NodePartition[];
  /** By key: why its verifier is not used. */
  readonly #faults = new Map<Hash, Fault>();

  constructor(manifest: Manifest, isAttester: boolean, telemetry: Telemetry, partitions: readonly NodePartition[]) {
    this.#names = new Map([...manifest.keyHashes].map(([name, hash]) => [hash, name]));
    this.#telemetry = telemetry;
    this.#partitions = partitions;
    if (!isAttester) return;
    for (const [name, { system }] of Object.entries(manifest.json.keys))
      if (systemOf(system)?.module !== undefined)
        this.#faults.set(manifest.keyHashes.get(name) ?? "", {
          code: "verifier.not-loaded",
          message: "not loaded yet",
        });
  }

  readonly changed = (key: Hash, fault: Fault | null): void => {
    const name = this.#nameOf(key);
    if (fault === null) {
      this.#faults.delete(key);
      this.#telemetry.emit("verifier.ready", { verifier: name });
    } else {
      this.#faults.set(key, fault);
      this.#telemetry.emit("verifier.unable", { verifier: name, ...fault });
    }
    for (const partition of this.#partitions) this.tell(partition);
  };

  tell({ runtime, roles }: NodePartition): void {
    const [first] = this.#faults.keys();
    if (!roles.attester) return;
    runtime.post({ kind: "verifier", fault: first === undefined ? null : `verifier.${this.#nameOf(first)}` });
  }

  /** Loads until nothing is missing. The result stops it. */
  watch({ loadModules }: Modules): () => void {
    if (this.#faults.size === 0) return () => {};
    let isClosed = false;
    let timer: NodeJS.Timeout | null = null;
    const load = async (): Promise<void> => {
      const loaded = await loadModules();
      if (!isClosed && loaded.some(({ fault }) => fault !== null)) timer = setTimeout(() => void load(), RELOAD_MS);
    };
    void load();
    return () => {
      isClosed = true;
      if (timer !== null) clearTimeout(timer);
    };
  }

  #nameOf(key: Hash): string {
    return this.#names.get(key) ?? key;
  }
}

/** A file of the store, or of a peer once a partition is connected. */
export function findFor(artefacts: Artefacts, partitions: readonly NodePartition[]): FindFile {
  return (hash, bytesMax) =>
    new Promise((resolve, reject) => {
      const settle = (bytes: Uint8Array | null): void =>
        bytes === null ? reject(new Error("no connected peer has it")) : resolve(bytes);
      artefacts.read(hash, bytesMax, (found) => {
        if (found.ok && found.value !== null) return settle(found.value);
        const [first] = partitions;
        if (first === undefined) return settle(null);
        first.runtime.fetchArtefact(hash, (brought) => {
          if (!brought.ok) return reject(new Error(brought.fault.message));
          artefacts.read(hash, bytesMax, (read) => settle(read.ok ? read.value : null));
        });
      });
    });
}
