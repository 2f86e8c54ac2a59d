/** Mutants of the prover scheduler: which job runs, and when a prover is tried again. */
import type { Mutant } from "./mutant.ts";

export const SCHEDULER_MUTANTS: Readonly<Record<string, Mutant>> = {
  "slot-uncounted": {
    rule: "SLOT-1: one slot runs one job",
    edits: [{ at: "slot-uncounted", remove: true }],
    runs: ["schedules"],
    expected: /^M1: .*job \d+ begins, and all 2 slots/,
  },
  "slot-kept": {
    rule: "SLOT-2: a cancel frees the slot at once",
    edits: [{ at: "slot-kept", remove: true }],
    runs: ["lingering", "schedules"],
    expected: /^M3: /,
  },
  "device-freed-early": {
    rule: "SLOT-1: a device is free once nothing runs there any more",
    edits: [{ at: "device-freed-early", remove: true }],
    runs: ["lingering", "schedules"],
    expected: /^M1: .*device \d has two jobs/,
  },
  "release-unserved": {
    rule: "SLOT-3: a job that waits begins once its devices are free",
    edits: [{ at: "release-unserved", replace: "return [];" }],
    runs: ["lingering", "schedules"],
    expected: /^M3: /,
  },
  "cancelled-job-waits": {
    rule: "SLOT-2: a cancelled job does not begin",
    edits: [{ at: "cancelled-job-waits", remove: true }],
    runs: ["schedules"],
    expected: /^M2: .*job \d+ begins/,
  },
  "claimant-stays": {
    rule: "SLOT-3: nothing waits for a claimant that was cancelled",
    edits: [{ at: "claimant-stays", remove: true }],
    runs: ["all-schedules"],
    expected: /^M3: /,
  },
  "claimant-overtaken": {
    rule: "SLOT-4: a job for many devices is not passed by for ever",
    edits: [{ at: "claimant-overtaken", remove: true }],
    runs: ["schedules"],
    expected: /^M4: /,
  },
  "queues-unfair": {
    rule: "SLOT-4: the queues of the partitions take turns",
    edits: [{ at: "queues-unfair", remove: true }],
    runs: ["schedules"],
    expected: /^M4: /,
  },
  "server-shared": {
    rule: "SLOT-1: a server has one job",
    edits: [{ at: "server-shared", remove: true }],
    runs: ["schedules"],
    expected: /^M1: server s has two jobs/,
  },
  "slots-undealt": {
    rule: "SLOT-6: a partition that hangs holds only its own slots",
    edits: [{ at: "slots-undealt", replace: "const dealt = slots;" }],
    runs: ["partitions"],
    expected: /^M8: /,
  },
  "unable-for-ever": {
    rule: "TRIAL-1: a prover that is unable is tried again",
    edits: [{ at: "unable-for-ever", remove: true }],
    runs: ["unable", "abilities"],
    expected: /^M5: /,
  },
  "recovery-unreported": {
    rule: "TRIAL-3: the core learns that a prover is able again",
    edits: [{ at: "recovery-unreported", replace: "return [report];" }],
    runs: ["unable", "abilities"],
    expected: /^M[57]: /,
  },
  "two-trials": {
    rule: "TRIAL-2: one trial runs at a time",
    edits: [{ at: "two-trials", remove: true }],
    runs: ["abilities"],
    expected: /^M6: /,
  },
  "trial-beside-task": {
    rule: "TRIAL-2: no prover is tried while it has a task",
    edits: [{ at: "trial-beside-task", remove: true }],
    runs: ["abilities"],
    expected: /^M6: /,
  },
};
