/** A dispatcher and its prover: takes a task off the bus, proves (waits), puts the result back, and then acknowledges. */
import { setTimeout as sleep } from "node:timers/promises";
import { jetstream } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { type BusResult, type BusTask, RESULTS, STREAM, WORKERS } from "./bus.ts";

const [port, provingMs] = process.argv.slice(2).map(Number);
const connection = await connect({ servers: `127.0.0.1:${port ?? 0}` });
const stream = jetstream(connection);
const consumer = await stream.consumers.get(STREAM, WORKERS);
const messages = await consumer.consume({ max_messages: 1 });
process.stdout.write("ready\n");
let freeMs = Date.now();
for await (const message of messages) {
  const task = message.json<BusTask>();
  const idleMs = Date.now() - Math.max(task.readyMs, freeMs);
  if (provingMs !== undefined && provingMs > 0) await sleep(provingMs);
  freeMs = Date.now();
  await stream.publish(RESULTS, JSON.stringify({ ...task, idleMs, provedMs: freeMs } satisfies BusResult));
  message.ack();
}
