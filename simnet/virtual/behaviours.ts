/** Every way to be hostile that the simulator knows, by name. A hostile node has one or several of them. */
import type { Behaviour } from "./byzantine.ts";
import { attemptOf, chatter, forge, malleated, noise } from "./chatter.ts";
import { FAKES } from "./fakes.ts";
import { FLOODS } from "./floods.ts";
import { LIES } from "./lies.ts";
import { RECEIPTS } from "./receipts.ts";
import { SYBILS } from "./sybils.ts";
import { THIEVES } from "./thieves.ts";
import { TRESPASSES } from "./trespasses.ts";
import { ECHOES } from "./echoes.ts";
import { VOTERS } from "./voters.ts";
import { WASTERS } from "./wasters.ts";

/** Anybody against the network. */
const ANYONE = {
  silence: { who: "anyone", says: "nothing at all", rewrite: () => [], sends: () => false },
  // BATCH-6.
  replay: {
    who: "anyone",
    says: "what others said, again",
    every: {
      ms: 300,
      times: 200,
      run: (node) => {
        for (let i = 0; i < 8; i++) {
          const batch = node.pick(node.heard);
          if (batch !== undefined) node.send(batch.bytes);
        }
      },
    },
  },
  // BATCH-10.
  forge: {
    who: "anyone",
    says: "batches of others under signatures that do not hold, and votes that it has no right to",
    every: { ms: 300, times: 200, run: (node) => forge(node) },
    hearsBatch: (batch, node) => node.send(malleated(node, batch)),
  },
  flood: {
    who: "anyone",
    says: "statements about everything and nothing, as many as go into a batch",
    every: {
      ms: 250,
      times: 80,
      run: (node) => node.say(Array.from({ length: 100 }, () => chatter(node))),
    },
  },
  leap: {
    who: "anyone",
    says: "batches of its own thousands of numbers above all others, and nothing in between",
    every: {
      ms: 2_000,
      times: 20,
      run: (node) => {
        const next = 1000 * (node.chance.between(1, 1000) + 1000 * node.heard.length);
        node.send(node.seal({ next, previous: noise(node) }, [chatter(node)]).bytes);
      },
    },
  },
  // REJECT-2.
  "wrong-artefacts": {
    who: "anyone",
    says: "other bytes than those that are asked for",
    artefacts: (artefacts) => ({
      has: (hash, done) => artefacts.has(hash, done),
      read: (hash, _bytesMax, done) => artefacts.has(hash, () => done({ ok: true, value: new Uint8Array(64) })),
      size: (hash, done) => artefacts.has(hash, () => done({ ok: true, value: 64 })),
      readPart: (hash, _offset, _bytesMax, done) =>
        artefacts.has(hash, () => done({ ok: true, value: new Uint8Array(64) })),
      receive: (hash, length, done) => artefacts.receive(hash, length, done),
      write: (bytes, done) => artefacts.write(bytes, done),
      keep: (bytes, done) => artefacts.keep(bytes, done),
      forget: (hashes, done) => artefacts.forget(hashes, done),
    }),
  },
  conspire: {
    who: "anyone",
    says: "whatever helps the other hostile nodes: grants, attests, and timeouts for everybody else",
    hearsFellows: true,
    hears: (entry, author, node) => {
      const isFellow = node.options.fellows.has(author);
      if (entry.kind === "claim")
        node.say([
          isFellow
            ? { ...attemptOf(entry), kind: "grant", prover: author }
            : { ...attemptOf(entry), kind: "timeout", code: "conspiracy" },
        ]);
      if (entry.kind === "receipt" && isFellow)
        node.say([{ ...attemptOf(entry), kind: "attest", prover: author, artefact: entry.artefact }]);
    },
  },
} satisfies Record<string, Behaviour>;

export const BEHAVIOURS: Readonly<Record<string, Behaviour>> = {
  ...VOTERS,
  ...WASTERS,
  ...ANYONE,
  ...LIES,
  ...RECEIPTS,
  ...FLOODS,
  ...FAKES,
  ...THIEVES,
  ...SYBILS,
  ...ECHOES,
  ...TRESPASSES,
};
