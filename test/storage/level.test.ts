import fs from "node:fs";
import path from "node:path";
import { expect, test } from "vitest";
import { type LevelStore, openLevelStore } from "../../src/storage/level.ts";
import { faultOf } from "../compliance/completion.ts";
import { batch, load, storeCompliance, write } from "../compliance/store.ts";
import { temporaryDirectory } from "./directories.ts";
import { heldClock, recordingTelemetry } from "./world.ts";

const alice = "0a".repeat(32);

function open(dir: string): ReturnType<typeof openLevelStore> {
  return openLevelStore({ dir }, { clock: heldClock(), telemetry: recordingTelemetry() });
}

storeCompliance("level", async () => {
  const dir = path.join(temporaryDirectory(), "level");
  const { store } = await open(dir);
  const reopen = async (): Promise<LevelStore> => {
    await store.close();
    return (await open(dir)).store;
  };
  return { store, reopen };
});

test("a store that was closed is not read through when it is opened again", async () => {
  const dir = path.join(temporaryDirectory(), "level");
  const first = await open(dir);
  expect(first.report).toEqual({ scrubbed: null, replaced: null });
  await write(first.store, { batches: [batch(alice, 1)] });
  await first.store.close();
  expect(fs.existsSync(`${dir}.clean`)).toBe(true);
  const second = await open(dir);
  expect(second.report).toEqual({ scrubbed: null, replaced: null });
  expect(fs.existsSync(`${dir}.clean`)).toBe(false);
  await second.store.close();
});

test("a store that was not closed is read through by a child process", async () => {
  const dir = path.join(temporaryDirectory(), "level");
  const first = await open(dir);
  await write(first.store, { batches: [batch(alice, 1), batch(alice, 2)] });
  await first.store.close();
  fs.rmSync(`${dir}.clean`);
  const second = await open(dir);
  expect(second.report).toEqual({ scrubbed: { values: 2, damaged: 0, disordered: 0 }, replaced: null });
  expect((await load(second.store)).batches).toHaveLength(2);
  await second.store.close();
});

test("store.locked", async () => {
  const dir = path.join(temporaryDirectory(), "level");
  const { store } = await open(dir);
  await expect(open(dir)).rejects.toMatchObject({ code: "store.locked" });
  await store.close();
});

test("store.busy: more changes than the queue holds", async () => {
  const { store } = await open(path.join(temporaryDirectory(), "level"));
  const codes: string[] = [];
  await new Promise<void>((resolve) => {
    let waiting = 5000;
    for (let number = 0; number < 5000; number++) {
      store.write({ batches: [batch(alice, number)] }, (result) => {
        codes.push(result.ok ? "ok" : result.fault.code);
        if (--waiting === 0) resolve();
      });
    }
  });
  expect(codes.filter((code) => code === "store.busy").length).toBeGreaterThan(0);
  const written = codes.filter((code) => code === "ok").length;
  expect(written).toBeGreaterThanOrEqual(4096);
  expect((await load(store)).batches).toHaveLength(written);
  expect(store.fault()).toBeNull();
  await store.close();
});

test("store.closed", async () => {
  const { store } = await open(path.join(temporaryDirectory(), "level"));
  const last = write(store, { batches: [batch(alice, 1)] });
  await store.close();
  await last;
  expect((await faultOf((done) => store.write({}, done))).code).toBe("store.closed");
  expect((await faultOf((done) => store.load(done))).code).toBe("store.closed");
});
