import { spawn } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { bindDirectory, openDirectory } from "../../src/storage/directory.ts";
import { lockDirectory } from "../../src/storage/lock.ts";
import { smallDisk, temporaryDirectory } from "./directories.ts";

const network = "11".repeat(32);
const other = "22".repeat(32);

async function refusal(run: () => Promise<unknown>): Promise<{ readonly code: string; readonly message: string }> {
  try {
    await run();
  } catch (error) {
    return error as { readonly code: string; readonly message: string };
  }
  throw new Error("it was accepted");
}

test("a directory is made, and opened again after it was released", async () => {
  const dir = path.join(temporaryDirectory(), "a", "node");
  const first = await openDirectory(dir);
  expect(first).toMatchObject({
    dir,
    journal: dir,
    level: path.join(dir, "level"),
    artefacts: path.join(dir, "artefacts"),
  });
  expect(fs.statSync(dir).mode & 0o077).toBe(0);
  await first.lock.release();
  const second = await openDirectory(dir);
  await second.lock.release();
});

test("data.other-network names both", async () => {
  const directory = await openDirectory(temporaryDirectory());
  bindDirectory(directory, network);
  bindDirectory(directory, network);
  const { code, message } = await refusal(async () => bindDirectory(directory, other));
  expect(code).toBe("data.other-network");
  expect(message).toContain(network);
  expect(message).toContain(other);
  await directory.lock.release();
});

test("data.format, which leaves the directory free", async () => {
  const dir = temporaryDirectory();
  fs.writeFileSync(path.join(dir, "format"), "2\n");
  expect(await refusal(() => openDirectory(dir))).toMatchObject({
    code: "data.format",
    message: `${dir} has format "2"; this program knows 1`,
  });
  fs.writeFileSync(path.join(dir, "format"), "1\n");
  await (await openDirectory(dir)).lock.release();
});

test("data.not-writable: a file in its place, or a read-only file system", async () => {
  const file = path.join(temporaryDirectory(), "file");
  fs.writeFileSync(file, "");
  expect((await refusal(() => openDirectory(file))).code).toBe("data.not-writable");
  expect((await refusal(() => openDirectory(path.join(file, "node")))).code).toBe("data.not-writable");
  // Nobody may make a directory there, and Node's recursive way of trying never ends.
  if (fs.existsSync("/proc/self")) {
    expect((await refusal(() => openDirectory("/proc/proofmesh"))).code).toBe("data.not-writable");
  }
});

test("disk.full", async ({ skip }) => {
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
  expect((await refusal(() => openDirectory(dir))).code).toBe("disk.full");
});

test("data.locked: by this process, naming directory and process", async () => {
  const dir = temporaryDirectory();
  const both = await Promise.allSettled([lockDirectory(dir), lockDirectory(dir)]);
  expect(both.map(({ status }) => status)).toEqual(["fulfilled", "rejected"]);
  const [lock] = both.flatMap((each) => (each.status === "fulfilled" ? [each.value] : []));
  const link = path.join(temporaryDirectory(), "link");
  fs.symlinkSync(dir, link);
  expect(await refusal(() => lockDirectory(link))).toMatchObject({
    code: "data.locked",
    message: `${link} is in use by process ${process.pid}`,
  });
  // A refusal must not give up the lock of the kernel.
  expect(await contender(dir).answer).toContain("data.locked");
  await Promise.all([lock?.release(), lock?.release()]);
  const next = await lockDirectory(dir);
  // A lock given back twice must not give back the next one's.
  await lock?.release();
  expect((await refusal(() => lockDirectory(dir))).code).toBe("data.locked");
  await next.release();
});

test("a database of the lock that a power cut has damaged is made anew, and still locks", async () => {
  const damages: readonly ((lock: string) => void)[] = [
    (lock) => fs.writeFileSync(path.join(lock, "CURRENT"), ""),
    (lock) => fs.writeFileSync(path.join(lock, "CURRENT"), "MANIFEST-999999\n"),
    (lock) => fs.rmSync(path.join(lock, "CURRENT")),
    (lock) => fs.writeFileSync(path.join(lock, "holder"), ""),
  ];
  for (const damage of damages) {
    const dir = temporaryDirectory();
    await (await lockDirectory(dir)).release();
    damage(path.join(dir, "lock"));
    const lock = await lockDirectory(dir);
    expect(await contender(dir).answer).toBe(`data.locked ${dir} is in use by process ${process.pid}`);
    await lock.release();
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
  onTestFinished(kill);
  return { answer, kill };
}

/** What is in a directory, but for the log that LevelDB begins before it asks for its lock. */
function contentOf(dir: string): Record<string, string> {
  const entries = fs.readdirSync(dir, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile() && !/^LOG(\.old)?$/.test(entry.name));
  return Object.fromEntries(
    files.map(({ parentPath, name }) => [
      path.join(parentPath, name),
      `${fs.statSync(path.join(parentPath, name)).ino} ${fs.readFileSync(path.join(parentPath, name), "hex")}`,
    ]),
  );
}

test("data.locked: a holder whose pid does not exist here keeps the directory, and nothing in it is touched", async () => {
  const dir = temporaryDirectory();
  const holder = contender(dir);
  expect(await holder.answer).toBe("locked");
  // So a process of another pid namespace sees the holder.
  const elsewhere = { pid: 2 ** 22 + 1, host: "box-1", namespace: "pid:[1]" };
  fs.writeFileSync(path.join(dir, "lock", "holder"), JSON.stringify(elsewhere));
  fs.mkdirSync(path.join(dir, "artefacts", "tmp"), { recursive: true });
  fs.writeFileSync(path.join(dir, "artefacts", "tmp", "0"), "half");
  const before = contentOf(dir);
  expect(await refusal(() => openDirectory(dir))).toMatchObject({
    code: "data.locked",
    message: `${dir} is in use by process ${elsewhere.pid} of another pid namespace (a container?) on host "box-1"`,
  });
  fs.rmSync(path.join(dir, "lock", "holder"));
  expect(await refusal(() => openDirectory(dir))).toMatchObject({ message: `${dir} is in use by another process` });
  fs.writeFileSync(path.join(dir, "lock", "holder"), JSON.stringify(elsewhere));
  const { [path.join(dir, "lock", "holder")]: _old, ...rest } = before;
  expect(contentOf(dir)).toMatchObject(rest);
  await holder.kill();
  await (await lockDirectory(dir)).release();
});

test("of many processes that come at once one gets the lock, and it is free when that one is killed", async () => {
  const dir = temporaryDirectory();
  const first = contender(dir);
  expect(await first.answer).toBe("locked");
  expect((await refusal(() => lockDirectory(dir))).code).toBe("data.locked");
  await first.kill();
  const contenders = Array.from({ length: 6 }, () => contender(dir));
  const answers = await Promise.all(contenders.map(({ answer }) => answer));
  expect(answers.filter((answer) => answer === "locked")).toHaveLength(1);
  expect(answers.filter((answer) => answer.startsWith("data.locked "))).toHaveLength(5);
  for (const { kill } of contenders) await kill();
  await (await lockDirectory(dir)).release();
});
