/** Networks of one node whose systems come in packages of their own, from `init` to a certificate checked offline. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { EXIT } from "../../src/cli/exit.ts";
import type { NodeStatus } from "../../src/node.ts";
import { nextBlock, submit } from "../node/blocks.ts";
import { endAll, eventually, runCli, startCli } from "../node/processes.ts";
import { install } from "./install.ts";
import { inTurn } from "./turns.ts";

/** Of nobody's own: a node follows a dev chain where it can. */
const CHAIN = 7;
const ROOT = join(import.meta.dirname, "../..");
/** The first start of a prover may compute keys for minutes on a busy machine. */
const WAIT_MS = 900_000;

const directory = mkdtempSync(join(tmpdir(), "proofmesh-"));

afterAll(async () => {
  await endAll();
  rmSync(directory, { recursive: true, force: true });
});

/** One of them in a turn: each takes minutes. */
const CASES: readonly (readonly [string, readonly string[]])[] = [
  ["halo2", ["--system", "halo2", "--shards", "1"]],
  ["pickles", ["--workflow", join(ROOT, "config/workflows/recursive.json")]],
];

test.each(inTurn(CASES, 2))(
  "a network of %s is made with one line, certifies a block, and the certificate holds with all its proofs",
  async (name, init) => {
    install(name);
    const data = join(directory, name);
    const made = await runCli(["init", "--data", data, "--network", name, "--chain", `${CHAIN}:1`, ...init]);
    expect(made).toMatchObject({ status: EXIT.ok, stderr: "" });
    const local = ["--listen", "/ip4/127.0.0.1/tcp/0", "--http", "127.0.0.1:0", "--profile", "local"];
    const node = await startCli(["--data", data, ...local], WAIT_MS);
    await submit(node.http, nextBlock(null), CHAIN);
    const isCertified = async (): Promise<true | null> => {
      const { chains } = (await (await fetch(`${node.http}/status`)).json()) as NodeStatus;
      return chains[0]?.certified === 1 ? true : null;
    };
    await eventually("the block is certified", isCertified, WAIT_MS);
    const proofs = join(directory, `${name}-proofs`);
    const http = node.http.slice("http://".length);
    const exported = await runCli(["certificate", "1", "--http", http, "--out", proofs]);
    expect(exported).toMatchObject({ status: EXIT.ok });
    const network = ["--network", join(data, "manifest.json")];
    const verified = await runCli(["verify", join(proofs, "certificate.json"), ...network, "--proofs", proofs]);
    expect(verified).toMatchObject({ status: EXIT.ok, stderr: "" });
    node.signal("SIGINT");
    expect(await node.ended).toMatchObject({ status: EXIT.ok });
  },
  2 * WAIT_MS,
);
