/**
 * A file with workflows and their keys: the part of a manifest that says how blocks are proven, and nothing of who does.
 * `proofmesh init --workflow` puts it into a manifest.
 */
import { z } from "zod";
import { label } from "./fields.ts";
import { checkWorkflow, type Surroundings } from "./graph.ts";
import { KEYS, type ManifestJson } from "./manifest.ts";
import { checkShape, type Shaped } from "./shape.ts";
import { WORKFLOW } from "./stages.ts";

const FRAGMENT = z.strictObject(
  {
    description: z.string("a text").max(1000, "at most 1000 characters").optional(),
    workflows: z.record(label, WORKFLOW, "an object of workflows"),
    keys: KEYS.optional(),
  },
  '{"workflows", "keys"}',
);

export type Fragment = z.infer<typeof FRAGMENT>;

/** All errors at once, each with its place; names of keys may be its own or those of what it is put into. */
export function readFragment(
  input: unknown,
  into: { readonly keys: ManifestJson["keys"]; readonly timing: Surroundings["timing"] },
): Shaped<Fragment> {
  const shaped = checkShape(FRAGMENT, input);
  if (!shaped.ok) return shaped;
  const around = { keys: { ...into.keys, ...shaped.value.keys }, timing: into.timing };
  const workflows = Object.entries(shaped.value.workflows);
  const errors = workflows.flatMap(([name, workflow]) => checkWorkflow(`workflows.${name}`, workflow, around));
  if (workflows.length === 0) errors.push({ path: "workflows", value: {}, allowed: "at least one workflow" });
  return errors.length === 0 ? shaped : { ok: false, errors };
}
