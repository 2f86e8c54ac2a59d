/**
 * What coordination costs, side by side in one run: proofmesh, and what its user would build instead, dispatchers and a
 * collector round a NATS JetStream bus (push0's design, here at its leanest).
 *
 * Both do the same work: blocks at a fixed rate, each of four shards and one aggregation over them, four provers whose
 * proofs take a fixed time. What is counted is what a task waits beyond its proving: from ready (and a prover free) to
 * the start, and from the proof to its acceptance. The two do not promise the same, and the table says so.
 */
import { spawn, spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { type BenchLoad, runBus } from "./bus.ts";

interface Row {
  readonly system: string;
  readonly provingMs: number;
  readonly p50: number;
  readonly p99: number;
  readonly seconds: number;
}

const SIMNET = fileURLToPath(new URL("../../simnet/main.ts", import.meta.url));
const PROVERS = 4;
const SHARDS = 4;

const { values } = parseArgs({
  options: {
    blocks: { type: "string", default: "40" },
    interval: { type: "string", default: "500" },
    proving: { type: "string", default: "0,100,300" },
    json: { type: "boolean", default: false },
    help: { type: "boolean", short: "h", default: false },
  },
});
if (values.help) {
  process.stdout.write(
    "Measures coordination: proofmesh beside NATS JetStream (nats-server must be on the path; Debian: apt install nats-server).\n\n" +
      "  --blocks <n>      blocks of each run (default 40)\n  --interval <ms>   time between blocks (default 500)\n" +
      "  --proving <list>  proving times in ms (default 0,100,300)\n  --json            one JSON object\n\n" +
      "Example:\n  $ npm run bench -- --blocks 20 --proving 100\n",
  );
  process.exit(0);
}

const say = (line: string): void => void process.stderr.write(`${line}\n`);
const hasBus = spawnSync("nats-server", ["--version"]).status === 0;
if (!hasBus) say("nats-server is not on the path: its rows are left out (Debian: apt install nats-server)");
const rows: Row[] = [];
for (const provingMs of values.proving.split(",").map(Number)) {
  const load: BenchLoad = {
    blocks: Number(values.blocks),
    intervalMs: Number(values.interval),
    shards: SHARDS,
    provers: PROVERS,
    provingMs,
  };
  if (hasBus) {
    say(`NATS JetStream, proofs of ${provingMs} ms`);
    rows.push({ system: "bus", provingMs, ...(await runBus(load)) });
  }
  say(`proofmesh, proofs of ${provingMs} ms`);
  rows.push({ system: "proofmesh", provingMs, ...(await runMesh(load)) });
}
process.stdout.write(values.json ? `${JSON.stringify({ rows })}\n` : table(rows));

async function runMesh(load: BenchLoad): Promise<Omit<Row, "system" | "provingMs">> {
  const flags = ["--nodes", load.provers, "--shards", load.shards, "--blocks", load.blocks];
  flags.push("--interval", load.intervalMs, "--mock", load.provingMs);
  const child = spawn(process.execPath, [SIMNET, "local", "--json", ...flags.map(String)], {
    stdio: ["ignore", "pipe", "ignore"],
  });
  let output = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    output += text;
  });
  const code = await new Promise((resolve) => child.once("close", resolve));
  if (code !== 0) throw new Error(`simnet local ended with ${String(code)}`);
  const report = JSON.parse(output.trim().split("\n").at(-1) ?? "") as {
    readonly overheadMs: { readonly visible: { readonly p50: number; readonly p99: number } };
    readonly seconds: number;
  };
  return { ...report.overheadMs.visible, seconds: report.seconds };
}

function table(all: readonly Row[]): string {
  const lines = [
    "| system | proving ms | overhead P50 ms | P99 ms | seconds |",
    "| --- | ---: | ---: | ---: | ---: |",
    ...all.map(
      ({ system, provingMs, p50, p99, seconds }) => `| ${system} | ${provingMs} | ${p50} | ${p99} | ${seconds} |`,
    ),
    "",
    "bus: one trusted JetStream server with file storage, results believed as they come; nothing signed, synced or verified.",
    "proofmesh: four nodes, none trusted; every statement signed and on disk before it is sent, each proof verified by three of four.",
  ];
  return `${lines.join("\n")}\n`;
}
