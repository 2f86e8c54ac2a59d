/** What must hold at the end of a run: equal certificates everywhere, accepted by a program that never saw the network. */
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type BarrierContent, contentHash } from "../../src/protocol/certificate.ts";
import type { LocalNode } from "./nodes.ts";

interface Exported {
  readonly height: number;
  readonly file: string;
  readonly content: BarrierContent;
}

const MAIN = fileURLToPath(new URL("../../src/cli/main.ts", import.meta.url));

/** The certificates of all nodes, which must be the same by content; written out with the block and its proofs. */
export async function exportAll(
  nodes: readonly LocalNode[],
  chain: number,
  blocks: number,
  directory: string,
): Promise<readonly Exported[]> {
  mkdirSync(directory, { recursive: true });
  const exported: Exported[] = [];
  for (let height = 1; height <= blocks; height++) {
    const files = await Promise.all(nodes.map((node) => get(node, `/certificates/${chain}/${height}`)));
    const contents = files.map(
      (bytes) => (JSON.parse(bytes.toString("utf8")) as { readonly content: BarrierContent }).content,
    );
    const hashes = new Set(contents.map(contentHash));
    const [content] = contents;
    const [bytes] = files;
    if (content === undefined || bytes === undefined || hashes.size !== 1) {
      throw new Error(`height ${height}: the nodes hold ${hashes.size} different certificates`);
    }
    for (const hash of new Set([content.payload, ...content.tasks.map((task) => task.artefact)])) {
      writeFileSync(join(directory, hash), await getFromAny(nodes, `/artefacts/${hash}`));
    }
    const file = join(directory, `${height}.json`);
    writeFileSync(file, bytes);
    exported.push({ height, file, content });
  }
  return exported;
}

/** `proofmesh verify --proofs` over all of them, in a process of its own; throws what it says if it refuses. */
export function verifyAll(exported: readonly Exported[], manifest: string, directory: string): void {
  const result = verify(
    exported.map(({ file }) => file),
    manifest,
    directory,
  );
  if (result.status !== 0) throw new Error(`verify refuses a certificate of the run: ${result.message}`);
}

/** One changed byte in a certificate, in a proof and in the block: each must be refused. */
export function verifyTampered(exported: readonly Exported[], manifest: string, directory: string): number {
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
    const result = verify([last.file], manifest, directory);
    writeFileSync(file, bytes);
    if (result.status !== 1)
      throw new Error(`verify ends with ${String(result.status)} on a changed byte in ${file}: ${result.message}`);
  }
  return targets.length;
}

function verify(
  files: readonly string[],
  manifest: string,
  directory: string,
): { readonly status: number | null; readonly message: string } {
  const result = spawnSync(process.execPath, [MAIN, "verify", ...files, "--network", manifest, "--proofs", directory], {
    encoding: "utf8",
  });
  return { status: result.status, message: result.stderr.trim() };
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
