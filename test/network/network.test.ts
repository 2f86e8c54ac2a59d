import { afterAll, beforeAll, expect, test } from "vitest";
import { closeAll, startNodes, until } from "./fixture.ts";
import type { TestNode } from "./fixture.ts";

let nodes: TestNode[] = [];

beforeAll(async () => {
  nodes = await startNodes(4);
});

afterAll(() => closeAll(nodes));

test("a message from one of four nodes reaches the other three", async () => {
  const [a, ...others] = nodes as [TestNode, ...TestNode[]];
  const text = new TextEncoder().encode("hello");
  a.network.publish(text);
  await until("all have heard it", () => others.every(({ heard }) => heard.some(({ bytes }) => bytes.length === 5)));
  for (const { heard } of others) expect(heard[0]?.bytes).toEqual(text);
});
