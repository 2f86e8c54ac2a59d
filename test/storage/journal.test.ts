import fs from "node:fs";
import path from "node:path";
import { expect, test } from "vitest";
import { type FileJournal, openJournal, type WriteFile } from "../../src/storage/journal.ts";
import { faultOf } from "../compliance/completion.ts";
import { append, compact, floorAt, journalCompliance, loadTexts } from "../compliance/journal.ts";
import { smallDisk, temporaryDirectory } from "./directories.ts";
import { journalKey as key } from "./fixtures.ts";

function close(journal: FileJournal): Promise<void> {
  return new Promise((resolve) => journal.close(resolve));
}

journalCompliance("files", () => {
  const dir = temporaryDirectory();
  const journal = openJournal({ dir, key });
  const reopen = async (): Promise<FileJournal> => {
    await close(journal);
    return openJournal({ dir, key });
  };
  return Promise.resolve({ journal, reopen });
});

/** A closed journal of ten groups; returns its two files and the length of what is in them. */
async function tenGroups(): Promise<{ dir: string; a: string; b: string; length: number; ends: number[] }> {
  const dir = temporaryDirectory();
  const journal = openJournal({ dir, key });
  journal.load();
  const ends: number[] = [];
  for (let number = 0; number < 10; number++) {
    await append(journal, `record ${number} ${"x".repeat(100 * number)}`);
    ends.push(journal.size());
  }
  await close(journal);
  return { dir, a: path.join(dir, "journal-a"), b: path.join(dir, "journal-b"), length: ends.at(-1) ?? 0, ends };
}

const TEN = Array.from({ length: 10 }, (_, number) => `record ${number}`);

/** What a fresh process finds: the first two words of each record, and which copies it repaired. */
async function reload(dir: string): Promise<{ texts: string[]; repaired: string[] }> {
  const journal = openJournal({ dir, key });
  const texts = loadTexts(journal).texts.map((text) => text.split(" ").slice(0, 2).join(" "));
  await close(journal);
  return { texts, repaired: journal.repaired.map((file) => path.basename(file)) };
}

function flip(file: string, offset: number): void {
  const bytes = fs.readFileSync(file);
  bytes[offset] = (bytes[offset] ?? 0) ^ 0x10;
  fs.writeFileSync(file, bytes);
}

function zero(file: string, from: number, to: number): void {
  fs.writeFileSync(file, fs.readFileSync(file).fill(0, from, to));
}

test("a byte flipped anywhere in one copy is healed from the other", async () => {
  const { dir, a, b, length } = await tenGroups();
  const whole = fs.readFileSync(a).subarray(0, length);
  for (let offset = 0; offset < length; offset += 97) {
    flip(offset % 2 === 0 ? a : b, offset);
    expect(await reload(dir)).toEqual({ texts: TEN, repaired: [offset % 2 === 0 ? "journal-a" : "journal-b"] });
    expect(fs.readFileSync(a).equals(whole)).toBe(true);
    expect(fs.readFileSync(b).subarray(0, length).equals(whole)).toBe(true);
  }
});

test("copies damaged at different places heal each other", async () => {
  const { dir, a, b, ends } = await tenGroups();
  flip(a, (ends[2] ?? 0) + 40);
  flip(b, (ends[5] ?? 0) + 40);
  zero(a, ends[7] ?? 0, (ends[7] ?? 0) + 400);
  expect(await reload(dir)).toEqual({ texts: TEN, repaired: ["journal-a", "journal-b"] });
});

test("a copy that is missing, empty or cut is made again from the other", async () => {
  for (const harm of [
    fs.rmSync,
    (file: string) => fs.truncateSync(file, 0),
    (file: string) => fs.truncateSync(file, 500),
  ]) {
    const { dir, a } = await tenGroups();
    harm(a);
    expect(await reload(dir)).toEqual({ texts: TEN, repaired: ["journal-a"] });
    expect(await reload(dir)).toEqual({ texts: TEN, repaired: [] });
  }
});

test("a torn tail is cut, wherever it was torn in either copy", async () => {
  const { dir, a, b, ends, length } = await tenGroups();
  const start = ends[8] ?? 0;
  const whole = fs.readFileSync(a).subarray(0, length);
  for (const [cutA, cutB] of [
    [start + 1, start],
    [start + 30, start + 700],
    [length - 1, length - 1],
  ] as const) {
    fs.writeFileSync(a, whole.subarray(0, cutA));
    fs.writeFileSync(b, whole.subarray(0, cutB));
    expect((await reload(dir)).texts).toEqual(TEN.slice(0, 9));
  }
  // A power cut may also leave the end of the group and not its middle.
  fs.writeFileSync(a, Buffer.from(whole).fill(0, start + 100, start + 600));
  fs.writeFileSync(b, Buffer.from(whole).fill(0, start, start + 50));
  expect((await reload(dir)).texts).toEqual(TEN.slice(0, 9));
});

test("journal.damaged: a hole in both copies at the same place, with file and offset", async () => {
  const { dir, a, b, ends } = await tenGroups();
  const offset = ends[4] ?? 0;
  flip(a, offset + 30);
  zero(b, offset, offset + 50);
  const before = fs.readFileSync(a);
  expect(() => openJournal({ dir, key })).toThrow(expect.objectContaining({ code: "journal.damaged" }));
  expect(() => openJournal({ dir, key })).toThrow(`${a} at offset ${offset}: group 5 is lost`);
  // Nothing is touched: somebody may still want to look.
  expect(fs.readFileSync(a).equals(before)).toBe(true);
});

test("journal.damaged: no copy has a header", async () => {
  const { dir, a, b } = await tenGroups();
  flip(a, 30);
  fs.rmSync(b);
  expect(() => openJournal({ dir, key })).toThrow(expect.objectContaining({ code: "journal.damaged" }));
});

test("journal.damaged: two whole copies that disagree", async () => {
  const { dir, b } = await tenGroups();
  const fork = openJournal({ dir, key });
  fork.load();
  const before = fs.readFileSync(b);
  await append(fork, "one");
  await close(fork);
  const one = fs.readFileSync(b);
  fs.writeFileSync(path.join(dir, "journal-a"), before);
  fs.writeFileSync(b, before);
  const other = openJournal({ dir, key });
  other.load();
  await append(other, "two");
  await close(other);
  fs.writeFileSync(b, one);
  expect(() => openJournal({ dir, key })).toThrow("the two copies disagree");
});

test("a group that does not follow the one before it is not taken, whole as it is", async () => {
  const { dir, a, b, ends } = await tenGroups();
  const base = fs.readFileSync(a);
  const histories: Buffer[] = [];
  for (const text of ["one", "two"]) {
    for (const file of [a, b]) fs.writeFileSync(file, base);
    const journal = openJournal({ dir, key });
    journal.load();
    for (const number of [10, 11]) await append(journal, `${text} ${number}`);
    await close(journal);
    histories.push(fs.readFileSync(a));
  }
  const [one, two] = histories;
  if (one === undefined || two === undefined) throw new Error("no histories");
  // Both last groups are 20 + 4 + 6 + 16 bytes long; the second one comes from the other history.
  const middle = (ends.at(-1) ?? 0) + 46;
  for (const file of [a, b]) fs.writeFileSync(file, Buffer.concat([one.subarray(0, middle), two.subarray(middle)]));
  expect((await reload(dir)).texts).toEqual([...TEN, "one 10"]);
});

test("journal.other-key", async () => {
  const { dir } = await tenGroups();
  expect(() => openJournal({ dir, key: "cd".repeat(32) })).toThrow(
    expect.objectContaining({ code: "journal.other-key" }),
  );
});

test("a crash between the two renames of a compaction keeps the compaction", async () => {
  const { dir, a, b } = await tenGroups();
  const old = fs.readFileSync(b);
  const journal = openJournal({ dir, key });
  journal.load();
  await compact(journal, floorAt(9), "kept");
  await close(journal);
  fs.writeFileSync(b, old);
  fs.writeFileSync(`${a}.tmp`, "left over");
  const again = openJournal({ dir, key });
  expect(loadTexts(again)).toEqual({ floor: floorAt(9), texts: ["kept"] });
  expect(again.repaired.map((file) => path.basename(file))).toEqual(["journal-b"]);
  expect(fs.readdirSync(dir).sort()).toEqual(["journal-a", "journal-b"]);
  await close(again);
});

test("a record that holds the bytes of a group's head is only a record", async () => {
  const { dir, a, b, ends } = await tenGroups();
  const journal = openJournal({ dir, key });
  journal.load();
  const head = fs.readFileSync(a).subarray(ends[8], (ends[8] ?? 0) + 20);
  await new Promise((resolve) => journal.append([Buffer.from(head), new Uint8Array(3000)], resolve));
  await close(journal);
  for (const file of [a, b]) fs.truncateSync(file, (ends[9] ?? 0) + 1000);
  expect((await reload(dir)).texts).toEqual(TEN);
});

test("created tells a new journal from one that was there", async () => {
  const dir = temporaryDirectory();
  const journal = openJournal({ dir, key });
  expect(journal.created).toBe(true);
  await close(journal);
  expect(openJournal({ dir, key }).created).toBe(false);
});

/** Writes until told to fail, then fails every time; what fails may leave half of its bytes. */
function failing(code: string): { readonly write: WriteFile; fail: boolean; readonly written: number[] } {
  const state = {
    fail: false,
    written: [] as number[],
    write: (fd: number, bytes: Uint8Array, position: number, done: (error: Error | null) => void): void => {
      const part = state.fail ? bytes.subarray(0, bytes.length / 2) : bytes;
      fs.writeSync(fd, part, 0, part.length, position);
      state.written.push(part.length);
      setImmediate(() => done(state.fail ? Object.assign(new Error(code), { code }) : null));
    },
  };
  return state;
}

for (const [errno, code] of [
  ["EIO", "journal.failed"],
  ["ENOSPC", "disk.full"],
] as const) {
  test(`${code}: after one failed write every append fails, and what was acknowledged stays`, async () => {
    const dir = temporaryDirectory();
    const disk = failing(errno);
    const journal = openJournal({ dir, key }, disk.write);
    journal.load();
    await append(journal, "a", "b");
    disk.fail = true;
    const calls = ["c", "d", "e"].map((text) => faultOf((done) => journal.append([Buffer.from(text)], done)));
    expect((await Promise.all(calls)).map((fault) => fault.code)).toEqual([code, code, code]);
    disk.fail = false;
    const written = disk.written.length;
    expect((await faultOf((done) => journal.append([Buffer.from("f")], done))).code).toBe(code);
    expect((await faultOf((done) => journal.compact(floorAt(1), [], done))).code).toBe(code);
    expect(disk.written).toHaveLength(written);
    expect(journal.fault()?.code).toBe(code);
    await close(journal);
    expect(loadTexts(openJournal({ dir, key })).texts).toEqual(["a", "b"]);
  });
}

test("a compaction that cannot be prepared leaves the journal as it was", async () => {
  const dir = temporaryDirectory();
  const journal = openJournal({ dir, key });
  journal.load();
  await append(journal, "a");
  fs.mkdirSync(path.join(dir, "journal-b.tmp"));
  expect((await faultOf((done) => journal.compact(floorAt(1), [], done))).code).toBe("journal.failed");
  await append(journal, "b");
  await close(journal);
  fs.rmdirSync(path.join(dir, "journal-b.tmp"));
  expect(loadTexts(openJournal({ dir, key }))).toEqual({ floor: null, texts: ["a", "b"] });
});

test("journal.busy: more than the queue holds ends the journal, so no later append jumps an earlier one", async () => {
  const journal = openJournal({ dir: temporaryDirectory(), key });
  journal.load();
  const record = new Uint8Array(1024 * 1024);
  const codes: string[] = [];
  await new Promise<void>((resolve) => {
    let waiting = 40;
    for (let number = 0; number < 40; number++) {
      journal.append([number === 39 ? new Uint8Array() : record], (result) => {
        codes.push(result.ok ? "ok" : result.fault.code);
        if (--waiting === 0) resolve();
      });
    }
  });
  const refused = codes.filter((code) => code === "journal.busy");
  expect(refused.length).toBeGreaterThan(1);
  expect(codes.filter((code) => code === "ok")).toHaveLength(40 - refused.length);
  await close(journal);
});

test("a record over the limit breaks the caller's invariant", () => {
  const journal = openJournal({ dir: temporaryDirectory(), key });
  journal.load();
  expect(() => journal.append([new Uint8Array(1024 * 1024 + 1)], () => undefined)).toThrow(RangeError);
});

test("journal.closed", async () => {
  const journal = openJournal({ dir: temporaryDirectory(), key });
  journal.load();
  const last = append(journal, "a");
  await close(journal);
  await last;
  expect((await faultOf((done) => journal.append([], done))).code).toBe("journal.closed");
});

test("disk.full on a full file system: nothing acknowledged is lost, and opened again it goes on", async ({ skip }) => {
  const dir = smallDisk("3m") ?? skip("this process has no right to mount a small file system");
  const ballast = path.join(dir, "ballast");
  fs.writeFileSync(ballast, Buffer.alloc(1024 * 1024));
  const journal = openJournal({ dir, key });
  journal.load();
  let acknowledged = 0;
  let fault: { readonly code: string } | null = null;
  while (fault === null) {
    const record = Buffer.alloc(10_000, acknowledged);
    fault = await new Promise((resolve) => {
      journal.append([record], (result) => resolve(result.ok ? null : result.fault));
    });
    if (fault === null) acknowledged++;
  }
  expect(fault.code).toBe("disk.full");
  await close(journal);
  fs.rmSync(ballast);
  const again = openJournal({ dir, key });
  const { records } = again.load();
  expect(records.slice(0, acknowledged).map((record) => record[0])).toEqual(
    Array.from({ length: acknowledged }, (_, number) => number % 256),
  );
  expect(records.length - acknowledged).toBeLessThanOrEqual(1);
  await append(again, "goes on");
  await close(again);
});
