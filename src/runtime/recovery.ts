/**
 * Restart: everything soft is rebuilt by replay. The journal holds what this node has signed, the store what it heard;
 * where the two disagree about our own feed, the journal is right.
 *
 * The node signs the number behind the last own batch. A batch that is in the journal and does not get into the own
 * feed would therefore make it sign a number twice, so such a journal stops the node.
 */
import { brokenBy } from "../core/invariant.ts";
import type { State } from "../core/state.ts";
import { type Replayed, replay, replayLog } from "../core/step.ts";
import type { Done, Equation, Fault, Journal, JournalFloor, Result, Store, StoredStart, Telemetry } from "../ports.ts";
import { type Batch, openBatch } from "../protocol/batch.ts";
import { checkCertificate } from "../protocol/certificate.ts";
import { ZERO_HASH } from "../protocol/ids.ts";
import type { JournalEnd } from "./signing.ts";

interface Modules {
  readonly journal: Journal;
  readonly store: Store;
  readonly equation: Equation;
  readonly telemetry: Telemetry;
}

/** Where the own feed goes on, and what others have signed about their starts. */
export interface Recovered {
  readonly journal: JournalEnd;
  readonly starts: readonly StoredStart[];
}

/** Rebuilds the state. */
export function recover(state: State, modules: Modules, done: Done<Recovered>): void {
  const { journal, store, telemetry } = modules;
  const { self } = state.options;
  store.load((loaded) => {
    if (!loaded.ok) return done(loaded);
    const { certificates, batches, gone, starts } = loaded.value;
    for (const { bytes } of certificates) replayCertificate(state, bytes, modules);
    const { floor, records } = journal.load();
    replayFloor(state, floor);
    for (const { author, spans } of gone) if (author !== self) state.log.restore(author, spans);
    const own = openOwn(records, self);
    if (!own.ok) return done(own);
    const others = openOthers(
      batches.filter(({ author }) => author !== self).map(({ bytes }) => bytes),
      telemetry,
    );
    let replayed: readonly Replayed[] = [];
    const broken = brokenBy(() => (replayed = replayLog(state, [...own.value, ...others], modules.equation)));
    const fault =
      broken === null ? faultOf(state, replayed) : { code: broken.code, message: `the log on disk: ${broken.message}` };
    if (fault !== null) return done({ ok: false, fault });
    // What the journal has let go of is not to be taken in again.
    state.log.restore(self, state.log.feed(self)?.gone() ?? []);
    telemetry.emit("node.recovered", {
      certificates: certificates.length,
      batches: batches.length,
      own: records.length,
    });
    const feed = state.log.feed(self);
    const last = feed?.last;
    const hashOf = (number: number) => feed?.get(number)?.hash;
    const end =
      last === undefined
        ? { next: floor?.next ?? 0, head: floor?.previous ?? ZERO_HASH }
        : { next: last.head.number + 1, head: last.hash };
    done({ ok: true, value: { journal: { ...end, hashOf }, starts } });
  });
}

function replayFloor(state: State, floor: JournalFloor | null): void {
  // Opens the own feed before any other, also where there is no floor: the number of feeds is bounded.
  state.log.skipTo(state.options.self, floor?.next ?? 0);
  for (const [chain, height] of Object.entries(floor?.closed ?? {})) {
    const known = state.chains.get(Number(chain));
    if (known !== undefined) known.retired = Math.max(known.retired, height);
  }
}

/** The journal's checksums held, so a record that is no own batch was never one. */
function openOwn(records: readonly Uint8Array[], self: string): Result<Batch[]> {
  const batches: Batch[] = [];
  for (const [at, bytes] of records.entries()) {
    const opened = openBatch(bytes);
    if (!opened.ok) return refusedRecord(`record ${at} of the journal is no batch (${opened.code})`);
    const { author, number } = opened.value.head;
    if (author !== self)
      return refusedRecord(`record ${at} of the journal is batch ${number} of key ${author}, not of ${self}`);
    batches.push(opened.value);
  }
  return { ok: true, value: batches };
}

function refusedRecord(found: string): { readonly ok: false; readonly fault: Fault } {
  return { ok: false, fault: { code: "journal.refused", message: `${found}; ${WHAT_TO_DO}` } };
}

const WHAT_TO_DO =
  "the node does not start, because it could sign a number of its feed twice; restore the newest copy of the journal";

/** The batches were checked before they were stored, and the store's checksums held. */
function openOthers(records: readonly Uint8Array[], telemetry: Telemetry): Batch[] {
  return records.flatMap((bytes) => {
    const opened = openBatch(bytes);
    if (opened.ok) return [opened.value];
    telemetry.count("recovery.skipped", opened.code);
    return [];
  });
}

/** Why the own feed is not all that the journal holds; `null` where it is. */
function faultOf(state: State, replayed: readonly Replayed[]): Fault | null {
  const { self } = state.options;
  const own = replayed.filter(({ batch }) => batch.head.author === self);
  for (const { batch, added } of own) {
    if (added === "new" || added === "known" || added === "too-far") continue;
    return refusedRecord(`the own feed refuses batch ${batch.head.number} of the journal (${added})`).fault;
  }
  // A key that is excluded signs nothing more, and its feed ends at the offence.
  const feed = state.log.feed(self);
  if (feed === undefined || state.out.has(self)) return null;
  const highest = own.at(-1)?.batch.head.number ?? -1;
  if (highest < feed.next) return null;
  const message = `the journal holds own batch ${highest} but not own batch ${feed.next}; ${WHAT_TO_DO}`;
  return { code: "journal.gap", message };
}

function replayCertificate(state: State, bytes: Uint8Array, modules: Modules): void {
  const checked = checkCertificate(state.manifest, bytes, modules.equation);
  if (checked.ok) replay(state, { kind: "certificate", certificate: checked.value, bytes }, modules.equation);
  else modules.telemetry.count("recovery.skipped", checked.code);
}
