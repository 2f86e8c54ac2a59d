/**
 * Jobs that wait in a line for each author who pays for them. Lines are served in turn, so the length of one line keeps
 * nobody else waiting.
 */

export interface Waiting {
  /** The names of the lines that it waits in. */
  readonly lines: ReadonlySet<string>;
}

export class Lane<Job extends Waiting> {
  /** By name, the line served longest ago first. */
  readonly #lines = new Map<string, Set<Job>>();

  add(job: Job): void {
    for (const name of job.lines) {
      const line = this.#lines.get(name) ?? new Set<Job>();
      this.#lines.set(name, line.add(job));
    }
  }

  remove(job: Job): void {
    for (const name of job.lines) {
      const line = this.#lines.get(name);
      line?.delete(job);
      if (line?.size === 0) this.#lines.delete(name);
    }
  }

  /** How many jobs wait in the line. */
  waiting(name: string): number {
    return this.#lines.get(name)?.size ?? 0;
  }

  names(): Iterable<string> {
    return this.#lines.keys();
  }

  /** Takes the first job of the first line that may be served, out of all its lines. */
  take(mayServe: (name: string, first: Job) => boolean): { readonly name: string; readonly job: Job } | null {
    for (const [name, line] of this.#lines) {
      const [job] = line;
      if (job === undefined || !mayServe(name, job)) continue;
      this.#lines.delete(name);
      this.#lines.set(name, line);
      this.remove(job);
      return { name, job };
    }
    return null;
  }
}
