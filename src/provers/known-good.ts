/**
 * A refusal by a server whose interface does not tell a wrong proof from a failure of its own.
 *
 * Such a refusal counts only after the server has accepted again, under the same key, a proof that it accepted before.
 * Without such a proof it is no verdict, so a broken server costs an attempt and never makes this attester sign a false
 * rejection.
 */
import type { Hash } from "../protocol/ids.ts";
import type { VerifyJob } from "../ports.ts";

/** Keys whose last good proof is kept. A network has few, and a proof may have megabytes. */
const KEYS_MAX = 8;

export class KnownGood {
  readonly #jobs = new Map<Hash, VerifyJob>();

  /** Remembers a proof that has just been accepted. */
  accepted(job: VerifyJob): void {
    this.#jobs.delete(job.key);
    this.#jobs.set(job.key, job);
    const [oldest] = this.#jobs.keys();
    if (this.#jobs.size > KEYS_MAX && oldest !== undefined) this.#jobs.delete(oldest);
  }

  /** Resolves where the server still accepts what holds. Rejects where that cannot be shown: the refusal is no verdict. */
  async confirmRefusal({ key }: VerifyJob, why: string, accepts: (good: VerifyJob) => Promise<boolean>): Promise<void> {
    const good = this.#jobs.get(key);
    if (good === undefined) throw new Error(`refused (${why}), and no proof under this key is known to hold yet`);
    if (!(await accepts(good))) throw new Error(`refused (${why}), like a proof that was accepted before`);
  }
}
