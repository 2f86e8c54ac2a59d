/** Writes batches one after the other and prints the number of each that was acknowledged, until it is killed. */
import fs from "node:fs";
import { openLevelStore } from "../../src/storage/level.ts";
import { heldClock, recordingTelemetry } from "./world.ts";

const [dir] = process.argv.slice(2);
if (dir === undefined) throw new Error("usage: level-child <dir>");
const { store } = await openLevelStore({ dir }, { clock: heldClock(), telemetry: recordingTelemetry() });

function next(number: number): void {
  store.write({ batches: [{ author: "0a".repeat(32), number, bytes: new Uint8Array(500) }] }, (result) => {
    if (!result.ok) throw new Error(result.fault.code);
    fs.writeSync(1, `${number}\n`);
    next(number + 1);
  });
}

next(0);
