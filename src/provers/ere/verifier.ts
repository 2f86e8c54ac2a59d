/** Verification by ere-server: the proof must be of the program whose key the manifest names, and of the task's values. */
import { publicUrl } from "../../address.ts";
import { artefactHash } from "../../protocol/ids.ts";
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
  /** The hash of the server's program key; asked again after a fault, for the server may be another by then. */
  let programKey: string | null = null;
  const limits = (signal: AbortSignal) => ({ bytesMax: ANSWER_BYTES_MAX, timeoutMs: options.timeoutMs, signal });
  return {
    system: options.system,
    async verify(job, signal) {
      programKey ??= artefactHash(granted(await ereProgramKey(options, limits(signal)), "program key"));
      if (programKey !== job.key)
        throw new Error(`${publicUrl(options.url)} verifies program ${programKey}, and the task's is ${job.key}`);
      const answer = await ereVerify(options, job.proof, limits(signal));
      switch (answer.kind) {
        case "refused":
          return { valid: false, code: "proof.equation" };
        case "fault":
          // Undecodable bytes are as objective as a wrong proof; anything else is the server's own trouble.
          if (answer.code === "invalid_argument" && answer.message.startsWith(UNREADABLE))
            return { valid: false, code: "proof.shape" };
          programKey = null;
          throw new Error(`${answer.code} (${answer.status}): ${answer.message}`);
        case "ok":
          return paddedEqual(answer.fields.get(1) ?? new Uint8Array(), job.values)
            ? { valid: true }
            : { valid: false, code: "proof.values" };
      }
    },
  };
}

function granted(answer: EreAnswer, what: string): Uint8Array {
  if (answer.kind === "ok") return answer.fields.get(1) ?? new Uint8Array();
  throw new Error(`no ${what}: ${answer.message}`);
}
