import { statSync } from "node:fs";
import path from "node:path";
import { afterAll, afterEach, beforeAll, expect, test, vi } from "vitest";
import { EXIT } from "../../src/cli/exit.ts";
import type { DevChain } from "../../src/sources/devchain.ts";
import { valueOf } from "../compliance/completion.ts";
import { addressOf, openChain, Registry } from "../sinks/evm.ts";
import { certified } from "../sinks/blocks.ts";
import { endAll, runCli } from "./processes.ts";
import { placeOn } from "./registry-place.ts";

vi.setConfig({ testTimeout: 60_000 });

let chain: DevChain;
beforeAll(async () => {
  chain = await openChain();
});
afterAll(() => chain.close());
afterEach(endAll);

test("a registry is put on a chain for the network, and takes blocks from the accounts that were named", async () => {
  const { members, flags } = placeOn(chain);
  const file = path.join(members.dir, "node.account");
  const made = await runCli(["registry", "account", file, "--json"]);
  expect(made).toMatchObject({ status: EXIT.ok, stderr: "" });
  const { address } = JSON.parse(made.stdout) as { readonly address: string };
  expect(JSON.parse(made.stdout)).toEqual({ address, file, made: true });
  expect(statSync(file).mode & 0o777).toBe(0o600);

  const [again, deployed] = await Promise.all([
    runCli(["registry", "account", file]),
    runCli(["registry", "deploy", ...flags(), "--recorder", address, "--json"]),
  ]);
  expect(again).toMatchObject({ status: EXIT.ok, stderr: "" });
  expect(again.stdout).toContain(address);
  expect(deployed).toMatchObject({ status: EXIT.ok, stderr: "" });
  const said = JSON.parse(deployed.stdout) as { readonly address: `0x${string}`; readonly evmChain: number };
  expect(said).toMatchObject({ evmChain: 31_337, network: members.network, owner: addressOf(0) });
  expect(said).toMatchObject({ recorders: [addressOf(1), address] });

  const registry = Registry.at(chain, said.address);
  const network = members.network;
  await valueOf<void>((done) => registry.sink(0, { network }).deliver(certified(1), done));
  expect(await registry.heights()).toEqual([1]);
});

test("what is wrong with a deployment is said before anything is paid for", async () => {
  const { members, write, flags } = placeOn(chain);
  const poor = write("poor.account", `0x${"11".repeat(32)}`);
  const zero = write("zero.account", `0x${"00".repeat(32)}`);
  const none = path.join(members.dir, "none");
  const mistyped = addressOf(1)
    .toLowerCase()
    .replace(/[a-f]/, (letter) => letter.toUpperCase());
  const cases = [
    { change: { "--key-file": none }, status: EXIT.usage, code: "config.secret", names: none },
    { change: { "--key-file": zero }, status: EXIT.usage, code: "config.secret", names: "64 hex digits" },
    { change: { "--key-file": poor }, status: EXIT.usage, code: "contract.funds", names: "cannot pay" },
    { change: { "--recorder": mistyped }, status: EXIT.usage, code: "contract.recorder", names: mistyped },
    { change: { "--recorder": "0x12" }, status: EXIT.usage, code: "commander.invalidArgument", names: "40 hex" },
    {
      change: { "--rpc": "http://127.0.0.1:9/my-api-key" },
      status: EXIT.unreachable,
      code: "contract.unreachable",
      names: "127.0.0.1:9",
    },
  ];
  const before = await chain.call("eth_getTransactionCount", [addressOf(0), "pending"]);
  await Promise.all(
    cases.map(async ({ change, status, code, names }) => {
      const ended = await runCli(["registry", "deploy", ...flags(change)]);
      expect([code, ended.status, ended.stdout]).toEqual([code, status, ""]);
      expect(ended.stderr).toMatch(new RegExp(`^proofmesh: [^\\n]+ {2}\\[${code.replace(".", "\\.")}\\]\\n$`));
      expect(ended.stderr).toContain(names);
      expect(ended.stderr).not.toMatch(/my-api-key|1111/);
    }),
  );
  expect(await chain.call("eth_getTransactionCount", [addressOf(0), "pending"])).toBe(before);
});
