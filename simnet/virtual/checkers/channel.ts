/**
 * What outsiders keep of certificates, and what honest nodes tell on the channel that all partitions share: CHANNEL-1 to
 * CHANNEL-5, by name CHANNEL-2, CHANNEL-3 and CHANNEL-4 at the end of a run.
 */
import type { Equation, Store, StoredCertificate } from "../../../src/ports.ts";
import { checkCertificate, readContent } from "../../../src/protocol/certificate.ts";
import type { Hash, Key } from "../../../src/protocol/ids.ts";
import type { Manifest } from "../../../src/protocol/manifest.ts";
import type { SimDisk } from "../disk.ts";

/** Certificates that a node tells in a second by its own clock, and as many again where that second begins anew. */
const TOLD_MAX = 2 * 16;

interface Node {
  readonly name: string;
  readonly disk: SimDisk;
}

export class ChannelChecker {
  readonly #manifest: Manifest;
  readonly #equation: Equation;
  readonly #now: () => number;
  readonly #complain: (text: string) => void;
  readonly #read = new WeakMap<Uint8Array, ReturnType<typeof readContent>>();
  /** By block: the honest keys that have told it, and how often each has. */
  readonly #tellers = new Map<Hash, Map<Key, number>>();
  /** By key: when it told the latest ones. */
  readonly #times = new Map<Key, number[]>();

  constructor(manifest: Manifest, equation: Equation, now: () => number, complain: (text: string) => void) {
    this.#manifest = manifest;
    this.#equation = equation;
    this.#now = now;
    this.#complain = complain;
  }

  /** The node's store, which also shows here what is kept. */
  watch(node: Node): Store {
    const { store } = node.disk;
    return {
      load: (done) => store.load(done),
      write: (change, done) => {
        for (const certificate of change.certificates ?? []) this.#kept(node, certificate);
        store.write(change, done);
      },
      certificates: (chain, from, most, done) => store.certificates(chain, from, most, done),
      certificate: (block, done) => store.certificate(block, done),
      closed: (chain, hash, done) => store.closed(chain, hash, done),
    };
  }

  hashesOf(certificates: readonly StoredCertificate[]): Set<Hash> {
    return new Set(certificates.flatMap(({ bytes }) => this.#contentOf(bytes)?.hash ?? []));
  }

  /** An honest node tells a certificate. */
  told(from: Key, bytes: Uint8Array): void {
    const checked = checkCertificate(this.#manifest, bytes, this.#equation);
    const who = from.slice(0, 8);
    if (!checked.ok) return this.#complain(`S7: ${who} tells a certificate that is none: ${checked.code}`);
    const { block, content } = checked.value;
    const tellers = this.#tellers.get(block) ?? new Map<Key, number>();
    this.#tellers.set(block, tellers.set(from, (tellers.get(from) ?? 0) + 1));
    const weight = [...tellers.keys()].reduce((sum, key) => sum + (this.#manifest.weights.get(key) ?? 0), 0);
    const { oneHonest } = this.#manifest;
    if (weight > oneHonest)
      this.#complain(`R1: attesters of weight ${weight} tell height ${content.height}; allowed: ${oneHonest}`);
    const times = (this.#times.get(from) ?? []).filter((atMs) => atMs > this.#now() - 1000);
    this.#times.set(from, [...times, this.#now()]);
    if (times.length >= TOLD_MAX) this.#complain(`R1: ${who} tells more than ${TOLD_MAX} certificates in a second`);
  }

  #kept({ name, disk }: Node, { block, height, bytes }: StoredCertificate): void {
    const checked = checkCertificate(this.#manifest, bytes, this.#equation);
    if (!checked.ok) return this.#complain(`S7: ${name} keeps a certificate that is none: ${checked.code}`);
    const { content } = checked.value;
    if (disk.store.holds(block)) this.#complain(`R1: ${name} keeps the certificate of height ${height} twice`);
    const here = this.hashesOf(disk.store.files().certificates);
    if (!content.start && !here.has(content.parent))
      this.#complain(`R1: ${name} keeps the certificate of height ${height} and not that of its parent`);
  }

  #contentOf(bytes: Uint8Array) {
    const known = this.#read.get(bytes);
    if (known !== undefined) return known?.content ?? null;
    const read = readContent(bytes);
    this.#read.set(bytes, read);
    return read?.content ?? null;
  }
}
