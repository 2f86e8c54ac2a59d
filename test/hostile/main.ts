/**
 * A hostile peer as a program of its own: `main.ts NETWORK ADDRESS SECONDS ATTACK...`. Runs the attacks side by side and
 * prints what each has sent, as JSON. Whatever happens to it, it goes on until its time is over.
 */
import { ATTACKS, type Sent } from "./attacks.ts";

const [network = "", address = "", seconds = "", ...names] = process.argv.slice(2);
const end = new AbortController();
const timer = setTimeout(() => end.abort(), Number(seconds) * 1_000);
process.on("uncaughtException", () => undefined);
process.on("unhandledRejection", () => undefined);
process.on("SIGTERM", () => end.abort());

const sent: Record<string, Sent> = {};
await Promise.all(
  names.map(async (name) => {
    const attack = ATTACKS[name];
    if (attack === undefined) throw new Error(`no attack "${name}"; there are ${Object.keys(ATTACKS).join(", ")}`);
    const own: Sent = { count: 0, refused: 0 };
    sent[name] = own;
    await attack.run({ network, address }, own, end.signal).catch(() => own.refused++);
  }),
);
clearTimeout(timer);
process.stdout.write(`${JSON.stringify(sent)}\n`);
process.exit(0);
