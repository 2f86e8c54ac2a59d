import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { payloadOf } from "../../src/protocol/ethereum.ts";
import { type DevChain, type DevChainOptions, startDevChain } from "../../src/sources/devchain.ts";

async function started(options: DevChainOptions): Promise<DevChain> {
  const chain = await startDevChain(options);
  if (!chain.ok) throw new Error(chain.fault.message);
  return chain.value;
}

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

interface Block {
  readonly hash: string;
  readonly transactions: readonly {
    readonly type: string;
    readonly to: string | null;
    readonly input: string;
    readonly r: string;
  }[];
}

function block(chain: DevChain, height: number | "latest"): Promise<Block> {
  const tag = height === "latest" ? height : `0x${height.toString(16)}`;
  return chain.call("eth_getBlockByNumber", [tag, true]) as Promise<Block>;
}

test("a dev chain makes blocks by itself, of transactions of every kind", async () => {
  const chain = await started({ blockTimeS: 0.2, transactionsPerBlock: 15, slotsInEpoch: 4 });
  const kinds = new Set<string>();
  const look = async (): Promise<readonly string[]> => {
    for (const { type, to, input } of (await block(chain, "latest")).transactions) {
      kinds.add(`${type} ${to === null ? "create" : input === "0x" ? "transfer" : "call"}`);
    }
    return [...kinds].toSorted();
  };
  const all = ["0x0 transfer", "0x1 transfer", "0x2 call", "0x2 create", "0x2 transfer"];
  await expect.poll(look, { timeout: 15_000 }).toEqual(all);
  await chain.close();
  expect(alive(chain.pid)).toBe(false);
});

test("a dev chain that is started again goes on where it was, with the same blocks", async () => {
  const directory = mkdtempSync(join(tmpdir(), "proofmesh-devchain-"));
  const stateFile = join(directory, "below", "chain.json");
  const first = await started({ blockTimeS: null, stateFile });
  await first.send(5);
  await first.mine(3);
  const before = await block(first, 1);
  expect(before.transactions).toHaveLength(5);
  await first.close();
  const second = await started({ blockTimeS: null, stateFile });
  expect(await block(second, 1)).toEqual(before);
  expect(payloadOf(await block(second, 1)).ok).toBe(true);
  await second.send(2);
  await second.mine(1);
  expect((await block(second, 4)).transactions).toHaveLength(2);
  await second.close();
  rmSync(directory, { recursive: true });
});

test("the same seed makes the same transactions", async () => {
  const roots = await Promise.all(
    [1, 1, 2].map(async (seed) => {
      const chain = await started({ blockTimeS: null, seed });
      await chain.send(12);
      await chain.mine(1);
      const { transactions } = await block(chain, 1);
      await chain.close();
      return transactions
        .map(({ r }) => r)
        .toSorted()
        .join();
    }),
  );
  expect(roots[0]).toBe(roots[1]);
  expect(roots[0]).not.toBe(roots[2]);
});

test("automine makes a block for each transaction", async () => {
  const chain = await started({ blockTimeS: null });
  await chain.setAutomine(true);
  await chain.send(1);
  await expect.poll(async () => (await block(chain, "latest")).transactions.length).toBe(1);
  await chain.close();
});

test("a dev chain dies with its owner, even by SIGKILL", async () => {
  const program = `import { startDevChain } from ${JSON.stringify(new URL("../../src/sources/devchain.ts", import.meta.url).href)};
    const chain = await startDevChain({ blockTimeS: 1 });
    console.log(chain.value.pid);`;
  const owner = spawn(process.execPath, ["--input-type=module", "--eval", program], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const pid = await new Promise<number>((resolve) => owner.stdout.once("data", (line) => resolve(Number(line))));
  expect(alive(pid)).toBe(true);
  owner.kill("SIGKILL");
  await expect.poll(() => alive(pid), { timeout: 10_000 }).toBe(false);
});

test("devchain.failed says what anvil said", async () => {
  const chain = await started({ blockTimeS: null });
  const second = await startDevChain({ blockTimeS: null, port: Number(new URL(chain.url).port) });
  expect(second).toMatchObject({ ok: false, fault: { code: "devchain.failed" } });
  expect(second.ok ? "" : second.fault.message).toMatch(/address|in use/i);
  await chain.close();
});
