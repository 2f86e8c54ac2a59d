/** The parts that need no socket. */
import { mkdir, mkdtemp, readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { multiaddr } from "@multiformats/multiaddr";
import type { Clock } from "../../src/ports.ts";
import { configuredAddress, reachOf, sanitise } from "../../src/network/addresses.ts";
import { Bans } from "../../src/network/bans.ts";
import { Bucket, PeerBudget } from "../../src/network/budget.ts";
import { keyOfPeer, peerOfKey, privateKeyOfSeed } from "../../src/network/identity.ts";
import { parsePeers } from "../../src/network/keeper.ts";
import { Book } from "../../src/peers/book.ts";
import { BAN, KEEPER } from "../../src/peers/limits.ts";
import { newSeed } from "./fixture.ts";

function fixedClock(): Clock & { at: number } {
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

describe("addresses", () => {
  test.each([
    ["/ip4/127.0.0.1/tcp/1", "loopback"],
    ["/ip6/::1/tcp/1", "loopback"],
    ["/ip4/10.1.2.3/tcp/1", "private"],
    ["/ip4/172.20.0.3/tcp/1", "private"],
    ["/ip4/192.168.1.1/tcp/1", "private"],
    ["/ip4/169.254.169.254/tcp/80", "private"],
    ["/ip4/100.64.0.1/tcp/1", "private"],
    ["/ip6/fd00::1/tcp/1", "private"],
    ["/ip6/fe80::1/tcp/1", "private"],
    ["/ip4/203.0.113.7/tcp/1", "public"],
    ["/dns/example.org/tcp/1", "public"],
    ["/ip4/0.0.0.0/tcp/1", null],
    ["/ip4/224.0.0.1/tcp/1", null],
    ["/ip4/203.0.113.7/tcp/0", null],
    ["/ip6/::ffff:7f00:1/tcp/1", null],
    ["/ip4/203.0.113.7/udp/1", null],
    ["/ip4/203.0.113.7/tcp/1/ws", null],
  ])("%s is %s", (text, reach) => {
    expect(reachOf(multiaddr(text))).toBe(reach);
  });

  test("a stranger cannot make us knock on doors in our own network", () => {
    const told = ["/ip4/127.0.0.1/tcp/1", "/ip4/10.0.0.1/tcp/1", "/ip4/203.0.113.7/tcp/1", "nonsense"];
    expect(sanitise(told, "public", 4)).toEqual(["/ip4/203.0.113.7/tcp/1"]);
    expect(sanitise(told, "private", 4)).toHaveLength(2);
    expect(sanitise(told, "loopback", 4)).toHaveLength(3);
  });

  test("ten thousand addresses are four", () => {
    const told = Array.from({ length: 10_000 }, (_, index) => `/ip4/203.0.113.7/tcp/${index + 1}`);
    expect(sanitise(told, "public", 4)).toHaveLength(4);
  });

  test("config.address names the address, its use and what is allowed", () => {
    expect(() => configuredAddress("localhost:1", "listen")).toThrow(/listen address "localhost:1".*allowed/);
  });
});

test("a key is its peer id", async () => {
  const { publicKey } = await privateKeyOfSeed(newSeed());
  const key = Buffer.from(publicKey.raw).toString("hex");
  expect(keyOfPeer(peerOfKey(key))).toBe(key);
});

describe("budget", () => {
  test("a bucket gives its burst, then its rate", () => {
    const bucket = new Bucket({ perSecond: 10, burst: 2 }, 0);
    const taken = Array.from({ length: 30 }, () => bucket.take(1, 0)).filter(Boolean).length;
    expect(taken).toBe(20);
    expect(bucket.wait(1, 0)).toBe(100);
    expect(bucket.take(1, 99)).toBe(false);
    expect(bucket.take(1, 201)).toBe(true);
  });

  test("a second without refusals ends a flood", () => {
    const rate = { perSecond: 10, burst: 1 };
    const budget = new PeerBudget(rate, { perSecond: 1_000, burst: 1 }, 0);
    for (let at = 0; at <= 3_000; at += 10) budget.take(1, at);
    expect(budget.overMs(3_000)).toBeGreaterThan(2_500);
    expect(budget.overMs(4_500)).toBe(0);
    expect(budget.take(1_001, 10_000)).toBe(false);
    expect(budget.overMs(10_000)).toBe(0);
  });
});

describe("bans", () => {
  const key = "11".repeat(32);

  test("terms double, end, and survive a restart (PEER-6)", async () => {
    const file = join(await mkdtemp(join(tmpdir(), "bans-")), "bans.json");
    const clock = fixedClock();
    const bans = new Bans(file, clock);
    await bans.load();
    expect(bans.add(key)).toBe(BAN.firstMs);
    await bans.saved();
    const again = new Bans(file, clock);
    await again.load();
    expect(again.has(key)).toBe(true);
    clock.at += BAN.firstMs;
    expect(again.has(key)).toBe(false);
    expect(again.add(key)).toBe(2 * BAN.firstMs);
    clock.at += 2 * BAN.firstMs + BAN.forgetMs + 1;
    expect(again.add(key)).toBe(BAN.firstMs);
    await again.saved();
  });

  test("network.bans-damaged: a file that is empty or broken is kept aside, and the list begins empty", async () => {
    const file = join(await mkdtemp(join(tmpdir(), "bans-")), "bans.json");
    for (const text of ["", "{", "{}", '[{"key":1}]', "[null]"]) {
      await writeFile(file, text);
      const bans = new Bans(file, fixedClock());
      const message = `ban file ${file}: not a list of {key, until, times}; nobody is banned now; the file is kept as ${file}.damaged`;
      expect(await bans.load()).toEqual({ code: "network.bans-damaged", message });
      expect(await readFile(`${file}.damaged`, "utf8")).toBe(text);
      bans.add(key);
      await bans.saved();
      expect(await new Bans(file, fixedClock()).load()).toBeNull();
    }
  });

  test("network.bans-damaged: a file that cannot be read stops no node", async () => {
    const file = join(await mkdtemp(join(tmpdir(), "bans-")), "bans.json");
    await mkdir(file);
    expect(await new Bans(file, fixedClock()).load()).toMatchObject({ code: "network.bans-damaged" });
  });
});

describe("the list of peers", () => {
  test("what has the right shape is taken, the rest is left out", () => {
    const key = "22".repeat(32);
    const rows = [[key, ["/ip4/203.0.113.7/tcp/1", 5]], ["short", []], [key], 7, null, [key, "x"]];
    expect(parsePeers(new TextEncoder().encode(JSON.stringify(rows)))).toEqual([[key, ["/ip4/203.0.113.7/tcp/1"]]]);
    for (const text of ["", "{", "{}", "null", "\xff"]) expect(parsePeers(Buffer.from(text, "latin1"))).toEqual([]);
  });

  test("hearsay never displaces what a peer or the operator said", () => {
    const key = "33".repeat(32);
    const book = new Book();
    book.configure(key, "/dns/example.org/tcp/1");
    book.own(key, ["/ip4/203.0.113.7/tcp/1"]);
    for (let teller = 2; teller < 50; teller += 1)
      book.heard(key, [`/ip4/203.0.113.9/tcp/${teller}`], `${teller}`, false);
    for (const attempt of [0, 1]) {
      expect(book.dialable(key, attempt)).toEqual(
        expect.arrayContaining(["/dns/example.org/tcp/1", "/ip4/203.0.113.7/tcp/1"]),
      );
      expect(book.dialable(key, attempt)).toHaveLength(4);
    }
    expect(book.tellable(key)).not.toContain("/ip4/203.0.113.9/tcp/49");
  });

  test("strangers that tell many addresses do not displace what a member tells (PEER-3)", () => {
    const key = "44".repeat(32);
    const book = new Book();
    book.heard(key, ["/ip4/203.0.113.7/tcp/1"], "member", true);
    for (let teller = 2; teller < 50; teller += 1)
      book.heard(key, [`/ip4/203.0.113.9/tcp/${teller}`], `${teller}`, false);
    for (let attempt = 0; attempt < 4; attempt += 1) {
      expect(book.dialable(key, attempt)).toContain("/ip4/203.0.113.7/tcp/1");
      expect(book.dialable(key, attempt)).toHaveLength(4);
    }
  });

  test("the book has an end, and members keep their place in it (PEER-3)", () => {
    const book = new Book();
    const keys = Array.from({ length: 2 * KEEPER.peersKnownMax }, (_, index) => index.toString(16).padStart(64, "0"));
    for (const key of keys) book.heard(key, ["/ip4/203.0.113.7/tcp/1"], "teller", false);
    book.trim((key) => key === keys[0]);
    expect([...book.keys()]).toHaveLength(KEEPER.peersKnownMax);
    expect([...book.keys()]).toContain(keys[0]);
  });
});
