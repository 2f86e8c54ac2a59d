import { readdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { describe, expect, it } from "vitest";
import type { VerifyJob } from "../../src/ports.ts";
import { createCommandVerifier } from "../../src/provers/command.ts";

const JOB: VerifyJob = {
  system: "mine",
  key: "ab".repeat(32),
  values: Uint8Array.of(1, 2, 3),
  parts: [Uint8Array.of(7), Uint8Array.of(8)],
  proof: Uint8Array.of(1, 2, 3),
};

/** The script gets the files as $1 proof, $2 values, $3 parts, and the key's hash as $4. */
function verify(
  script: string,
  change: Partial<VerifyJob> = {},
  timeoutMs = 20_000,
  signal = new AbortController().signal,
) {
  const args = ["-c", script, "sh", "{proof}", "{values}", "{parts}", "{key}"];
  return createCommandVerifier({ system: "mine", command: "sh", args, timeoutMs, verdictStatuses: [1] }).verify(
    { ...JOB, ...change },
    signal,
  );
}

describe("a verifier that is a program", () => {
  it("says by its status whether a proof holds, from the files and the key that its arguments name", async () => {
    const script = `test "$(cat "$3/1" | od -An -tu1 | tr -d ' ')" = 8 && test "$4" = ${JOB.key} && cmp -s "$1" "$2"`;
    expect(await verify(script)).toEqual({ valid: true });
    expect(await verify(script, { proof: Uint8Array.of(1, 2, 4) })).toEqual({ valid: false, code: "proof.command" });
    expect(await verify(script, { values: Uint8Array.of(9) })).toEqual({ valid: false, code: "proof.command" });
  });

  it("refuses no proof by a status that its operator has not named", async () => {
    const options = { system: "mine", command: "sh", args: ["-c", "echo lost >&2; exit 1"], timeoutMs: 20_000 };
    const verdict = createCommandVerifier(options).verify(JOB, new AbortController().signal);
    await expect(verdict).rejects.toThrow("sh ended with status 1: lost");
  });

  it("gives no verdict where it is in trouble, hangs, is killed or is not there", async () => {
    await expect(verify("echo 'no key' >&2; exit 2")).rejects.toThrow("status 2: no key");
    await expect(verify("kill -9 $$")).rejects.toThrow("ended with status");
    await expect(verify("sleep 60", {}, 200)).rejects.toThrow("no verdict within 200 ms");
    const missing = createCommandVerifier({ system: "mine", command: "/nowhere/verify", args: [], timeoutMs: 5000 });
    await expect(missing.verify(JOB, new AbortController().signal)).rejects.toThrow("ended with status 127");
  });

  it("gives its verdict when it has ended, though a helper holds its pipes", async () => {
    expect(await verify("setsid sleep 60 & sleep 0.2; exit 0")).toEqual({ valid: true });
  }, 10_000);

  it("is stopped with whoever asked, and leaves nothing behind", async () => {
    const before = mine();
    const asking = new AbortController();
    const verdict = verify("sleep 60", {}, 20_000, asking.signal);
    asking.abort();
    await expect(verdict).rejects.toThrow("no verdict");
    expect(mine()).toEqual(before);
  });
});

/** Directories of verifications that are under way. */
function mine(): readonly string[] {
  return readdirSync(tmpdir()).filter((name) => name.startsWith("proofmesh-verifier-"));
}
