import { describe, expect, it } from "vitest";
import { itemsIn } from "../../src/protocol/items.ts";

describe("the output that others are counted by", () => {
  it("is a JSON list, whose items have one text each", () => {
    expect(itemsIn(' [1, "two", {"b": 2, "a": [null]}] ', 3)).toEqual(["1", '"two"', '{"a":[null],"b":2}']);
  });

  it("is nothing else, nor empty, nor longer than allowed", () => {
    for (const text of ["", "{}", "3", "[", "[]", "[1,2,3,4]", '"[1]"', "null"])
      expect(itemsIn(text, 3), text).toBe(null);
  });
});
