/** An HTTP server in front of another one that can be down, or lose the answer to what it has passed on. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { onTestFinished } from "vitest";

export interface Passed {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingMessage["headers"];
  readonly body: Buffer;
}

export interface Answer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly text: string;
}

export class Lossy {
  down = false;
  /** Requests that are not passed on. */
  drop: ((request: Passed) => boolean) | null = null;
  /** Requests whose answer is lost. */
  lose: ((request: Passed) => boolean) | null = null;
  readonly requests: Passed[] = [];
  readonly #answer: (request: Passed) => Promise<Answer> | Answer;
  readonly #server: Server;

  private constructor(answer: (request: Passed) => Promise<Answer> | Answer) {
    this.#answer = answer;
    this.#server = createServer((request, response) => void this.#serve(request, response));
  }

  /** Ends with the test. */
  static async open(answer: (request: Passed) => Promise<Answer> | Answer): Promise<Lossy> {
    const lossy = new Lossy(answer);
    await new Promise<void>((resolve) => lossy.#server.listen(0, "127.0.0.1", resolve));
    onTestFinished(async () => {
      const closed = new Promise((resolve) => lossy.#server.close(resolve));
      lossy.#server.closeAllConnections();
      await closed;
    });
    return lossy;
  }

  /** Loses the answer to the first request that fits. */
  loseNext(fits: (request: Passed) => boolean): void {
    this.lose = (request) => {
      const found = fits(request);
      if (found) this.lose = null;
      return found;
    };
  }

  static before(url: string): Promise<Lossy> {
    return Lossy.open(async ({ method, path, headers, body }) => {
      const given = { method, headers: { "content-type": headers["content-type"] ?? "" } };
      const answer = await fetch(url + path, method === "GET" ? given : { ...given, body: new Uint8Array(body) });
      return { status: answer.status, headers: { "content-type": "application/json" }, text: await answer.text() };
    });
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(part as Buffer);
    if (this.down) return void request.socket.destroy();
    const { method = "", url = "", headers } = request;
    const passed = { method, path: url, headers, body: Buffer.concat(parts) };
    this.requests.push(passed);
    if (this.drop?.(passed) === true) return void request.socket.destroy();
    const { status, headers: given = {}, text } = await this.#answer(passed);
    if (this.lose?.(passed) === true) return void request.socket.destroy();
    response.writeHead(status, given).end(text);
  }
}
