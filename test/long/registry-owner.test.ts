/** A registry contract that is deployed slowly, and what its owner does with it, from the command line. */
import { afterAll, afterEach, beforeAll, expect, test, vi } from "vitest";
import { EXIT } from "../../src/cli/exit.ts";
import type { DevChain } from "../../src/sources/devchain.ts";
import { valueOf } from "../compliance/completion.ts";
import { endAll, runCli } from "../node/processes.ts";
import { certified } from "../sinks/blocks.ts";
import { addressOf, keyOf, openChain, Registry } from "../sinks/evm.ts";
import { placeOn } from "../node/registry-place.ts";

vi.setConfig({ testTimeout: 60_000 });

let chain: DevChain;
beforeAll(async () => {
  chain = await openChain();
});
afterAll(() => chain.close());
afterEach(endAll);

test("contract.unmined: a transaction that waits for longer is named, and where the contract will be", async () => {
  const { members, flags } = placeOn(chain);
  await chain.setAutomine(false);
  const ended = await runCli(["registry", "deploy", ...flags(), "--timeout", "1"]);
  expect(ended).toMatchObject({ status: EXIT.unreachable, stdout: "" });
  const found = /contract at (0x[0-9a-fA-F]{40}) before you deploy another {2}\[contract\.unmined\]\n$/.exec(
    ended.stderr,
  );
  const address = found?.[1] as `0x${string}`;
  await chain.mine(1);
  await chain.setAutomine(true);
  const { network } = members;
  await valueOf<void>((done) => Registry.at(chain, address).sink(0, { network }).deliver(certified(1), done));
});

test("its owner alone allows and withdraws accounts, and makes it forget a chain", async () => {
  const { members, write, flags } = placeOn(chain);
  const deployed = await runCli(["registry", "deploy", ...flags(), "--json"]);
  const { address } = JSON.parse(deployed.stdout) as { readonly address: `0x${string}` };
  const owner = write("owner.account", `${keyOf(0)}\n`);
  const stranger = write("stranger.account", `${keyOf(2)}\n`);
  const act = (name: string, of: string, change: Readonly<Record<string, string>> = {}) => {
    const right = { "--contract": address, "--rpc": chain.url, "--key-file": owner };
    return runCli(["registry", name, of, ...Object.entries({ ...right, ...change }).flat(), "--json"]);
  };
  const registry = Registry.at(chain, address);
  const { network } = members;
  const codeOf = (account: number, height: number) =>
    new Promise<string>((resolve) => {
      registry.sink(account - 1, { network }).deliver(certified(height), (result) => {
        resolve(result.ok ? "ok" : result.fault.code);
      });
    });

  expect(await codeOf(2, 1)).toBe("contract.not-recorder");
  const allowed = await act("allow", addressOf(2));
  expect(allowed).toMatchObject({ status: EXIT.ok, stderr: "" });
  expect(JSON.parse(allowed.stdout)).toMatchObject({ contract: address, done: "allowed", of: addressOf(2) });
  expect(await codeOf(2, 1)).toBe("ok");
  expect(await act("withdraw", addressOf(2))).toMatchObject({ status: EXIT.ok });
  expect(await codeOf(2, 2)).toBe("contract.not-recorder");
  expect(await codeOf(1, 5)).not.toBe("ok");
  const { chain: id } = certified(1);
  expect(JSON.parse((await act("forget", String(id))).stdout)).toMatchObject({ done: "forgotten", of: id });
  expect(await codeOf(1, 5)).toBe("ok");

  const cases = await Promise.all(
    [
      { ended: act("allow", addressOf(3), { "--key-file": stranger }), code: "contract.owner", names: addressOf(2) },
      { ended: act("forget", "1", { "--contract": addressOf(5) }), code: "contract.missing", names: addressOf(5) },
      { ended: act("allow", "0x12"), code: "commander.invalidArgument", names: "40 hex digits" },
      { ended: act("forget", "one"), code: "commander.invalidArgument", names: "whole number" },
    ].map(async ({ ended, code, names }) => ({ ...(await ended), code, names })),
  );
  for (const { status, stdout, stderr, code, names } of cases) {
    expect([status, stdout]).toEqual([EXIT.usage, ""]);
    expect(stderr).toContain(`[${code}]`);
    expect(stderr).toContain(names);
  }
});
