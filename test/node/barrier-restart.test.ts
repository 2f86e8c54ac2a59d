import { expect, test } from "vitest";
import { Subject } from "../core/subject.ts";

/**
 * Found by the kill loop: a node that had signed one content was killed, learned another while it came back, and signed
 * that at once, so that one block got two certificates.
 */
test("a restarted attester gives the content that it signed its time before it signs another", () => {
  const subject = new Subject();
  const tasks = [
    [0, "shard"],
    [1, "shard"],
    [0, "aggregate"],
  ] as const;
  for (const [index, stage] of tasks) {
    const proof = `proof ${stage} ${index}`;
    const owner = subject.owner(stage, index);
    subject.hear(owner, subject.receipt(index, proof, 0, { stage }));
    for (const who of ["b", "c", "d"]) subject.hear(who, subject.complete(index, proof, stage));
  }
  expect(subject.core.said().filter((line) => line === "barrier")).toHaveLength(1);
  // Credits come late: by them the barrier's content is another one.
  for (const [index, stage] of tasks) {
    const owner = subject.owner(stage, index);
    for (const who of ["b", "c", "d"])
      subject.hear(who, subject.attest(index, owner, `proof ${stage} ${index}`, 0, stage));
  }
  subject.core.nowMs = 10_000;
  expect(subject.restart()).not.toContain("barrier");
  expect(subject.pass(1_900)).not.toContain("barrier");
  expect(subject.pass(200)).toContain("barrier");
});
