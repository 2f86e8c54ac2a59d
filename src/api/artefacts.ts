/** Files over HTTP, of any length: what goes in and out is in memory a piece at a time. */
import type http from "node:http";
import type { Artefacts, Done, Incoming } from "../ports.ts";
import type { Hash } from "../protocol/ids.ts";
import { ARTEFACT_BYTES_MAX } from "../protocol/limits.ts";
import { isOpening } from "../protocol/opening.ts";
import { ApiFault } from "./fault.ts";

const PART_BYTES = 1024 * 1024;

export type Files = Pick<Artefacts, "size" | "readPart" | "receive">;

/** Sends the file, or throws `artefact.missing`. A reader that is slow holds one piece. */
export async function sendFile(files: Files, hash: Hash, response: http.ServerResponse): Promise<void> {
  const length = await settled<number | null>((done) => files.size(hash, done));
  const part = (offset: number) => settled<Uint8Array | null>((done) => files.readPart(hash, offset, PART_BYTES, done));
  const first = length === null ? null : await part(0);
  if (first !== null && isOpening(first))
    throw new ApiFault(
      403,
      "artefact.secret",
      `${hash} is the opening of a commitment, which attesters alone may have`,
    );
  if (length === null || first === null) throw new ApiFault(404, "artefact.missing", `this node does not hold ${hash}`);
  response.writeHead(200, { "content-type": "application/octet-stream", "content-length": length });
  let bytes: Uint8Array = first;
  for (let at = 0; ; ) {
    if (!response.write(bytes)) await drained(response);
    at += bytes.length;
    if (at >= length) return void response.end();
    const next = response.destroyed ? null : await part(at);
    // Half a file under a whole one's length: the reader sees that it broke off.
    if (next === null || next.length === 0) return void response.destroy();
    bytes = next;
  }
}

/** A request has half a minute for its body, so long files come in several. */
const PIECE_BYTES_MAX: number = 16 * 1024 * 1024;

/** A piece of a file of so many bytes, from an offset on. */
export interface Piece {
  readonly hash: Hash;
  readonly length: number;
  readonly from: number;
}

/** Takes a piece in; returns how many bytes are here by now. The last one makes it an artefact, or leaves nothing. */
export async function takePiece(
  files: Files,
  { hash, length, from }: Piece,
  request: http.IncomingMessage,
): Promise<number> {
  if (length > ARTEFACT_BYTES_MAX)
    throw new ApiFault(413, "artefact.too-large", `${length} bytes; allowed: at most ${ARTEFACT_BYTES_MAX}`);
  if ((await settled<number | null>((done) => files.size(hash, done))) !== null) {
    request.resume();
    return length;
  }
  const incoming = await settled<Incoming>((done) => files.receive(hash, length, done));
  try {
    if (incoming.bytes !== from)
      throw new ApiFault(409, "artefact.offset", `${incoming.bytes} bytes are here, not ${from}; go on from there`);
    for await (const part of request as AsyncIterable<Buffer>) {
      if (incoming.bytes + part.length > from + PIECE_BYTES_MAX)
        throw new ApiFault(413, "http.body", `a piece is over ${PIECE_BYTES_MAX} bytes`);
      await settled<void>((done) => incoming.append(new Uint8Array(part), done));
    }
  } catch (error) {
    incoming.pause();
    throw error;
  }
  if (incoming.bytes < length) {
    incoming.pause();
    return incoming.bytes;
  }
  if (await settled<boolean>((done) => incoming.finish(done))) return length;
  throw new ApiFault(400, "artefact.wrong-bytes", `what came is not of the hash ${hash}`);
}

function drained(response: http.ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const end = (): void => {
      response.off("drain", end);
      response.off("close", end);
      resolve();
    };
    response.on("drain", end);
    response.on("close", end);
  });
}

function settled<T>(run: (done: Done<T>) => void): Promise<T> {
  return new Promise((resolve, reject) => {
    run((result) => {
      if (result.ok) resolve(result.value);
      else
        reject(
          new ApiFault(result.fault.code === "artefact.busy" ? 409 : 507, result.fault.code, result.fault.message),
        );
    });
  });
}
