import { describe, expect, it } from "vitest";
import { checkCertificate } from "../../src/protocol/certificate.ts";
import { readManifest } from "../../src/protocol/manifest.ts";
import { describeShapeError, shorten } from "../../src/protocol/shape.ts";
import { stagesOf } from "../../src/protocol/workflow.ts";
import { manifestJson, manifestOf, signerNamed } from "./fixtures.ts";

const manifest = manifestOf([signerNamed("attester").key]);

function codeOf(file: string): string {
  const checked = checkCertificate(manifest, Buffer.from(file), () => false);
  return checked.ok ? "ok" : checked.code;
}

/** A document of `bytes` bytes that nests, as text: `JSON.stringify` itself would not survive it. */
function nested(depth: number): string {
  return "[".repeat(depth) + "]".repeat(depth);
}

describe("JSON of strangers", () => {
  it("may nest as deep as it likes and is refused with one short line", () => {
    for (const depth of [33, 10_000, 400_000]) {
      expect(codeOf(nested(depth))).toBe("certificate.malformed");
      expect(codeOf(`{"kind":"barrier","version":1,"content":${nested(depth)},"votes":[]}`)).toBe(
        "certificate.malformed",
      );
      const read = readManifest({ ...manifestJson([]), name: JSON.parse(nested(depth)) as unknown });
      if (read.ok) throw new Error("accepted");
      const lines = read.errors.map((error) => describeShapeError(error, "manifest"));
      expect(lines.every((line) => line.length < 400)).toBe(true);
    }
  });

  it("may hold as many values as it likes and has none of them explained", () => {
    const many = (value: string, count: number): string => Array.from({ length: count }, () => value).join(",");
    expect(codeOf(`{"kind":"barrier","version":1,"content":{},"votes":[${many("{}", 300_000)}]}`)).toBe(
      "certificate.malformed",
    );
    const read = readManifest({ ...manifestJson([]), sources: Array.from({ length: 500_000 }, () => ({})) });
    expect(read).toMatchObject({ ok: false, errors: [{ path: "" }] });
  });

  it("is shown in a line whatever it is", () => {
    for (const value of [undefined, null, "x".repeat(1_000_000), JSON.parse(nested(100_000)), { a: [1] }])
      expect(shorten(value).length).toBeLessThanOrEqual(80);
    expect(shorten({ a: [1] })).toBe('{"a":[1]}');
  });

  it("names no workflow that the manifest does not have", () => {
    for (const name of ["constructor", "valueof", "__proto__", "hasOwnProperty"])
      expect(stagesOf(manifest, name, 1), name).toBe(null);
  });
});
