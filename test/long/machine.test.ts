/** What an ordinary machine does to a node: log readers that end, files that a power cut has emptied, keys in addresses. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:http";
import net, { type AddressInfo } from "node:net";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { afterEach, expect, onTestFinished, test, vi } from "vitest";
import { EXIT } from "../../src/cli/exit.ts";
import { readConfig } from "../../src/config.ts";
import { certifiedBy } from "./nodes.ts";
import { CHAIN, nextBlock, submit } from "../node/blocks.ts";
import { flagsOf, type Member, makeMembers } from "../node/members.ts";
import { endAll, eventually, type LogLine, runCli, startCli } from "../node/processes.ts";

vi.setConfig({ testTimeout: 120_000 });
afterEach(endAll);

test("a node whose log reader ends goes on without its log, and drains when it is told to stop", async () => {
  const members = makeMembers(1);
  const [member] = members.list as [Member];
  const node = await startCli(flagsOf(members, member, 10));
  node.hangUp();
  const first = nextBlock(null);
  await submit(node.http, first);
  await submit(node.http, nextBlock(first));
  await eventually("both blocks are certified", async () => ((await certifiedBy(node)) === 2 ? true : null));
  node.signal("SIGTERM");
  const ended = await node.ended;
  expect(ended).toMatchObject({ status: EXIT.ok, signal: null });
  expect(ended.stderr).toBe("proofmesh: cannot write the log: write EPIPE; the node goes on without it  [log.lost]\n");
  expect(existsSync(path.join(member.data, "node.json"))).toBe(false);
});

test("a file that is only a convenience never stops a node", async () => {
  const members = makeMembers(1);
  const [member] = members.list as [Member];
  const note = path.join(member.data, "node.json");
  writeFileSync(path.join(member.data, "bans.json"), "");
  writeFileSync(note, "");
  const status = await runCli(["status", "--data", member.data]);
  expect(status).toMatchObject({ status: EXIT.unreachable });
  expect(status.stderr).toContain(`${note} cannot be read`);

  const node = await startCli(flagsOf(members, member, 10));
  expect(node.log.map(({ event }) => event)).toContain("network.bans-damaged");
  expect(await runCli(["status", "--data", member.data])).toMatchObject({ status: EXIT.ok });
  node.signal("SIGTERM");
  expect(await node.ended).toMatchObject({ status: EXIT.ok });

  mkdirSync(path.join(note, "in the way"), { recursive: true });
  const again = await startCli(flagsOf(members, member, 10));
  expect(again.log.map(({ event }) => event)).toContain("node.note-failed");
  again.signal("SIGTERM");
  expect(await again.ended).toMatchObject({ status: EXIT.ok });
});

/** Asks for credentials, and repeats in its answers what it was asked, as servers do. */
async function gossip(): Promise<{ readonly port: number; readonly authorizations: ReadonlySet<string> }> {
  const authorizations = new Set<string>();
  const server = createServer((request, response) => {
    authorizations.add(Buffer.from(request.headers.authorization?.slice(6) ?? "", "base64").toString());
    response.writeHead(404, { "content-type": "text/plain" });
    response.end(`Cannot ${request.method} ${request.url} of ${request.headers.host}`);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return { port: (server.address() as AddressInfo).port, authorizations };
}

const SECRETS = ["pigeon", "loftkey-0123456789", "feather-token"];

test("no credential and no key of an address is in a log, a status, a finding or an error", async () => {
  const members = makeMembers(1);
  const [member] = members.list as [Member];
  const { port, authorizations } = await gossip();
  const address = (who: string, scheme = "http"): string =>
    `${scheme}://${who}:pigeon@127.0.0.1:${port}/loftkey-0123456789/${who}?t=feather-token`;
  const config = path.join(members.dir, "config.json");
  const sinks = [
    { kind: "webhook", url: address("hook"), takeoverMs: 100 },
    { kind: "webhook", name: "asks", url: address("hook"), lookup: `${address("lookup")}&h={height}` },
    {
      kind: "contract",
      rpc: address("contract"),
      evmChain: 1,
      address: `0x${"11".repeat(20)}`,
      account: { env: "PAYER" },
    },
    {
      kind: "ethproofs",
      chain: CHAIN,
      url: address("e").replace("e:pigeon@", ""),
      apiKey: { env: "APIKEY" },
      cluster: 1,
    },
  ];
  const environment = { PAYER: `0x${"12".repeat(32)}`, APIKEY: "loftkey-0123456789" };
  const provers = [
    { kind: "mock", provingMs: 5 },
    { kind: "ere", system: "ere-mock", url: address("ere").replace("?t=feather-token", ""), timeoutMs: 5_000 },
  ];
  const sources = [{ kind: "rpc", chain: CHAIN, url: address("chain") }];
  writeFileSync(config, JSON.stringify({ sinks, provers, sources }));
  const flags = flagsOf(members, member, 5).filter((flag, at, all) => flag !== "--mock" && all[at - 1] !== "--mock");
  const node = await startCli([...flags, "--config", config], 30_000, environment);
  await submit(node.http, nextBlock(null));
  for (const sink of ["webhook", "asks", "contract", "ethproofs"])
    await node.line(`${sink} fails`, (line) => line.event === "sink.failed" && line["sink"] === sink);
  await node.line("the chain fails", ({ event }) => event === "source.trouble");
  const outputs = [
    await (await fetch(`${node.http}/status`)).text(),
    (await runCli(["status", "--data", member.data])).stdout,
  ];
  node.signal("SIGTERM");
  const { stdout, stderr } = await node.ended;
  const doctor = await runCli(["doctor", "--config", config, "--data", member.data, "--manifest", members.manifest], {
    environment,
  });
  outputs.push(stdout, stderr, doctor.stdout, doctor.stderr);

  // Mistakes are where values are repeated.
  for (const wrong of [
    { sinks: [{ ...sinks[0], url: address("hook", "htp") }] },
    { sinks: [{ ...sinks[0], url: "box.example/loftkey-0123456789" }] },
    { sinks: [{ ...sinks[0], token: "feather-token" }] },
    { sinks: [{ ...sinks[0], kind: "webhoook" }] },
    { sinks: [{ ...sinks[3], url: address("e") }] },
    { sources: [{ ...sources[0], url: address("chain", "ftp") }] },
    { sources: [address("chain")] },
    { provers: [{ ...provers[1], url: address("ere", "ftp") }] },
  ]) {
    writeFileSync(config, JSON.stringify(wrong));
    const refused = (() => {
      try {
        return readConfig(config, {}, { data: member.data }) && "accepted";
      } catch (error) {
        return error instanceof Error ? error.message : "";
      }
    })();
    expect(refused).toMatch(/(sinks|sources|provers)\[0\].* allowed: /);
    outputs.push(refused);
  }
  const rpc = await runCli(["start", "--data", member.data, "--rpc", address("chain")]);
  expect(rpc.status).toBe(EXIT.unreachable);
  outputs.push(rpc.stdout, rpc.stderr);
  for (const secret of SECRETS) for (const output of outputs) expect(output).not.toContain(secret);
  expect(outputs.join("\n")).toContain(`http://127.0.0.1:${port}/...`);
  // The credentials went where they belong.
  for (const who of ["hook", "lookup", "contract", "chain"]) expect(authorizations).toContain(`${who}:pigeon`);
});

test("a node that joins waits for a peer that is not up yet, and says why", async () => {
  const members = makeMembers(1, { admission: "open" });
  const [member] = members.list as [Member];
  // Whoever connects first finds a port without a node behind it.
  const before = net.createServer((socket) => socket.destroy()).listen(0, "127.0.0.1");
  await once(before, "listening");
  const { port } = before.address() as AddressInfo;
  const asked = once(before, "connection");
  const listen = flagsOf(members, member, 10).map((flag) =>
    flag === "/ip4/127.0.0.1/tcp/0" ? `/ip4/127.0.0.1/tcp/${port}` : flag,
  );
  const target = `${members.network}@/ip4/127.0.0.1/tcp/${port}`;
  const data = path.join(members.dir, "joiner");
  const own = ["--listen", "/ip4/127.0.0.1/tcp/0", "--http", "127.0.0.1:0", "--profile", "local", "--mock", "10"];
  const joining = startCli(["--data", data, "--join", target, ...own], 50_000);
  await asked;
  await new Promise((resolve) => before.close(resolve));
  await startCli(listen);
  const joined = await joining;
  const waiting = joined.log.filter(({ event }) => event === "join.waiting");
  expect(waiting.length).toBeGreaterThan(0);
  expect(waiting[0]).toMatchObject({ code: "join.unreachable", retryInMs: 1_000 });
  expect(waiting[0]?.["message"]).toContain(`/ip4/127.0.0.1/tcp/${port}`);
});

test("a node of several machines says at its start and in doctor where nobody elsewhere can dial it", async () => {
  const members = makeMembers(2);
  const [member] = members.list as [Member];
  const flags = flagsOf(members, member, 10).map((flag) => (flag === "local" ? "public" : flag));
  const isWarning = ({ event }: LogLine): boolean => event === "network.not-public";
  const near = await startCli(flags);
  const warning = await near.line("it warns", isWarning);
  expect(warning["message"]).toMatch(
    /^peers are told no public address \(\/ip4\/127\.0\.0\.1\/tcp\/.*--announce names one$/,
  );
  near.signal("SIGTERM");
  await near.ended;

  const announced = "/ip4/203.0.113.7/tcp/4600";
  const far = await startCli([...flags, "--announce", announced]);
  const started = far.log.find(({ event }) => event === "node.started");
  expect(started?.["addresses"]).toEqual([expect.stringContaining(`${announced}/p2p/`)]);
  far.signal("SIGTERM");
  const { stdout } = await far.ended;
  expect(stdout).not.toContain("network.not-public");

  const config = path.join(members.dir, "config.json");
  const findings = async (more: object): Promise<string> => {
    writeFileSync(config, JSON.stringify({ data: member.data, manifest: members.manifest, http: "off", ...more }));
    return (await runCli(["doctor", "--config", config, "--json"])).stdout;
  };
  const listen = ["/ip4/127.0.0.1/tcp/0"];
  expect(await findings({ listen })).toContain("network.not-public");
  expect(await findings({ listen, announce: [announced] })).not.toContain("network.not-public");
});

test("SIGTERM to npm alone ends the node that npm start has started", async () => {
  const members = makeMembers(1);
  const [member] = members.list as [Member];
  const clean = Object.entries(process.env).filter(([name]) => !/^(PROOFMESH_|npm_|NODE_OPTIONS)/.test(name));
  const npm = spawn("npm", ["start", "--", ...flagsOf(members, member, 10)], {
    cwd: path.join(import.meta.dirname, "../.."),
    env: Object.fromEntries(clean),
    stdio: "ignore",
  });
  const ended = once(npm, "exit");
  const note = path.join(member.data, "node.json");
  await eventually("the node runs", () => (existsSync(note) ? true : null), 60_000);
  const { pid } = JSON.parse(readFileSync(note, "utf8")) as { readonly pid: number };
  onTestFinished(() => {
    if (isRunning(pid)) process.kill(pid, "SIGKILL");
  });
  npm.kill("SIGTERM");
  await ended;
  await eventually("the node ends", () => (isRunning(pid) ? null : true));
  expect(existsSync(note)).toBe(false);
});

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
