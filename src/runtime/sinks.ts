/** Hands certificates to the sinks in the order they were certified; a sink that fails is tried again, and blocks only itself. */
import type { Clock, Sink, StoredCertificate, Telemetry } from "../ports.ts";

const WAITING_MAX = 10_000;
const RETRY_MS_MIN = 250;
const RETRY_MS_MAX = 30_000;

interface Line {
  readonly sink: Sink;
  readonly waiting: StoredCertificate[];
  busy: boolean;
  retryMs: number;
}

export class SinkQueue {
  readonly #lines: readonly Line[];
  readonly #clock: Clock;
  readonly #telemetry: Telemetry;
  #closed = false;

  constructor(sinks: readonly Sink[], clock: Clock, telemetry: Telemetry) {
    this.#lines = sinks.map((sink) => ({ sink, waiting: [], busy: false, retryMs: RETRY_MS_MIN }));
    this.#clock = clock;
    this.#telemetry = telemetry;
  }

  deliver(certificate: StoredCertificate): void {
    for (const line of this.#lines) {
      // Certificates are on disk: a sink that was away for so long is served from there by its operator.
      if (line.waiting.length >= WAITING_MAX) this.#telemetry.count("sink.overflow", String(certificate.chain));
      else line.waiting.push(certificate);
      this.#next(line);
    }
  }

  close(): void {
    this.#closed = true;
  }

  #next(line: Line): void {
    const [certificate] = line.waiting;
    if (certificate === undefined || line.busy || this.#closed) return;
    line.busy = true;
    line.sink.deliver(certificate, (result) => {
      if (result.ok) {
        line.waiting.shift();
        line.busy = false;
        line.retryMs = RETRY_MS_MIN;
        return this.#next(line);
      }
      this.#telemetry.emit("sink.failed", { ...result.fault, height: certificate.height, retryMs: line.retryMs });
      this.#clock.after(line.retryMs, () => {
        line.busy = false;
        this.#next(line);
      });
      line.retryMs = Math.min(line.retryMs * 2, RETRY_MS_MAX);
    });
  }
}
