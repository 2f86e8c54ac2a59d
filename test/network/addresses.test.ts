import { spawnSync } from "node:child_process";
import path from "node:path";
import { multiaddr } from "@multiformats/multiaddr";
import { describe, expect, test } from "vitest";
import { announceable, widestReach } from "../../src/network/addresses.ts";
import { ownAddresses } from "../../src/network/libp2p.ts";

describe("addresses that a node tells of itself", () => {
  test("are those of the machine where it listens on all interfaces, unless it is told others", () => {
    const hosts = ["127.0.0.1", "10.0.0.4", "8.9.10.1", "::1", "2001:db8::1"];
    const all = ["/ip4/127.0.0.1/tcp/4600", "/ip4/10.0.0.4/tcp/4600", "/ip4/8.9.10.1/tcp/4600"];
    expect(announceable(["/ip4/0.0.0.0/tcp/4600"], [], hosts)).toEqual(all);
    expect(announceable(["/ip6/::/tcp/1"], [], hosts)).toEqual(["/ip6/::1/tcp/1", "/ip6/2001:db8::1/tcp/1"]);
    expect(announceable(["/ip4/10.0.0.4/tcp/1"], [], hosts)).toEqual(["/ip4/10.0.0.4/tcp/1"]);
    expect(announceable(["/ip4/0.0.0.0/tcp/4600"], ["/dns/box.example/tcp/1"], hosts)).toEqual([
      "/dns/box.example/tcp/1",
    ]);
    expect(widestReach(all)).toBe("public");
    expect(widestReach(all.slice(0, 2))).toBe("private");
    expect(widestReach(["/ip4/127.0.0.1/tcp/1", "no address"])).toBe("loopback");
    expect(widestReach([])).toBeNull();
  });

  test("that are public are confirmed, because no other peer confirms them", () => {
    const confirmed: string[] = [];
    const mine = ["/ip4/127.0.0.1/tcp/1", "/ip4/10.0.0.4/tcp/1", "/ip4/8.9.10.1/tcp/1", "/ip6/2001:db8::1/tcp/1"];
    const service = ownAddresses({
      transportManager: { getAddrs: () => mine.map((text) => multiaddr(text)) },
      addressManager: { confirmObservedAddr: (address) => void confirmed.push(address.toString()) },
    });
    service.tell();
    expect(confirmed).toEqual(mine.slice(2));
  });

  test("have the public address of an interface, on a machine that has one", ({ skip }) => {
    const child = [process.execPath, path.join(import.meta.dirname, "addresses-child.ts")];
    const prepare = 'ip link set lo up && ip addr add 8.9.10.1/32 dev lo && exec "$@"';
    const run = (...command: string[]) =>
      spawnSync("unshare", ["-n", "sh", "-c", prepare, "sh", ...command], { encoding: "utf8", timeout: 60_000 });
    if (run("true").status !== 0) skip("this process may not make a network namespace");
    const { stdout, stderr } = run(...child);
    expect(stderr).toBe("");
    const told = (JSON.parse(stdout) as string[]).map((text) => text.replace(/\/p2p\/.*/, ""));
    expect(told.toSorted()).toEqual(["/ip4/127.0.0.1/tcp/25001", "/ip4/8.9.10.1/tcp/25001"]);
  }, 90_000);
});
