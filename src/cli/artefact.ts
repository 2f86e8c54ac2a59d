/** `proofmesh artefact`: files that nodes pass on, such as witnesses and proofs, named by their SHA-256. */
import { createHash } from "node:crypto";
import { createReadStream, createWriteStream, renameSync, rmSync, statSync } from "node:fs";
import { open } from "node:fs/promises";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { Command } from "commander";
import { isHash } from "../protocol/ids.ts";
import { ask, type Where } from "./client.ts";
import { CommandError } from "./exit.ts";

const PIECE_BYTES = 8 * 1024 * 1024;

interface Flags extends Where {
  readonly out?: string;
  readonly json?: boolean;
}

export function artefactCommand(): Command {
  const command = new Command("artefact").description("Give a file to the node, or get one that some node has.");
  const put = new Command("put")
    .description("Give the node a file of up to 1 GiB; prints its SHA-256. One that broke off goes on where it was.")
    .argument("<file>", "the file")
    .addHelpText("after", "\nExample:\n  $ proofmesh artefact put witness.bin")
    .action((file: string, flags: Flags) => putFile(file, flags));
  const get = new Command("get")
    .description("Get a file by its SHA-256: from the node, or through it from its peers.")
    .argument("<sha256>", "64 lower-case hex digits")
    .requiredOption("--out <file>", "where it goes")
    .addHelpText("after", "\nExample:\n  $ proofmesh artefact get 9f86d08…0f00a08 --out witness.bin")
    .action((hash: string, flags: Flags) => getFile(hash, flags));
  for (const each of [put, get]) {
    each
      .option("--data <dir>", "the node's data directory (default: ~/.proofmesh/dev)")
      .option("--http <host:port>", "the node's HTTP endpoint")
      .option("--json", "one line of JSON");
    command.addCommand(each);
  }
  return command;
}

async function putFile(file: string, flags: Flags): Promise<void> {
  const length = statOf(file);
  const hash = await hashOf(file);
  const progress = progressOf(flags, "sent", length);
  const handle = await open(file);
  try {
    let [from, again] = [0, false];
    do {
      const piece = Buffer.alloc(Math.min(PIECE_BYTES, length - from));
      await handle.read(piece, 0, piece.length, from);
      try {
        const sent = await ask(flags, `/artefacts/${hash}?length=${length}&from=${from}`, {
          method: "PUT",
          body: piece,
        });
        from = ((await sent.json()) as { readonly bytes: number }).bytes;
        again = false;
      } catch (error) {
        const here = error instanceof CommandError ? offsetIn(error) : null;
        // Said once: whatever is at work on the same file at the same time would send us to and fro.
        if (here === null || again) throw error;
        [from, again] = [here, true];
      }
      progress(from);
    } while (from < length);
  } finally {
    await handle.close();
  }
  process.stdout.write(flags.json === true ? `${JSON.stringify({ hash, bytes: length })}\n` : `${hash}\n`);
}

/** Where an earlier try ended, as the node says. */
function offsetIn({ code, message }: CommandError): number | null {
  const found = code === "artefact.offset" ? /^(\d+) bytes/.exec(message)?.[1] : undefined;
  return found === undefined ? null : Number(found);
}

async function getFile(hash: string, flags: Flags): Promise<void> {
  if (!isHash(hash)) throw new CommandError("usage.hash", `${hash} is no SHA-256; allowed: 64 lower-case hex digits`);
  const { out = "" } = flags;
  await fetched(hash, flags);
  const response = await ask(flags, `/artefacts/${hash}`, {}, FETCH_MS_MAX);
  const length = Number(response.headers.get("content-length") ?? 0);
  const progress = progressOf(flags, "got", length);
  const digest = createHash("sha256");
  const half = `${out}.part`;
  let bytes = 0;
  try {
    await pipeline(
      Readable.fromWeb(response.body as import("node:stream/web").ReadableStream<Uint8Array>),
      async function* (source: AsyncIterable<Uint8Array>) {
        for await (const part of source) {
          digest.update(part);
          progress((bytes += part.length));
          yield part;
        }
      },
      createWriteStream(half),
    );
    if (digest.digest("hex") !== hash)
      throw new CommandError("artefact.wrong-bytes", `what the node sent is not of the hash ${hash}`);
    renameSync(half, out);
  } catch (error) {
    rmSync(half, { force: true });
    throw error;
  }
  process.stdout.write(
    flags.json === true ? `${JSON.stringify({ hash, bytes, file: out })}\n` : `${out}  ${bytes} bytes\n`,
  );
}

/** Has the node get it from its peers, who may take their time. */
async function fetched(hash: string, flags: Flags): Promise<void> {
  const beganMs = performance.now();
  while ((await ask(flags, `/artefacts/${hash}/fetch`, { method: "POST" })).status === 202) {
    const seconds = Math.round((performance.now() - beganMs) / 1000);
    if (flags.json !== true && process.stderr.isTTY) process.stderr.write(`the node fetches it, ${seconds} s so far\n`);
    if (performance.now() - beganMs > FETCH_MS_MAX)
      throw new CommandError("artefact.missing", `the node has not got ${hash} within ${seconds} s; ask again`);
  }
}

/** A gigabyte from a peer over a slow line. */
const FETCH_MS_MAX = 3_600_000;

function statOf(file: string): number {
  try {
    return statSync(file).size;
  } catch (error) {
    throw new CommandError(
      "usage.file",
      `${file} cannot be read: ${error instanceof Error ? error.message : String(error)}`,
    );
  }
}

async function hashOf(file: string): Promise<string> {
  const digest = createHash("sha256");
  for await (const part of createReadStream(file)) digest.update(part as Buffer);
  return digest.digest("hex");
}

/** On a terminal, a line that counts. */
function progressOf(flags: Flags, what: string, length: number): (bytes: number) => void {
  if (flags.json === true || !process.stderr.isTTY) return () => {};
  return (bytes) => {
    process.stderr.write(`\r${what} ${Math.floor((100 * bytes) / Math.max(length, 1))} % of ${length} bytes`);
    if (bytes >= length) process.stderr.write("\n");
  };
}
