/** Nodes in the process of a test. */
import { onTestFinished } from "vitest";
import { type ConfigLayer, readConfig } from "../../src/config.ts";
import { openNode, type ProofmeshNode } from "../../src/node.ts";
import type { Members } from "./members.ts";
import type { LogLine } from "./processes.ts";

/** Opens a member's node in this process, with provers and verifiers of its own, and closes it when the test ends. */
export async function openMember(
  of: Members,
  index: number,
  bootstrap: readonly string[],
  adapters: Partial<ConfigLayer>,
): Promise<{ readonly node: ProofmeshNode; readonly log: LogLine[] }> {
  const log: LogLine[] = [];
  const config = readConfig(
    undefined,
    {},
    {
      data: of.list[index]?.data,
      manifest: of.manifest,
      listen: ["/ip4/127.0.0.1/tcp/0"],
      bootstrap: [...bootstrap],
      http: "127.0.0.1:0",
      ...adapters,
      profile: "local",
      log: "json",
    },
  );
  const node = await openNode(config, (line) => log.push(JSON.parse(line) as LogLine));
  onTestFinished(() => node.close());
  return { node, log };
}
