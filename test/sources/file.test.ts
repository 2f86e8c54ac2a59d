import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startDevChain } from "../../src/sources/devchain.ts";
import { fileSource, LINE_BYTES_MAX, readBlocks } from "../../src/sources/file.ts";
import { Watch } from "./watch.ts";

const directory = mkdtempSync(join(tmpdir(), "proofmesh-file-"));
/** Blocks 0 to 5 of a real node, and their hashes. */
const blocks: unknown[] = [];
const hashes: string[] = [];

beforeAll(async () => {
  const started = await startDevChain({ blockTimeS: null, seed: 5 });
  if (!started.ok) throw new Error(started.fault.message);
  const chain = started.value;
  for (let height = 0; height < 6; height++) {
    const block = (await chain.call("eth_getBlockByNumber", ["latest", true])) as { readonly hash: string };
    blocks.push(block);
    hashes.push(block.hash.slice(2));
    await chain.send(3);
    await chain.mine(1);
  }
  await chain.close();
});

afterAll(() => rmSync(directory, { recursive: true }));

function file(name: string, text: string | Uint8Array): string {
  const path = join(directory, name);
  writeFileSync(path, text);
  return path;
}

function ndjson(values: readonly unknown[]): string {
  return values.map((value) => `${JSON.stringify(value)}\n`).join("");
}

/** What a file holds: a block's hash, or a fault's text. */
async function read(path: string): Promise<readonly string[]> {
  const found: string[] = [];
  for await (const result of readBlocks(path)) {
    found.push(result.ok ? result.value.hash : `${result.fault.code}: ${result.fault.message}`);
  }
  return found;
}

describe("readBlocks", () => {
  test("reads one block a line, alone or in its answer, with or without a last newline", async () => {
    const lines = blocks.map((block, at) => (at % 2 === 0 ? block : { jsonrpc: "2.0", id: 1, result: block }));
    expect(await read(file("lines", `\n${ndjson(lines).trimEnd().replaceAll("\n", "\r\n\n")}`))).toEqual(hashes);
  });

  test("reads one block over many lines", async () => {
    expect(await read(file("pretty", JSON.stringify(blocks[1], null, 2)))).toEqual([hashes[1]]);
    expect(await read(file("answer", JSON.stringify({ result: blocks[2] }, null, 2)))).toEqual([hashes[2]]);
  });

  test("leaves out what was there before", async () => {
    expect(await read(file("twice", ndjson([...blocks, ...blocks])))).toEqual(hashes);
  });

  test("source.malformed names the file, the line and what is wrong, and the lines after it follow", async () => {
    const forged = { ...(blocks[3] as object), gasUsed: "0x1" };
    const text = `${ndjson([blocks[0]])}{"hash": \n${ndjson([{ result: null }, forged, blocks[1]])}`;
    const path = file("bad", text);
    const [first, broken, empty, wrong, last, ...more] = await read(path);
    expect([first, last, more]).toEqual([hashes[0], hashes[1], []]);
    expect(broken).toMatch(/^source\.malformed: .*bad, line 2: .*JSON/);
    expect(empty).toMatch(/^source\.malformed: .*bad, line 3: .*payload\.malformed/);
    expect(wrong).toMatch(/^source\.malformed: .*bad, line 4: .*payload\./);
  });

  test("source.malformed for a file that is not JSON and for bytes that are no text", async () => {
    expect(await read(file("words", "hello\n"))).toEqual([expect.stringMatching(/words, line 1: /)]);
    expect(await read(file("bytes", Uint8Array.of(0xff, 0xfe, 0x0a)))).toEqual([
      expect.stringMatching(/line 1: not UTF-8/),
    ]);
    expect(await read(file("open", '{\n"hash":\n'))).toEqual([expect.stringMatching(/open, line 1: /)]);
    expect(await read(file("none", ""))).toEqual([]);
  });

  test("a line that is too long is a fault, and the next one is read", async () => {
    const long = Buffer.concat([
      Buffer.alloc(LINE_BYTES_MAX + 1, 0x20),
      Buffer.from("\n"),
      Buffer.from(ndjson([blocks[0]])),
    ]);
    expect(await read(file("long", long))).toEqual([
      expect.stringMatching(/line 1: longer than 16777216 bytes/),
      hashes[0],
    ]);
  });

  test("source.unreadable", async () => {
    expect(await read(join(directory, "missing"))).toEqual([
      expect.stringMatching(/^source\.unreadable: .*missing.*ENOENT/),
    ]);
    expect(await read(directory)).toEqual([expect.stringMatching(/^source\.unreadable: .*EISDIR/)]);
  });

  test("reads standard input", async () => {
    const program = `import { readBlocks } from ${JSON.stringify(new URL("../../src/sources/file.ts", import.meta.url).href)};
      for await (const block of readBlocks("-")) console.log(block.ok ? block.value.hash : block.fault.message);`;
    const child = spawn(process.execPath, ["--input-type=module", "--eval", program], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    child.stdin.end(readFileSync(file("input", `${ndjson(blocks)}x\n`)));
    let output = "";
    for await (const part of child.stdout) output += String(part);
    expect(output.trim().split("\n")).toEqual([...hashes, expect.stringMatching(/^standard input, line 7: /)]);
  });
});

describe("a file source", () => {
  test("tells the blocks after the one it stopped at, then ends", async () => {
    const path = file("source", ndjson(blocks));
    const source = fileSource({ chain: 31337, path });
    const watch = new Watch(source, { height: 2, hash: hashes[2] ?? "" });
    await watch.until("the end", () => watch.events.at(-1)?.kind === "end");
    await source.close();
    expect(watch.path.map((block) => block.hash)).toEqual(hashes.slice(3));
    expect(watch.path.every((block) => block.chain === 31337)).toBe(true);
  });

  test("ends where a block does not follow the one before it", async () => {
    const source = fileSource({
      chain: 31337,
      path: file("hole", ndjson([blocks[0], blocks[1], blocks[3], blocks[4]])),
    });
    const watch = new Watch(source);
    await watch.until("the end", () => watch.events.at(-1)?.kind === "end");
    await source.close();
    expect(watch.newest).toBe(1);
    expect(watch.troubles).toEqual(["source.malformed"]);
  });

  test("tells nothing after it was closed", async () => {
    const source = fileSource({ chain: 31337, path: file("closed", ndjson(blocks)), burst: 1, blocksPerSecondMax: 1 });
    const watch = new Watch(source);
    await watch.until("a block", () => watch.path.length === 1);
    await source.close();
    expect(watch.events).toHaveLength(1);
  });
});
