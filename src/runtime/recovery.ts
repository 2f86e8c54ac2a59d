/**
 * Restart: everything soft is rebuilt by replay. The journal holds what this node has signed, the store what it heard;
 * where the two disagree about our own feed, the journal is right.
 */
import type { State } from "../core/state.ts";
import { replay } from "../core/step.ts";
import type { Done, Equation, Journal, Store, Telemetry } from "../ports.ts";
import { type Batch, openBatch } from "../protocol/batch.ts";
import { checkCertificate } from "../protocol/certificate.ts";
import { type Hash, ZERO_HASH } from "../protocol/ids.ts";

interface Modules {
  readonly journal: Journal;
  readonly store: Store;
  readonly equation: Equation;
  readonly telemetry: Telemetry;
}

/** Rebuilds the state; the value says where the own feed goes on. */
export function recover(
  state: State,
  modules: Modules,
  done: Done<{ readonly next: number; readonly previous: Hash }>,
): void {
  const { journal, store, telemetry } = modules;
  store.load((loaded) => {
    if (!loaded.ok) return done(loaded);
    const { certificates, batches, gone } = loaded.value;
    for (const { bytes } of certificates) replayCertificate(state, bytes, modules);
    const { floor, records } = journal.load();
    if (floor !== null) replayFloor(state, floor);
    for (const { author, spans } of gone) if (author !== state.options.self) state.log.restore(author, spans);
    const others = batches.filter((stored) => stored.author !== state.options.self).map(({ bytes }) => bytes);
    for (const batch of inOrder([...records, ...others], telemetry))
      replay(state, { kind: "batch", batch, from: null }, modules.equation);
    // What the journal has let go of is not to be taken in again.
    state.log.restore(state.options.self, state.log.feed(state.options.self)?.gone() ?? []);
    telemetry.emit("node.recovered", {
      certificates: certificates.length,
      batches: batches.length,
      own: records.length,
    });
    const feed = state.log.feed(state.options.self);
    const last = feed?.last;
    if (last !== undefined) return done({ ok: true, value: { next: last.head.number + 1, previous: last.hash } });
    done({ ok: true, value: { next: floor?.next ?? 0, previous: floor?.previous ?? ZERO_HASH } });
  });
}

function replayFloor(
  state: State,
  floor: { readonly next: number; readonly closed: Readonly<Record<string, number>> },
): void {
  state.log.skipTo(state.options.self, floor.next);
  for (const [chain, height] of Object.entries(floor.closed)) {
    const known = state.chains.get(Number(chain));
    if (known !== undefined) known.retired = Math.max(known.retired, height);
  }
}

/**
 * Batches were checked before they were stored, and the store's checksums held. Admissions go first, because a prover's
 * word counts only once it is on the roster; then announcements, so that little has to be held for its block.
 */
function inOrder(records: readonly Uint8Array[], telemetry: Telemetry): Batch[] {
  const batches: Batch[] = [];
  for (const bytes of records) {
    const opened = openBatch(bytes);
    if (opened.ok) batches.push(opened.value);
    else telemetry.count("recovery.skipped", opened.code);
  }
  const rank = (batch: Batch): number => {
    if (batch.entries.some((entry) => entry.kind === "admit" || entry.kind === "bench" || entry.kind === "evidence"))
      return 0;
    return batch.entries.some((entry) => entry.kind === "announce") ? 1 : 2;
  };
  return batches.sort((a, b) => rank(a) - rank(b));
}

function replayCertificate(state: State, bytes: Uint8Array, modules: Modules): void {
  const checked = checkCertificate(state.manifest, bytes, modules.equation);
  if (checked.ok) replay(state, { kind: "certificate", certificate: checked.value, bytes }, modules.equation);
  else modules.telemetry.count("recovery.skipped", checked.code);
}
