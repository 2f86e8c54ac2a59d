/**
 * What every Transport must do.
 *
 * Run against libp2p on loopback and against the simulator. Time is the bench's business: the suite only waits for
 * conditions, so that a virtual clock can be driven while it waits.
 */
import { createHash } from "node:crypto";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { Hash, Key } from "../../src/protocol/ids.ts";
import { ACCEPT } from "../../src/protocol/verdict.ts";
import type { Artefacts, Done, Request, Result, Transport, TransportHandler } from "../../src/ports.ts";

export interface BenchNode {
  readonly key: Key;
  readonly transport: Transport;
  readonly artefacts: Artefacts;
}

export interface TransportBench {
  /** Connected each to each, in the order of the handlers. */
  readonly nodes: readonly BenchNode[];
  readonly messageBytesMax: number;
  /** Lets time pass until the condition holds; rejects with the sentence after a deadline of the bench's choice. */
  until(what: string, condition: () => boolean): Promise<void>;
  /** Takes a node away, as a crash would. */
  stop(index: number): Promise<void>;
  close(): Promise<void>;
}

export type TransportFactory = (handlers: readonly TransportHandler[]) => Promise<TransportBench>;

type Answerer = (request: Request, body: Uint8Array, answer: (frames: readonly Uint8Array[]) => void) => void;

/** Remembers everything; answers as the test says. */
class Recorder implements TransportHandler {
  readonly messages: { readonly text: string; readonly from: Key }[] = [];
  readonly states: { readonly peer: Key; readonly state: "up" | "down" }[] = [];
  answerer: Answerer = (_request, body, answer) => answer([body]);

  message(bytes: Uint8Array, from: Key): typeof ACCEPT {
    this.messages.push({ text: new TextDecoder().decode(bytes), from });
    return ACCEPT;
  }

  request(_peer: Key, request: Request, body: Uint8Array, answer: (frames: readonly Uint8Array[]) => void): void {
    this.answerer(request, body, answer);
  }

  peer(peer: Key, state: "up" | "down"): void {
    this.states.push({ peer, state });
  }
}

const NODES = 4;
const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);
const hashOf = (bytes: Uint8Array): Hash => createHash("sha256").update(bytes).digest("hex");

export function transportSuite(name: string, factory: TransportFactory): void {
  describe(`transport: ${name}`, () => {
    const recorders = Array.from({ length: NODES }, () => new Recorder());
    let bench: TransportBench;

    const at = (index: number): BenchNode => bench.nodes[index] as BenchNode;
    const recorder = (index: number): Recorder => recorders[index] as Recorder;

    /** The result of a call with a completion; fails if it is called twice. */
    async function outcome<T>(start: (done: Done<T>) => unknown): Promise<Result<T>> {
      const results: Result<T>[] = [];
      start((result) => results.push(result));
      expect(results, "a completion never runs inside the call").toEqual([]);
      await bench.until("the completion is called", () => results.length > 0);
      expect(results).toHaveLength(1);
      return results[0] as Result<T>;
    }

    const ask = (body: Uint8Array, bytesMax: number, timeoutMs: number): Promise<Result<readonly Uint8Array[]>> =>
      outcome((done) => at(0).transport.request(at(1).key, "sync", body, bytesMax, timeoutMs, done));
    const fetch = (hash: Hash, bytesMax: number): Promise<Result<void>> =>
      outcome((done) => at(0).transport.fetch(at(1).key, hash, bytesMax, 5_000, done));
    const store = (index: number, bytes: Uint8Array): Promise<Result<Hash>> =>
      outcome((done) => at(index).artefacts.write(bytes, done));

    beforeAll(async () => {
      bench = await factory(recorders);
    }, 20_000);
    beforeEach(() => {
      for (const one of recorders) one.answerer = (_request, body, answer) => answer([body]);
    });
    afterAll(() => bench.close());

    test("every node knows every other, and was told so once", () => {
      for (const [index, { key, transport }] of bench.nodes.entries()) {
        const others = bench.nodes.map((node) => node.key).filter((other) => other !== key);
        expect([...transport.peers()].sort()).toEqual(others.sort());
        expect(
          recorder(index)
            .states.map(({ peer, state }) => `${state} ${peer}`)
            .sort(),
        ).toEqual(others.map((other) => `up ${other}`).sort());
      }
    });

    test("a message reaches every other node once, and not its author", async () => {
      at(0).transport.publish(bytesOf("to all"));
      at(0).transport.publish(bytesOf("after it"));
      const heard = (index: number, text: string): number =>
        recorder(index).messages.filter((message) => message.text === text).length;
      await bench.until("all have heard", () => [1, 2, 3].every((index) => heard(index, "after it") > 0));
      for (const index of [1, 2, 3]) expect(heard(index, "to all")).toBe(1);
      expect(heard(0, "to all")).toBe(0);
      const keys = bench.nodes.map(({ key }) => key);
      for (const { from } of recorder(1).messages) expect(keys).toContain(from);
    });

    test("a message above the limit is not sent", async () => {
      at(0).transport.publish(new Uint8Array(bench.messageBytesMax + 1));
      at(0).transport.publish(bytesOf("the next one"));
      const heard = (): readonly string[] => recorder(1).messages.map(({ text }) => text);
      await bench.until("the next one arrives", () => heard().includes("the next one"));
      expect(heard().every((text) => text.length <= bench.messageBytesMax)).toBe(true);
    });

    test("a request is answered with whole frames in order", async () => {
      const frames = [bytesOf("one"), new Uint8Array(100_000).fill(7), bytesOf(""), bytesOf("four")];
      recorder(1).answerer = (request, body, answer) =>
        answer(request === "sync" && body.length === 3 ? frames : [bytesOf("what?")]);
      expect(await ask(bytesOf("all"), 200_000, 5_000)).toEqual({ ok: true, value: frames });
    });

    test("an empty request may get an empty answer", async () => {
      recorder(1).answerer = (_request, body, answer) => answer(body.length === 0 ? [] : [body]);
      expect(await ask(new Uint8Array(0), 1_000, 5_000)).toEqual({ ok: true, value: [] });
    });

    test("an answer may come later than the request", async () => {
      let reply: ((frames: readonly Uint8Array[]) => void) | undefined;
      recorder(1).answerer = (_request, _body, answer) => {
        reply = answer;
      };
      const asked = ask(bytesOf("later"), 1_000, 5_000);
      await bench.until("the request arrives", () => reply !== undefined);
      reply?.([bytesOf("now")]);
      expect(await asked).toEqual({ ok: true, value: [bytesOf("now")] });
    });

    test("request.too-large: an answer above bytesMax is refused", async () => {
      recorder(1).answerer = (_request, _body, answer) => answer([new Uint8Array(600), new Uint8Array(600)]);
      expect(await ask(bytesOf("much"), 1_000, 5_000)).toMatchObject({ fault: { code: "request.too-large" } });
    });

    test("request.timeout: a request that nobody answers ends", async () => {
      recorder(1).answerer = () => undefined;
      expect(await ask(bytesOf("hm"), 1_000, 200)).toMatchObject({ fault: { code: "request.timeout" } });
    });

    test("peer.gone: a request to a peer that is not connected fails at once", async () => {
      const nobody = "77".repeat(32);
      const result = await outcome<readonly Uint8Array[]>((done) =>
        at(0).transport.request(nobody, "sync", bytesOf("x"), 1_000, 5_000, done),
      );
      expect(result).toMatchObject({ fault: { code: "peer.gone" } });
    });

    test("a cancelled request says nothing more", async () => {
      const results: unknown[] = [];
      let asked = 0;
      recorder(1).answerer = () => {
        asked += 1;
      };
      const cancel = at(0).transport.request(at(1).key, "sync", bytesOf("x"), 1_000, 300, (result) =>
        results.push(result),
      );
      await bench.until("the request arrives", () => asked > 0);
      cancel();
      cancel();
      expect(await ask(bytesOf("x"), 1_000, 400)).toMatchObject({ fault: { code: "request.timeout" } });
      expect(results).toEqual([]);
    });

    test("more requests at once than there are slots are all answered", async () => {
      const asked = Array.from({ length: 20 }, (_, index) => ask(bytesOf(`no ${index}`), 1_000, 5_000));
      const results = await Promise.all(asked);
      for (const [index, result] of results.entries()) {
        expect(result).toEqual({ ok: true, value: [bytesOf(`no ${index}`)] });
      }
    });

    test("an artefact is fetched into the own store", async () => {
      const bytes = new Uint8Array(700_000).map((_, index) => index % 251);
      await store(1, bytes);
      expect(await fetch(hashOf(bytes), 1_000_000)).toMatchObject({ ok: true });
      const read = await outcome<Uint8Array | null>((done) => at(0).artefacts.read(hashOf(bytes), 1_000_000, done));
      expect(read.ok && read.value !== null && hashOf(read.value)).toBe(hashOf(bytes));
    });

    test("artefact.absent: the peer does not have it", async () => {
      expect(await fetch("00".repeat(32), 1_000)).toMatchObject({ fault: { code: "artefact.absent" } });
    });

    test("artefact.too-large: it is not even sent", async () => {
      const bytes = new Uint8Array(2_000).fill(9);
      await store(1, bytes);
      expect(await fetch(hashOf(bytes), 1_999)).toMatchObject({ fault: { code: "artefact.too-large" } });
    });

    test("a node that goes is reported down once, and its requests fail", async () => {
      recorder(3).answerer = () => undefined;
      const { key } = at(3);
      const pending = outcome<readonly Uint8Array[]>((done) =>
        at(0).transport.request(key, "sync", bytesOf("x"), 1_000, 60_000, done),
      );
      await bench.stop(3);
      expect((await pending).ok).toBe(false);
      const downs = (): number =>
        recorder(0).states.filter(({ peer, state }) => peer === key && state === "down").length;
      await bench.until("it is reported down", () => downs() > 0);
      expect(downs()).toBe(1);
      expect(at(0).transport.peers()).not.toContain(key);
    });
  });
}
