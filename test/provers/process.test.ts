import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import type { ProveEvent, ProveJob, Prover } from "../../src/ports.ts";
import { createMockVerifier, mockProof } from "../../src/provers/mock.ts";
import { createProcessProver, type ProcessOptions, unknownPlaceholder } from "../../src/provers/process.ts";
import { encodeElement } from "../../src/provers/statement.ts";
import { proverSuite } from "../compliance/prover.ts";
import * as fixtures from "./fixtures.ts";

const directory = mkdtempSync(join(tmpdir(), "proofmesh-test-"));
const verifier = createMockVerifier({ clock: fixtures.CLOCK, delayMs: 0 });

const job = (changes: Partial<ProveJob> = {}): ProveJob =>
  fixtures.proveJob(fixtures.SMALL, encodeElement(5n), { system: "mock", ...changes });
const { values } = job();
const hex = (bytes: Uint8Array): string => `0x${Buffer.from(bytes).toString("hex")}`;
const OUTPUT = JSON.stringify({ block: fixtures.SMALL.height, proof: hex(mockProof(values)), prover: "test" });

/** A prover in a shell: $2 is the input, $4 the output. */
function script(name: string, text: string): string {
  const path = join(directory, name);
  writeFileSync(path, `#!/bin/sh\n${text}\n`);
  chmodSync(path, 0o755);
  return path;
}

function make(text: string, changes: Partial<ProcessOptions> = {}): Prover {
  const command = script(`prover-${Math.abs(Buffer.from(text).reduce((sum, byte) => (sum * 31 + byte) | 0, 7))}`, text);
  return createProcessProver({ system: "mock", slots: 1, command, timeoutMs: 5000, probeMs: 20, ...changes });
}

async function failure(prover: Prover): Promise<Extract<ProveEvent, { kind: "failed" }>> {
  const event = await fixtures.last(prover, job());
  await prover.close();
  if (event.kind !== "failed") throw new Error(event.kind);
  return event;
}

/** A process that proves with this program until it is killed. */
function orphaned(command: string): ChildProcess {
  const root = pathToFileURL(join(import.meta.dirname, "../../src/provers/process.ts")).href;
  const task = { ...job(), payload: [], before: [], values: [] };
  const parent = join(directory, "parent.ts");
  writeFileSync(
    parent,
    `import { createProcessProver } from "${root}";
     const none = new Uint8Array(0);
     const prover = createProcessProver({ system: "mock", slots: 1, command: "${command}", timeoutMs: 60000 });
     prover.prove({ ...${JSON.stringify(task)}, payload: none, before: none, values: none }, () => {});`,
  );
  return spawn(process.execPath, [parent], { stdio: "inherit" });
}

const leftovers = (): string[] => readdirSync(tmpdir()).filter((name) => name.startsWith("proofmesh-prover-"));

let before: string[] = [];
beforeAll(() => {
  before = leftovers();
});
afterAll(async () => {
  await verifier.close();
  rmSync(directory, { recursive: true });
});

proverSuite("process", {
  make: () => make(`printf '%s' '${OUTPUT}' > "$4"`),
  // Its work is a child of its own, and a child of that.
  makeSlow: () => make(`(while :; do :; done) & sh -c 'sleep 60; true'`),
  job,
  verifier: () => verifier,
  verifyJob: ({ system, key }, proof) => ({ system, key, values, parts: [], proof }),
  processes: fixtures.descendants,
});

describe("a prover that is a program", () => {
  it("gets the whole job as JSON, and its own arguments, directory and environment", async () => {
    const kept = join(directory, "kept.json");
    const prover = make(`[ "$1" = "-x" ] && shift; pwd >&2; cp "$2" "$KEPT"; printf '%s' '${OUTPUT}' > "$4"`, {
      args: ["-x"],
      directory,
      environment: { KEPT: kept },
    });
    const task = job({ inputs: [] });
    expect(await fixtures.last(prover, task)).toMatchObject({ kind: "proved" });
    await prover.close();
    const input = JSON.parse(readFileSync(kept, "utf8")) as Record<string, unknown>;
    expect(input).toMatchObject({
      block: task.id.height,
      task: { ...task.id },
      attempt: 0,
      system: "mock",
      payload: hex(task.payload),
      before: hex(task.before),
      values: hex(task.values),
      shards: task.shards,
      inputs: [],
    });
  });

  it("sees the devices that its task was given, and is left alone where nobody counts them", async () => {
    const given = { vendor: "nvidia", id: "GPU-a", name: "L4", memoryBytes: null } as const;
    const seen = async (devices: ProveJob["devices"]): Promise<string> => {
      const kept = join(directory, "devices.txt");
      const prover = make(
        `echo "$CUDA_VISIBLE_DEVICES/\${HIP_VISIBLE_DEVICES-unset}" > "$KEPT"; printf '%s' '${OUTPUT}' > "$4"`,
        {
          environment: { KEPT: kept },
        },
      );
      await fixtures.last(prover, job(devices === undefined ? {} : { devices }));
      await prover.close();
      return readFileSync(kept, "utf8").trim();
    };
    vi.stubEnv("CUDA_VISIBLE_DEVICES", "0,1");
    vi.stubEnv("HIP_VISIBLE_DEVICES", "3");
    try {
      expect([await seen([given]), await seen([]), await seen(undefined)]).toEqual(["GPU-a/unset", "/unset", "0,1/3"]);
    } finally {
      vi.unstubAllEnvs();
    }
  });

  it("is told of its GPUs by their indices, where it reads no UUIDs", async () => {
    const given = (["2", "5"] as const).map((index) => {
      return { vendor: "nvidia", id: `GPU-${index}`, index, name: "L4", memoryBytes: null } as const;
    });
    const kept = join(directory, "indices.txt");
    const text = `echo "$CUDA_VISIBLE_DEVICES $5" > "$KEPT"; printf '%s' '${OUTPUT}' > "$4"`;
    const args = ["--input-path", "{input}", "--output-path", "{output}", "{gpus}"];
    const prover = make(text, { environment: { KEPT: kept }, args, gpuNames: "index" });
    await fixtures.last(prover, job({ devices: given }));
    await prover.close();
    expect(readFileSync(kept, "utf8").trim()).toBe("2,5 2,5");
  });

  it("may clean up when it is cancelled, and its machine is free once it has", async () => {
    const [begun, cleaned] = [join(directory, "begun"), join(directory, "cleaned")];
    const prover = make(
      `trap 'sleep 0.3; touch ${cleaned}; exit 0' TERM; touch ${begun}; while :; do sleep 0.05; done`,
    );
    const cancel = prover.prove(job(), () => {});
    await vi.waitFor(() => expect(existsSync(begun)).toBe(true), { timeout: 5000 });
    cancel();
    expect(existsSync(cleaned)).toBe(false);
    await new Promise<void>((resolve) => prover.vacate?.(() => {}, resolve));
    expect(existsSync(cleaned)).toBe(true);
    await prover.close();
  });

  it("is killed where it does not end when it is told to, with helpers that have left its group", async () => {
    const known = fixtures.descendants();
    const begun = join(directory, "stubborn");
    const text = `trap '' TERM; setsid sh -c "trap '' TERM; while :; do sleep 0.05; done" & touch ${begun}; while :; do sleep 0.05; done`;
    const prover = make(text, { graceMs: 300 });
    const cancel = prover.prove(job(), () => {});
    await vi.waitFor(() => expect(existsSync(begun)).toBe(true), { timeout: 5000 });
    cancel();
    await prover.close();
    await vi.waitFor(() => expect(fixtures.descendants().filter((id) => !known.includes(id))).toEqual([]), 2000);
  });

  it("may clean up behind a script that dies of the signal at once, in its group and out of it", async () => {
    const marks = ["host-ready", "helper-ready", "host-cleaned", "helper-cleaned"].map((name) => join(directory, name));
    const [hostReady = "", helperReady = "", hostCleaned = "", helperCleaned = ""] = marks;
    const slow = (name: string, ready: string, cleaned: string) =>
      script(name, `trap 'sleep 0.3; touch ${cleaned}; exit 0' TERM; touch ${ready}; while :; do sleep 0.05; done`);
    const host = slow("host", hostReady, hostCleaned);
    const helper = slow("helper", helperReady, helperCleaned);
    const prover = make(`setsid ${helper} & ${host}; true`, { graceMs: 5000 });
    const cancel = prover.prove(job(), () => {});
    await vi.waitFor(() => expect([hostReady, helperReady].every(existsSync)).toBe(true), { timeout: 5000 });
    const began = performance.now();
    cancel();
    await new Promise<void>((resolve) => prover.vacate?.(() => {}, resolve));
    expect(existsSync(hostCleaned)).toBe(true);
    if (process.platform === "linux") expect(existsSync(helperCleaned)).toBe(true);
    // What is gone is not waited for.
    expect(performance.now() - began).toBeLessThan(4000);
    await prover.close();
  });

  it("is gone when its machine is free, though a script around it died long before and it had to be killed", async () => {
    const pids = join(directory, "stubborn-host");
    const host = script("stubborn", `trap '' TERM; echo $$ > ${pids}; while :; do sleep 0.05; done`);
    const prover = make(`${host}; true`, { graceMs: 500 });
    const cancel = prover.prove(job(), () => {});
    await vi.waitFor(() => expect(existsSync(pids) && readFileSync(pids, "utf8").trim() !== "").toBe(true), 5000);
    const pid = Number(readFileSync(pids, "utf8"));
    const began = performance.now();
    cancel();
    const free = new Promise<void>((resolve) => prover.vacate?.(() => {}, resolve));
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(fixtures.alive(pid)).toBe(true);
    await free;
    expect(fixtures.alive(pid)).toBe(false);
    expect(performance.now() - began).toBeGreaterThan(450);
    await prover.close();
  });

  it("is told to end once, as programs take a second signal for an order to end at once", async () => {
    const [ready, heard] = [join(directory, "listening"), join(directory, "heard")];
    const text = `const fs = require("node:fs"); process.on("SIGTERM", () => { fs.appendFileSync("${heard}", "x"); setTimeout(() => process.exit(), 300); }); setInterval(() => {}, 1000); fs.writeFileSync("${ready}", "");`;
    const prover = make(`exec ${process.execPath} -e '${text}'`);
    const cancel = prover.prove(job(), () => {});
    await vi.waitFor(() => expect(existsSync(ready)).toBe(true), { timeout: 5000 });
    cancel();
    await new Promise<void>((resolve) => prover.vacate?.(() => {}, resolve));
    expect(readFileSync(heard, "utf8")).toBe("x");
    await prover.close();
  });

  it("counts as alive while it waits for a machine elsewhere, if its operator says so", async () => {
    const pipe = join(directory, "elsewhere");
    expect(spawnSync("mkfifo", [pipe]).status).toBe(0);
    // A read that blocks uses no CPU time.
    const prover = make(`read -r line < ${pipe}; printf '%s' '${OUTPUT}' > "$4"`, { progress: "alive" });
    const events: ProveEvent[] = [];
    prover.prove(job(), (event) => events.push(event));
    await vi.waitFor(() => expect(events.length).toBeGreaterThan(8), { timeout: 5000 });
    writeFileSync(pipe, "done\n");
    await vi.waitFor(() => expect(events.at(-1)).toMatchObject({ kind: "proved" }), { timeout: 5000 });
    await prover.close();
  });

  it("may name values of its own, in base64 as well", async () => {
    const named = { block: fixtures.SMALL.height, proof: "AQID", prover: "test", values: "BAUG" };
    const prover = make(`printf '%s' '${JSON.stringify(named)}' > "$4"`);
    const event = await fixtures.last(prover, job());
    expect(event).toMatchObject({ proof: Uint8Array.of(1, 2, 3), values: Uint8Array.of(4, 5, 6) });
    await prover.close();
  });

  it("in the raw form reads and writes the bytes themselves, by arguments that name them", async () => {
    const kept = mkdtempSync(join(directory, "raw-"));
    const names =
      "{input} {values} {before} {inputs} {output} {chain}/{height}/{hash}/{stage}/{index}/{shards}/{attempt}";
    const text = `cp "$1" ${kept}/input; cp "$2" ${kept}/values; cp "$3" ${kept}/before; cp -r "$4" ${kept}/inputs; printf '%s' "$6" > ${kept}/names; printf 'raw\\000proof' > "$5"`;
    const prover = make(text, { form: "raw", args: names.split(" ") });
    const task = job({ attempt: 2, inputs: [Uint8Array.of(1), Uint8Array.of(2, 3)] });
    const event = await fixtures.last(prover, task);
    await prover.close();
    expect(event).toMatchObject({ kind: "proved", values: task.values });
    expect(event.kind === "proved" ? Buffer.from(event.proof).toString("latin1") : "").toBe("raw\0proof");
    const read = (name: string): Uint8Array => Uint8Array.from(readFileSync(join(kept, name)));
    expect([read("input"), read("values"), read("before")]).toEqual([task.payload, task.values, task.before]);
    expect([read("inputs/0"), read("inputs/1")]).toEqual([Uint8Array.of(1), Uint8Array.of(2, 3)]);
    const { chain, height, hash, stage, index } = task.id;
    expect(readFileSync(join(kept, "names"), "utf8")).toBe(
      `${chain}/${height}/${hash}/${stage}/${index}/${task.shards}/2`,
    );
  });

  it("takes options of its own for the files of the JSON form", async () => {
    const prover = make(`[ $# = 2 ] && [ -s "$2" ] && printf '%s' '${OUTPUT}' > "\${1#--to=}"`, {
      args: ["--to={output}", "{input}"],
    });
    expect(await fixtures.last(prover, job())).toMatchObject({ kind: "proved" });
    await prover.close();
  });

  it("process.memory: does not eat the machine", async () => {
    const text = `exec ${process.execPath} -e 'const kept = []; setInterval(() => kept.push(Buffer.alloc(1 << 24, 1)), 10)'`;
    const event = await failure(make(text, { memoryBytesMax: 256 << 20, timeoutMs: 60_000 }));
    expect(event).toMatchObject({ logical: false, fault: { code: "process.memory" } });
  });

  it("knows which names an argument may have", () => {
    expect(unknownPlaceholder("--x={input}:{output}")).toBeNull();
    expect(unknownPlaceholder("{}{Input}{ }")).toBeNull();
    expect(unknownPlaceholder("{input}{secret}")).toBe("secret");
  });

  it("shows progress while it uses its processor", async () => {
    const prover = make(`i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; printf '%s' '${OUTPUT}' > "$4"`);
    const events = await fixtures.run(prover, job());
    expect(events.filter(({ kind }) => kind === "progress").length).toBeGreaterThan(1);
    await prover.close();
  });

  it("shows no progress while it sleeps", async () => {
    const prover = make(`sleep 0.5; printf '%s' '${OUTPUT}' > "$4"`);
    const events = await fixtures.run(prover, job());
    expect(events.filter(({ kind }) => kind === "progress").length).toBeLessThan(3);
    await prover.close();
  });

  it("process.failed: a status is the machine's failure, told with its last words, unless its operator says otherwise", async () => {
    for (const status of [1, 2, 65, 101, 125]) {
      const event = await failure(make(`echo "out of memory" >&2; exit ${status}`));
      expect(event, `status ${status}`).toMatchObject({ logical: false, fault: { code: "process.failed" } });
      expect(event.fault.message).toBe(`the program ended with status ${status}: out of memory`);
    }
  });

  it("process.refused: a status that its operator has named is a verdict on the input, and no other is", async () => {
    const verdictStatuses = [3];
    const refused = await failure(make(`echo "no such opcode" >&2; exit 3`, { verdictStatuses }));
    expect(refused).toMatchObject({ logical: true, fault: { code: "process.refused" } });
    expect(refused.fault.message).toContain("no such opcode");
    expect(await failure(make("exit 101", { verdictStatuses }))).toMatchObject({ logical: false });
  });

  it("shows no secret in its last words: neither of its configuration nor of the node's environment", async () => {
    vi.stubEnv("PROVER_API_KEY", "of-the-node");
    try {
      const environment = { LICENCE: "of-the-program" };
      const event = await failure(
        make(`echo "$LICENCE $PROVER_API_KEY http://u:p4ss@h/" >&2; exit 1`, { environment }),
      );
      expect(event.fault.message).toBe("the program ended with status 1: *** *** http://***@h/");
    } finally {
      vi.unstubAllEnvs();
    }
  });

  it("process.start: a program that is not there is the machine's failure", async () => {
    const options = { system: "mock", slots: 1, timeoutMs: 5000 };
    const missing = await failure(createProcessProver({ ...options, command: join(directory, "missing") }));
    expect(missing).toMatchObject({ logical: false, fault: { code: "process.start" } });
    const nowhere = await failure(createProcessProver({ ...options, command: "true", directory: "/no/such/place" }));
    expect(nowhere).toMatchObject({ logical: false, fault: { code: "process.start" } });
  });

  it("process.start: a missing folder for temporary files is the machine's failure, and ends no node", async () => {
    vi.stubEnv("TMPDIR", join(directory, "gone"));
    try {
      const event = await failure(make("true"));
      expect(event).toMatchObject({ logical: false, disabled: true, fault: { code: "process.start" } });
    } finally {
      vi.unstubAllEnvs();
    }
  });

  it.runIf(process.getuid?.() === 0 && process.platform === "linux")(
    "process.disk-full: a full folder for temporary files is the machine's failure, by a code of its own",
    async () => {
      const small = mkdtempSync(join(directory, "small-"));
      const mounted = spawnSync("mount", ["-t", "tmpfs", "-o", "size=64k", "tmpfs", small]);
      if (mounted.status !== 0) return;
      vi.stubEnv("TMPDIR", small);
      try {
        const prover = make("true");
        const event = await fixtures.last(prover, job({ payload: new Uint8Array(1 << 20) }));
        await prover.close();
        expect(event).toMatchObject({ logical: false, disabled: true, fault: { code: "process.disk-full" } });
        expect(readdirSync(small)).toEqual([]);
      } finally {
        vi.unstubAllEnvs();
        spawnSync("umount", [small]);
      }
    },
  );

  it("process.killed: a killed program is the machine's failure", async () => {
    const event = await failure(make("kill -9 $$"));
    expect(event).toMatchObject({ logical: false, fault: { code: "process.killed" } });
  });

  it("process.timeout: is not waited for without end", async () => {
    const event = await failure(make("sleep 60", { timeoutMs: 100 }));
    expect(event).toMatchObject({ logical: false, fault: { code: "process.timeout" } });
  });

  it("process.output: what it writes has a form and a size", async () => {
    const outputs = [
      "true",
      `echo '{' > "$4"`,
      `echo 'null' > "$4"`,
      `echo '{"block":1,"proof":"0x00"}' > "$4"`,
      `echo '{"block":${fixtures.SMALL.height},"proof":"0x0"}' > "$4"`,
      `echo '{"block":${fixtures.SMALL.height},"proof":7}' > "$4"`,
      `head -c 3000 /dev/zero > "$4"`,
      `while :; do head -c 3000 /dev/zero >> "$4"; sleep 0.01; done`,
    ];
    for (const text of outputs) {
      const event = await failure(make(text, { outputBytesMax: 2000 }));
      expect(event, text).toMatchObject({ logical: false, fault: { code: "process.output" } });
    }
  });

  it("is done when it has ended, though a helper in a session of its own holds the pipes, and stops the helper", async () => {
    const pids = join(directory, "helper");
    // The helper says where it is before the program ends, so that it has left the group for certain.
    const helper = `setsid sh -c 'echo $$ > ${pids}; exec sleep 60' & while [ ! -s ${pids} ]; do sleep 0.01; done`;
    const prover = make(`echo last words >&2; printf '%s' '${OUTPUT}' > "$4"; ${helper}`, { timeoutMs: 60_000 });
    const began = performance.now();
    expect(await fixtures.last(prover, job())).toMatchObject({ kind: "proved" });
    expect(performance.now() - began).toBeLessThan(5000);
    if (process.platform === "linux") {
      const pid = Number(readFileSync(pids, "utf8"));
      await vi.waitFor(() => expect(fixtures.alive(pid)).toBe(false), 2000);
    }
    await prover.close();
  });

  it("stops helpers in sessions of their own with its task, with itself and with a node that is killed", async () => {
    if (process.platform !== "linux") return;
    const pids = join(directory, "helper-pids");
    const text = `rm -f ${pids}; setsid sh -c 'sleep 61 & echo $$ > ${pids}; wait' & sleep 60`;
    const helper = async (): Promise<number> => {
      await vi.waitFor(() => expect(existsSync(pids) && readFileSync(pids, "utf8").trim() !== "").toBe(true), 10_000);
      const pid = Number(readFileSync(pids, "utf8"));
      expect(fixtures.alive(pid)).toBe(true);
      rmSync(pids);
      return pid;
    };
    const gone = (pid: number) => vi.waitFor(() => expect(fixtures.alive(pid)).toBe(false), 5000);
    const prover = make(text, { timeoutMs: 60_000 });
    const cancel = prover.prove(job(), () => {});
    const first = await helper();
    cancel();
    await gone(first);
    prover.prove(job(), () => {});
    const second = await helper();
    await prover.close();
    await gone(second);
    const node = orphaned(script("helpers", text));
    const third = await helper();
    node.kill("SIGKILL");
    await gone(third);
  }, 30_000);

  it("dies with the node, even where the node is killed, and leaves no file", async () => {
    const pids = join(directory, "pids");
    const node = orphaned(script("orphan", `echo $$ > ${pids}; sleep 60 & wait`));
    await vi.waitFor(() => expect(existsSync(pids) && readFileSync(pids, "utf8").trim() !== "").toBe(true), 10_000);
    const pid = Number(readFileSync(pids, "utf8"));
    expect(fixtures.alive(pid)).toBe(true);
    node.kill("SIGKILL");
    await vi.waitFor(() => expect(fixtures.alive(pid)).toBe(false), 5000);
  }, 20_000);

  it("leaves no file behind, however it ended", async () => {
    await vi.waitFor(() => expect(leftovers().filter((name) => !before.includes(name))).toEqual([]), 2000);
  });
});
