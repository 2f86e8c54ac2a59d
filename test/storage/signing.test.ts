import fs from "node:fs";
import path from "node:path";
import { describe, expect, test } from "vitest";
import type { SigningState } from "../../src/ports.ts";
import { createKey } from "../../src/storage/keystore.ts";
import { createKeys, keyFileIn, openSigning } from "../../src/storage/signing.ts";
import { valueOf } from "../compliance/completion.ts";
import { temporaryDirectory } from "./directories.ts";

const NETWORK = "ab".repeat(32);
const state = (next: number, change: Partial<SigningState> = {}): SigningState => {
  return { counter: 3, next, head: "cd".repeat(32), lost: false, ...change };
};

function keys(): string {
  const dir = path.join(temporaryDirectory(), "keys");
  createKeys(dir);
  return dir;
}

function stateIn(dir: string, network = NETWORK): SigningState | null {
  const record = openSigning({ dir, network });
  record.close();
  return record.load();
}

async function write(dir: string, ...states: readonly SigningState[]): Promise<void> {
  const record = openSigning({ dir, network: NETWORK });
  await Promise.all(states.map((each) => valueOf<void>((done) => record.write(each, done))));
  record.close();
}

describe("the signing state", () => {
  test("of a key that was made with its directory says that nothing was signed, in each network", () => {
    const dir = keys();
    expect([stateIn(dir), stateIn(dir, "ee".repeat(32))]).toMatchObject([
      { counter: 0, next: 0, lost: false },
      { counter: 0, next: 0, lost: false },
    ]);
  });

  test("of a key that was copied alone is missing, and stays so until one is written", async () => {
    const dir = path.join(temporaryDirectory(), "keys");
    createKey(keyFileIn(dir));
    expect([stateIn(dir), stateIn(dir)]).toEqual([null, null]);
    await write(dir, state(4, { lost: true }));
    expect(stateIn(dir)).toEqual(state(4, { lost: true }));
  });

  test("is the last one that was written", async () => {
    const dir = keys();
    for (let next = 1; next < 6; next++) await write(dir, state(next));
    await write(dir, state(7), state(8), state(9));
    expect(stateIn(dir)).toEqual(state(9));
  });

  test("is the one before where a crash cut the last write off, wherever it did", async () => {
    const dir = keys();
    const file = path.join(dir, "signed", NETWORK);
    await write(dir, state(1));
    const before = fs.readFileSync(file);
    await write(dir, state(2));
    const after = fs.readFileSync(file);
    for (let cut = 0; cut < 512; cut += 7) {
      // The second write went to the first slot.
      fs.writeFileSync(file, Buffer.concat([after.subarray(0, cut), before.subarray(cut)]));
      expect([state(1), state(2)]).toContainEqual(stateIn(dir));
    }
  });

  test("that is damaged in both slots is missing", async () => {
    const dir = keys();
    await write(dir, state(1), state(2));
    fs.writeFileSync(path.join(dir, "signed", NETWORK), Buffer.alloc(1024, 0x41));
    expect(stateIn(dir)).toBe(null);
  });
});
