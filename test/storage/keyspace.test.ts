import { expect, test } from "vitest";
import { operationsOf } from "../../src/storage/keyspace.ts";
import { hashOf } from "../protocol/fixtures.ts";

test("a feed of which nothing is known any more leaves no row behind", () => {
  const author = hashOf("stranger");
  const kinds = (to: number) => operationsOf({ gone: [{ author, spans: to === 0 ? [] : [{ from: 0, to }] }] });
  const [kept, dropped] = [kinds(3), kinds(0)];
  expect([kept, dropped].map((each) => each.map(({ type }) => type))).toEqual([["put"], ["del"]]);
  expect(dropped[0]?.key).toEqual(kept[0]?.key);
});
