import { expect, test } from "vitest";
import { Disturber } from "../../simnet/local/disturb.ts";
import { Judge } from "../../simnet/local/judge.ts";
import { Fleet } from "../../simnet/local/nodes.ts";
import type { Planned } from "../../simnet/local/schedule.ts";
import { Watch } from "../../simnet/local/watch.ts";
import { hashOf } from "../protocol/fixtures.ts";
import { temporaryDirectory } from "../storage/directories.ts";

const KILL: Planned = { atMs: 0, fault: { kind: "kill", node: "prover", forMs: 10 } };

/** Nodes on disk of which none runs, so that nobody is ever at work. */
async function disturberOf(isOver: boolean) {
  const said: string[] = [];
  const watch = new Watch(100, new AbortController().signal, () => undefined);
  const fleet = await Fleet.create(
    {
      directory: temporaryDirectory(),
      duties: ["attests-and-proves", "attests-and-proves"],
      shards: 1,
      window: 1,
      mockMs: 1,
      fragment: null,
      oneSystem: false,
      chain: { id: 1, url: "http://127.0.0.1:1" },
      links: null,
      seed: 1,
    },
    () => undefined,
  );
  const judge = new Judge({ network: hashOf("network"), attesters: [], retentionBlocks: 1, chain: 1 }, watch);
  const disturber = new Disturber({
    fleet,
    watch,
    judge,
    say: (line) => void said.push(line),
    isOver: () => isOver,
  });
  return { disturber, fleet, said };
}

test("a fault that waits for a node at work is left out when there is no more work", async () => {
  const { disturber, fleet, said } = await disturberOf(true);
  await disturber.carryOut([KILL]);
  await disturber.calm();
  expect(said).toEqual(["a fault is left out: no node is at work any more"]);
  expect(disturber.report()).toEqual([]);
  await fleet.close(0);
});

test("a network that has work and does none stands still", async () => {
  const { disturber, fleet } = await disturberOf(false);
  await expect(disturber.carryOut([KILL])).rejects.toThrow(/^L1: nothing moved .* a node to disturb is at work$/);
  await fleet.close(0);
});
