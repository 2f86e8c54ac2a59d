/** What every prover does whose library runs as a program of its own, when that program does what it should not. */
import { afterEach, describe, expect, it, vi } from "vitest";
import type { ProveEvent, ProveJob, Prover } from "../../src/ports.ts";
import { block } from "../provers/fixtures.ts";

export interface ProgramCase {
  /** What the codes begin with. */
  readonly name: string;
  readonly make: (limits: { readonly timeoutMs: number; readonly memoryBytesMax?: number }) => Prover;
  readonly job: () => ProveJob;
  readonly processes: () => readonly number[];
}

export function programSuite({ name, make, job, processes }: ProgramCase): void {
  describe(`the program of ${name}`, () => {
    const opened: Prover[] = [];
    const open = (limits: Parameters<typeof make>[0]): Prover => {
      const prover = make(limits);
      opened.push(prover);
      return prover;
    };
    afterEach(async () => {
      await Promise.all(opened.splice(0).map((prover) => prover.close()));
    });
    const last = (prover: Prover, task: ProveJob): Promise<ProveEvent> =>
      new Promise((resolve) => {
        prover.prove(task, (event) => {
          if (event.kind !== "progress") resolve(event);
        });
      });
    const machine = (code: string) => ({ kind: "failed", logical: false, fault: { code: `${name}.${code}` } });

    it(`${name}.killed: costs its job only; the next one, whose input is bad, is answered by a new program`, async () => {
      const known = processes();
      const prover = open({ timeoutMs: 100_000 });
      const first = last(prover, job());
      const [child] = processes().filter((id) => !known.includes(id));
      if (child === undefined) throw new Error("no program");
      process.kill(child, "SIGKILL");
      expect(await first).toMatchObject(machine("killed"));
      const bad = { ...job(), payload: Uint8Array.of(1, 2, 3) };
      expect(await last(prover, bad)).toMatchObject({ logical: true, fault: { code: "payload.malformed" } });
    }, 60_000);

    it("job.too-large: says of more transactions than its circuit has room for that the input is at fault", async () => {
      const { payload, hash } = block("goerli-10536893");
      const large = { ...job(), payload, id: { ...job().id, hash }, shards: 8, group: 0 };
      const event = await last(open({ timeoutMs: 100_000 }), large);
      expect(event).toMatchObject({ kind: "failed", logical: true, fault: { code: "job.too-large" } });
    }, 60_000);

    it(`${name}.timeout: is stopped when it hangs, with all that it started`, async () => {
      const known = processes();
      const prover = open({ timeoutMs: 300 });
      const first = last(prover, job());
      for (const child of processes().filter((id) => !known.includes(id))) process.kill(child, "SIGSTOP");
      expect(await first).toMatchObject(machine("timeout"));
      await vi.waitFor(() => expect(processes().filter((id) => !known.includes(id))).toEqual([]));
    });

    it(`${name}.memory: is stopped when it eats the machine's`, async () => {
      const known = processes();
      // Less than a runtime takes to start.
      const prover = open({ timeoutMs: 100_000, memoryBytesMax: 1 << 20 });
      expect(await last(prover, job())).toMatchObject(machine("memory"));
      await vi.waitFor(() => expect(processes().filter((id) => !known.includes(id))).toEqual([]));
    });
  });
}
