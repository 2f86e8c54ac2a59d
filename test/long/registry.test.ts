import { expect, test } from "vitest";
import { compileRegistry } from "../../scripts/registry.ts";
import { REGISTRY_ABI, REGISTRY_BYTECODE } from "../../src/sinks/registry.ts";

test("what the compiler makes of the registry contract is what the node ships", () => {
  const { abi, bytecode } = compileRegistry();
  expect(abi).toEqual(REGISTRY_ABI);
  expect(bytecode).toBe(REGISTRY_BYTECODE);
});
