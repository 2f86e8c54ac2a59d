/** What this node waits for before it may prove, in words an operator can act on. */
import { admissionTasksOf } from "../protocol/admission.ts";
import { variantOf } from "../protocol/workflow.ts";
import { epochAbove, FOR_EVER, headOf, isDrawn } from "./admission.ts";
import { admissionStage, type Rule } from "./admission-proof.ts";
import { missingIn, provableTask } from "./own-admission.ts";
import { isIn } from "./standing.ts";
import type { State } from "./state.ts";

export interface AdmissionStatus {
  readonly chain: number;
  readonly why: string;
}

/** Nothing where the node proves on all chains, or does not want to. */
export function admissionStatus(state: State): readonly AdmissionStatus[] {
  const { roles, slots } = state.options;
  if (!roles.prover || slots === 0) return [];
  const missing = missingIn(state);
  return state.manifest.json.chains.flatMap((rule) => {
    const why = missing.includes(rule) ? whyMissing(state, rule) : whyNotYet(state, rule);
    return why === null ? [] : [{ chain: rule.id, why }];
  });
}

function whyNotYet(state: State, { id, start }: Rule): string | null {
  const member = state.roster.get(state.options.self);
  const head = headOf(state, id);
  if (member === undefined || start === "any" || isIn(state, member, id, head)) return null;
  const turn = member.turns.get(id)?.find((from) => from > head);
  return turn === undefined || !isIn(state, member, id, FOR_EVER)
    ? null
    : `it is admitted, and its first turn begins at height ${turn}, ${turn - head} blocks from here`;
}

function whyMissing(state: State, rule: Rule): string {
  const { self } = state.options;
  if (!isDrawn(state, self, rule.id)) return "it has asked, and attesters admit it without a drawing";
  const stage = admissionStage(state, rule);
  const own = state.chains.get(rule.id)?.ownAdmission;
  if (stage === null || own === undefined) return `it has asked; ${nextDrawing(state, rule)}`;
  const { proving, made, retryMs, failures } = own;
  if (made !== null) return `its admission proof is made; ${nextDrawing(state, rule)}`;
  if (proving !== null)
    return `proves ${stage.name} ${proving.task.index} of block ${rule.id}/${proving.height} for its admission`;
  if (provableTask(state, stage) === null) {
    const systems = admissionTasksOf(stage).map((index) => variantOf(stage, index).executor);
    return `admission costs a proof of stage ${stage.name}, and no prover of this node can make it now: ${[...new Set(systems)].join(", ")}`;
  }
  if (retryMs !== null && retryMs > state.nowMs) {
    const seconds = Math.ceil((retryMs - state.nowMs) / 1000);
    return `its admission proof has failed (${failures} times in a row) and is tried again in ${seconds} s`;
  }
  return "waits for a certified block whose payload is here, to prove a task of it for its admission";
}

function nextDrawing(state: State, { id, start }: Rule): string {
  if (start === "any") return "one in 16 certified blocks holds a drawing";
  const certified = state.chains.get(id)?.certified ?? 0;
  return `waits for a drawing, which block ${id}/${epochAbove(Math.max(certified, 0))} holds next`;
}
