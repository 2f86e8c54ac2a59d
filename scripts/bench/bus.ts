/** The bus: a JetStream server, a dispatcher beside each prover, one collector. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { AckPolicy, jetstream, jetstreamManager, RetentionPolicy, StorageType } from "@nats-io/jetstream";
import { connect, type NatsConnection } from "@nats-io/transport-node";

export interface BenchLoad {
  readonly blocks: number;
  readonly intervalMs: number;
  readonly shards: number;
  readonly provers: number;
  readonly provingMs: number;
}

/** A task on the bus, and what its prover says of it. Times are of one machine's wall clock, in ms. */
export interface BusTask {
  readonly block: number;
  readonly stage: "shard" | "aggregate";
  readonly index: number;
  readonly readyMs: number;
}

export interface BusResult extends BusTask {
  /** What the task waited for a message while a prover was free. */
  readonly idleMs: number;
  readonly provedMs: number;
}

export const TASKS = "bench.tasks";
export const RESULTS = "bench.results";
export const STREAM = "bench";
export const WORKERS = "workers";
const COLLECTOR = "collector";
const PROVER = fileURLToPath(new URL("bus-prover.ts", import.meta.url));

export async function runBus(
  load: BenchLoad,
): Promise<{ readonly p50: number; readonly p99: number; readonly seconds: number }> {
  const directory = mkdtempSync(join(tmpdir(), "proofmesh-bench-"));
  const port = await freePort();
  const children: ChildProcess[] = [
    spawn("nats-server", ["-a", "127.0.0.1", "-p", String(port), "-js", "-sd", directory], { stdio: "ignore" }),
  ];
  let connection: NatsConnection | null = null;
  try {
    connection = await connect({ servers: `127.0.0.1:${port}`, waitOnFirstConnect: true, reconnectTimeWait: 100 });
    await prepare(connection);
    for (let at = 0; at < load.provers; at++) {
      const flags = [PROVER, String(port), String(load.provingMs)];
      children.push(spawn(process.execPath, flags, { stdio: ["ignore", "pipe", "inherit"] }));
    }
    await Promise.all(children.slice(1).map((child) => new Promise((resolve) => child.stdout?.once("data", resolve))));
    return await measure(connection, load);
  } finally {
    await connection?.close();
    const gone = children.map((child) => new Promise((resolve) => child.once("exit", resolve)));
    for (const child of children) child.kill();
    await Promise.all(gone);
    rmSync(directory, { recursive: true, force: true });
  }
}

async function prepare(connection: NatsConnection): Promise<void> {
  const manager = await jetstreamManager(connection);
  await manager.streams.add({
    name: STREAM,
    subjects: [TASKS, RESULTS],
    storage: StorageType.File,
    retention: RetentionPolicy.Workqueue,
  });
  const explicit = { ack_policy: AckPolicy.Explicit };
  await manager.consumers.add(STREAM, { ...explicit, durable_name: WORKERS, filter_subject: TASKS });
  await manager.consumers.add(STREAM, { ...explicit, durable_name: COLLECTOR, filter_subject: RESULTS });
}

/** Announces blocks at the load's rate and collects: a block's aggregation is ready when its last shard is. */
async function measure(connection: NatsConnection, load: BenchLoad): ReturnType<typeof runBus> {
  const stream = jetstream(connection);
  const publish = (task: Omit<BusTask, "readyMs">) =>
    stream.publish(TASKS, JSON.stringify({ ...task, readyMs: Date.now() } satisfies BusTask));
  const consumer = await stream.consumers.get(STREAM, COLLECTOR);
  const messages = await consumer.consume();
  const beganMs = performance.now();
  const announced = announce(load, publish);
  const left = new Map<number, number>();
  const overheads: number[] = [];
  for await (const message of messages) {
    const result = message.json<BusResult>();
    message.ack();
    overheads.push(result.idleMs + Date.now() - result.provedMs);
    if (result.stage === "shard") {
      const missing = (left.get(result.block) ?? load.shards) - 1;
      left.set(result.block, missing);
      if (missing === 0) await publish({ block: result.block, stage: "aggregate", index: 0 });
    }
    if (overheads.length === load.blocks * (load.shards + 1)) break;
  }
  await announced;
  const sorted = overheads.toSorted((a, b) => a - b);
  const at = (share: number): number => Math.round((sorted[Math.floor(sorted.length * share)] ?? 0) * 10) / 10;
  return { p50: at(0.5), p99: at(0.99), seconds: Math.round((performance.now() - beganMs) / 100) / 10 };
}

async function announce(load: BenchLoad, publish: (task: Omit<BusTask, "readyMs">) => Promise<unknown>): Promise<void> {
  for (let block = 0; block < load.blocks; block++) {
    const shards = Array.from({ length: load.shards }, (_, index) => publish({ block, stage: "shard", index }));
    await Promise.all([...shards, new Promise((resolve) => setTimeout(resolve, load.intervalMs))]);
  }
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = net.createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => resolve(address !== null && typeof address === "object" ? address.port : 0));
    });
  });
}
