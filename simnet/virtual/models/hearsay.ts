/** One keeper alone between one member that tells the truth and many strangers that lie. */
import { utf8ToBytes } from "@noble/hashes/utils.js";
import { KeeperMachine } from "../../../src/peers/keeper.ts";
import { KEEPER } from "../../../src/peers/limits.ts";
import { domainHash, type Key, u64 } from "../../../src/protocol/ids.ts";
import { Chance } from "../world.ts";

const LIARS = 31;
const ROUNDS = 40;
const RIGHT = "right";

/** In each round one peer answers, and every dial of the missed member must try what the member has told. */
export function fuzzHearsay(seed: number): readonly string[] {
  const found: string[] = [];
  const chance = new Chance(seed, "model/hearsay");
  const keyOf = (kind: string, at: number): Key => domainHash("sim-peer", utf8ToBytes(kind), u64(at));
  const [self, teller, missed] = [0, 1, 2].map((at) => keyOf("member", at));
  if (self === undefined || teller === undefined || missed === undefined) return [];
  const liars = Array.from({ length: LIARS }, (_, at) => keyOf("liar", at));
  const machine = new KeeperMachine({ self, bootstrap: [], members: [self, teller, missed] });
  const up = [teller, ...liars];
  const sight = { connected: new Set(up), up, isBanned: () => false };
  let [asks, asked, nowMs] = [0, 0, 0];
  machine.step({ kind: "told", nowMs, draw: 0, by: teller, peers: [[missed, [RIGHT]]] });
  for (let round = 0; round < ROUNDS; round++) {
    nowMs += Math.max(KEEPER.exchangeEveryMs, 2 * KEEPER.backoffLongestMs);
    for (const action of machine.step({ kind: "tick", nowMs, draw: chance.next(), ...sight })) {
      if (action.kind === "ask") {
        asks++;
        if (action.peer === teller) asked++;
      } else if (action.key === missed) {
        if (!action.addresses.includes(RIGHT)) found.push("K1: a dial leaves out the address that a member told");
        machine.step({ kind: "dial-failed", nowMs, draw: chance.next(), target: action.target });
      }
    }
    for (const by of liars) {
      const lies = Array.from({ length: KEEPER.addressesHeardMax }, () => `wrong-${chance.between(0, 1 << 20)}`);
      machine.step({ kind: "told", nowMs, draw: chance.next(), by, peers: [[missed, lies]] });
    }
  }
  if (asked < asks / 4) found.push(`K1: ${asked} of ${asks} questions for peers went to the member`);
  return found;
}
