/** One HTTP exchange with a prover that is a server, under limits of size and time. */
import { request as plain } from "node:http";
import { request as secure } from "node:https";
import { publicUrl, redacted } from "../address.ts";

const KEEP_ALIVE_MS = 15_000;

export interface Question {
  readonly method: "GET" | "POST";
  readonly url: string;
  readonly type?: string;
  readonly body?: Uint8Array;
  /** An answer that is longer is a fault. */
  readonly bytesMax: number;
  /** For all of it. Proving has a limit of its own, and no client's default of a few minutes may cut it short. */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
}

export interface Answer {
  readonly status: number;
  readonly body: Uint8Array;
}

/** No answer: nobody there, too late, too long, or given up. */
export class NoAnswer extends Error {
  readonly reason: "unreachable" | "timeout" | "too-long" | "aborted";

  constructor(reason: NoAnswer["reason"], message: string) {
    super(message);
    this.reason = reason;
  }
}

/** Asks once. Rejects with `NoAnswer`; any status is an answer. */
export function ask(question: Question): Promise<Answer> {
  const { method, url, type, body, bytesMax, timeoutMs, signal } = question;
  return new Promise((resolve, reject) => {
    if (signal?.aborted === true) return reject(new NoAnswer("aborted", "given up"));
    const send = url.startsWith("https:") ? secure : plain;
    const headers = {
      ...(type === undefined ? {} : { "content-type": type }),
      ...(body === undefined ? {} : { "content-length": String(body.length) }),
    };
    // A connection of its own: one that is kept alive may be closed by the server while the next question is under way.
    const sent = send(url, { method, headers, agent: false });
    // A machine that is gone without a word is noticed long before a proof's time is over.
    sent.setSocketKeepAlive(true, KEEP_ALIVE_MS);
    const fail = (reason: NoAnswer["reason"], message: string): void => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", abort);
      sent.destroy();
      reject(new NoAnswer(reason, message));
    };
    const abort = (): void => fail("aborted", "given up");
    const timer = setTimeout(
      () => fail("timeout", `${publicUrl(url)} gave no answer within ${timeoutMs} ms`),
      timeoutMs,
    );
    signal?.addEventListener("abort", abort, { once: true });
    sent.on("error", (error) => fail("unreachable", `${publicUrl(url)}: ${redacted(error.message, url)}`));
    sent.on("response", (response) => {
      const parts: Buffer[] = [];
      let bytes = 0;
      response.on("data", (part: Buffer) => {
        bytes += part.length;
        if (bytes > bytesMax) return fail("too-long", `${publicUrl(url)} answers with more than ${bytesMax} bytes`);
        parts.push(part);
      });
      response.on("error", (error) => fail("unreachable", `${publicUrl(url)}: ${redacted(error.message, url)}`));
      response.on("aborted", () => fail("unreachable", `${publicUrl(url)} broke off its answer`));
      response.on("end", () => {
        clearTimeout(timer);
        signal?.removeEventListener("abort", abort);
        resolve({ status: response.statusCode ?? 0, body: new Uint8Array(Buffer.concat(parts)) });
      });
    });
    sent.end(body);
  });
}
