/** What a source told so far, and waiting for it to tell more. */
import { expect } from "vitest";
import type { Source, SourceBlock, SourceEvent } from "../../src/ports.ts";

export class Watch {
  readonly events: SourceEvent[] = [];
  /** Blocks told and not taken back. */
  readonly path: SourceBlock[] = [];
  #changed: () => void = () => {};

  constructor(source: Source, after: { readonly height: number; readonly hash: string } | null = null) {
    source.start(after, (event) => {
      this.events.push(event);
      if (event.kind === "block") {
        if (this.path.length > 0) expect(event.block.parent).toBe(this.path.at(-1)?.hash);
        this.path.push(event.block);
      }
      if (event.kind === "retract" && this.path.length > 0) expect(this.path.pop()?.hash).toBe(event.hash);
      this.#changed();
    });
  }

  get newest(): number {
    return this.path.at(-1)?.height ?? -1;
  }

  /** Codes of the troubles so far; `null` for each time it was well again. */
  get troubles(): readonly (string | null)[] {
    return this.events.filter((event) => event.kind === "trouble").map((event) => event.fault?.code ?? null);
  }

  async until(what: string, condition: () => boolean, deadlineMs = 10_000): Promise<void> {
    const late = performance.now() + deadlineMs;
    while (!condition()) {
      const left = late - performance.now();
      if (left <= 0)
        throw new Error(`not in time: ${what}; told ${JSON.stringify(this.troubles)} up to ${this.newest}`);
      const { promise, resolve } = Promise.withResolvers<void>();
      const timer = setTimeout(resolve, left);
      this.#changed = resolve;
      await promise;
      clearTimeout(timer);
    }
  }
}
