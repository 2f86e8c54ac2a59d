import { spawn } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import { expect, test } from "vitest";
import { openDirectory } from "../../src/storage/directory.ts";
import { lockDirectory } from "../../src/storage/lock.ts";
import { smallDisk, temporaryDirectory } from "./directories.ts";

const network = "11".repeat(32);
const other = "22".repeat(32);

function refusal(run: () => unknown): { readonly code: string; readonly message: string } {
  try {
    run();
  } catch (error) {
    return error as { readonly code: string; readonly message: string };
  }
  throw new Error("it was accepted");
}

test("a directory is made, and opened again after it was released", () => {
  const dir = path.join(temporaryDirectory(), "a", "node");
  const first = openDirectory({ dir, network });
  expect(first).toMatchObject({
    dir,
    journal: dir,
    level: path.join(dir, "level"),
    artefacts: path.join(dir, "artefacts"),
  });
  expect(fs.statSync(dir).mode & 0o077).toBe(0);
  first.lock.release();
  const second = openDirectory({ dir, network });
  expect(second.lock.instance).not.toBe(first.lock.instance);
  second.lock.release();
});

test("data.other-network names both, and leaves the directory free", () => {
  const dir = temporaryDirectory();
  openDirectory({ dir, network }).lock.release();
  const { code, message } = refusal(() => openDirectory({ dir, network: other }));
  expect(code).toBe("data.other-network");
  expect(message).toContain(network);
  expect(message).toContain(other);
  openDirectory({ dir, network }).lock.release();
});

test("data.format", () => {
  const dir = temporaryDirectory();
  fs.writeFileSync(path.join(dir, "format"), "2\n");
  expect(refusal(() => openDirectory({ dir, network }))).toMatchObject({
    code: "data.format",
    message: `${dir} has format "2"; this program knows 1`,
  });
});

test("data.not-writable: a file in its place, or a read-only file system", () => {
  const file = path.join(temporaryDirectory(), "file");
  fs.writeFileSync(file, "");
  expect(refusal(() => openDirectory({ dir: file, network })).code).toBe("data.not-writable");
  expect(refusal(() => openDirectory({ dir: path.join(file, "node"), network })).code).toBe("data.not-writable");
  // Nobody may make a directory there, and Node's recursive way of trying never ends.
  if (fs.existsSync("/proc/self")) {
    expect(refusal(() => openDirectory({ dir: "/proc/proofmesh", network })).code).toBe("data.not-writable");
  }
});

test("disk.full", ({ skip }) => {
  const dir = smallDisk("64k") ?? skip("this process has no right to mount a small file system");
  let written = 0;
  const fd = fs.openSync(path.join(dir, "ballast"), "w");
  try {
    for (;;) written += fs.writeSync(fd, Buffer.alloc(4096));
  } catch {
    expect(written).toBeGreaterThan(0);
  } finally {
    fs.closeSync(fd);
  }
  expect(refusal(() => openDirectory({ dir, network })).code).toBe("disk.full");
});

test("data.locked: by this process, naming directory and process", () => {
  const dir = temporaryDirectory();
  const lock = lockDirectory(dir);
  expect(refusal(() => lockDirectory(dir))).toMatchObject({
    code: "data.locked",
    message: `${dir} is in use by process ${process.pid}`,
  });
  lock.release();
  lock.release();
  const next = lockDirectory(dir);
  // A lock given back twice must not give back the next one's.
  lock.release();
  expect(refusal(() => lockDirectory(dir)).code).toBe("data.locked");
  next.release();
});

function content(dir: string): { pid: number; boot: string; started: string } {
  const name = fs.readdirSync(dir).find((one) => one.startsWith("lock."));
  return JSON.parse(fs.readFileSync(path.join(dir, name ?? ""), "utf8")) as ReturnType<typeof content>;
}

test("a lock left by another boot, a dead process, a pid given away or a power cut is taken over", () => {
  const base = temporaryDirectory();
  lockDirectory(base);
  const own = content(base);
  const left = [
    JSON.stringify({ ...own, boot: "another" }),
    JSON.stringify({ ...own, pid: 2 ** 22 + 1 }),
    JSON.stringify({ ...own, started: "1" }),
    "",
    '{"pid":',
    "null",
  ];
  for (const text of left) {
    const dir = temporaryDirectory();
    fs.writeFileSync(path.join(dir, "lock.7"), text);
    const lock = lockDirectory(dir);
    expect(fs.readdirSync(dir)).toEqual(["lock.8"]);
    lock.release();
  }
});

/** Starts a process that tries for the lock and holds it until its input ends. */
function contender(dir: string): { readonly answer: Promise<string>; readonly kill: () => Promise<void> } {
  const child = spawn(process.execPath, [path.join(import.meta.dirname, "lock-child.ts"), dir], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const ended = new Promise<void>((resolve) => child.on("close", () => resolve()));
  const answer = new Promise<string>((resolve) => {
    child.stdout.setEncoding("utf8").on("data", (text: string) => resolve(text.trim()));
  });
  const kill = (): Promise<void> => {
    child.kill("SIGKILL");
    return ended;
  };
  return { answer, kill };
}

test("of many processes that find a stale lock at once one gets it, and it is free when that one is killed", async () => {
  const dir = temporaryDirectory();
  const first = contender(dir);
  expect(await first.answer).toBe("locked");
  expect(refusal(() => lockDirectory(dir)).code).toBe("data.locked");
  await first.kill();
  const contenders = Array.from({ length: 6 }, () => contender(dir));
  const answers = await Promise.all(contenders.map(({ answer }) => answer));
  expect(answers.sort()).toEqual([...Array.from({ length: 5 }, () => "data.locked"), "locked"]);
  for (const { kill } of contenders) await kill();
  lockDirectory(dir).release();
});
