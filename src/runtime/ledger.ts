/**
 * What the artefacts that this node fetches for an author take on its disk, until they are judged or their block is over.
 *
 * A limit of the whole store would let one author fill it with proofs that nobody needs. So each file is charged to the
 * author whose receipt or announcement names it. A valid proof is what the network is for, and charged to nobody. A
 * rejected file is the first to go when its author needs room, so a prover that was wrong can always hand in the next
 * proof. What does not fit stays with the peers, and is fetched once there is room.
 */
import type { CoreLimits } from "../core/limits.ts";
import type { Hash } from "../protocol/ids.ts";

export type DiskLimits = Pick<CoreLimits, "authorDiskBytes" | "sourceDiskBytes" | "authorsDiskBytes">;

export interface LedgerModules {
  readonly limits: DiskLimits;
  /** Whether the block is neither certified nor gone. */
  readonly isOpen: (block: Hash) => boolean;
  readonly forget: (artefacts: readonly Hash[]) => void;
  readonly report: (event: "account.full" | "account.open", fields: Readonly<Record<string, unknown>>) => void;
}

/** Proofs and payloads of one author have an account each, because an honest source may need much more. */
export type DiskKind = "proofs" | "payloads";

interface File {
  readonly block: Hash;
  readonly bytes: number;
  isRejected: boolean;
}

interface Account {
  readonly author: string;
  readonly kind: DiskKind;
  /** By hash, the oldest first. */
  readonly files: Map<Hash, File>;
  /** Declared by receipts, and being fetched. */
  reserved: number;
  bytes: number;
  isFull: boolean;
}

export class DiskLedger {
  readonly #modules: LedgerModules;
  readonly #accounts = new Map<string, Account>();
  readonly #payers = new Map<Hash, Account>();
  #bytes = 0;

  constructor(modules: LedgerModules) {
    this.#modules = modules;
  }

  bytesOf(author: string, kind: DiskKind = "proofs"): number {
    const account = this.#accounts.get(`${kind} ${author}`);
    return account === undefined ? 0 : account.bytes + account.reserved;
  }

  /** Whether so many bytes may come for the author. Rejected files of the author make room. */
  hasRoom(author: string, kind: DiskKind, bytes: number, block: Hash): boolean {
    const account = this.#accountOf(author, kind);
    const isOver = () => this.#isOver(account, bytes);
    for (const [artefact, { isRejected }] of account.files) {
      if (!isOver()) break;
      if (isRejected) this.#drop(account, artefact);
    }
    const isFull = isOver();
    if (isFull !== account.isFull) {
      account.isFull = isFull;
      const fields = { author, what: kind, bytes: account.bytes + account.reserved, bytesMax: this.#roomOf(kind) };
      this.#modules.report(isFull ? "account.full" : "account.open", isFull ? { ...fields, block } : fields);
    }
    this.#tidy(account);
    return !isFull;
  }

  reserve(author: string, kind: DiskKind, bytes: number): void {
    this.#accountOf(author, kind).reserved += bytes;
  }

  /** The fetch is over. `bytes`: what is on disk now and was not before. */
  settle(author: string, kind: DiskKind, reserved: number, artefact: Hash, block: Hash, bytes: number): void {
    const account = this.#accountOf(author, kind);
    account.reserved -= reserved;
    // mutant: artefacts-free
    if (bytes > 0 && !this.#payers.has(artefact)) {
      account.files.set(artefact, { block, bytes, isRejected: false });
      account.bytes += bytes;
      this.#bytes += bytes;
      this.#payers.set(artefact, account);
    }
    this.#tidy(account);
  }

  // DISK-4.
  /** The file is what the network needs: it is charged to nobody any more. */
  release(artefact: Hash): void {
    const account = this.#payers.get(artefact);
    if (account !== undefined) this.#remove(account, artefact);
  }

  reject(artefact: Hash): void {
    const file = this.#payers.get(artefact)?.files.get(artefact);
    if (file !== undefined) file.isRejected = true;
  }

  /** Blocks are over: their files are charged to nobody, and those that were rejected go. */
  sweep(): void {
    for (const [artefact, account] of this.#payers) {
      const file = account.files.get(artefact);
      if (file === undefined || this.#modules.isOpen(file.block)) continue;
      if (file.isRejected) this.#drop(account, artefact);
      else this.#remove(account, artefact);
    }
  }

  // DISK-3.
  #isOver({ kind, bytes, reserved, files }: Account, more: number): boolean {
    const own = bytes + reserved;
    // Whatever the limit, one file at a time may come.
    if (own === 0 && files.size === 0) return false;
    // mutant: disk-unbounded
    if (own + more > this.#roomOf(kind)) return true;
    const { authorsDiskBytes } = this.#modules.limits;
    return this.#bytes + more > authorsDiskBytes && own + more > authorsDiskBytes / this.#accounts.size;
  }

  // DISK-1, DISK-2.
  #roomOf(kind: DiskKind): number {
    const { authorDiskBytes, sourceDiskBytes } = this.#modules.limits;
    return kind === "proofs" ? authorDiskBytes : sourceDiskBytes;
  }

  #accountOf(author: string, kind: DiskKind): Account {
    const name = `${kind} ${author}`;
    const known = this.#accounts.get(name);
    if (known !== undefined) return known;
    const account: Account = { author, kind, files: new Map(), reserved: 0, bytes: 0, isFull: false };
    this.#accounts.set(name, account);
    return account;
  }

  /** An account with nothing in it takes no room. */
  #tidy({ author, kind, files, reserved, isFull }: Account): void {
    if (files.size === 0 && reserved === 0 && !isFull) this.#accounts.delete(`${kind} ${author}`);
  }

  #drop(account: Account, artefact: Hash): void {
    this.#remove(account, artefact);
    this.#modules.forget([artefact]);
  }

  #remove(account: Account, artefact: Hash): void {
    const file = account.files.get(artefact);
    if (file === undefined) return;
    account.files.delete(artefact);
    account.bytes -= file.bytes;
    this.#bytes -= file.bytes;
    this.#payers.delete(artefact);
    this.#tidy(account);
  }
}
