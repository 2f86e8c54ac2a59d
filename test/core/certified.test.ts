import { describe, expect, it } from "vitest";
import { certificateOf, evidenceOf } from "../../src/core/certified.ts";
import { checkEvidence, checkVotes } from "../../src/protocol/votes.ts";
import { blockAt, equation, keyOf } from "./harness.ts";
import { Net } from "./net.ts";
import { Subject } from "./subject.ts";

describe("what a node's log certifies", () => {
  it("about each task is exported and checks offline: who was assigned it, who is paid, and which attempt is over (GRANT-8, ATTEST-5, TIMEOUT-6)", () => {
    const net = new Net(["a", "b", "c", "d"]);
    net.down.add("d");
    for (let height = 1; height <= 4; height++) {
      net.mine(blockAt(height));
      net.pass(6000);
    }
    const core = net.core("a");
    const kinds = new Set<string>();
    for (const task of [...core.state.blocks.values()].flatMap(({ tasks }) => tasks)) {
      for (const kind of ["assignment", "timeout", "credit"] as const) {
        const file = certificateOf(core.state, task, kind, null);
        if (file === null) continue;
        const checked = checkVotes(net.manifest, file, equation);
        if (!checked.ok) throw new Error(checked.message);
        const { content, signers } = checked.value;
        expect(content).toMatchObject({ chain: 1, hash: task.block.hash, stage: task.stage.name, index: task.index });
        expect(signers).toHaveLength(3);
        expect(certificateOf(core.state, task, kind, content.attempt)).toEqual(file);
        kinds.add(kind);
      }
      expect(certificateOf(core.state, task, "credit", 900)).toBe(null);
    }
    expect([...kinds].sort()).toEqual(["assignment", "credit", "timeout"]);
  });

  it("against a key is exported and checks offline", () => {
    const test = new Subject();
    expect(evidenceOf(test.core.state, keyOf("b"))).toBe(null);
    test.hear("b", test.grant(0, "p"), test.grant(0, "q"));
    const file = evidenceOf(test.core.state, keyOf("b")) ?? new Uint8Array();
    expect(checkEvidence(test.manifest, file, equation)).toMatchObject({
      ok: true,
      value: { offender: keyOf("b"), offence: "two-grants", from: 0 },
    });
  });
});
