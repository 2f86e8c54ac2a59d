/**
 * Verification by ere-server: the proof must be of the program whose key the manifest names, and of the task's values.
 *
 * The server puts a wrong proof, a panic and its own errors into one answer, so a refusal needs `KnownGood`. Newer servers
 * load another program behind the same URL, so the server is asked for its program's key before and after each proof.
 */
import { publicUrl } from "../../address.ts";
import { artefactHash } from "../../protocol/ids.ts";
import type { VerifyJob } from "../../ports.ts";
import { KnownGood } from "../known-good.ts";
import type { OutsideVerifier } from "../outside.ts";
import { paddedEqual } from "../values.ts";
import { type EreAnswer, ereProgramKey, type EreServer, ereVerify } from "./client.ts";

export interface EreVerifierOptions extends EreServer {
  readonly system: string;
  readonly timeoutMs: number;
}

const ANSWER_BYTES_MAX = 1024 * 1024;
const UNREADABLE = "failed to decode proof";

export function createEreVerifier(options: EreVerifierOptions): OutsideVerifier {
  const knownGood = new KnownGood();
  const limits = (signal: AbortSignal) => ({ bytesMax: ANSWER_BYTES_MAX, timeoutMs: options.timeoutMs, signal });
  const checkProgram = async ({ key }: VerifyJob, signal: AbortSignal): Promise<void> => {
    const program = artefactHash(granted(await ereProgramKey(options, limits(signal)), "program key"));
    if (program === key) return;
    throw new Error(`${publicUrl(options.url)} verifies program ${program}, and the task's is ${key}`);
  };
  const ask = async (job: VerifyJob, signal: AbortSignal): Promise<EreAnswer> => {
    await checkProgram(job, signal);
    const answer = await ereVerify(options, job.proof, limits(signal));
    await checkProgram(job, signal);
    return answer;
  };
  const accepts = async (job: VerifyJob, signal: AbortSignal): Promise<boolean> => {
    const answer = await ask(job, signal);
    return answer.kind === "ok" && commits(answer, job);
  };
  return {
    system: options.system,
    async verify(job, signal) {
      const answer = await ask(job, signal);
      switch (answer.kind) {
        case "refused":
          await knownGood.confirmRefusal(job, answer.message, (good) => accepts(good, signal));
          return { valid: false, code: "proof.equation" };
        case "fault":
          // Undecodable bytes are as objective as a wrong proof; anything else is the server's own trouble.
          if (answer.code === "invalid_argument" && answer.message.startsWith(UNREADABLE))
            return { valid: false, code: "proof.shape" };
          throw new Error(`${answer.code} (${answer.status}): ${answer.message}`);
        case "ok":
          if (!commits(answer, job)) return { valid: false, code: "proof.values" };
          knownGood.accepted(job);
          return { valid: true };
      }
    },
  };
}

function commits({ fields }: Extract<EreAnswer, { kind: "ok" }>, { values }: VerifyJob): boolean {
  return paddedEqual(fields.get(1) ?? new Uint8Array(), values);
}

function granted(answer: EreAnswer, what: string): Uint8Array {
  if (answer.kind === "ok") return answer.fields.get(1) ?? new Uint8Array();
  throw new Error(`no ${what}: ${answer.message}`);
}
