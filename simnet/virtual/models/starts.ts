/**
 * Start records of others: authors show theirs, writes end late or fail, and the process dies at any moment. What the node
 * has shown once it must show after the crash, or a later record of the same key.
 */
import type { Store } from "../../../src/ports.ts";
import type { Hash, Key } from "../../../src/protocol/ids.ts";
import { domainHash, u64 } from "../../../src/protocol/ids.ts";
import { equalBytes } from "../../../src/protocol/messages.ts";
import { signStart } from "../../../src/protocol/start.ts";
import { Starts } from "../../../src/runtime/starts.ts";
import { simSignature, simSigner } from "../provers.ts";
import { Chance } from "../world.ts";

const NETWORK: Hash = domainHash("model-starts", u64(0));
const MEMBERS = 4;
const STRANGERS = 12;
const STRANGERS_MAX = 4;
const STORIES = 40;
const TURNS = 80;

type Writes = Parameters<Store["write"]>;

class Disk {
  readonly starts = new Map<Key, readonly Uint8Array[]>();
  #waiting: Writes[] = [];

  write(...write: Writes): void {
    this.#waiting.push(write);
  }

  /** The oldest write ends. */
  end(isFailing: boolean): void {
    const [first] = this.#waiting.splice(0, 1);
    if (first === undefined) return;
    const [{ starts = [] }, done] = first;
    if (isFailing) return done({ ok: false, fault: { code: "disk", message: "simulated" } });
    for (const { author, records } of starts)
      if (records.length === 0) this.starts.delete(author);
      else this.starts.set(author, records);
    done({ ok: true, value: undefined });
  }

  die(): void {
    this.#waiting = [];
  }
}

export function fuzzStarts(seed: number): readonly string[] {
  const chance = new Chance(seed, "model/starts");
  const found: string[] = [];
  for (let story = 0; story < STORIES && found.length === 0; story++) found.push(...tell(chance));
  return found;
}

// START-2.
function tell(chance: Chance): readonly string[] {
  const signers = Array.from({ length: MEMBERS + STRANGERS }, (_, at) => simSigner(1, `start ${at}`));
  const members = new Set(signers.slice(0, MEMBERS).map(({ key }) => key));
  const disk = new Disk();
  const store = { write: (...write: Writes) => disk.write(...write) } as unknown as Store;
  const begin = () => {
    const starts = new Starts(NETWORK, equation, store, (key) => members.has(key), STRANGERS_MAX);
    starts.load([...disk.starts].map(([author, records]) => ({ author, records })));
    return starts;
  };
  let starts = begin();
  const counters = new Map<Key, number>();
  /** By author: the highest counter that the node has shown. */
  const shown = new Map<Key, number>();
  const found: string[] = [];
  for (let turn = 0; turn < TURNS; turn++) {
    const what = chance.next();
    if (what < 0.1) {
      disk.die();
      starts = begin();
      for (const [author, counter] of shown) {
        const records = (disk.starts.get(author) ?? []).map((bytes) => starts.open(author, bytes)?.counter ?? -1);
        if (members.has(author) && Math.max(-1, ...records) < counter)
          found.push(`H1: a crash lost the start ${counter} of a member, which the node had shown`);
      }
      continue;
    }
    if (what < 0.5) {
      disk.end(chance.next() < 0.2);
      continue;
    }
    const signer = signers[chance.between(0, signers.length - 1)];
    if (signer === undefined) continue;
    const counter = (counters.get(signer.key) ?? 0) + (chance.next() < 0.5 ? 1 : 0);
    counters.set(signer.key, counter);
    const { bytes } = signStart(
      NETWORK,
      { author: signer.key, counter, nonce: "5a".repeat(16), number: 0, head: NETWORK },
      (message) => signer.sign(message),
    );
    const asked = starts;
    starts.shown(signer.key, bytes, (records) => {
      if (asked !== starts) return;
      const highest = Math.max(-1, ...records.map((each) => starts.open(signer.key, each)?.counter ?? -1));
      shown.set(signer.key, Math.max(shown.get(signer.key) ?? -1, highest));
    });
  }
  return found.slice(0, 1);
}

function equation(signature: Uint8Array, message: Uint8Array, key: Uint8Array): boolean {
  return equalBytes(signature, simSignature(key, message));
}
