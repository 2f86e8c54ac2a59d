/** Two partitions on one machine: the jobs of one hang for ever, and the other goes on undisturbed. */
import { Devices } from "../../../src/scheduler/devices.ts";
import { type ScheduledJob, Scheduler } from "../../../src/scheduler/scheduler.ts";
import { dealSlots } from "../../../src/scheduler/slots.ts";
import { Chance } from "../world.ts";

const [TROUBLED, SOUND] = ["west", "east"];
const MACHINES = 20;
const TURNS = 60;

/** SLOT-6: each core has as many jobs as slots were dealt to its partition, and a job of the sound one begins at once. */
export function fuzzPartitions(seed: number): readonly string[] {
  const found: string[] = [];
  const chance = new Chance(seed, "model/partitions");
  for (let machine = 0; machine < MACHINES; machine++) {
    const slots = chance.between(2, 6);
    const names = chance.next() < 0.5 ? [TROUBLED, SOUND] : [SOUND, TROUBLED];
    const dealt = dealSlots(slots, names);
    const scheduler = new Scheduler(slots, new Devices([], { cpus: 0, memoryBytes: 0 }));
    const running = new Map<string, number[]>(names.map((name) => [name, []]));
    for (let id = 0; id < TURNS; id++) {
      const queue = chance.next() < 0.5 ? TROUBLED : SOUND;
      const jobs = running.get(queue) ?? [];
      if (jobs.length < (dealt.get(queue) ?? 0)) {
        jobs.push(id);
        const begun = scheduler.step({ kind: "enter", job: jobOf(id, queue) }).some(({ kind }) => kind === "begin");
        if (!begun && queue === SOUND) found.push(`M8: job ${id} of ${SOUND} waits for a job of ${TROUBLED}`);
      } else if (queue === SOUND) {
        const job = jobs.shift();
        if (job !== undefined) scheduler.step({ kind: "ended", job });
      }
    }
  }
  return found;
}

function jobOf(id: number, queue: string): ScheduledJob {
  const resources = { cpus: 0, gpus: 0, memoryBytes: 0 };
  return { id, queue, resources, server: null, lingers: false, holder: { task: String(id), prover: "" } };
}
