/** Starts a network on all interfaces, prints what it tells of itself, and ends. */
import { realClock, startNode, TestNode } from "./fixture.ts";

const node = await startNode(
  { listen: ["/ip4/0.0.0.0/tcp/25001"] },
  Object.assign(new TestNode(), { clock: realClock }),
);
process.stdout.write(JSON.stringify(node.network.addresses()));
await node.network.close();
