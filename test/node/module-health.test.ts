import { expect, it } from "vitest";
import type { Fault } from "../../src/ports.ts";
import { VerifierHealth } from "../../src/node/module-health.ts";
import type { NodePartition } from "../../src/node/partition.ts";
import { readManifest } from "../../src/protocol/manifest.ts";
import { keyOf } from "../core/harness.ts";
import { manifestJson } from "../protocol/fixtures.ts";

const KEY = { system: "wasm", verifyingKey: "e30=", files: {} };

function health(isAttester: boolean) {
  const json = manifestJson([keyOf("a")]);
  const read = readManifest({ ...json, keys: { ...json.keys, zkvm: KEY } });
  if (!read.ok) throw new Error(JSON.stringify(read));
  const manifest = read.value;
  const posted: (string | null)[] = [];
  const runtime = { post: ({ fault }: { readonly fault: string | null }) => void posted.push(fault) };
  const partition = { runtime, roles: { attester: isAttester } } as unknown as NodePartition;
  const reported: unknown[] = [];
  const telemetry = { emit: (event: string) => void reported.push(event), count: () => {} };
  return {
    key: manifest.keyHashes.get("zkvm") ?? "",
    posted,
    reported,
    partition,
    own: new VerifierHealth(manifest, isAttester, telemetry, [partition]),
  };
}

it("an attester votes only once each module is in use (VERIFY-8)", async () => {
  const { own, key, posted, reported, partition } = health(true);
  own.tell(partition);
  const answers: (Fault | null)[] = [{ code: "verifier.missing", message: "nobody has it" }, null];
  const stop = own.watch({
    moduleFiles: new Set(),
    loadModules: async () => {
      const fault = answers.shift() ?? null;
      own.changed(key, fault);
      return [{ key, fault }];
    },
  });
  await expect.poll(() => posted, { timeout: 10_000 }).toEqual(["verifier.zkvm", "verifier.zkvm", null]);
  expect(reported).toEqual(["verifier.unable", "verifier.ready"]);
  stop();
});

it("a node that is no attester is not held up by a module that is missing", () => {
  const { own, posted, partition } = health(false);
  own.tell(partition);
  expect(posted).toEqual([]);
});
