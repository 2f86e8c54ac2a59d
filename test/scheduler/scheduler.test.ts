import { expect, it } from "vitest";
import { Devices } from "../../src/scheduler/devices.ts";
import { type ScheduledJob, Scheduler } from "../../src/scheduler/scheduler.ts";

it("256 jobs wait in one queue, and further ones are refused (SLOT-5)", () => {
  const scheduler = new Scheduler(1, new Devices([], { cpus: 0, memoryBytes: 0 }));
  const resources = { cpus: 0, gpus: 0, memoryBytes: 0 };
  const refused = Array.from({ length: 260 }, (_, id): ScheduledJob => {
    return { id, queue: "q", resources, server: null, lingers: false, holder: { task: String(id), prover: "" } };
  }).flatMap((job) => scheduler.step({ kind: "enter", job }).filter(({ kind }) => kind === "refuse"));
  // The first job runs.
  expect(refused.map(({ job }) => job)).toEqual([257, 258, 259]);
});
