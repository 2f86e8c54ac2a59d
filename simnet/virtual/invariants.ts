/** Which checker stands for which promise of the protocol (protocol.md §7); shown by `simnet virtual --help`. */
export const INVARIANTS = {
  S1: ["assignments, timeouts, credits: one each, in order, to whoever owns the attempt", "checkers/wire, owners, end"],
  S2: ["no certificate holds a proof that does not verify", "checkers/wire, truth, end"],
  S3: ["no barrier before its parent's", "checkers/wire"],
  S4: ["no honest key signs two votes of one lock, or two batches of one number", "checkers/wire"],
  S5: [
    "what was sent was durable, what was acknowledged is there, both after a crash as well",
    "checkers/durable, wire, inputs",
  ],
  S6: ["nodes with one log agree on what is certified", "checkers/end"],
  S7: ["nothing counts that its author did not sign or may not say", "checkers/end, wire"],
  S8: ["every certified block was told by the chain's own source", "checkers/end, returns"],
  S9: [
    "sinks get certified blocks only, in chain order, none skipped, each asked for before and in turn; a position is what its sink has acknowledged",
    "checkers/handover",
  ],
  L1: ["after the heal every canonical block gets its certificate on every honest node", "checkers/end"],
  L2: ["no ready task waits for ever while a prover is free: measured after the heal", "checkers/starvation"],
  L3: [
    "after the heal all logs meet, those of late nodes too; two feeds exclude a key on every node; no needed batch is skipped",
    "run, checkers/forks, catchup",
  ],
  L4: [
    "nothing is over too soon; and what a failure costs, in runs without other faults",
    "checkers/patience, delays, pace, griefing",
  ],
  L5: ["after the heal every sink has each canonical block of its honest nodes", "places, run"],
  R1: ["what a node keeps and asks, and what an owner may claim, is bounded", "checkers/bounds, catchup, wire"],
  M1: ["one slot, one server and one device have one job each", "checkers/schedule"],
  M2: ["no job is lost, and a cancelled job neither begins nor runs on", "checkers/schedule"],
  M3: ["no job waits beside a free slot and free devices", "checkers/schedule"],
  M4: ["no job is passed by for long", "checkers/schedule, in the models"],
  M5: ["a prover that is unable is tried again after its pause", "checkers/abilities"],
  M6: ["one trial runs at a time, and none beside a task of the same prover", "checkers/abilities"],
  M7: ["the core learns once when a prover becomes unable or able", "checkers/abilities"],
} as const satisfies Readonly<Record<string, readonly [says: string, by: string]>>;
