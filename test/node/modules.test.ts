/** Two nodes certify blocks whose proofs a WebAssembly module verifies, which no node has installed. */
import { copyFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { expect, test, vi } from "vitest";
import type { ConfigLayer } from "../../src/config.ts";
import { artefactHash } from "../../src/protocol/ids.ts";
import { assemble, toyCanaries, toyKeyJson, toyText } from "../proofs/toy-modules.ts";
import { CHAIN, nextBlock, type RpcBlock, submit } from "./blocks.ts";
import { makeMembers, type Members } from "./members.ts";
import { openMember } from "./opened.ts";
import { eventually, runCli } from "./processes.ts";

vi.setConfig({ testTimeout: 120_000 });

const CANARY_VALUES = new TextEncoder().encode("canary");
const [GOOD, OTHER] = toyCanaries(CANARY_VALUES);

/** Proves the block's hash, which it gets as text, for the toy's verifier. */
const TOY_PROVER = `const [hash, output] = process.argv.slice(1);
  const digest = require("node:crypto").createHash("sha256").update(Buffer.from(hash, "hex")).digest();
  const mask = digest.map((byte, i) => byte ^ (3 + i * 7));
  require("node:fs").writeFileSync(output, Buffer.concat([Buffer.from("program1"), digest, mask]));`;

function members(module: Uint8Array): Members {
  const toy = toyKeyJson(module, CANARY_VALUES);
  return makeMembers(2, {}, (json) => {
    const own = { system: "wasm", key: "toy", executor: "toy", statement: "block-hash" as const };
    const stages = [{ name: "toy", ...own, tasks: {}, limitMs: 60_000 }];
    const keys = { toy: { system: "wasm", verifyingKey: Buffer.from(toy).toString("base64"), files: {} } };
    return { ...json, workflows: { block: { window: 4, stages } }, keys };
  });
}

/** The prover of the toy, which proves what the argument stands for. */
function proverOf(proven: "{hash}" | "{parent}"): Partial<ConfigLayer> {
  return {
    provers: [
      {
        kind: "process",
        system: "toy",
        command: process.execPath,
        args: ["-e", TOY_PROVER, proven, "{output}"],
        form: "raw",
        qualification: "first-task",
        timeoutMs: 10_000,
      },
    ],
  };
}

test("attesters fetch the module that the manifest names, and sign nothing before they have it (VERIFY-8)", async () => {
  const module = await assemble(toyText());
  const of = members(module);
  const first = await openMember(of, 0, [], proverOf("{hash}"));
  const second = await openMember(of, 1, first.node.addresses, proverOf("{parent}"));
  const http = first.node.http ?? "";
  const blocks: RpcBlock[] = [];
  for (let height = 1; height <= 2; height++) {
    const block = nextBlock(blocks.at(-1) ?? null);
    blocks.push(block);
    for (const { node } of [first, second]) await submit(node.http ?? "", block);
  }
  for (const { node } of [first, second]) expect(node.status().mute).toBe("verifier.toy");
  const shown = await runCli(["status", "--http", http.replace("http://", "")]);
  expect(shown.stdout).toContain("cannot sign: the verifier of the key toy");

  // One node gets the files; the other one asks its peer.
  for (const bytes of [module, GOOD, OTHER]) {
    const file = path.join(of.dir, artefactHash(bytes));
    writeFileSync(file, bytes);
    const put = await runCli(["artefact", "put", file, "--http", http.replace("http://", "")]);
    expect(put).toMatchObject({ status: 0, stderr: "" });
  }
  const speak = () => ([first, second].every(({ node }) => node.status().mute === null) ? true : null);
  await eventually("both nodes have the module", speak, 60_000);
  const stored = async () => ((await fetch(`${http}/certificates/${CHAIN}/2`)).ok ? true : null);
  await eventually("two blocks are certified", stored, 60_000);

  // The second node's prover proves the block before.
  const refused = [first, second].flatMap(({ log }) =>
    log.flatMap(({ event, code }) => (event === "proof.rejected" || event === "proof.invalid" ? [code] : [])),
  );
  for (const code of refused) expect(code).toBe("proof.values");

  const out = path.join(of.dir, "proofs");
  const exported = await runCli(["certificate", "2", "--http", http.replace("http://", ""), "--out", out]);
  expect(exported).toMatchObject({ status: 0, stderr: "" });
  for (const bytes of [module, GOOD, OTHER])
    copyFileSync(path.join(of.dir, artefactHash(bytes)), path.join(out, artefactHash(bytes)));
  const verified = await runCli([
    "verify",
    path.join(out, "certificate.json"),
    "--network",
    of.manifest,
    "--proofs",
    out,
  ]);
  expect(verified.stderr).toBe("");
  expect(verified.stdout).toContain("1 proofs verified");
});
