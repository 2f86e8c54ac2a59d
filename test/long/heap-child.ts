/**
 * Runs a network of two nodes for many blocks and prints the heap after each of the counts it is given. What a node has
 * on disk is not counted: the simulated disks keep the newest only.
 */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { Cluster } from "../../simnet/virtual/cluster.ts";
import type { Artefacts, Journal } from "../../src/ports.ts";
import { memoryArtefacts } from "../../src/storage/memory.ts";

const CERTIFICATES_MAX = 64;
const ARTEFACTS_MAX = 512;
const BLOCK_MS = 1000;

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

const cluster: Cluster = new Cluster(
  {
    seed: 1,
    nodes: 2,
    attesters: 1,
    joiners: 0,
    shards: 2,
    window: 4,
    retentionBlocks: 16,
    // All that is kept of certified blocks has its full size long before the first count.
    limits: { closedMax: 256 },
    links: { loss: 0.05, duplicate: 0, replay: 0, delayMsMin: 1, delayMsMax: 20, wan: false },
    times: { proveMsMin: 50, proveMsMax: 200, verifyMs: 5, wrong: 0, failing: 0.02, wrongFirst: 0, tooLarge: 0 },
    diskMs: 2,
    hooks: { modules: (modules) => ({ ...modules, journal: forgetfulJournal(), sinks: [] }) },
  },
  () => {},
);

/** Says that it keeps everything. */
function forgetfulJournal(): Journal {
  let bytes = 0;
  const done = (then: () => void) => void cluster.world.after(2, then);
  return {
    load: () => ({ floor: null, records: [] }),
    append: (records, then) => {
      bytes += records.reduce((sum, record) => sum + record.length, 0);
      done(() => then({ ok: true, value: undefined }));
    },
    compact: (_floor, records, then) => {
      bytes = records.reduce((sum, record) => sum + record.length, 0);
      done(() => then({ ok: true, value: undefined }));
    },
    size: () => bytes,
  };
}

/** Only the newest are kept. */
function forgetfulArtefacts(): Artefacts {
  const artefacts = memoryArtefacts({ defer: (run) => void cluster.world.after(2, run) });
  const write: Artefacts["write"] = (bytes, done) => {
    artefacts.write(bytes, done);
    const [oldest] = artefacts.files.keys();
    if (artefacts.files.size > ARTEFACTS_MAX && oldest !== undefined) artefacts.files.delete(oldest);
  };
  return {
    has: (...of) => artefacts.has(...of),
    read: (...of) => artefacts.read(...of),
    size: (...of) => artefacts.size(...of),
    readPart: (...of) => artefacts.readPart(...of),
    receive: (...of) => artefacts.receive(...of),
    write,
    keep: write,
    forget: (...of) => artefacts.forget(...of),
  };
}

for (const node of cluster.nodes) {
  node.disk.store.certificatesMax = CERTIFICATES_MAX;
  node.disk.artefacts = forgetfulArtefacts();
  cluster.start(node);
}
let mined = 0;
const gone = { chain: 1, height: 0, hash: "", parent: "", payload: new Uint8Array(), items: 0 };
const mine = () => {
  cluster.chain.mine();
  // What lies deep is never asked for again, and what the checkers would want to know nobody asks here.
  cluster.makers.clear();
  const { blocks } = cluster.chain;
  if (blocks.length > CERTIFICATES_MAX) {
    const at = blocks.length - CERTIFICATES_MAX - 1;
    cluster.chain.told.delete(blocks[at]?.hash ?? "");
    blocks[at] = gone;
  }
  mined++;
  cluster.world.after(BLOCK_MS, mine);
};
cluster.world.after(100, mine);

for (const count of process.argv.slice(2).map(Number)) {
  cluster.world.run(Number.POSITIVE_INFINITY, () => mined >= count);
  // Between two blocks, with the last one certified.
  const untilMs = cluster.world.nowMs + BLOCK_MS - 100;
  cluster.world.run(Number.POSITIVE_INFINITY, () => cluster.world.nowMs >= untilMs);
  collect();
  collect();
  const sizes = cluster.nodes.map(({ runtime }) => {
    if (runtime === null) throw new Error("a node is down");
    const { state } = runtime;
    const kept = [...state.log.feeds()].map((feed) => feed.kept().length);
    const { blocks, closed, pending, admissions, benches } = state;
    const certified = state.chains.get(1)?.certified ?? -1;
    const kinds = { blocks: blocks.size, closed: closed.size, pending: pending.size };
    return { certified, ...kinds, admissions: admissions.size, benches: benches.size, kept };
  });
  const { heapUsed, external, arrayBuffers } = process.memoryUsage();
  process.stdout.write(`${JSON.stringify({ count, heapUsed, external, arrayBuffers, sizes })}\n`);
}
