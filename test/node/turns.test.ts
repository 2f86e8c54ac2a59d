import { describe, expect, it } from "vitest";
import { dealSlots, ProverBench, sharedVerifier, Turns } from "../../src/node/turns.ts";
import type { ProveEvent, ProveJob, Prover, Verifier } from "../../src/ports.ts";

/** A prover whose jobs end and move when the test says so. */
class ManualProver implements Prover {
  readonly system = "mock";
  readonly slots = 64;
  readonly running: { readonly name: string; readonly emit: (event: ProveEvent) => void }[] = [];

  prove(job: ProveJob, emit: (event: ProveEvent) => void): () => void {
    const run = { name: job.system, emit };
    this.running.push(run);
    return () => this.#end(run);
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

/** Partitions that share a prover; what each hears, by job. */
function sharing(slots: number): {
  prover: ManualProver;
  heard: Map<string, ProveEvent[]>;
  prove: (partition: string, name: string) => () => void;
} {
  const prover = new ManualProver();
  const bench = new ProverBench([prover], slots);
  const heard = new Map<string, ProveEvent[]>();
  const prove = (partition: string, name: string): (() => void) => {
    const events: ProveEvent[] = [];
    heard.set(name, events);
    const [own] = bench.for(partition);
    if (own === undefined) throw new Error("no prover");
    return own.prove({ system: name } as ProveJob, (event) => events.push(event));
  };
  return { prover, heard, prove };
}

const unitsOf = (events: readonly ProveEvent[] = []): number[] =>
  events.flatMap((event) => (event.kind === "progress" ? [event.units] : []));

describe("slots", () => {
  it("are dealt to the partitions, the remainder to the first", () => {
    expect([...dealSlots(5, ["a", "b"])]).toEqual([
      ["a", 3],
      ["b", 2],
    ]);
    expect([...dealSlots(4, [null])]).toEqual([[null, 4]]);
  });

  it("are one each where there are fewer than partitions", () => {
    expect([...dealSlots(2, ["a", "b", "c"]).values()]).toEqual([1, 1, 1]);
  });
});

describe("partitions that share a machine", () => {
  it("never use it for two proofs at once, and take turns", () => {
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

  it("leave the line, or the machine, when cancelled", () => {
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

describe("partitions that share a verifier", () => {
  it("have one proof verified for each of another that has hundreds, and refuse too many", async () => {
    const verified: string[] = [];
    const asked: (() => void)[] = [];
    const verifier: Verifier = {
      prepare: () => () => {},
      verify: ({ system }, done) => {
        asked.push(() => {
          verified.push(system);
          done({ ok: true, value: { valid: true } });
        });
        return () => {};
      },
      close: () => Promise.resolve(),
    };
    const turns = new Turns(1);
    const faults: string[] = [];
    const verify = (partition: string, system: string): void => {
      const job = { system, key: "", values: new Uint8Array(), parts: [], proof: new Uint8Array() };
      sharedVerifier(verifier, turns, partition).verify(job, (result) => {
        if (!result.ok) faults.push(result.fault.code);
      });
    };
    for (let proof = 0; proof < 300; proof++) verify("behind", "late");
    verify("well", "first");
    verify("well", "second");
    for (let proof = 0; proof < 5; proof++) asked.shift()?.();
    expect(verified).toEqual(["late", "first", "late", "second", "late"]);
    await new Promise((resolve) => setImmediate(resolve));
    expect(faults).toEqual(Array.from({ length: 300 - 257 }, () => "verifier.busy"));
  });
});
