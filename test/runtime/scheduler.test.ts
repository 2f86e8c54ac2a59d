import { describe, expect, it } from "vitest";
import type { Device, ProveEvent, ProveJob, Prover } from "../../src/ports.ts";
import { ProverScheduler, type ScheduledProver } from "../../src/runtime/scheduler.ts";
import { Devices } from "../../src/scheduler/devices.ts";

/** A prover whose jobs end and move when the test says so. */
class ManualProver implements Prover {
  readonly system = "mock";
  readonly slots = 64;
  readonly running: {
    readonly name: string;
    readonly gpus: readonly string[] | undefined;
    readonly emit: (event: ProveEvent) => void;
  }[] = [];
  /** Of a machine that cannot be stopped, who waits for it to be done. */
  readonly vacating: { readonly moved: () => void; readonly done: () => void }[] = [];
  stoppable = true;

  prove(job: ProveJob, emit: (event: ProveEvent) => void): () => void {
    const run = { name: job.system, gpus: job.devices?.map(({ id }) => id), emit };
    this.running.push(run);
    return () => this.#end(run);
  }

  vacate(moved: () => void, done: () => void): void {
    if (this.stoppable) done();
    else this.vacating.push({ moved, done });
  }

  names(): string[] {
    return this.running.map(({ name }) => name);
  }

  moves(name: string, units: number): void {
    this.running.find((run) => run.name === name)?.emit({ kind: "progress", units });
  }

  ends(name: string): void {
    const run = this.running.find((each) => each.name === name);
    if (run === undefined) throw new Error(`${name} does not run`);
    this.#end(run);
    run.emit({ kind: "proved", proof: new Uint8Array(), values: new Uint8Array(), provingMs: 1 });
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  #end(run: ManualProver["running"][number]): void {
    const at = this.running.indexOf(run);
    if (at !== -1) this.running.splice(at, 1);
  }
}

const NOTHING = { cpus: 0, gpus: 0, memoryBytes: 0 };
const GPUS: readonly Device[] = ["GPU-a", "GPU-b"].map((id) => ({ vendor: "nvidia", id, name: id, memoryBytes: null }));

/** Partitions that share provers; what each hears, by job. */
function sharing(
  slots: number,
  lanes: readonly Partial<Omit<ScheduledProver, "prover">>[] = [{}],
  devices = new Devices(GPUS, { cpus: 8, memoryBytes: 1000 }),
): {
  prover: ManualProver;
  provers: readonly ManualProver[];
  devices: Devices;
  heard: Map<string, ProveEvent[]>;
  prove: (partition: string | null, name: string, lane?: number) => () => void;
} {
  const provers = lanes.map(() => new ManualProver());
  const [prover] = provers;
  if (prover === undefined) throw new Error("no prover");
  const scheduler = new ProverScheduler(
    lanes.map((lane, at) => {
      return { resources: NOTHING, server: null, counted: true, ...lane, prover: provers[at] ?? prover };
    }),
    slots,
    devices,
  );
  const heard = new Map<string, ProveEvent[]>();
  const prove = (partition: string | null, name: string, lane = 0): (() => void) => {
    const events: ProveEvent[] = [];
    heard.set(name, events);
    const own = scheduler.for(partition)[lane];
    if (own === undefined) throw new Error("no prover");
    const id = { chain: 1, height: 2, block: "", hash: "", stage: name, index: 3 };
    return own.prove({ system: name, id } as ProveJob, (event) => events.push(event));
  };
  return { prover, provers, devices, heard, prove };
}

const unitsOf = (events: readonly ProveEvent[] = []): number[] =>
  events.flatMap((event) => (event.kind === "progress" ? [event.units] : []));

describe("partitions that share a machine", () => {
  it("never use it for two proofs at once, and take turns (SLOT-1, SLOT-4)", () => {
    const { prover, prove } = sharing(1);
    for (const name of ["a1", "a2", "a3"]) prove("a", name);
    for (const name of ["b1", "b2"]) prove("b", name);
    const order: string[] = [];
    for (let proof = 0; proof < 5; proof++) {
      expect(prover.running).toHaveLength(1);
      const [name = ""] = prover.names();
      order.push(name);
      prover.ends(name);
    }
    expect(order).toEqual(["a1", "b1", "a2", "b2", "a3"]);
  });

  it("tell whoever waits that the work before it moves, and never count back", () => {
    const { prover, heard, prove } = sharing(1);
    prove("a", "a1");
    prove("b", "b1");
    prover.moves("a1", 3);
    prover.moves("a1", 5);
    expect(unitsOf(heard.get("a1"))).toEqual([3, 5]);
    expect(unitsOf(heard.get("b1"))).toEqual([3, 5]);
    prover.ends("a1");
    prover.moves("b1", 2);
    expect(unitsOf(heard.get("b1"))).toEqual([3, 5, 7]);
  });

  it("say nothing of progress where the work before it hangs", () => {
    const { heard, prove } = sharing(1);
    prove("a", "a1");
    prove("b", "b1");
    expect(heard.get("b1")).toEqual([]);
  });

  it("leave the line, or the machine, when cancelled (SLOT-2)", () => {
    const { prover, heard, prove } = sharing(1);
    const cancelRunning = prove("a", "a1");
    const cancelWaiting = prove("b", "b1");
    prove("b", "b2");
    cancelWaiting();
    cancelRunning();
    cancelRunning();
    expect(prover.names()).toEqual(["b2"]);
    prove("a", "a2");
    expect(prover.names()).toEqual(["b2"]);
    prover.ends("b2");
    expect(prover.names()).toEqual(["a2"]);
    expect(heard.get("b1")).toEqual([]);
  });
});

const gpus = (count: number): Partial<ScheduledProver> => ({ resources: { ...NOTHING, gpus: count } });
const holders = (devices: Devices): (string | null)[] =>
  devices.status().map(({ holder }) => (holder === null ? null : holder.task));

describe("a machine's devices", () => {
  it("are one task's each, whichever prover and partition it is of, and come back when it ends or is cancelled", () => {
    const { provers, devices, prove } = sharing(Number.POSITIVE_INFINITY, [gpus(1), gpus(1)]);
    const [one, two] = provers;
    prove("a", "a1", 0);
    const cancel = prove("b", "b1", 1);
    prove("b", "b2", 0);
    prove("a", "a2", 1);
    expect([...(one?.running ?? []), ...(two?.running ?? [])]).toMatchObject([
      { name: "a1", gpus: ["GPU-a"] },
      { name: "b1", gpus: ["GPU-b"] },
    ]);
    expect(devices.status()[0]?.holder).toEqual({ task: "1/2/a1/3", prover: "mock" });
    cancel();
    expect(one?.running.map(({ gpus: given }) => given)).toEqual([["GPU-a"], ["GPU-b"]]);
    one?.ends("a1");
    expect(two?.running).toMatchObject([{ name: "a2", gpus: ["GPU-a"] }]);
    one?.ends("b2");
    two?.ends("a2");
    expect(holders(devices)).toEqual([null, null]);
  });

  it("are not taken from one who waits for more of them", () => {
    const { provers, prove } = sharing(Number.POSITIVE_INFINITY, [gpus(1), gpus(2), {}]);
    const [single, double, none] = provers;
    prove(null, "s1", 0);
    const cancel = prove(null, "d1", 1);
    prove(null, "s2", 0);
    prove(null, "n1", 2);
    expect([single?.names(), double?.names()]).toEqual([["s1"], []]);
    // What needs none of them waits for nobody, and is told that it has none.
    expect(none?.running).toMatchObject([{ name: "n1", gpus: [] }]);
    single?.ends("s1");
    expect([single?.names(), double?.running[0]?.gpus]).toEqual([[], ["GPU-a", "GPU-b"]]);
    cancel();
    expect(single?.names()).toEqual(["s2"]);
  });

  it("go on to the next in line when the one who waits for more is cancelled (SLOT-3)", () => {
    const { provers, prove } = sharing(Number.POSITIVE_INFINITY, [gpus(1), gpus(2)]);
    prove(null, "s1", 0);
    const cancel = prove(null, "d1", 1);
    prove(null, "s2", 0);
    cancel();
    expect(provers[0]?.names()).toEqual(["s1", "s2"]);
  });

  it("tell whoever waits for them that the task which has them moves, and nobody else", () => {
    const { provers, heard, prove } = sharing(Number.POSITIVE_INFINITY, [gpus(2), gpus(1), {}]);
    prove(null, "d1", 0);
    prove(null, "s1", 1);
    prove(null, "n1", 2);
    provers[0]?.moves("d1", 4);
    expect(unitsOf(heard.get("s1"))).toEqual([4]);
    expect(unitsOf(heard.get("n1"))).toEqual([]);
    provers[2]?.moves("n1", 9);
    expect(unitsOf(heard.get("s1"))).toEqual([4]);
  });

  it("are counted beside processors and memory", () => {
    const resources = { cpus: 5, gpus: 0, memoryBytes: 600 };
    const { prover, prove } = sharing(Number.POSITIVE_INFINITY, [{ resources }]);
    prove(null, "a", 0);
    prove(null, "b", 0);
    expect(prover.names()).toEqual(["a"]);
    prover.ends("a");
    expect(prover.names()).toEqual(["b"]);
  });

  it("are of one vendor for a task", () => {
    const amd = { vendor: "amd", id: "0", name: "MI300X", memoryBytes: null } as const;
    const [nvidia] = GPUS;
    const devices = new Devices(nvidia === undefined ? [] : [nvidia, amd], { cpus: 1, memoryBytes: 1 });
    expect(devices.most.gpus).toBe(1);
    expect(devices.take({ ...NOTHING, gpus: 2 }, { task: "t", prover: "p" })).toBeNull();
  });
});

describe("a server that proves one task at a time", () => {
  it("has the next wait in the node's own line, though another prover asks it", () => {
    const { provers, prove } = sharing(Number.POSITIVE_INFINITY, [{ server: "http://s" }, { server: "http://s" }]);
    prove(null, "a", 0);
    prove(null, "b", 1);
    expect(provers[1]?.names()).toEqual([]);
    provers[0]?.ends("a");
    expect(provers[1]?.names()).toEqual(["b"]);
  });

  it("and cannot be stopped is not free before it is done with what was cancelled; that it works counts as progress", () => {
    const { prover, devices, heard, prove } = sharing(Number.POSITIVE_INFINITY, [{ server: "http://s", ...gpus(1) }]);
    prover.stoppable = false;
    const cancel = prove(null, "a", 0);
    prove(null, "b", 0);
    cancel();
    expect([prover.names(), holders(devices)]).toEqual([[], ["1/2/a/3", null]]);
    prover.vacating[0]?.moved();
    prover.vacating[0]?.moved();
    expect(unitsOf(heard.get("b"))).toEqual([1, 2]);
    prover.vacating[0]?.done();
    expect([prover.names(), holders(devices)]).toEqual([["b"], ["1/2/b/3", null]]);
    prover.moves("b", 2);
    expect(unitsOf(heard.get("b"))).toEqual([1, 2, 4]);
  });
});
