import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import http from "node:http";
import net, { type AddressInfo } from "node:net";
import path from "node:path";
import { afterEach, describe, expect, onTestFinished, test, vi } from "vitest";
import { EXIT } from "../../src/cli/exit.ts";
import { defaultKeys } from "../../src/config.ts";
import { genesis, keyFileIn } from "../../src/node.ts";
import { sealBatch, voteOf } from "../../src/protocol/batch.ts";
import type { BarrierContent } from "../../src/protocol/certificate.ts";
import { readEvidence } from "../../src/protocol/evidence.ts";
import { artefactHash, blockId, ZERO_HASH } from "../../src/protocol/ids.ts";
import { encodeEvidence } from "../../src/protocol/votes.ts";
import { createKeyFrom } from "../keys.ts";
import { temporaryDirectory } from "../storage/directories.ts";
import { nextBlock } from "./blocks.ts";
import { flagsOf, makeMembers, type Members } from "./members.ts";
import { type Ended, endAll, runCli, startCli } from "./processes.ts";

/** Flags of a node that would start if it were not for what the test gets wrong. */
const QUIET = ["--listen", "/ip4/127.0.0.1/tcp/0", "--http", "127.0.0.1:0", "--mock", "50", "--log", "json"];

interface Complaint {
  readonly status: number;
  readonly code: string;
  /** What the line names: the value, the place, what is allowed. */
  readonly names: readonly string[];
}

/** A command is a process that reads a few hundred files first; beside other work that takes its time. */
vi.setConfig({ testTimeout: 60_000 });

afterEach(endAll);

function complains(ended: Ended, { status, code, names }: Complaint, linesMax = 1): void {
  const lines = ended.stderr.split("\n").filter((line) => line !== "");
  expect({ status: ended.status, signal: ended.signal, lines: lines.length, stderr: ended.stderr }).toMatchObject({
    status,
    signal: null,
    lines: linesMax,
  });
  for (const line of lines)
    expect(line).toMatch(new RegExp(`^proofmesh: .{10,600} {2}\\[${code.replace(".", "\\.")}\\]$`));
  for (const name of names) expect(ended.stderr).toContain(name);
}

/** Runs commands side by side and checks how each of them ends. */
async function eachComplains(
  cases: readonly (readonly [args: readonly string[], complaint: Complaint])[],
): Promise<void> {
  const ended = await Promise.all(cases.map(([args]) => runCli(args)));
  for (const [index, [, complaint]] of cases.entries()) complains(ended[index] as Ended, complaint);
}

async function listening(server: net.Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => void server.close());
  return (server.address() as AddressInfo).port;
}

describe("settings", () => {
  test("a manifest with five mistakes is refused with all five", async () => {
    const dir = temporaryDirectory();
    const json = genesisOf("ab".repeat(32)) as unknown as Record<string, Record<string, unknown>>;
    const file = path.join(dir, "manifest.json");
    const wrong = {
      ...json,
      name: "No Name!",
      attesters: [{ key: "zz", weight: 1 }],
      timing: { ...json["timing"], leaseMs: "soon" },
      limits: { ...json["limits"], retentionBlocks: 0 },
      surprise: true,
    };
    writeFileSync(file, JSON.stringify(wrong));
    const ended = await runCli(["start", ...QUIET, "--data", path.join(dir, "data"), "--manifest", file]);
    const names = [
      file,
      "name",
      '"No Name!"',
      "attesters[0].key",
      "timing.leaseMs",
      '"soon"',
      "limits.retentionBlocks",
      "surprise",
    ];
    complains(ended, { status: EXIT.usage, code: "manifest.invalid", names }, 5);
    // Nothing but the key that it has made before.
    expect(leftIn(path.join(dir, "data"))).toEqual([]);
    expect(leftIn(path.join(dir, "data-keys")).sort()).toEqual(["key.json", "signed"]);
  });

  test("a setting, a variable or a flag that does not exist is named with its place", async () => {
    const dir = temporaryDirectory();
    const file = path.join(dir, "node.json");
    writeFileSync(file, JSON.stringify({ data: path.join(dir, "data"), slotz: 3 }));
    const flag = runCli(["start", "--slotz", "3"]);
    const command = runCli(["strat"]);
    const missing = runCli(["tasks", "export", "1/12/shard/0"]);
    const nested = runCli(["workflow", "show", "blocks.json", "--svgg", "x"]);
    const variable = runCli(["start"], { environment: { PROOFMESH_SLOTZ: "3" } });
    const usage = { status: EXIT.usage, code: "config.invalid" };
    complains(await runCli(["start", "--config", file]), { ...usage, names: [file, "slotz is 3", "unknown"] });
    complains(await variable, { ...usage, names: ["PROOFMESH_SLOTZ", "PROOFMESH_SLOTS"] });
    complains(await flag, { status: EXIT.usage, code: "commander.unknownOption", names: ["--slotz", "--help"] });
    complains(await missing, { status: EXIT.usage, code: "commander.missingMandatoryOptionValue", names: ["--out"] });
    complains(await nested, { status: EXIT.usage, code: "commander.unknownOption", names: ["--svgg", "--help"] });
    complains(await command, { status: EXIT.usage, code: "commander.unknownCommand", names: ["strat", "--help"] });
    expect(existsSync(path.join(dir, "data"))).toBe(false);
  });
});

describe("what a node needs for itself", () => {
  test("a prover's arguments that name what no job has", async () => {
    const members = makeMembers(1);
    const file = path.join(members.dir, "provers.json");
    const prover = { kind: "process", system: "mock", command: "true", timeoutMs: 1000 };
    const started = async (changes: object) => {
      writeFileSync(file, JSON.stringify({ provers: [{ ...prover, ...changes }] }));
      return runCli(["start", "--config", file, "--data", at(members, 0).data, "--manifest", members.manifest]);
    };
    const usage = { status: EXIT.usage, code: "config.invalid" };
    complains(await started({ args: ["-i", "{secret}"] }), { ...usage, names: ["args[1]", "{secret}", "{input}"] });
    complains(await started({ form: "raw", args: ["{input}"] }), { ...usage, names: ["raw", "{output}"] });
  });

  test("a port in use is named, for peers and for HTTP", async () => {
    const port = await listening(net.createServer());
    const members = makeMembers(2);
    const flags = (index: number) => flagsOf(members, at(members, index), 50);
    await eachComplains([
      [
        ["start", ...flags(0), "--listen", `/ip4/127.0.0.1/tcp/${port}`],
        { status: EXIT.listen, code: "listen.in-use", names: [`/ip4/127.0.0.1/tcp/${port}`] },
      ],
      [
        ["start", ...flags(1), "--http", `127.0.0.1:${port}`],
        { status: EXIT.listen, code: "listen.in-use", names: [`127.0.0.1:${port}`, "--http"] },
      ],
    ]);
  });

  test("a directory in use, of another network, or with a key that cannot be trusted", async () => {
    const [one, other] = [makeMembers(3), makeMembers(1)];
    const [first, truncated, readable] = [at(one, 0), at(one, 1), at(one, 2)];
    await startCli(flagsOf(one, first, 50));
    const keyFile = keyFileIn(defaultKeys(truncated.data));
    truncateSync(keyFile, 40);
    const openFile = keyFileIn(defaultKeys(readable.data));
    chmodSync(openFile, 0o644);
    const strange = at(other, 0);
    writeFileSync(path.join(strange.data, "network"), `${one.network}\n`);
    const data = { status: EXIT.data };
    await eachComplains([
      [["start", ...flagsOf(one, first, 50)], { ...data, code: "data.locked", names: [first.data, "process"] }],
      [
        ["start", ...flagsOf(other, strange, 50)],
        { ...data, code: "data.other-network", names: [strange.data, one.network, other.network] },
      ],
      [["start", ...flagsOf(one, truncated, 50)], { ...data, code: "key.truncated", names: [keyFile, "40"] }],
      [
        ["start", ...flagsOf(one, readable, 50)],
        { ...data, code: "key.permissions", names: [openFile, "0644", "chmod 600"] },
      ],
    ]);
    // Neither was the seed said, nor was anything else begun.
    for (const { data: dir } of [truncated, readable]) expect(leftIn(dir)).toEqual([]);
  });
});

describe("a chain that is none", () => {
  test("an RPC that answers HTML, nothing, or for another chain", async () => {
    const dir = temporaryDirectory();
    const html = await listening(
      http.createServer((_request, response) => {
        response.writeHead(200, { "content-type": "text/html" });
        response.end("<html><body>Welcome to nginx!</body></html>");
      }),
    );
    const chain = await listening(
      http.createServer((request, response) => {
        request.resume().on("end", () => response.end('{"jsonrpc":"2.0","id":1,"result":"0x7a69"}'));
      }),
    );
    const url = (port: number) => `http://127.0.0.1:${port}`;
    const data = (name: string) => ["--data", path.join(dir, name)];
    const unreachable = { status: EXIT.unreachable };
    await eachComplains([
      [
        ["start", ...QUIET, ...data("a"), "--rpc", url(html)],
        { ...unreachable, code: "source.not-json-rpc", names: [url(html)] },
      ],
      [
        ["start", ...QUIET, ...data("b"), "--rpc", "http://127.0.0.1:1"],
        { ...unreachable, code: "source.unreachable", names: ["http://127.0.0.1:1"] },
      ],
      [
        ["start", ...QUIET, ...data("c"), "--rpc", url(chain), "--chain", "1"],
        { status: EXIT.usage, code: "source.wrong-chain", names: [url(chain), "31337", "1"] },
      ],
      [
        ["start", ...QUIET, ...data("d"), "--rpc", "not a url"],
        { status: EXIT.usage, code: "config.invalid", names: ["(not shown)", "http://"] },
      ],
    ]);
    for (const name of ["a", "b", "c", "d"]) expect(leftIn(path.join(dir, name))).toEqual([]);
  });

  test("a chain that fails while the node is up is waited for", async () => {
    const members = makeMembers(1);
    const html = await listening(
      http.createServer((_request, response) => response.end("<html>502 Bad Gateway</html>")),
    );
    const url = `http://127.0.0.1:${html}`;
    const node = await startCli([...flagsOf(members, at(members, 0), 50), "--rpc", url, "--chain", "31337"]);
    await node.line("the trouble is said", ({ event }) => event === "source.trouble");
    const { chains } = (await (await fetch(`${node.http}/status`)).json()) as {
      readonly chains: readonly { readonly source: string | null }[];
    };
    expect(chains[0]?.source).toContain(url);
    expect(node.isRunning()).toBe(true);
  });
});

describe("what is handed to the commands", () => {
  test("blocks, certificates and proofs that are not what they say", async () => {
    const members = makeMembers(1);
    const dir = members.dir;
    const node = await startCli(flagsOf(members, at(members, 0), 20));
    const block = nextBlock(null);
    const write = (name: string, content: string | Uint8Array): string => {
      writeFileSync(path.join(dir, name), content);
      return path.join(dir, name);
    };
    const good = write("block.json", JSON.stringify(block));
    const submitted = await runCli(["submit", "--http", node.http, "--chain", "31337", "--wait", good]);
    expect(submitted).toMatchObject({ status: EXIT.ok, stderr: "" });
    const proofs = path.join(dir, "proofs");
    const exported = await runCli(["certificate", "latest", "--http", node.http, "--out", proofs]);
    expect(exported).toMatchObject({ status: EXIT.ok, stderr: "" });
    const certificate = path.join(proofs, "certificate.json");
    const verify = ["verify", "--network", members.manifest];
    expect(await runCli([...verify, certificate, "--proofs", proofs])).toMatchObject({ status: EXIT.ok, stderr: "" });

    const truncated = write("truncated.json", JSON.stringify(block).slice(0, 500));
    const lying = write("lying.json", JSON.stringify({ ...block, gasUsed: "0x1" }));
    const text = readFileSync(certificate, "utf8");
    const changed = write("changed.json", text.replace('"items":5', '"items":6'));
    expect(readFileSync(changed, "utf8")).not.toBe(text);
    const [garbage, empty] = [write("garbage.json", Buffer.alloc(300, 0x9c)), write("empty.json", "")];
    const nowhere = path.join(dir, "nowhere");
    const submit = ["submit", "--http", node.http];
    const [usage, refused] = [{ status: EXIT.usage }, { status: EXIT.refused }];
    await eachComplains([
      [[...submit, "--chain", "31337", truncated], { ...usage, code: "usage.file", names: [truncated, "JSON"] }],
      [
        [...submit, "--chain", "31337", lying],
        { ...refused, code: "payload.header-mismatch", names: [block.hash.slice(2)] },
      ],
      [[...submit, "--chain", "77", good], { ...usage, code: "submit.chain", names: ["77", "31337"] }],
      [["submit", "--data", nowhere, good], { status: EXIT.unreachable, code: "node.unreachable", names: [nowhere] }],
    ]);
    await eachComplains([
      [[...verify, garbage], { ...refused, code: "certificate.malformed", names: [garbage, "300 bytes", "JSON"] }],
      [[...verify, empty], { ...refused, code: "certificate.malformed", names: [empty, "0 bytes", "JSON"] }],
      [[...verify, changed], { ...refused, code: "certificate.signature", names: [changed, "votes[0]"] }],
      [[...verify, certificate, "--proofs", nowhere], { ...refused, code: "proof.missing", names: [nowhere] }],
      [[...verify, nowhere], { ...usage, code: "usage.file", names: [nowhere] }],
    ]);
    // What an attester vouched for is shown to be false by whoever has the block and the proof.
    const vouchFor = (name: string, proof: Uint8Array): string => {
      const evidence = falseProof(members, at(members, 0), certificate, proof);
      writeFileSync(path.join(proofs, evidence.artefact), proof);
      return write(name, evidence.file);
    };
    const [first] = (JSON.parse(text) as { content: { tasks: { artefact: string }[] } }).content.tasks;
    const sound = readFileSync(path.join(proofs, first?.artefact ?? ""));
    const evidence = vouchFor("evidence.json", Buffer.from(sound).fill(0, 0, 16));
    const shown = await runCli([...verify, evidence, certificate, "--proofs", proofs]);
    expect(shown).toMatchObject({ status: EXIT.ok, stderr: "" });
    expect(shown.stdout).toMatch(/^holds {2}evidence {2}[0-9a-f]{64} {2}false-proof, batch 9 .* refused with proof\./m);
    await eachComplains([
      [
        [...verify, evidence, "--proofs", proofs],
        { ...refused, code: "evidence.unproven", names: [evidence, "certificate"] },
      ],
      [[...verify, evidence, certificate], { ...refused, code: "evidence.unproven", names: [evidence, "--proofs"] }],
      [
        [...verify, vouchFor("sound.json", sound), certificate, "--proofs", proofs],
        { ...refused, code: "evidence.false", names: [first?.artefact ?? ""] },
      ],
    ]);
    // What was refused is nowhere: the node knows the one block.
    const status = (await (await fetch(`${node.http}/status`)).json()) as { readonly blocks: readonly unknown[] };
    expect(status.blocks).toHaveLength(1);
  });
});

/** Evidence that the member has called a task complete with this proof. */
function falseProof(members: Members, member: Members["list"][number], certificate: string, proof: Uint8Array) {
  const { network } = members;
  const { content } = JSON.parse(readFileSync(certificate, "utf8")) as { content: BarrierContent };
  const artefact = artefactHash(proof);
  const prover = content.tasks.find(({ stage, index }) => stage === "shard" && index === 0)?.prover ?? ZERO_HASH;
  const entry = {
    kind: "complete",
    block: blockId(network, content),
    stage: "shard",
    index: 0,
    prover,
    artefact,
  } as const;
  const signer = createKeyFrom(member.seed);
  const batch = sealBatch(network, { author: signer.key, number: 9, previous: ZERO_HASH }, [entry], signer.sign);
  const shown = [voteOf(batch, 0)];
  const evidence = readEvidence(shown);
  if (evidence === null) throw new Error("no evidence");
  return { artefact, file: encodeEvidence(network, evidence, shown) };
}

function at(members: Members, index: number): Members["list"][number] {
  const member = members.list[index];
  if (member === undefined) throw new RangeError(`no member ${index}`);
  return member;
}

/** What a start that was refused has left behind, besides the key that it made. */
function leftIn(directory: string): string[] {
  mkdirSync(directory, { recursive: true });
  return readdirSync(directory).filter((name) => !["format", "lock"].includes(name));
}

function genesisOf(key: string): ReturnType<typeof genesis> {
  const chains = [{ id: 1, start: 1, confirmations: 0, workflow: "block" }];
  const who = { attesters: [key], sources: [key], provers: [{ key, slots: 1, weight: 1 }], admission: "list" as const };
  return genesis({ name: "test", ...who, chains, shards: 2, window: 2, system: "mock", bootstrap: [] });
}
