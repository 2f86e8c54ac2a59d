/** What is read from streams: frames with a length before each, and an artefact in such frames. */
import { createHash } from "node:crypto";
import type { Stream } from "@libp2p/interface";
import * as fc from "fast-check";
import { receiveRange } from "../../src/network/artefact.ts";
import { NetworkFault, faultOf } from "../../src/network/fault.ts";
import { framesOf } from "../../src/network/streams.ts";
import { framed } from "../hostile/wire.ts";
import { mutants } from "./mutants.ts";

const BYTES_MAX = 4_096;
const CODE = /^(request|artefact)\.[a-z-]+$/;

/** As much of a libp2p stream as a reader uses: paused until it is asked, and then one piece. */
class Pieces {
  status = "open";
  readStatus = "paused";
  readableEnded = false;
  readBufferLength = 0;
  readonly #pieces: Uint8Array[];
  readonly #listeners = new Map<string, (event: unknown) => void>();

  constructor(pieces: readonly Uint8Array[]) {
    this.#pieces = [...pieces];
  }

  addEventListener(name: string, listener: (event: unknown) => void): void {
    this.#listeners.set(name, listener);
  }

  removeEventListener(name: string): void {
    this.#listeners.delete(name);
  }

  pause(): void {
    this.readStatus = "paused";
  }

  resume(): void {
    this.readStatus = "readable";
    const data = this.#pieces.shift();
    this.readableEnded = data === undefined;
    this.#listeners.get(data === undefined ? "end" : "message")?.({ data });
  }
}

function cut(bytes: Uint8Array, sizes: readonly number[]): Uint8Array[] {
  const pieces: Uint8Array[] = [];
  for (let at = 0, turn = 0; at < bytes.length; turn++) {
    const size = sizes[turn % sizes.length] ?? 1;
    pieces.push(bytes.slice(at, at + size));
    at += size;
  }
  return pieces;
}

const artefact = Uint8Array.from({ length: 1_000 }, (_, at) => at);
const hash = createHash("sha256").update(artefact).digest("hex");
const length = new Uint8Array(8);
new DataView(length.buffer).setBigUint64(0, 1_000n);
const whole = [length, artefact.slice(0, 400), artefact.slice(400)].map(framed);
const corpus = [whole, [length, artefact].map(framed), [framed(new Uint8Array())], [framed(length)]].map((frames) =>
  Uint8Array.from(Buffer.concat(frames)),
);

const sent = fc.tuple(mutants(corpus), fc.array(fc.integer({ min: 1, max: 300 }), { minLength: 1, maxLength: 5 }));

/** Reads mutants as frames and as an artefact; how often there was a code, and how often the artefact. */
export async function fuzzFrames(runs: number, seed: number): Promise<{ refused: number; received: number }> {
  const tally = { refused: 0, received: 0 };
  const read = async (bytes: Uint8Array, sizes: readonly number[]): Promise<void> => {
    const stream = new Pieces(cut(bytes, sizes)) as unknown as Stream;
    let total = 0;
    async function* counted(): AsyncGenerator<Uint8Array, void, undefined> {
      for await (const frame of framesOf(stream, { bytesMax: BYTES_MAX, code: "request.too-large" })) {
        total += frame.length;
        if (total > BYTES_MAX) throw new RangeError(`${total} bytes of ${BYTES_MAX}`);
        yield frame;
      }
    }
    try {
      const got = await receiveRange(counted(), { hash, offset: 0, bytesMax: BYTES_MAX });
      if (!Buffer.from(artefact).equals(got.bytes)) throw new RangeError("other bytes than those asked for");
      tally.received++;
    } catch (error) {
      // The framing library's own errors get the code of a request that failed, as they do in the node.
      const known = error instanceof NetworkFault || (error instanceof Error && LIBRARY.has(error.name));
      const { code } = faultOf(error, "request.failed");
      if (!known || !CODE.test(code)) throw error;
      tally.refused++;
    }
  };
  await fc.assert(
    fc.asyncProperty(sent, ([bytes, sizes]) => read(bytes, sizes)),
    { numRuns: runs, seed },
  );
  return tally;
}

const LIBRARY: ReadonlySet<string> = new Set([
  "UnexpectedEOFError",
  "InvalidMessageLengthError",
  "InvalidDataLengthLengthError",
]);
