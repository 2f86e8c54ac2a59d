/** Two nodes certify blocks whose proofs a program makes that knows no more than a block's hash. */
import { copyFileSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { keccak_256 } from "@noble/hashes/sha3.js";
import { bytesToHex } from "@noble/hashes/utils.js";
import { expect, onTestFinished, test, vi } from "vitest";
import { readPayload } from "../../src/protocol/ethereum.ts";
import { itemAt, listAt } from "../../src/protocol/rlp.ts";
import { Header } from "../../src/statements/header.ts";
import { requestRoot } from "../../src/statements/request.ts";
import { fakeEre } from "../provers/fake-ere.ts";
import { CHAIN, nextBlock, type RpcBlock, submit } from "./blocks.ts";
import { makeMembers, type Members } from "./members.ts";
import { openMember } from "./opened.ts";
import { eventually, runCli } from "./processes.ts";

vi.setConfig({ testTimeout: 120_000 });

/** The guest's own values: the block's hash, and four bytes that it draws. */
const OPEN = {
  kind: "layout" as const,
  bytes: 36,
  fields: [
    { at: 0, is: "block-hash" as const },
    { at: 32, anything: 4 },
  ],
};

const FS = 'const fs = require("node:fs"); const [one, two, three] = process.argv.slice(1); ';
/** The proof of `hash` is the block's hash. The program gets it as text, and no public values. */
const HASH_PROVER = `${FS} fs.writeFileSync(two, Buffer.from(one, "hex"))`;
/** That of `open` is "proof" and the values, which stand before it in the output. */
const OPEN_PROVER = `${FS} const values = Buffer.concat([Buffer.from(one, "hex"), Buffer.from("abcd")]);
  fs.writeFileSync(two, Buffer.concat([values, Buffer.from("proof"), values]))`;
/** Verifiers get the proof without the values before it, the values, and the key. Status 1 says that the proof does not hold. */
const verifierOf = (
  system: string,
  before: string,
): string => `${FS} const [proof, values] = [one, two].map((file) => fs.readFileSync(file));
  if (fs.readFileSync(three, "utf8") !== "${system}") process.exit(2);
  if (!proof.equals(Buffer.concat([Buffer.from("${before}"), values]))) process.exit(1)`;

function members(): Members {
  return makeMembers(2, {}, (json) => {
    const stage = (name: string, statement: "block-hash" | typeof OPEN) => {
      return { name, system: name, key: name, tasks: {}, statement, limitMs: 60_000 };
    };
    const stages = [stage("hash", "block-hash"), stage("open", OPEN)];
    const keys = Object.fromEntries(
      stages.map(({ name }) => [name, { system: name, verifyingKey: Buffer.from(name).toString("base64"), files: {} }]),
    );
    return { ...json, workflows: { block: { window: 4, stages } }, keys };
  });
}

/** Small programs instead of zkVMs. */
function programs(lies: boolean) {
  const prover = (system: string, script: string) => ({
    kind: "process" as const,
    system,
    command: process.execPath,
    // A prover that lies proves the block before.
    args: ["-e", script, lies ? "{parent}" : "{hash}", "{output}"],
    form: "raw" as const,
    qualification: "first-task" as const,
    timeoutMs: 10_000,
  });
  const verifier = (system: string, script: string) => ({
    kind: "process" as const,
    system,
    command: process.execPath,
    args: ["-e", script, "{proof}", "{values}", "{vk}"],
    verdictStatuses: [1],
    timeoutMs: 10_000,
  });
  return {
    provers: [prover("hash", HASH_PROVER), prover("open", OPEN_PROVER)],
    verifiers: [verifier("hash", verifierOf("hash", "")), verifier("open", verifierOf("open", "proof"))],
  };
}

test("blocks are certified whose proofs say the block's hash, and verify --proofs says so offline", async () => {
  const of = members();
  const first = await openMember(of, 0, [], programs(false));
  const second = await openMember(of, 1, first.node.addresses, programs(true));
  const http = first.node.http ?? "";
  const blocks: RpcBlock[] = [];
  for (let height = 1; height <= 3; height++) {
    const block = nextBlock(blocks.at(-1) ?? null);
    blocks.push(block);
    for (const { node } of [first, second]) await submit(node.http ?? "", block);
  }
  const stored = async () => ((await fetch(`${http}/certificates/${CHAIN}/3`)).ok ? true : null);
  await eventually("three blocks are certified", stored, 60_000);

  const out = path.join(of.dir, "proofs");
  const exported = await runCli(["certificate", "2", "--http", http.replace("http://", ""), "--out", out]);
  expect(exported).toMatchObject({ status: 0, stderr: "" });
  const config = path.join(of.dir, "config.json");
  writeFileSync(config, JSON.stringify({ verifiers: programs(false).verifiers }));
  const verify = (directory: string) =>
    runCli([
      "verify",
      path.join(directory, "certificate.json"),
      "--network",
      of.manifest,
      "--proofs",
      directory,
      "--config",
      config,
    ]);
  const holds = await verify(out);
  expect(holds.stderr).toBe("");
  expect(holds.stdout).toContain("2 proofs verified");

  const { content } = JSON.parse(readFileSync(path.join(out, "certificate.json"), "utf8")) as {
    readonly content: { readonly hash: string; readonly tasks: readonly { stage: string; artefact: string }[] };
  };
  const hash = Buffer.from((blocks[1]?.hash ?? "").slice(2), "hex");
  const artefacts = content.tasks.map(({ artefact }) => readFileSync(path.join(out, artefact)));
  expect(artefacts[0]).toEqual(hash);
  // The certificate's hash of the artefact binds the bytes that the statement leaves open.
  const values = Buffer.concat([hash, Buffer.from("abcd")]);
  expect(artefacts[1]).toEqual(Buffer.concat([values, Buffer.from("proof"), values]));

  // Nobody was credited for a proof of the block before.
  const refused = first.log.flatMap(({ event, code }) => (event === "proof.rejected" ? [code] : []));
  for (const code of refused) expect(["proof.command", "proof.values"]).toContain(code);

  // The same files under a statement of another block do not hold.
  const other = path.join(of.dir, "other");
  mkdirSync(other);
  for (const name of readdirSync(out)) copyFileSync(path.join(out, name), path.join(other, name));
  const [, open] = content.tasks;
  writeFileSync(path.join(other, open?.artefact ?? ""), "something else");
  expect(await verify(other)).toMatchObject({ status: 1, stderr: expect.stringContaining("[proof.other-bytes]") });
});

/** A guest of eth-act as a server runs it: it reads the block and commits to its result, with zeros behind as ZisK's are. */
function guestOf(payload: Uint8Array, successful: number): Uint8Array {
  const header = itemAt(payload, listAt(payload, 0).from, payload.length).end;
  const hash = bytesToHex(keccak_256(payload.subarray(header, listAt(payload, header).end)));
  const read = readPayload(payload, hash);
  if (!read.ok) return new Uint8Array(256);
  const { bytes } = read.value;
  const committed = Buffer.alloc(256);
  committed.set(requestRoot(new Header(bytes.header), bytes, "progressive"));
  committed.writeUInt8(successful, 32);
  committed.writeBigUInt64LE(BigInt(CHAIN), 33);
  committed.writeUInt16LE(0x1201, 41);
  return committed;
}

test("blocks are certified by a guest that commits to eth-act's result, and a result without success is not handed in", async () => {
  const server = await fakeEre();
  onTestFinished(() => server.close());
  let runs = 0;
  server.guest = (payload) => ({ values: guestOf(payload, runs++ === 1 ? 0 : 1) });
  const of = makeMembers(1, {}, (json) => {
    const statement = { kind: "stateless-result" as const, schema: 0x1201 };
    const stage = { name: "prove", system: "guest", key: "guest", tasks: {}, statement, limitMs: 60_000 };
    const guest = { system: "guest", verifyingKey: Buffer.from(server.key).toString("base64"), files: {} };
    return { ...json, workflows: { block: { window: 4, stages: [stage] } }, keys: { guest } };
  });
  const verifiers = [{ kind: "ere" as const, system: "guest", url: server.url, timeoutMs: 10_000 }];
  const prover = { kind: "ere" as const, system: "guest", url: server.url, timeoutMs: 10_000 };
  const provers = [{ ...prover, qualification: "first-task" as const }];
  const { node, log } = await openMember(of, 0, [], { provers, verifiers });
  const http = node.http ?? "";
  const blocks = [nextBlock(null)];
  blocks.push(nextBlock(blocks[0] ?? null));
  for (const block of blocks) await submit(http, block);
  const stored = async () => ((await fetch(`${http}/certificates/${CHAIN}/2`)).ok ? true : null);
  await eventually("two blocks are certified", stored, 60_000);
  expect(log.flatMap(({ event, code }) => (event === "task.failed" ? [code] : []))).toEqual(["ere.values"]);

  const out = path.join(of.dir, "proofs");
  expect(await runCli(["certificate", "1", "--http", http.replace("http://", ""), "--out", out])).toMatchObject({
    status: 0,
  });
  const config = path.join(of.dir, "config.json");
  writeFileSync(config, JSON.stringify({ verifiers }));
  const files = [path.join(out, "certificate.json"), "--network", of.manifest, "--proofs", out, "--config", config];
  const holds = await runCli(["verify", ...files]);
  expect(holds).toMatchObject({ status: 0, stderr: "" });
  expect(holds.stdout).toContain("1 proofs verified");
});
