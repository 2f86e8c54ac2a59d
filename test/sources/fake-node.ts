/** An HTTP server in front of a real node that misbehaves as it is told to. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export type Behaviour =
  | { readonly kind: "pass" }
  | { readonly kind: "hang" }
  | { readonly kind: "status"; readonly status: number; readonly headers?: Readonly<Record<string, string>> }
  | { readonly kind: "text"; readonly type: string; readonly text: string };

export class FakeNode {
  behaviour: Behaviour = { kind: "pass" };
  /** When each request came, and the most that were under way at once. */
  readonly requestedAt: number[] = [];
  inFlightMax = 0;
  readonly #target: string;
  #server: Server | null = null;
  #port = 0;
  #inFlight = 0;

  constructor(target: string) {
    this.#target = target;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  /** Listens, on the same port as before if it was stopped. */
  async listen(): Promise<this> {
    const server = createServer((request, response) => void this.#answer(request, response));
    await new Promise<void>((resolve) => server.listen(this.#port, "127.0.0.1", resolve));
    this.#server = server;
    this.#port = (server.address() as AddressInfo).port;
    return this;
  }

  async stop(): Promise<void> {
    const server = this.#server;
    if (server === null) return;
    this.#server = null;
    const closed = new Promise((resolve) => server.close(resolve));
    server.closeAllConnections();
    await closed;
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    this.requestedAt.push(performance.now());
    this.inFlightMax = Math.max(this.inFlightMax, ++this.#inFlight);
    response.once("close", () => this.#inFlight--);
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(part as Buffer);
    const { behaviour } = this;
    switch (behaviour.kind) {
      case "hang":
        return;
      case "status":
        response.writeHead(behaviour.status, behaviour.headers).end("no");
        return;
      case "text":
        response.writeHead(200, { "content-type": behaviour.type }).end(behaviour.text);
        return;
      case "pass": {
        const answer = await fetch(this.#target, {
          method: "POST",
          body: Buffer.concat(parts),
          headers: { "content-type": "application/json" },
        });
        response.writeHead(answer.status, { "content-type": "application/json" }).end(await answer.text());
      }
    }
  }
}
