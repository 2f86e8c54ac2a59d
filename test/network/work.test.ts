/** What others may cost: CPU time by who they are, handshakes by where they come from, packets by answer. */
import { describe, expect, test } from "vitest";
import { Door } from "../../src/network/door.ts";
import { DOOR, WORK } from "../../src/network/limits.ts";
import { gathered } from "../../src/network/streams.ts";
import { authorNamed, type Standing, Work } from "../../src/network/work.ts";
import { sealBatch } from "../../src/protocol/batch.ts";
import { ZERO_HASH } from "../../src/protocol/ids.ts";
import type { Entry } from "../../src/protocol/messages.ts";
import type { Clock } from "../../src/ports.ts";

const SECOND = 1_000;

function stopped(): Clock & { at: number } {
  return {
    at: 1_000_000,
    now(): number {
      return this.at;
    },
    wall(): number {
      return this.at;
    },
    after: () => () => undefined,
  };
}

function standing(key: string): Standing {
  return key.startsWith("a") ? "attester" : key.startsWith("m") ? "member" : "stranger";
}

/** Milliseconds that the keys can make this node spend in so many seconds, at 1 ms a message. */
function costOf(keys: readonly string[], seconds: number, before?: Work): number {
  const clock = stopped();
  const work = before ?? new Work(clock, standing);
  let cost = 0;
  for (let ms = 0; ms < seconds * SECOND; ms += 10) {
    for (const key of keys) {
      for (let message = 0; message < 10 && work.allows(key); message++) {
        work.spend(key, 1);
        cost += 1;
      }
    }
    clock.at += 10;
  }
  return cost;
}

describe("CPU time by who costs it", () => {
  const most = (
    { perSecond, burst }: { readonly perSecond: number; readonly burst: number },
    seconds: number,
  ): number => perSecond * (burst + seconds) + 10;

  test("one attester, and one member, cost no more than one may", () => {
    for (const key of ["a1", "m1"]) expect(costOf([key], 20)).toBeLessThanOrEqual(most(WORK.one, 20));
  });

  test("all members together cost little more than their sum, and all strangers no more than one", () => {
    const members = Array.from({ length: 20 }, (_, at) => `m${at}`);
    const least = 20 * most(WORK.least, 20);
    expect(costOf(members, 20)).toBeLessThanOrEqual(most(WORK.members, 20) + least);
    const strangers = Array.from({ length: 500 }, (_, at) => `s${at}`);
    expect(costOf(strangers, 20)).toBeLessThanOrEqual(most(WORK.strangers, 20));
  });

  test("members that cost too much keep neither an attester nor an honest member away", () => {
    const clock = stopped();
    const work = new Work(clock, standing);
    for (let at = 0; at < 100; at++) for (let ms = 0; ms < 20; ms++) work.spend(`m${at}`, 1);
    expect(work.allows("a1")).toBe(true);
    expect(work.allows("m-honest")).toBe(true);
    expect(work.allows("m1")).toBe(false);
    clock.at += 20 * SECOND;
    expect(work.allows("m1")).toBe(true);
  });

  test("a peer that goes on asking while it is refused is to be cut off", () => {
    const clock = stopped();
    const work = new Work(clock, standing);
    const { perSecond, burst } = WORK.refusals;
    for (let at = 0; at < perSecond * burst; at++) expect(work.refuses("s1")).toBe(true);
    expect(work.refuses("s1")).toBe(false);
    expect(work.refuses("s2")).toBe(true);
    clock.at += SECOND;
    expect(work.refuses("s1")).toBe(true);
  });

  test("one message that takes for ever closes an account for a few seconds only", () => {
    const clock = stopped();
    const work = new Work(clock, standing);
    work.spend("s1", 60 * SECOND);
    expect(work.allows("s2")).toBe(false);
    clock.at += 2 * WORK.strangers.burst * SECOND + 1;
    expect(work.allows("s2")).toBe(true);
  });
});

test("the author is read from a batch without decoding the batch, and from nothing else", () => {
  const entry: Entry = { kind: "retract", block: ZERO_HASH, round: 0 };
  const author = "ab".repeat(32);
  for (const number of [0, 2 ** 50]) {
    const place = { author, number, previous: "cd".repeat(32) };
    const { bytes } = sealBatch(ZERO_HASH, place, [entry], () => new Uint8Array(64).fill(1));
    expect(authorNamed(bytes)).toBe(author);
    expect(authorNamed(bytes.subarray(0, 30))).toBeNull();
  }
  expect(authorNamed(new Uint8Array())).toBeNull();
  expect(authorNamed(new Uint8Array(100).fill(0x0a))).toBeNull();
});

test("strangers from any number of hosts share one rate of handshakes, and members' hosts do not", () => {
  const clock = stopped();
  const door = new Door(clock);
  const admitted = (): number => {
    let count = 0;
    for (let at = 0; at < 1_000; at++) if (door.admits(`/ip4/203.0.${at % 4}.${at % 250}/tcp/${at}`)) count++;
    return count;
  };
  const { perSecond, burst } = DOOR.strangers;
  door.trust("/ip4/198.51.100.7/tcp/4001");
  expect(admitted()).toBe(perSecond * burst);
  clock.at += SECOND;
  expect(admitted()).toBe(perSecond);
  expect(door.admits("/ip4/198.51.100.7/tcp/50000")).toBe(true);
  expect(door.admits("/ip6/2001:db8::1/tcp/50000")).toBe(false);
});

test("small pieces are put together, and nothing is lost or changes its order", async () => {
  const pieces = Array.from({ length: 3_000 }, (_, at) => new Uint8Array(at % 97).fill(at));
  pieces.splice(1_500, 0, new Uint8Array(300_000).fill(7));
  const sent: Uint8Array[] = [];
  for await (const piece of gathered(pieces)) sent.push(piece);
  expect(Buffer.concat(sent).equals(Buffer.concat(pieces))).toBe(true);
  expect(sent.length).toBeLessThan(6);
});
