import { transportSuite } from "../compliance/transport.ts";
import { MESSAGE_BYTES_MAX, TestNode, closeAll, connected, newSeed, startNode, until } from "./fixture.ts";

transportSuite("libp2p on loopback", async (handlers) => {
  const first = handlers.map((handler) => Object.assign(new TestNode(), { handler }));
  const nodes: TestNode[] = [];
  for (const node of first) {
    const bootstrap = nodes.flatMap(({ network }) => network.addresses());
    nodes.push(await startNode({ bootstrap, seed: newSeed() }, node));
  }
  await connected(nodes);
  return {
    nodes: nodes.map(({ network, artefacts }) => ({ key: network.key, transport: network, artefacts })),
    messageBytesMax: MESSAGE_BYTES_MAX,
    until,
    stop: (index) => nodes[index]?.network.close() ?? Promise.resolve(),
    close: () => closeAll(nodes),
  };
});
