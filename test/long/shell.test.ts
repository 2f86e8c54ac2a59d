/** Proving and checking from the shell, without a node. */
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import net from "node:net";
import path from "node:path";
import { afterEach, expect, test, vi } from "vitest";
import { EXIT } from "../../src/cli/exit.ts";
import { readFragmentFile } from "../../src/node.ts";
import { temporaryDirectory } from "../storage/directories.ts";
import { makeMembers } from "../node/members.ts";
import { endAll, runCli } from "../node/processes.ts";

vi.setConfig({ testTimeout: 60_000 });
afterEach(endAll);

const BLOCK = path.join(import.meta.dirname, "../vectors/blocks/mainnet-2000004.json");
const MOCK = { provers: [{ kind: "mock", provingMs: 5 }] };

function configFile(config: object): string {
  const file = path.join(temporaryDirectory(), "config.json");
  writeFileSync(file, JSON.stringify(config));
  return file;
}

test("a block is proven and its proofs are verified from the shell, and one changed byte is found", async () => {
  const { manifest } = makeMembers(1);
  const out = path.join(temporaryDirectory(), "proofs");
  const given = ["--network", manifest, "--config", configFile(MOCK)];
  const proved = await runCli(["prove", BLOCK, ...given, "--out", out, "--json"]);
  expect(proved).toMatchObject({ status: EXIT.ok, stderr: "" });
  const lines = proved.stdout.trim().split("\n");
  const tasks = lines.map((line) => (JSON.parse(line) as { readonly task: string }).task);
  expect(tasks).toEqual(["shard/0", "shard/1", "aggregate/0"]);

  const check = () => runCli(["verify", path.join(out, "proofs.json"), "--network", manifest, "--proofs", out]);
  const checked = await check();
  expect(checked).toMatchObject({ status: EXIT.ok, stderr: "" });
  expect(checked.stdout).toMatch(/^holds {2}proofs .* 3 proofs verified, signed by nobody\n$/);

  const listed = JSON.parse(readFileSync(path.join(out, "proofs.json"), "utf8")) as {
    readonly content: { readonly tasks: readonly { readonly artefact: string }[] };
  };
  const proof = path.join(out, listed.content.tasks[0]?.artefact ?? "");
  const bytes = readFileSync(proof);
  writeFileSync(
    proof,
    bytes.map((byte, at) => (at === 3 ? byte ^ 1 : byte)),
  );
  expect(await check()).toMatchObject({ status: EXIT.refused });
});

test("one task is proven with what it takes, and a task or prover that is not there is named", async () => {
  const { manifest } = makeMembers(1);
  const prove = (config: object, ...more: string[]) =>
    runCli(["prove", BLOCK, "--network", manifest, "--config", configFile(config), "--json", ...more]);
  const one = await prove(MOCK, "--task", "shard/1");
  expect(one.stdout.trim().split("\n")).toHaveLength(1);
  const unknown = await prove(MOCK, "--task", "shard/2");
  expect(unknown).toMatchObject({ status: EXIT.usage, stdout: "" });
  expect(unknown.stderr).toContain("the block has shard/0..1, aggregate/0..0  [usage.task]");
  const nobody = await prove({ provers: [] });
  expect(nobody).toMatchObject({ status: EXIT.usage, stdout: "" });
  expect(nobody.stderr).toContain("[config.provers]");
});

test("a block that is too large for one proof is proven in pieces, and its proofs name them", async () => {
  const { keys, workflows } = readFragmentFile("config/workflows/ranges.json");
  const { range: _range, ...block } = workflows["block"] ?? { window: 1, stages: [] };
  const { manifest } = makeMembers(1, { fragment: { keys, workflows: { block } } });
  const out = path.join(temporaryDirectory(), "proofs");
  const mock = (system: string, more: object = {}) => ({ kind: "mock", system, provingMs: 5, ...more });
  const config = configFile({ provers: [mock("mock-range", { itemsMax: 2 }), mock("mock")] });
  const given = ["--network", manifest, "--config", config, "--out", out, "--json"];
  const proved = await runCli(["prove", BLOCK, ...given]);
  expect(proved.status).toBe(EXIT.ok);
  expect(proved.stderr).toBe(
    "the input fails with job.too-large: 4 transactions; its itemsMax is 2; in 2 pieces now\n",
  );
  const tasks = proved.stdout.trim().split("\n");
  expect(tasks.map((line) => (JSON.parse(line) as { readonly task: string }).task)).toEqual([
    "range/1",
    "range/2",
    "aggregate/1",
  ]);
  const checked = await runCli(["verify", path.join(out, "proofs.json"), "--network", manifest, "--proofs", out]);
  expect(checked).toMatchObject({ status: EXIT.ok, stderr: "" });
  const whole = await runCli(["prove", BLOCK, ...given, "--task", "range/0"]);
  expect(whole.stderr).toContain("[replay.failed]");
});

test("doctor says of a sound node that all is well, and names each thing that is wrong", async () => {
  const { manifest, list } = makeMembers(1);
  const data = list[0]?.data ?? "";
  const sound = { ...MOCK, data, manifest, listen: ["/ip4/127.0.0.1/tcp/0"], http: "127.0.0.1:0" };
  const before = readdirSync(data);
  const well = await runCli(["doctor", "--config", configFile(sound), "--json"]);
  expect(well).toMatchObject({ status: EXIT.ok, stderr: "" });
  const findings = well.stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Record<string, string>);
  // The test has one disk, so data and keys share a volume.
  expect(findings.filter(({ state }) => state !== "ok")).toMatchObject([{ state: "note", code: "keys.same-volume" }]);
  expect(findings.map(({ check }) => check)).toEqual(
    expect.arrayContaining(["config", "disk", "temporary", "key", "manifest", "listen", "http", "provers"]),
  );
  expect(readdirSync(data)).toEqual(before);

  const homeless = await runCli(["doctor", "--config", configFile(sound)], { environment: { TMPDIR: "/nowhere" } });
  expect(homeless.status).toBe(EXIT.data);
  expect(homeless.stdout).toMatch(/^wrong {2}temporary {2}.*\/nowhere.*\[temporary\.not-writable\]$/m);

  const taken = net.createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => taken.once("listening", resolve));
  const { port } = taken.address() as net.AddressInfo;
  const broken = {
    ...sound,
    http: `127.0.0.1:${port}`,
    provers: [{ kind: "process", system: "mock", command: "/nowhere/prover", timeoutMs: 5000 }],
    sources: [{ kind: "rpc", chain: 31_337, url: "http://127.0.0.1:1" }],
  };
  const ill = await runCli(["doctor", "--config", configFile(broken), "--json"]);
  taken.close();
  const wrong = ill.stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Record<string, string>)
    .filter(({ state }) => state === "wrong");
  expect(wrong.map(({ check }) => check)).toEqual(["http", "chain", "provers"]);
  expect(wrong[0]?.["code"]).toBe("listen.in-use");
  expect(wrong[2]).toMatchObject({
    code: "replay.failed",
    message: expect.stringContaining("process.start") as string,
  });
  expect(ill.status).toBe(EXIT.listen);
});
