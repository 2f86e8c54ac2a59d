import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import path from "node:path";
import { expect, test } from "vitest";
import { EXIT } from "../../src/cli/exit.ts";
import type { NodeConfig } from "../../src/config.ts";
import { createManifestFile, openManifest } from "../../src/manifests.ts";
import type { ManifestJson } from "../../src/protocol/manifest.ts";
import { createKey } from "../../src/node.ts";
import { openAccount } from "../../src/node/accounts.ts";
import { createFileDurably } from "../../src/storage/files.ts";
import { runCli } from "../node/processes.ts";
import { temporaryDirectory } from "../storage/directories.ts";

test("init leaves no manifest that it has refused, and makes the corrected one", async () => {
  const data = path.join(temporaryDirectory(), "node");
  const init = (network: string) => runCli(["init", "--data", data, "--network", network, "--chain", "1:5", "--mock"]);
  const refused = await init("My Net");
  expect(refused).toMatchObject({ status: EXIT.usage, stdout: "" });
  expect(refused.stderr).toContain('"My Net"');
  expect(refused.stderr).toContain("manifest.invalid");
  expect(existsSync(data)).toBe(false);
  expect(readdirSync(`${data}-keys`).sort()).toEqual(["key.json", "signed"]);
  expect(await init("my-net")).toMatchObject({ status: EXIT.ok, stderr: "" });
  expect(readdirSync(data)).toEqual(["manifest.json"]);
  const made = readFileSync(path.join(data, "manifest.json"));
  const json = JSON.parse(made.toString("utf8")) as ManifestJson;
  const again = () => createManifestFile(path.join(data, "manifest.json"), { ...json, name: "other-net" });
  expect(again).toThrow("a manifest is never overwritten");
  expect(readFileSync(path.join(data, "manifest.json"))).toEqual(made);
});

test("init lets a network take proofs of 4 MiB, or of what --proof-bytes says", async () => {
  const limitOf = async (...flags: string[]) => {
    const data = path.join(temporaryDirectory(), "node");
    const made = await runCli(["init", "--data", data, "--network", "my-net", "--chain", "1:5", "--mock", ...flags]);
    if (made.status !== EXIT.ok) return made.stderr;
    const json = JSON.parse(readFileSync(path.join(data, "manifest.json"), "utf8")) as ManifestJson;
    return json.limits.proofBytesMax;
  };
  expect(await limitOf()).toBe(4_194_304);
  expect(await limitOf("--proof-bytes", "2000000")).toBe(2_000_000);
  expect(await limitOf("--proof-bytes", "99999999")).toContain("proofBytesMax");
});

test("a node keeps no manifest of its own that is not valid", async () => {
  const dir = temporaryDirectory();
  const { key } = createKey(path.join(dir, "key.json"));
  const file = { kind: "file", chain: 7, path: "-" } as const;
  const config = { data: dir, sources: [file, file], provers: [], slots: 1 } as unknown as NodeConfig;
  await expect(openManifest(config, key, { emit: () => {} })).rejects.toMatchObject({ code: "manifest.invalid" });
  expect(existsSync(path.join(dir, "manifest.json"))).toBe(false);
});

test("an account's key file is there whole or not at all", async () => {
  const dir = temporaryDirectory();
  const made = await openAccount(path.join(dir, "account"));
  expect(made.made).toBe(true);
  expect(await openAccount(path.join(dir, "account"))).toEqual({ address: made.address, made: false });
  expect(readdirSync(dir)).toEqual(["account"]);
  await expect(openAccount(path.join(dir, "missing", "account"))).rejects.toMatchObject({ code: "key.failed" });
});

test("a file that must not be there yet replaces none, and leaves no temporary one", () => {
  const dir = temporaryDirectory();
  const file = path.join(dir, "file");
  createFileDurably(file, Buffer.from("first"), 0o600);
  expect(() => createFileDurably(file, Buffer.from("second"), 0o600)).toThrow("EEXIST");
  expect(readdirSync(dir)).toEqual(["file"]);
  expect(readFileSync(file, "utf8")).toBe("first");
  expect(statSync(file).mode & 0o777).toBe(0o600);
});
