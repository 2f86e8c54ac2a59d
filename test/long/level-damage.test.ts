/**
 * What the store makes of the damage that LevelDB passes over or dies of. The rule for every row: this process lives,
 * the store opens, and no value is ever wrong; what is lost is lost and can be had from peers.
 */
import { spawn } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import { Level } from "level";
import { expect, onTestFinished, test } from "vitest";
import { type LevelStore, openLevelStore, type StoreReport } from "../../src/storage/level.ts";
import { faultOf } from "../compliance/completion.ts";
import { batch, certificate, load, write } from "../compliance/store.ts";
import { smallDisk, temporaryDirectory } from "../storage/directories.ts";
import { heldClock, recordingTelemetry, type HeldClock, type RecordingTelemetry } from "../storage/world.ts";

const alice = "0a".repeat(32);
const COUNT = 1000;

interface Opened {
  readonly store: LevelStore;
  readonly report: StoreReport;
  readonly clock: HeldClock;
  readonly telemetry: RecordingTelemetry;
}

async function open(dir: string): Promise<Opened> {
  const clock = heldClock();
  const telemetry = recordingTelemetry();
  const { store, report } = await openLevelStore({ dir }, { clock, telemetry });
  onTestFinished(() => store.close());
  return { store, report, clock, telemetry };
}

/** A thousand batches that a process has left without closing them, in the log or in a table. */
async function filled(place: "log" | "table"): Promise<string> {
  const dir = path.join(temporaryDirectory(), "level");
  const { store } = await open(dir);
  for (let number = 0; number < COUNT; number++) {
    void write(store, { batches: [batch(alice, number, textOf(number))] });
  }
  await write(store, { certificates: [certificate(1, 5)], sync: true });
  await store.close();
  if (place === "table") {
    const db = new Level(dir);
    await db.open();
    // Everything into tables of the lowest level, as after a long run.
    await (db as unknown as { compactRange(from: string, to: string): Promise<void> }).compactRange("a", "z");
    await db.close();
  }
  fs.rmSync(`${dir}.clean`, { force: true });
  return dir;
}

function textOf(number: number): string {
  return `${number} ${"abcdefghij".repeat(20)}${number * 7919}`;
}

/** The largest file with that ending: where the thousand are. */
function fileIn(dir: string, suffix: string): string {
  const names = fs.readdirSync(dir).filter((name) => name.endsWith(suffix) || name.startsWith(suffix));
  const files = names.map((name) => path.join(dir, name));
  const [largest] = files.sort((a, b) => fs.statSync(b).size - fs.statSync(a).size);
  if (largest === undefined) throw new Error(`no ${suffix} in ${dir}`);
  return largest;
}

function change(file: string, edit: (bytes: Buffer) => Buffer): void {
  fs.writeFileSync(file, edit(fs.readFileSync(file)));
}

function flipped(bytes: Buffer, offset: number): Buffer {
  bytes[offset] = (bytes[offset] ?? 0) ^ 0x04;
  return bytes;
}

/** Loads, checks that nothing is wrong, and says how much is left. */
async function survivors(store: LevelStore): Promise<number> {
  const { batches } = await load(store);
  for (const { number, bytes } of batches) expect(new TextDecoder().decode(bytes)).toBe(textOf(number));
  // A store that has been opened takes writes.
  await write(store, { batches: [batch(alice, COUNT)] });
  return batches.length;
}

const half = (bytes: Buffer): number => Math.floor(bytes.length / 2);

interface Row {
  readonly name: string;
  readonly place: "log" | "table";
  readonly harm: (dir: string) => void;
  /** Whether the directory cannot be kept. */
  readonly replaced: boolean;
  readonly leftMin: number;
}

const rows: readonly Row[] = [
  {
    name: "log, one byte flipped in the middle",
    place: "log",
    harm: (dir) => change(fileIn(dir, ".log"), (bytes) => flipped(bytes, half(bytes))),
    replaced: false,
    leftMin: 700,
  },
  {
    name: "log, 4 KiB zeroed in the middle",
    place: "log",
    harm: (dir) => change(fileIn(dir, ".log"), (bytes) => bytes.fill(0, half(bytes), half(bytes) + 4096)),
    replaced: false,
    leftMin: 700,
  },
  {
    name: "log, torn tail",
    place: "log",
    harm: (dir) => change(fileIn(dir, ".log"), (bytes) => bytes.subarray(0, -150)),
    replaced: false,
    leftMin: 900,
  },
  {
    name: "log, last 4 KiB zeroed",
    place: "log",
    harm: (dir) => change(fileIn(dir, ".log"), (bytes) => bytes.fill(0, bytes.length - 4096)),
    replaced: false,
    leftMin: 900,
  },
  { name: "log deleted", place: "log", harm: (dir) => fs.rmSync(fileIn(dir, ".log")), replaced: false, leftMin: 0 },
  {
    name: "table, 8 KiB zeroed",
    place: "table",
    harm: (dir) => change(fileIn(dir, ".ldb"), (bytes) => bytes.fill(0, half(bytes), half(bytes) + 8192)),
    replaced: true,
    leftMin: 0,
  },
  { name: "table deleted", place: "table", harm: (dir) => fs.rmSync(fileIn(dir, ".ldb")), replaced: true, leftMin: 0 },
  {
    name: "table cut to half",
    place: "table",
    harm: (dir) => change(fileIn(dir, ".ldb"), (bytes) => bytes.subarray(0, half(bytes))),
    replaced: true,
    leftMin: 0,
  },
  {
    name: "MANIFEST deleted",
    place: "table",
    harm: (dir) => fs.rmSync(fileIn(dir, "MANIFEST-")),
    replaced: true,
    leftMin: 0,
  },
  {
    name: "CURRENT emptied",
    place: "table",
    harm: (dir) => fs.truncateSync(path.join(dir, "CURRENT")),
    replaced: true,
    leftMin: 0,
  },
];

for (const { name, place, harm, replaced, leftMin } of rows) {
  test(name, async () => {
    const dir = await filled(place);
    harm(dir);
    const { store, report } = await open(dir);
    expect(report.replaced !== null).toBe(replaced);
    expect(fs.existsSync(`${dir}.damaged-1`)).toBe(replaced);
    const left = await survivors(store);
    expect(left).toBeGreaterThanOrEqual(leftMin);
    if (replaced) expect(left).toBe(0);
  });
}

test("table, bits flipped anywhere: never a wrong value", { timeout: 20_000 }, async () => {
  const dir = await filled("table");
  const whole = fs.readFileSync(fileIn(dir, ".ldb"));
  const parent = path.dirname(dir);
  let dropped = 0;
  for (let turn = 0; turn < 8; turn++) {
    const copy = path.join(parent, `copy-${turn}`, "level");
    fs.cpSync(dir, copy, { recursive: true });
    // Spread over the table, its index included.
    const offset = Math.floor(((turn + 0.5) / 8) * whole.length);
    change(fileIn(copy, ".ldb"), (bytes) => flipped(bytes, offset));
    const { store } = await open(copy);
    const left = await survivors(store);
    expect(left).toBeLessThanOrEqual(COUNT);
    dropped += store.damaged();
    await store.close();
  }
  expect(dropped).toBeGreaterThan(0);
});

test("a damaged value is counted, dropped, and gone from the disk", async () => {
  const dir = path.join(temporaryDirectory(), "level");
  const first = await open(dir);
  await write(first.store, { batches: [batch(alice, 1), batch(alice, 2)], certificates: [certificate(1, 5)] });
  await first.store.close();
  const db = new Level<Buffer, Buffer>(dir, { keyEncoding: "buffer", valueEncoding: "buffer" });
  for await (const [key, value] of db.iterator()) {
    if (key.at(-1) !== 2) await db.put(key, flipped(Buffer.from(value), value.length - 1));
  }
  await db.close();

  const { store, telemetry } = await open(dir);
  const found = await load(store);
  expect(found.batches.map(({ number }) => number)).toEqual([2]);
  expect(found.certificates).toEqual([]);
  expect(store.damaged()).toBe(2);
  expect([...telemetry.counts]).toEqual([
    ["store.damaged b", 1],
    ["store.damaged c", 1],
  ]);
  await new Promise((resolve) => store.certificate(certificate(1, 5).block, resolve));
  expect(store.damaged()).toBe(3);
  await store.close();
  const again = await open(dir);
  await load(again.store);
  expect(again.store.damaged()).toBe(0);
});

test("a value that a peer brought again is not dropped", async () => {
  const dir = path.join(temporaryDirectory(), "level");
  const first = await open(dir);
  await write(first.store, { batches: [batch(alice, 1, "old")] });
  await first.store.close();
  const db = new Level<Buffer, Buffer>(dir, { keyEncoding: "buffer", valueEncoding: "buffer" });
  for await (const [key, value] of db.iterator()) await db.put(key, flipped(Buffer.from(value), value.length - 1));
  await db.close();
  const { store } = await open(dir);
  const loading = load(store);
  await write(store, { batches: [batch(alice, 1, "new")] });
  await loading;
  await store.close();
  const { batches } = await load((await open(dir)).store);
  expect(batches.map(({ bytes }) => new TextDecoder().decode(bytes))).toEqual(["new"]);
});

test("damage met while running: the directory is replaced and what was loaded is kept", async () => {
  const dir = await filled("table");
  // A clean end, so that nobody has read the table before this process does.
  fs.writeFileSync(`${dir}.clean`, "");
  change(fileIn(dir, ".ldb"), (bytes) => {
    // A byte in a block's list of restart points makes LevelDB itself say that the block is damaged.
    return bytes.fill(0xff, half(bytes), half(bytes) + 4096);
  });
  const { store, clock, telemetry } = await open(dir);
  const { batches } = await load(store);
  expect(batches.length).toBeLessThan(COUNT);
  for (const { number, bytes } of batches) expect(new TextDecoder().decode(bytes)).toBe(textOf(number));
  expect((await faultOf((done) => store.write({ batches: [batch(alice, 1)] }, done))).code).toBe("store.damaged");
  clock.fire();
  await until(() => store.fault() === null);
  expect(telemetry.events).toEqual(["store.failed", "store.replaced", "store.reopened"]);
  expect((await load(store)).batches).toEqual(batches);
  await write(store, { batches: [batch(alice, COUNT)] });
});

test("only the last two damaged directories are kept", async () => {
  const dir = path.join(temporaryDirectory(), "level");
  for (let turn = 0; turn < 4; turn++) {
    const { store } = await open(dir);
    await store.close();
    fs.truncateSync(path.join(dir, "CURRENT"));
  }
  await open(dir);
  const names = fs.readdirSync(path.dirname(dir)).filter((name) => name.includes("damaged"));
  expect(names.sort()).toEqual(["level.damaged-3", "level.damaged-4"]);
});

test("a process that was killed leaves a store that opens with everything acknowledged", async () => {
  const dir = path.join(temporaryDirectory(), "level");
  const child = spawn(process.execPath, [path.join(import.meta.dirname, "../storage/level-child.ts"), dir], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const acknowledged = await new Promise<number>((resolve) => {
    let printed = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      printed += text;
      if (printed.split("\n").length > 200) child.kill("SIGKILL");
    });
    child.on("close", () => resolve(Number(printed.trim().split("\n").at(-1))));
  });
  const { store, report } = await open(dir);
  expect(report.scrubbed?.damaged).toBe(0);
  expect((await load(store)).batches.length).toBeGreaterThan(acknowledged);
});

/** Turns of the event loop until it is so; the test's own limit ends a wait that never does. */
async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setImmediate(resolve));
}

test("disk.full: writes fail, nothing acknowledged is lost, and writes go on with space", async ({ skip }) => {
  const disk = smallDisk("10m") ?? skip("this process has no right to mount a small file system");
  const { store, clock, telemetry } = await open(path.join(disk, "level"));
  let acknowledged = 0;
  let fault: { readonly code: string } | null = null;
  // Random text: LevelDB would compress anything else to nothing.
  const incompressible = (): string => Buffer.from(crypto.getRandomValues(new Uint8Array(8192))).toString("latin1");
  fs.writeFileSync(path.join(disk, "ballast"), Buffer.alloc(7 * 1024 * 1024));
  while (fault === null) {
    const value = incompressible();
    const number = acknowledged;
    fault = await new Promise((resolve) => {
      store.write({ batches: [batch(alice, number, value)] }, (result) => resolve(result.ok ? null : result.fault));
    });
    if (fault === null) acknowledged++;
  }
  expect(fault.code).toBe("disk.full");
  expect((await faultOf((done) => store.write({ batches: [batch(alice, 0)] }, done))).code).toBe("disk.full");
  // Still full: it waits longer each time, but never ten seconds.
  for (const delayMs of [250, 500, 1000, 2000, 4000, 4000]) {
    expect(clock.delaysMs).toEqual([delayMs]);
    clock.fire();
    await until(() => clock.delaysMs.length > 0 || store.fault() === null);
    if (store.fault() === null) break;
  }
  fs.rmSync(path.join(disk, "ballast"));
  if (store.fault() !== null) {
    clock.fire();
    await until(() => store.fault() === null);
  }
  expect(telemetry.events).toEqual(["store.failed", "store.reopened"]);
  await write(store, { batches: [batch(alice, acknowledged)] });
  expect((await load(store)).batches).toHaveLength(acknowledged + 1);
  await store.close();
});
