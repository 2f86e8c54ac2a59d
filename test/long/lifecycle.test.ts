/** A node with real proofs over a stop and a start, and what its certificates show afterwards. */
import { cpSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { afterEach, expect, test, vi } from "vitest";
import { EXIT } from "../../src/cli/exit.ts";
import { nativeEquation, readManifestFile } from "../../src/node.ts";
import { checkCertificate } from "../../src/protocol/certificate.ts";
import { makeMembers } from "../node/members.ts";
import { endAll, eventually, runCli, startCli } from "../node/processes.ts";
import { alive } from "../provers/fixtures.ts";
import { certificateBytes, STOP_MS_MAX, stopped } from "../node/stopping.ts";

vi.setConfig({ testTimeout: 150_000 });

afterEach(endAll);

/** What an operator who waits at the terminal puts up with. */
const WAIT_MS = 60_000;
/** What proves is a process of its own, as the system names it. */
const PROGRAM = /^(node|MainThread|snarkjs)/;
const NETWORK = ["--listen", "/ip4/127.0.0.1/tcp/0", "--http", "127.0.0.1:0", "--profile", "local"];

interface Certificate {
  readonly content: {
    readonly payload: string;
    readonly tasks: readonly { readonly artefact: string }[];
  };
}

test("a node with real proofs is stopped while it proves, goes on where it was, and its certificates hold", async () => {
  const members = makeMembers(1, { shards: 1, system: "groth16" });
  const { dir, manifest, list } = members;
  const config = path.join(dir, "config.json");
  const dev = { kind: "dev", blockTimeS: 1, transactionsPerBlock: 3 };
  writeFileSync(config, JSON.stringify({ data: list[0]?.data, manifest, sources: [dev] }));
  const flags = ["--config", config, ...NETWORK];
  const first = await startCli(flags);
  // Served from disk, where it is a moment after it was assembled.
  const stored = ({ event }: { readonly event: string }) => event === "certificate.stored";
  const { height } = await first.line("a certificate is stored", stored, WAIT_MS);
  const bytes = await certificateBytes(first, Number(height));
  const since = first.log.length;
  const provesAgain = ({ event }: { readonly event: string }) => event === "task.started" && first.log.length > since;
  await first.line("it proves again", provesAgain, WAIT_MS);
  const children = descendantsOf(first.pid);
  expect(children.map(({ name }) => name)).toContain("anvil");
  expect(children.map(({ name }) => name).filter((name) => PROGRAM.test(name))).not.toEqual([]);
  await stopped(first);
  const left = () => (children.some(({ pid }) => alive(pid)) ? null : true);
  await eventually("nothing that the node started is left", left, STOP_MS_MAX);

  const second = await startCli(flags);
  expect(second.key).toBe(first.key);
  expect(second.network).toBe(first.network);
  expect(await certificateBytes(second, Number(height))).toEqual(bytes);
  const later = ({ event, height: next }: { readonly event: string; readonly height?: unknown }) =>
    event === "block.certified" && Number(next) > Number(height);
  await second.line("a later block is certified", later, WAIT_MS);
  const proofs = path.join(dir, "proofs");
  const exported = await runCli(["certificate", String(height), "--http", second.http, "--out", proofs]);
  expect(exported).toMatchObject({ status: EXIT.ok, stderr: "" });
  await stopped(second);
  await holdsUntouched(manifest, proofs);
});

/** The command says that all holds; after one changed byte anywhere it says that it does not. */
async function holdsUntouched(manifestFile: string, proofs: string): Promise<void> {
  const certificate = path.join(proofs, "certificate.json");
  const verifyOf = (directory: string): string[] => {
    return ["verify", path.join(directory, "certificate.json"), "--network", manifestFile, "--proofs", directory];
  };
  const holds = await runCli(verifyOf(proofs));
  expect(holds).toMatchObject({ status: EXIT.ok, stderr: "" });
  expect(holds.stdout).toContain("proofs verified");

  const bytes = readFileSync(certificate);
  const { content } = JSON.parse(bytes.toString("utf8")) as Certificate;
  const changed = ["certificate.json", content.payload, content.tasks[0]?.artefact ?? ""];
  const ended = await Promise.all(changed.map((name) => runCli(verifyOf(withFlip(proofs, name)))));
  const codes = ended.map(({ stderr }) => /^proofmesh: .* {2}\[([a-z.-]+)\]\n$/.exec(stderr)?.[1]);
  expect(ended.map(({ status }) => status)).toEqual(changed.map(() => EXIT.refused));
  expect(codes).toEqual([expect.stringMatching(/^certificate\./), "proof.other-bytes", "proof.other-bytes"]);

  const manifest = readManifestFile(manifestFile);
  expect(checkCertificate(manifest, bytes, nativeEquation).ok).toBe(true);
  for (let at = 0; at < bytes.length; at += Math.ceil(bytes.length / 100)) {
    const flipped = bytes.with(at, (bytes[at] ?? 0) ^ 1);
    expect(checkCertificate(manifest, flipped, nativeEquation).ok, `byte ${at}`).toBe(false);
  }
}

/** A copy of the directory in which one byte in the middle of one file is another. */
function withFlip(directory: string, name: string): string {
  const copy = `${directory}-${name.slice(0, 12)}`;
  cpSync(directory, copy, { recursive: true });
  const bytes = readFileSync(path.join(copy, name));
  const at = Math.floor(bytes.length / 2);
  writeFileSync(path.join(copy, name), bytes.with(at, (bytes[at] ?? 0) ^ 1));
  return copy;
}

/** Processes that this one has started, and what they have started; by Linux's list of processes. */
function descendantsOf(pid: number): { readonly pid: number; readonly name: string }[] {
  const parents = new Map<number, number>();
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const stat = readFileSync(`/proc/${name}/stat`, "latin1");
      parents.set(Number(name), Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]));
    } catch {
      // It has ended while we looked.
    }
  }
  const found: { readonly pid: number; readonly name: string }[] = [];
  for (const [child] of parents) {
    let up = parents.get(child);
    while (up !== undefined && up > 1 && up !== pid) up = parents.get(up);
    if (up === pid) found.push({ pid: child, name: readFileSync(`/proc/${child}/comm`, "utf8").trim() });
  }
  return found;
}
