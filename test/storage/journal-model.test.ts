/**
 * The journal on files against a model that is a list: what was acknowledged, then what was under way.
 *
 * A crash is made from the files themselves: what was under way is written, then each copy is cut or zeroed somewhere
 * behind what was acknowledged, as a power cut may leave it. One copy may be damaged anywhere at any time.
 */
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import type { JournalFloor } from "../../src/ports.ts";
import { type FileJournal, openJournal } from "../../src/storage/journal.ts";
import { append, compact, floorAt, loadTexts } from "../compliance/journal.ts";
import { journalKey as key } from "./fixtures.ts";

interface Model {
  floor: JournalFloor | null;
  acknowledged: string[];
}

interface Real {
  readonly dir: string;
  journal: FileJournal;
}

type Command = fc.AsyncCommand<Model, Real>;

function files(real: Real): string[] {
  return [path.join(real.dir, "journal-a"), path.join(real.dir, "journal-b")];
}

function close(journal: FileJournal): Promise<void> {
  return new Promise((resolve) => journal.close(resolve));
}

/** Opens what is left and returns what it holds. */
function reopen(real: Real): ReturnType<typeof loadTexts> {
  real.journal = openJournal({ dir: real.dir, key });
  return loadTexts(real.journal);
}

function command(name: string, run: (model: Model, real: Real) => Promise<void>): Command {
  return { check: () => true, run, toString: () => name };
}

function appended(groups: readonly (readonly string[])[]): Command {
  return command(`append(${JSON.stringify(groups)})`, async (model, real) => {
    await Promise.all(groups.map((texts) => append(real.journal, ...texts)));
    model.acknowledged.push(...groups.flat());
  });
}

function compacted(keep: number): Command {
  return command(`compact(${keep})`, async (model, real) => {
    model.acknowledged = keep === 0 ? [] : model.acknowledged.slice(-keep);
    model.floor = floorAt(keep + 1);
    await compact(real.journal, model.floor, ...model.acknowledged);
  });
}

const reopened = command("reopen", async (model, real) => {
  await close(real.journal);
  expect(reopen(real)).toEqual({ floor: model.floor, texts: model.acknowledged });
});

/** `cuts` says for each copy how much of the unacknowledged bytes is left, and whether the rest is zeros or gone. */
function crashed(texts: readonly string[], cuts: readonly (readonly [number, boolean])[]): Command {
  return command(`crash(${JSON.stringify(texts)}, ${JSON.stringify(cuts)})`, async (model, real) => {
    const durable = real.journal.size();
    await append(real.journal, ...texts);
    const length = real.journal.size();
    await close(real.journal);
    for (const [index, file] of files(real).entries()) {
      const [share, zeros] = cuts[index] ?? [0, false];
      const end = durable + Math.floor(share * (length - durable));
      const bytes = fs.readFileSync(file).subarray(0, length);
      fs.writeFileSync(file, zeros ? bytes.fill(0, end) : bytes.subarray(0, end));
    }
    const found = reopen(real);
    expect(found.floor).toEqual(model.floor);
    // Nobody was told, so both are right; but nothing in between.
    const survived = found.texts.length > model.acknowledged.length;
    if (survived) model.acknowledged.push(...texts);
    expect(found.texts).toEqual(model.acknowledged);
  });
}

function damaged(copy: number, at: number, length: number): Command {
  return command(`damage(${copy}, ${at}, ${length})`, async (model, real) => {
    await close(real.journal);
    const file = files(real)[copy] ?? "";
    const bytes = fs.readFileSync(file);
    const from = Math.floor(at * bytes.length);
    for (let offset = from; offset < Math.min(bytes.length, from + length); offset++)
      bytes[offset] = bytes[offset]! ^ 0xa5;
    fs.writeFileSync(file, bytes);
    expect(reopen(real)).toEqual({ floor: model.floor, texts: model.acknowledged });
  });
}

test("whatever happens, what was acknowledged is what is loaded", { timeout: 20_000 }, async () => {
  const text = fc.string({ maxLength: 300 });
  const share = fc.tuple(fc.double({ min: 0, max: 1, noNaN: true }), fc.boolean());
  const commands = [
    fc.array(fc.array(text, { maxLength: 3 }), { minLength: 1, maxLength: 4 }).map(appended),
    fc.nat({ max: 5 }).map(compacted),
    fc.constant(reopened),
    fc
      .tuple(fc.array(text, { minLength: 1, maxLength: 3 }), fc.tuple(share, share))
      .map(([texts, cuts]) => crashed(texts, cuts)),
    fc
      .tuple(fc.nat({ max: 1 }), fc.double({ min: 0, max: 0.999, noNaN: true }), fc.integer({ min: 1, max: 600 }))
      .map(([copy, at, length]) => damaged(copy, at, length)),
  ];
  const property = fc.asyncProperty(fc.commands(commands, { maxCommands: 20 }), async (run) => {
    const dir = fs.mkdtempSync(path.join(os.tmpdir(), "proofmesh-"));
    try {
      const real: Real = { dir, journal: openJournal({ dir, key }) };
      real.journal.load();
      await fc.asyncModelRun(() => ({ model: { floor: null, acknowledged: [] }, real }), run);
      await close(real.journal);
    } finally {
      fs.rmSync(dir, { recursive: true, force: true });
    }
  });
  await fc.assert(property, { numRuns: 40 });
});
