/** What a program that never saw the network makes of a run: `proofmesh verify` and `proofmesh log`, as processes. */
import { spawn } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { BarrierContent } from "../../src/protocol/certificate.ts";
import type { Held } from "../checkers/certificates.ts";
import { RunFault } from "../outcome.ts";
import type { LocalNode } from "./nodes.ts";

export interface Exported {
  readonly height: number;
  readonly file: string;
  readonly content: BarrierContent;
}

const MAIN = fileURLToPath(new URL("../../src/cli/main.ts", import.meta.url));

/** One node's certificates as files, with the blocks and proofs that they name from whoever holds them. */
export async function exportAll(
  nodes: readonly LocalNode[],
  held: readonly Held[],
  directory: string,
): Promise<readonly Exported[]> {
  mkdirSync(directory, { recursive: true });
  const exported: Exported[] = [];
  for (const { height, certificate } of held) {
    const { content } = JSON.parse(certificate) as { readonly content: BarrierContent };
    for (const hash of new Set([content.payload, ...content.tasks.map((task) => task.artefact)])) {
      writeFileSync(join(directory, hash), await getFromAny(nodes, `/artefacts/${hash}`));
    }
    const file = join(directory, `${height}.json`);
    writeFileSync(file, certificate);
    exported.push({ height, file, content });
  }
  return exported;
}

/** `proofmesh log` of a node, whole. */
export async function exportLog(node: LocalNode): Promise<string> {
  const { status, output, complaint } = await run(["log", "--data", node.directory]);
  if (status !== 0) throw new RunFault("crash", `proofmesh log of ${node.name} ends with ${status}: ${complaint}`);
  return output;
}

/** `proofmesh verify --proofs` over all of them, in a process of its own. */
export async function verifyAll(exported: readonly Exported[], manifest: string, directory: string): Promise<void> {
  const files = exported.map(({ file }) => file);
  const { status, complaint } = await verify(files, manifest, directory);
  if (status !== 0) throw new RunFault("safety", `S2: verify refuses a certificate of the run: ${complaint}`);
}

/** One changed byte in a certificate, in a proof and in the block: each must be refused. */
export async function verifyTampered(
  exported: readonly Exported[],
  manifest: string,
  directory: string,
): Promise<number> {
  const last = exported.at(-1);
  const task = last?.content.tasks[0];
  if (last === undefined || task === undefined) return 0;
  const targets = [last.file, join(directory, task.artefact), join(directory, last.content.payload)];
  for (const file of targets) {
    const bytes = readFileSync(file);
    const changed = Buffer.from(bytes);
    const at = Math.floor(changed.length / 2);
    changed[at] = (changed[at] ?? 0) ^ 1;
    writeFileSync(file, changed);
    const { status, complaint } = await verify([last.file], manifest, directory);
    writeFileSync(file, bytes);
    if (status !== 1)
      throw new RunFault("safety", `S2: verify ends with ${status} on a changed byte in ${file}: ${complaint}`);
  }
  return targets.length;
}

interface Ended {
  readonly status: number | null;
  readonly output: string;
  readonly complaint: string;
}

function verify(files: readonly string[], manifest: string, directory: string): Promise<Ended> {
  return run(["verify", ...files, "--network", manifest, "--proofs", directory]);
}

/** Not synchronously: the links between the nodes run in this process. */
function run(args: readonly string[]): Promise<Ended> {
  const child = spawn(process.execPath, [MAIN, ...args], { stdio: ["ignore", "pipe", "pipe"] });
  const output: Buffer[] = [];
  const complaint: Buffer[] = [];
  child.stdout.on("data", (bytes: Buffer) => output.push(bytes));
  child.stderr.on("data", (bytes: Buffer) => complaint.push(bytes));
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (status) =>
      resolve({
        status,
        output: Buffer.concat(output).toString("utf8"),
        complaint: Buffer.concat(complaint).toString("utf8").trim(),
      }),
    );
  });
}

async function get(node: LocalNode, path: string): Promise<Buffer> {
  const response = await fetch(`${node.http ?? ""}${path}`);
  if (!response.ok) throw new Error(`${node.name}${path}: ${response.status} ${await response.text()}`);
  return Buffer.from(await response.arrayBuffer());
}

/** A prover need not hold what others have proven. */
async function getFromAny(nodes: readonly LocalNode[], path: string): Promise<Buffer> {
  let failure: unknown = new Error("no nodes");
  for (const node of nodes) {
    try {
      return await get(node, path);
    } catch (error) {
      failure = error;
    }
  }
  throw failure;
}
