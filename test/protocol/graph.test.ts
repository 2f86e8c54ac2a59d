import { describe, expect, it } from "vitest";
import { type BarrierContent, checkCertificate, encodeCertificate } from "../../src/protocol/certificate.ts";
import { blockId } from "../../src/protocol/ids.ts";
import type { ManifestJson } from "../../src/protocol/manifest.ts";
import { readManifest } from "../../src/protocol/manifest.ts";
import { describeShapeError } from "../../src/protocol/shape.ts";
import type { StageJson } from "../../src/protocol/stages.ts";
import { familyOf } from "../../src/protocol/systems.ts";
import { restsOn, rowsOf, stagesOf, takenGroups } from "../../src/protocol/workflow.ts";
import { contentHash } from "../../src/protocol/certificate.ts";
import { voteOf } from "../../src/protocol/batch.ts";
import { nativeEquation } from "../../src/storage/keystore.ts";
import { feedOf, hashOf, manifestJson, manifestOf, signerNamed } from "./fixtures.ts";

const signers = ["a", "b", "c", "d"].map((name) => signerNamed(name));
const SYSTEMS = ["mock", "groth16-shard", "sp1-groth16", "stark"];
const keys = Object.fromEntries(SYSTEMS.map((system) => [system, { system, verifyingKey: "bW9jaw==", files: {} }]));

const stage = (name: string, change: Partial<StageJson>): StageJson => {
  return { name, system: "mock", key: "mock", tasks: {}, limitMs: 20_000, ...change };
};

const variants = (...systems: string[]): Partial<StageJson> => ({
  system: undefined,
  key: undefined,
  variants: systems.map((system) => ({ system, key: system })),
});

function workflow(...stages: StageJson[]): Partial<ManifestJson> {
  return { keys, workflows: { block: { window: 2, stages } } };
}

function errorsOf(...stages: StageJson[]): string[] {
  const read = readManifest(
    manifestJson(
      signers.map(({ key }) => key),
      workflow(...stages),
    ),
  );
  return read.ok ? [] : read.errors.map((error) => describeShapeError(error, "manifest"));
}

const two = stage("prove", {
  ...variants("groth16-shard", "sp1-groth16", "stark", "mock"),
  collect: { any: 2, of: "families" },
});

describe("a workflow that cannot be", () => {
  it("says all that is wrong with it at once, each with its place", () => {
    const wrong = errorsOf(
      stage("one", { tasks: { takes: ["two", "two", "nowhere"] }, leaseMs: 1999 }),
      stage("two", {
        tasks: { each: "one", takes: "one" },
        ...variants("groth16-shard", "sp1-groth16"),
        collect: { any: 2, of: "families" },
      }),
      stage("two", { key: "lost", collect: { any: 1, of: "families" } }),
      { ...stage("four", variants("mock", "stark")), system: "mock" },
    );
    const at = (index: number) => `manifest: workflows.block.stages[${index}]`;
    expect(wrong).toEqual([
      `${at(0)}.tasks.takes[0] is "two"; allowed: nothing: the first stage has no earlier one (one takes two takes one is a cycle)`,
      `${at(0)}.tasks.takes[1] is "two"; allowed: nothing: the first stage has no earlier one (one takes two takes one is a cycle)`,
      `${at(0)}.tasks.takes[2] is "nowhere"; allowed: nothing: the first stage has no earlier one`,
      `${at(0)}.leaseMs is 1999; allowed: at least four heartbeats (2000)`,
      `${at(1)}.tasks.takes is "one"; allowed: a stage that it does not take already`,
      `${at(1)}.collect.any is 2; allowed: at most 1: the variants are of groth16`,
      `${at(2)}.name is "two"; allowed: a name that no earlier stage has`,
      `${at(2)}.key is "lost"; allowed: one of the keys ${SYSTEMS.join(", ")}`,
      `${at(2)}.variants is missing; allowed: at least 1 variants to choose from`,
      `${at(3)}.system is "mock"; allowed: nothing beside variants, which have their own`,
    ]);
  });

  it("has copies for different provers, and as many as it asks for", () => {
    const wrong = errorsOf(
      stage("alone", { copies: 3 }),
      stage("none", { collect: { any: 1, of: "provers" } }),
      stage("few", { copies: 2, collect: { any: 3, of: "provers" } }),
      stage("both", { ...variants("mock", "stark"), copies: 2, collect: { any: 2, of: "provers" } }),
      stage("again", { system: undefined, key: undefined, executor: "cut", verify: "recompute", copies: 2 }),
      stage("good", { copies: 3, collect: { any: 2, of: "provers" } }),
      stage("mixed", { ...variants("mock", "stark"), collect: { any: 2, of: "provers" } }),
    );
    const at = (index: number) => `manifest: workflows.block.stages[${index}]`;
    expect(wrong).toEqual([
      `${at(0)}.copies is 3; allowed: nothing without "collect": {"any": k, "of": "provers"}`,
      `${at(1)}.copies is missing; allowed: at least 2, or variants in their place`,
      `${at(2)}.collect.any is 3; allowed: at most 2: so many tasks make one output`,
      `${at(3)}.copies is 2; allowed: nothing beside variants, which have their own`,
      `${at(3)}.collect.of is "provers"; allowed: "families", or systems whose proofs name their maker: any prover may hand in a copy of a proof of stark`,
      `${at(4)}.copies is 2; allowed: nothing without "collect": {"any": k, "of": "provers"}`,
      `${at(4)}.copies is 2; allowed: nothing: what is recomputed is not proven`,
      `${at(6)}.collect.of is "provers"; allowed: "families", or systems whose proofs name their maker: any prover may hand in a copy of a proof of stark`,
    ]);
  });

  it("agrees only where several provers may, on what is the same for all of them", () => {
    const agree = { system: undefined, key: undefined, executor: "cut", verify: "agree" as const };
    const wrong = errorsOf(
      stage("prove", {}),
      stage("alone", agree),
      stage("one", { ...agree, copies: 2, collect: { any: 1, of: "provers" } }),
      stage("bare", { ...agree, executor: undefined, key: "mock", copies: 2, collect: { any: 2, of: "provers" } }),
      stage("after", { ...agree, copies: 2, collect: { any: 2, of: "provers" }, tasks: { takes: "prove" } }),
      stage("good", { ...agree, copies: 3, collect: { any: 2, of: "provers" } }),
      stage("listed", { tasks: { items: "good", max: 3 } }),
    );
    const at = (index: number) => `manifest: workflows.block.stages[${index}]`;
    const collect = '{"any": k, "of": "provers"} with a k of 2 or more: so many have to agree';
    expect(wrong).toEqual([
      `${at(1)}.collect is missing; allowed: ${collect}`,
      `${at(2)}.collect is {"any":1,"of":"provers"}; allowed: ${collect}`,
      `${at(3)}.executor is missing; allowed: a name: whoever makes the result has to run it`,
      `${at(3)}.key is "mock"; allowed: nothing: what is agreed on is not proven`,
      `${at(4)}.verify is "agree"; allowed: stages that are recomputed themselves as input; prove may have several valid results`,
      `${at(6)}.tasks.items is "good"; allowed: a stage that is recomputed, so that all count the same`,
    ]);
  });

  it("takes what a function chooses whole, and names the function by its hash", () => {
    const collect = { custom: "some", sha256: hashOf("module") };
    const wrong = errorsOf(
      stage("chosen", { tasks: { count: 3 }, collect }),
      stage("each", { tasks: { each: "chosen" } }),
      stage("whole", { tasks: { takes: "chosen" } }),
      stage("cut", { system: undefined, key: undefined, executor: "cut", verify: "recompute", collect }),
      stage("item", { tasks: { items: "cut", max: 3 } }),
    );
    const at = (index: number) => `manifest: workflows.block.stages[${index}]`;
    const allowed = "a stage that no function collects, since nobody knows which of its outputs there will be";
    expect(wrong).toEqual([
      `${at(1)}.tasks.each is "chosen"; allowed: ${allowed}`,
      `${at(4)}.tasks.items is "cut"; allowed: ${allowed}`,
    ]);
    expect(errorsOf(stage("none", { collect: { custom: "some", sha256: "abc" } }))).toHaveLength(1);
  });

  it("recomputes nothing that may have several results, and counts by nothing else", () => {
    const cut = { system: undefined, key: undefined, executor: "cut", verify: "recompute" as const };
    const wrong = errorsOf(
      stage("prove", {}),
      stage("again", { ...cut, tasks: { takes: "prove" } }),
      stage("bare", { ...cut, executor: undefined, system: "mock" }),
      stage("two", { ...cut, tasks: { count: 2 } }),
      stage("many", { tasks: { items: "two", max: 4 } }),
      stage("more", { tasks: { items: "prove", max: 4 } }),
      stage("lost", { tasks: { items: "nowhere", max: 4 } }),
    );
    const at = (index: number) => `manifest: workflows.block.stages[${index}]`;
    expect(wrong).toEqual([
      `${at(1)}.verify is "recompute"; allowed: stages that are recomputed themselves as input; prove may have several valid results`,
      `${at(2)}.executor is missing; allowed: a name: whoever makes the result has to run it`,
      `${at(2)}.system is "mock"; allowed: nothing: what is recomputed is not proven`,
      `${at(4)}.tasks.items is "two"; allowed: a stage with one output`,
      `${at(5)}.tasks.items is "prove"; allowed: a stage that is recomputed, so that all count the same`,
      `${at(6)}.tasks.items is "nowhere"; allowed: an earlier stage: prove, again, bare, two, many, more`,
    ]);
  });

  it("names a stage that stands behind the one that takes it", () => {
    expect(errorsOf(stage("one", {}), stage("two", { tasks: { takes: "three" } }), stage("three", {}))).toEqual([
      'manifest: workflows.block.stages[1].tasks.takes is "three"; allowed: an earlier stage: one; stages stand behind those that they take',
    ]);
  });
});

describe("a stage that splits", () => {
  const split = (...pieces: number[]) => stage("range", { tasks: { split: pieces } });
  const joined = stage("join", { tasks: { takes: "range" } });

  it("has more pieces at each level, alone in its workflow", () => {
    expect(errorsOf(split(1, 2, 4), stage("each", { tasks: { each: "range" } }), joined)).toEqual([]);
    expect(errorsOf(split(1, 4, 4), { ...split(1, 2), name: "other" })).toEqual([
      "manifest: workflows.block.stages[0].tasks.split[2] is 4; allowed: more pieces than before (4)",
      'manifest: workflows.block.stages[1].tasks.split is [1,2]; allowed: one stage that splits; "range" does already',
    ]);
    expect(errorsOf(split(1))).toHaveLength(1);
    expect(errorsOf(split(1, 2, 4, 8, 16))).toHaveLength(1);
  });

  it("has nothing resting on it whose tasks a list or a function says", () => {
    const recomputed: StageJson = { name: "cut", executor: "cut", verify: "recompute", tasks: {}, limitMs: 20_000 };
    const list = stage("list", { tasks: { items: "cut", max: 4, takes: "range" } });
    const sha256 = "00".repeat(32);
    const chosen = { ...joined, collect: { custom: "some", sha256 } };
    expect(errorsOf(recomputed, split(1, 2), list, chosen).map((line) => line.split(" is ")[0])).toEqual([
      "manifest: workflows.block.stages[2].tasks.items",
      "manifest: workflows.block.stages[3].collect.custom",
    ]);
  });

  it("has tasks for each level ahead, and each knows its pieces by its index alone", () => {
    const stages = [
      split(1, 2, 4),
      stage("wrap", { tasks: { each: "range" } }),
      stage("extra", { tasks: { count: 2 } }),
      stage("join", { tasks: { takes: ["wrap", "extra"] } }),
    ];
    const made = stagesOf(
      manifestOf(
        signers.map(({ key }) => key),
        workflow(...stages),
      ),
      "block",
      9,
    );
    if (made === null) throw new Error("too many tasks");
    expect(made.map(({ count, levels }) => [count, levels])).toEqual([
      [7, [1, 2, 4]],
      [7, [1, 2, 4]],
      [2, []],
      [3, [1, 1, 1]],
    ]);
    const join = made.at(-1);
    const takes = (group: number) =>
      join === undefined ? [] : takenGroups(made, join, group, new Map()).map(({ groups }) => groups);
    expect([0, 1, 2].map(takes)).toEqual([
      [[0], [0, 1]],
      [
        [1, 2],
        [0, 1],
      ],
      [
        [3, 4, 5, 6],
        [0, 1],
      ],
    ]);
    const [range, wrap, extra] = rowsOf(made);
    expect(range?.shards?.map(({ of, at }) => `${at} of ${of}`)).toEqual([
      "0 of 1",
      "0 of 2",
      "1 of 2",
      "0 of 4",
      "1 of 4",
      "2 of 4",
      "3 of 4",
    ]);
    expect(wrap?.shards).toEqual(range?.shards);
    expect(extra?.shards).toBe(null);
  });
});

describe("the tasks of a workflow", () => {
  const manifest = manifestOf(
    signers.map(({ key }) => key),
    workflow(
      stage("shard", { tasks: { shards: 2, itemsMax: 4 } }),
      { ...two, tasks: { each: "shard" } },
      stage("extra", { tasks: { count: 3 } }),
      stage("join", { tasks: { takes: ["prove", "extra"] } }),
    ),
  );

  it("are one for each output, each fixed number and each variant", () => {
    const counts = (items: number) => stagesOf(manifest, "block", items)?.map(({ groups, count }) => [groups, count]);
    expect(counts(0)).toEqual([
      [2, 2],
      [2, 8],
      [3, 3],
      [1, 1],
    ]);
    expect(counts(17)).toEqual([
      [5, 5],
      [5, 20],
      [3, 3],
      [1, 1],
    ]);
  });

  it("have the longest path behind them first", () => {
    expect(stagesOf(manifest, "block", 0)?.map(({ pathLength }) => pathLength)).toEqual([3, 2, 2, 1]);
  });

  it("of an output rest on the lowest that are complete, one of each family", () => {
    const [, prove] = stagesOf(manifest, "block", 0) ?? [];
    if (prove === undefined) throw new Error("no stage");
    const rests = (...complete: number[]) => restsOn(prove, 1, (index) => complete.includes(index));
    expect(SYSTEMS.map(familyOf)).toEqual(["mock", "groth16", "groth16", "stark"]);
    expect(rests(4, 5)).toBe(null);
    expect(rests(4, 5, 7)).toEqual([4, 7]);
    expect(rests(5, 6, 7)).toEqual([5, 6]);
    expect(rests(0, 1, 2, 3)).toBe(null);
  });
});

describe("the certificate of a block that needs two of its proofs", () => {
  const manifest = manifestOf(
    signers.map(({ key }) => key),
    workflow(two),
  );
  const content = (...indices: number[]): BarrierContent => ({
    format: 1,
    lost: [],
    network: manifest.network,
    chain: 1,
    height: 7,
    hash: hashOf("block"),
    parent: hashOf("parent"),
    start: false,
    workflow: "block",
    items: 3,
    payload: hashOf("payload"),
    before: "00",
    after: "01",
    tasks: indices.map((index) => ({
      stage: "prove",
      index,
      system: two.variants?.[index]?.system ?? "",
      key: hashOf("mock"),
      attempt: 0,
      prover: signers[0]?.key ?? "",
      credited: true,
      artefact: hashOf(`proof ${index}`),
      bytes: 128,
    })),
  });

  function verdict(said: BarrierContent): string {
    const block = blockId(manifest.network, said);
    const votes = signers.flatMap((signer) =>
      feedOf(manifest.network, signer, [[{ kind: "barrier", block, content: contentHash(said) }]]).map((batch) =>
        voteOf(batch, 0),
      ),
    );
    const checked = checkCertificate(manifest, encodeCertificate(said, votes), nativeEquation);
    return checked.ok ? "ok" : `${checked.code}: ${checked.message}`;
  }

  it("holds with any two families, and with nothing less, more or twice", () => {
    expect([content(0, 2), content(1, 2), content(2, 3), content(0, 3)].map(verdict)).toEqual(["ok", "ok", "ok", "ok"]);
    const rule = 'certificate.tasks: tasks[0] is not what 2 of 4 families asks for in output 0 of stage "prove"';
    for (const wrong of [content(0, 1), content(2, 2), content(2, 0), content(2)]) expect(verdict(wrong)).toBe(rule);
    expect(verdict(content(0, 2, 3))).toBe("certificate.tasks: it names 3 tasks; the workflow asks for 2");
  });

  it("names each under the key of its own system", () => {
    const said = content(0, 2);
    const [first, second] = said.tasks;
    if (first === undefined || second === undefined) throw new Error("no tasks");
    expect(verdict({ ...said, tasks: [first, { ...second, system: "mock" }] })).toContain("certificate.tasks");
  });

  it("names a statement, which is about the whole block and has no gaps", () => {
    const hash = { at: 0, is: "block-hash" } as const;
    const layout = (bytes: number, ...fields: readonly unknown[]) =>
      ({ statement: { kind: "layout", bytes, fields } }) as never;
    for (const statement of ["block-hash", "header", "shard-fold", { kind: "stateless-result", schema: 1 }] as const)
      expect(errorsOf(stage("one", { statement }))).toEqual([]);
    expect(errorsOf(stage("one", layout(40, hash, { at: 32, anything: 8 })))).toEqual([]);
    const place = "manifest: workflows.block.stages[0]";
    expect(errorsOf(stage("one", layout(40, hash, { at: 33, anything: 8 })))).toEqual([
      `${place}.statement.fields[1].at is 33; allowed: 32: fields follow each other without a gap`,
      `${place}.statement.bytes is 40; allowed: 41, where the last field ends`,
    ]);
    expect(errorsOf(stage("one", layout(8, { at: 0, is: "number", bytes: 8, endian: "big" })))[0]).toContain(
      "one proof fits every block",
    );
    expect(errorsOf(stage("one", layout(8, { at: 0, is: "number", bytes: 8, endian: "odd" })))).toEqual([
      `${place}.statement.fields[0].endian is "odd"; allowed: "big" or "little"`,
    ]);
    const number = { at: 32, is: "number", bytes: 3, endian: "big" };
    expect(errorsOf(stage("one", layout(35, hash, number)))).toEqual([
      `${place}.statement.fields[1].bytes is 3; allowed: 4 to 32: the chain would stop at the first number that needs more`,
    ]);
    expect(errorsOf(stage("one", { statement: "nonsense" as never }))[0]).toMatch(
      /^manifest: .*statement is "nonsense"; allowed: "shard-fold", /,
    );
    expect(errorsOf(stage("one", { statement: "block-hash", tasks: { count: 2 } }))[0]).toContain("one proof would do");
    expect(errorsOf(stage("one", { statement: "header", system: "groth16-shard", key: "groth16-shard" }))[0]).toContain(
      "groth16-shard is a circuit that proves nothing else",
    );
    expect(
      errorsOf(
        stage("one", { statement: "header", verify: "recompute", executor: "x", system: undefined, key: undefined }),
      )[0],
    ).toContain("no public values");
    const schema = [
      { from: 5, schema: 1 },
      { from: 5, schema: 2 },
    ];
    expect(errorsOf(stage("one", { statement: { kind: "stateless-result", schema } }))).toEqual([
      `${place}.statement.schema[1].from is 5; allowed: more than 5`,
    ]);
  });

  it("has a statement for each variant, and none of its proofs names a prover then", () => {
    const several = variants("mock", "stark");
    const [first, second] = several.variants ?? [];
    if (first === undefined || second === undefined) throw new Error("no variants");
    const each = { ...several, variants: [first, { ...second, statement: "block-hash" as const }] };
    const collect = { any: 2, of: "provers" } as const;
    expect(errorsOf(stage("one", { ...each, collect }))[0]).toContain("may hand in a copy of a proof of stark");
    const read = readManifest(
      manifestJson(
        signers.map(({ key }) => key),
        workflow(stage("one", each)),
      ),
    );
    const [one] = read.ok ? (stagesOf(read.value, "block", 0) ?? []) : [];
    expect(one?.variants.map(({ statement, payee }) => [statement, payee])).toEqual([
      ["shard-fold", "digest"],
      ["block-hash", "none"],
    ]);
    expect(rowsOf(one === undefined ? [] : [one])[0]?.statements).toEqual(["shard-fold", "block-hash"]);
  });
});
