/** Files of many ranges, over real sockets. */
import { afterAll, expect, test } from "vitest";
import type { Artefacts } from "../../src/ports.ts";
import { encodeOpening } from "../../src/protocol/opening.ts";
import { closeAll, fetched, sha256, startNodes, type TestNode } from "./fixture.ts";

const MIB = 1024 * 1024;
const FILE = new Uint8Array(9 * MIB).map((_, at) => (at * 2654435761) >>> 24);
/** 9 MiB in ranges of 4. */
const RANGES = 3;

/** Answers so many ranges and then has nothing more, like one that dies in between. */
function serving(node: TestNode, bytes: Uint8Array, ranges: number): void {
  node.artefacts.files.set(sha256(FILE), bytes);
  const whole: Artefacts["readPart"] = node.artefacts.readPart.bind(node.artefacts);
  let left = ranges;
  node.artefacts.readPart = (hash, offset, bytesMax, done) =>
    left-- > 0 ? whole(hash, offset, bytesMax, done) : done({ ok: true, value: null });
}

const nodes: TestNode[] = [];
afterAll(() => closeAll(nodes));

async function some(count: number): Promise<TestNode[]> {
  const started = await startNodes(count);
  nodes.push(...started);
  return started;
}

const answered = (node: TestNode): number => node.count("network.request artefact.answered");

test.concurrent("a file goes on at the next peer where the one before broke off", async () => {
  const [a, b, c] = (await some(3)) as [TestNode, TestNode, TestNode];
  serving(b, FILE, 2);
  serving(c, FILE, 100);
  expect(await fetched(a, b, sha256(FILE), 32 * MIB)).toMatchObject({ fault: { code: "artefact.absent" } });
  expect(await fetched(a, c, sha256(FILE), 32 * MIB)).toMatchObject({ ok: true });
  expect(Buffer.from(a.artefacts.files.get(sha256(FILE)) ?? []).equals(FILE)).toBe(true);
  // The first one tells the length, and the one that was still missing.
  expect(answered(c)).toBe(1 + RANGES - 2);
});

test.concurrent("what one peer has falsified is sent again by the next, whole, and never becomes an artefact", async () => {
  const [a, b, c] = (await some(3)) as [TestNode, TestNode, TestNode];
  serving(b, new Uint8Array(FILE.length).fill(1), 2);
  serving(c, FILE, 100);
  expect(await fetched(a, b, sha256(FILE), 32 * MIB)).toMatchObject({ ok: false });
  expect(await fetched(a, c, sha256(FILE), 32 * MIB)).toMatchObject({ ok: true });
  expect(Buffer.from(a.artefacts.files.get(sha256(FILE)) ?? []).equals(FILE)).toBe(true);
});

test.concurrent("artefact.wrong-bytes: a peer whose whole file is of another hash", async () => {
  const [a, b] = (await some(2)) as [TestNode, TestNode];
  serving(b, new Uint8Array(FILE.length).fill(1), 100);
  expect(await fetched(a, b, sha256(FILE), 32 * MIB)).toMatchObject({ fault: { code: "artefact.wrong-bytes" } });
  expect(a.artefacts.files.size).toBe(0);
});

test.concurrent("the opening of a commitment goes to a peer that may have it, whole, and to nobody else", async () => {
  const [a, b] = (await some(2)) as [TestNode, TestNode];
  const file = encodeOpening({ prover: sha256(FILE), nonce: new Uint8Array(32), artefact: sha256(FILE), bytes: 1 });
  const other = new Uint8Array(file.length);
  for (const each of [file, other]) b.artefacts.files.set(sha256(each), each);
  expect(await fetched(a, b, sha256(file), 32 * MIB)).toMatchObject({ fault: { code: "artefact.absent" } });
  const asked: string[] = [];
  let isSecret = true;
  b.handler.withholds = (peer, artefact, bytes) => {
    asked.push(`${peer} ${artefact} ${sha256(bytes)}`);
    return isSecret && artefact === sha256(file);
  };
  expect(await fetched(a, b, sha256(file), 32 * MIB)).toMatchObject({ fault: { code: "artefact.absent" } });
  expect(await fetched(a, b, sha256(other), 32 * MIB)).toMatchObject({ ok: true });
  isSecret = false;
  expect(await fetched(a, b, sha256(file), 32 * MIB)).toMatchObject({ ok: true });
  expect(asked).toEqual([file, other, file].map((each) => `${a.network.key} ${sha256(each)} ${sha256(each)}`));
});

test.concurrent("artefact.too-large: a file that is longer than it may be is refused before its first range", async () => {
  const [a, b] = (await some(2)) as [TestNode, TestNode];
  serving(b, FILE, 100);
  expect(await fetched(a, b, sha256(FILE), 8 * MIB)).toMatchObject({ fault: { code: "artefact.too-large" } });
});
