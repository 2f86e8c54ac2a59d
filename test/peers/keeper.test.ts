import { describe, expect, it } from "vitest";
import { KeeperMachine, type KeeperAction } from "../../src/peers/keeper.ts";
import { KEEPER } from "../../src/peers/limits.ts";

const key = (at: number): string => at.toString(16).padStart(64, "0");
const [SELF, MEMBER, OTHER] = [key(1), key(2), key(3)];

function machine(): KeeperMachine {
  return new KeeperMachine({ self: SELF, bootstrap: [], members: [SELF, MEMBER, OTHER] });
}

/** One tick; the actions are those of a node that has these connections. */
function tick(keeper: KeeperMachine, nowMs: number, draw: number, up: readonly string[] = []): KeeperAction[] {
  return keeper.step({ kind: "tick", nowMs, draw, connected: new Set(up), up, isBanned: () => false });
}

describe("a keeper", () => {
  it("dials a member again after pauses that double up to the longest (PEER-1)", () => {
    const keeper = machine();
    keeper.step({ kind: "identified", nowMs: 0, draw: 0, key: MEMBER, addresses: ["a"] });
    const pauses: number[] = [];
    let [nowMs, failedMs] = [0, 0];
    while (pauses.length < 8) {
      const dials = tick(keeper, nowMs, 0.5).filter(({ kind }) => kind === "dial");
      if (dials.length > 0) {
        pauses.push(nowMs - failedMs);
        failedMs = nowMs;
        keeper.step({ kind: "dial-failed", nowMs, draw: 0.5, target: MEMBER });
      }
      nowMs += KEEPER.everyMs;
    }
    expect(pauses).toEqual([0, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]);
  });

  it("dials members before strangers, whoever came first (PEER-2)", () => {
    const keeper = machine();
    const strangers = Array.from({ length: 100 }, (_, at) => [key(100 + at), [`nowhere-${at}`]] as const);
    keeper.step({ kind: "told", nowMs: 0, draw: 0, by: key(99), peers: [...strangers, [MEMBER, ["a"]]] });
    const dials = tick(keeper, 0, 0).flatMap((action) => (action.kind === "dial" ? [action.target] : []));
    expect(dials[0]).toBe(MEMBER);
    expect(dials).toHaveLength(KEEPER.dialsMax);
  });

  it("asks members half of the time, however many strangers are there (PEER-4)", () => {
    const keeper = machine();
    const up = [...Array.from({ length: 31 }, (_, at) => key(100 + at)), MEMBER];
    const asked = Array.from({ length: 20 }, (_, at) => tick(keeper, at * KEEPER.exchangeEveryMs, at / 20, up)).flat();
    const toMember = asked.filter((action) => action.kind === "ask" && action.peer === MEMBER);
    expect(asked.filter(({ kind }) => kind === "ask")).toHaveLength(20);
    expect(toMember.length).toBeGreaterThanOrEqual(10);
  });

  it("keeps neither addresses nor targets of all the keys that it meets (PEER-3)", () => {
    const keeper = machine();
    for (let at = 0; at < 3 * KEEPER.peersKnownMax; at++) {
      keeper.step({ kind: "identified", nowMs: at, draw: 0, key: key(100 + at), addresses: ["a"] });
      if (at % 50 === 0)
        tick(
          keeper,
          at,
          0,
          Array.from({ length: 20 }, (_, peer) => key(10_000 + peer)),
        );
    }
    tick(keeper, 10_000, 0);
    expect(keeper.sizes.book).toBe(KEEPER.peersKnownMax);
    expect(keeper.sizes.targets).toBeLessThanOrEqual(KEEPER.peersKnownMax + 1);
  });
});
