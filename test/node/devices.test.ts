/** A node that has one GPU and two places for proofs: its tasks get the GPU one after the other. */
import { appendFileSync, chmodSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { onTestFinished, expect, test, vi } from "vitest";
import { readConfig } from "../../src/config.ts";
import { openNode } from "../../src/node.ts";
import { temporaryDirectory } from "../storage/directories.ts";
import { nextBlock, submit } from "./blocks.ts";
import { makeMembers } from "./members.ts";
import { eventually, runCli } from "./processes.ts";

vi.setConfig({ testTimeout: 60_000 });

const MOCK = path.join(import.meta.dirname, "../../src/provers/mock.ts");

/** Proves once `go` is there; notes when it begins and ends, and which devices it sees. */
const PROGRAM = `
import { appendFileSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { mockProof } from ${JSON.stringify(MOCK)};
const [directory, input, output] = process.argv.slice(2);
const say = (what) => appendFileSync(directory + "/said", what + " " + process.env.CUDA_VISIBLE_DEVICES + "\\n");
say("begin");
while (!existsSync(directory + "/go")) await new Promise((resolve) => setTimeout(resolve, 20));
const { block, values } = JSON.parse(readFileSync(input, "utf8"));
const proof = "0x" + Buffer.from(mockProof(Buffer.from(values.slice(2), "hex"))).toString("hex");
writeFileSync(output, JSON.stringify({ block, proof }));
say("end");
`;

const TOOL = `#!/bin/sh
printf '0, GPU-aaaa1111-0000-0000-0000-000000000000, NVIDIA L4, 23034\\n'
`;

test("tasks get a GPU one after the other, and status and doctor say who holds it", async () => {
  const directory = temporaryDirectory();
  writeFileSync(path.join(directory, "prover.mjs"), PROGRAM);
  writeFileSync(path.join(directory, "nvidia-smi"), TOOL);
  chmodSync(path.join(directory, "nvidia-smi"), 0o755);
  vi.stubEnv("PATH", `${directory}:${process.env["PATH"] ?? ""}`);
  onTestFinished(() => void vi.unstubAllEnvs());
  const { manifest, list } = makeMembers(1, {}, (json) => ({
    ...json,
    provers: { ...json.provers, list: json.provers.list.map((prover) => ({ ...prover, slots: 2 })) },
  }));
  const prover = {
    kind: "process",
    system: "mock",
    command: process.execPath,
    args: [path.join(directory, "prover.mjs"), directory, "{input}", "{output}"],
    timeoutMs: 30_000,
    resources: { gpus: 1 },
    qualification: "first-task",
  };
  const file = path.join(directory, "config.json");
  const rest = { listen: ["/ip4/127.0.0.1/tcp/0"], http: "127.0.0.1:0", profile: "local", log: "json", slots: 2 };
  writeFileSync(file, JSON.stringify({ ...rest, data: list[0]?.data, manifest, provers: [prover] }));
  const node = await openNode(readConfig(file, {}, {}), () => {});
  onTestFinished(() => node.close());
  if (node.http === null) throw new Error("no endpoint");
  // As the command line does, for whoever asks.
  writeFileSync(path.join(list[0]?.data ?? "", "node.json"), JSON.stringify({ http: node.http }));

  await submit(node.http, nextBlock(null));
  const holder = () => node.status().devices[0]?.holder;
  await eventually("a task has the GPU", () => (holder()?.task.startsWith("31337/1/shard/") === true ? true : null));
  await eventually("the other waits for it", () => {
    const [block] = node.status().blocks;
    return block?.tasks.filter(({ state }) => state === "claimed").length === 2 ? true : null;
  });
  const idle = path.join(directory, "doctor.json");
  writeFileSync(idle, JSON.stringify({ ...rest, data: list[0]?.data, manifest, provers: [] }));
  const doctor = await runCli(["doctor", "--config", idle, "--json"], { environment: { PATH: process.env["PATH"] } });
  const findings = doctor.stdout.trim().split("\n");
  expect(findings.find((line) => line.includes('"devices"'))).toMatch(
    /nvidia GPU-aaaa1111-[0-9-]+: NVIDIA L4, 22 GiB, held by 31337\/1\/shard\/[01] \(mock\)/,
  );
  appendFileSync(path.join(directory, "go"), "");
  await eventually("the block is certified", () => (node.status().chains[0]?.certified === 1 ? true : null));
  expect(holder()).toBeNull();
  const said = readFileSync(path.join(directory, "said"), "utf8").trim().split("\n");
  const one = ["begin", "end"].map((what) => `${what} GPU-aaaa1111-0000-0000-0000-000000000000`);
  expect(said).toEqual([...one, ...one, ...one]);
});

test("a prover that asks for more than the machine has is refused at the start", async () => {
  const { manifest, list } = makeMembers(1);
  const file = path.join(temporaryDirectory(), "config.json");
  const provers = [{ kind: "mock", provingMs: 1, resources: { gpus: 2 } }];
  const devices = [{ vendor: "amd", id: "0" }];
  writeFileSync(file, JSON.stringify({ data: list[0]?.data, manifest, provers, devices, http: "off" }));
  await expect(openNode(readConfig(file, {}, {}), () => {})).rejects.toMatchObject({
    code: "config.resources",
    message: expect.stringContaining("resources.gpus of a mock is 2; this machine allows up to 1") as string,
  });
});
