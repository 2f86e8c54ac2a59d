/** What both suites of a node's life ask of it. */
import { expect } from "vitest";
import { EXIT } from "../../src/cli/exit.ts";
import { CHAIN } from "./blocks.ts";
import type { StartedNode } from "./processes.ts";

/** How long a node may take to end after Ctrl-C. */
export const STOP_MS_MAX = 8_000;

/** Ctrl-C: the node ends by itself, without an error, before anyone presses it again. */
export async function stopped(node: StartedNode): Promise<void> {
  const beganMs = performance.now();
  node.signal("SIGINT");
  expect(await node.ended).toMatchObject({ status: EXIT.ok, stderr: "" });
  expect(performance.now() - beganMs).toBeLessThan(STOP_MS_MAX);
}

export async function certificateBytes(node: StartedNode, height: number): Promise<string> {
  const response = await fetch(`${node.http}/certificates/${CHAIN}/${height}`);
  if (!response.ok) throw new Error(await response.text());
  return response.text();
}
