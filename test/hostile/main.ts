/**
 * A hostile peer as a program of its own: `main.ts NETWORK ADDRESS SECONDS ATTACK...`. Runs the attacks side by side and
 * prints what each has sent, as JSON. Whatever happens to it, it goes on until its time is over.
 */
import net from "node:net";
import { ALL } from "./all.ts";
import type { Sent } from "./attacks.ts";

const [network = "", address = "", seconds = "", ...names] = process.argv.slice(2);
const end = new AbortController();
const sent: Record<string, Sent> = {};
/** Its time begins when all attacks have; on a machine with much to do that takes a while. */
const START_MS_MAX = 20_000;
const started = performance.now();
const timer = setInterval(() => {
  const begun = names.every((name) => (sent[name]?.count ?? 0) > 0) || performance.now() - started > START_MS_MAX;
  if (!begun) return;
  clearInterval(timer);
  setTimeout(() => end.abort(), Number(seconds) * 1_000);
}, 20);
// No member is at the hosts that the attackers come from.
const connect = net.connect.bind(net) as (options: net.TcpNetConnectOpts) => net.Socket;
let hosts = 0;
const elsewhere = (options: net.TcpNetConnectOpts): net.Socket =>
  connect({ ...options, localAddress: `127.0.1.${1 + (hosts++ % 250)}` });
net.connect = elsewhere as typeof net.connect;
process.on("uncaughtException", () => undefined);
process.on("unhandledRejection", () => undefined);
process.on("SIGTERM", () => end.abort());

await Promise.all(
  names.map(async (name) => {
    const attack = ALL[name];
    if (attack === undefined) throw new Error(`no attack "${name}"; there are ${Object.keys(ALL).join(", ")}`);
    const own: Sent = { count: 0, refused: 0 };
    sent[name] = own;
    await attack.run({ network, address }, own, end.signal).catch(() => own.refused++);
  }),
);
clearInterval(timer);
process.stdout.write(`${JSON.stringify(sent)}\n`);
process.exit(0);
