/**
 * Verifies with modules that the manifest names (`settings.ts`), each in a child process of its own (`runner.ts`).
 *
 * A module is used once it has answered its canaries: true for a proof that is known to hold, false for the same proof
 * with a byte of the digest, of the zeros or of the key changed, and false for a proof of another program. After a trap the module has
 * to accept the good proof again before its next answer counts. A module that fails a canary is never used again.
 */
import { randomInt } from "node:crypto";
import type { Fault, VerifyJob } from "../../ports.ts";
import { artefactHash, type Hash } from "../../protocol/ids.ts";
import type { Check } from "../../provers/statement.ts";
import { type OutsideVerifier, VerifierFault } from "../../provers/outside.ts";
import { readModule } from "./module.ts";
import { createWasmRunner, type WasmRunner, WasmTrap } from "./runner.ts";
import { bodyOf, type Canary, LENGTH_BYTES, placesOf, type WasmCall, type WasmKey } from "./settings.ts";

/** Gives a file by its SHA-256. Rejects where neither this node nor a peer has it. */
export type FindFile = (hash: Hash, bytesMax: number) => Promise<Uint8Array>;

export interface WasmModules {
  readonly find: FindFile;
  /** Called when a module comes into use, with `null`, and when it goes out of use, with the reason. */
  readonly changed?: (key: Hash, fault: Fault | null) => void;
  /** Which bytes of the digest, the zeros and the key are changed at load: a few that are drawn, or each of them. */
  readonly changes?: "drawn" | "all";
}

/** Bytes that are changed at load, without the one of the zeros. */
const CHANGES = 4;
const CANARY_BYTES_MAX: number = 16 * 1024 * 1024;
const PAUSE_MS_MIN = 1_000;
const PAUSE_MS_MAX = 60_000;

export interface WasmVerifier extends OutsideVerifier {
  /** Fetches each module and asks it its canaries, so that a module that is missing or wrong is known at the start. */
  load(): Promise<readonly { readonly key: Hash; readonly fault: Fault | null }[]>;
  close(): void;
}

/** A verifier for the keys of one system, by the SHA-256 of the key's bytes. */
export function createWasmVerifier(
  system: string,
  keys: ReadonlyMap<Hash, WasmKey>,
  modules: WasmModules,
): WasmVerifier {
  const byKey = new Map([...keys].map(([hash, key]) => [hash, new Checked(key, modules)]));
  const known = new Map<Hash, string | null>();
  const report = (key: Hash, fault: Fault | null): void => {
    const code = fault?.code ?? null;
    if (known.has(key) && known.get(key) === code) return;
    known.set(key, code);
    modules.changed?.(key, fault);
  };
  return {
    system,
    async verify(job: VerifyJob, signal: AbortSignal) {
      const checked = byKey.get(job.key);
      if (checked === undefined) throw new VerifierFault("verifier.unknown-key", `no verifying key ${job.key}`);
      try {
        return await checked.verify(job.values, job.proof, signal);
      } finally {
        report(job.key, checked.fault);
      }
    },
    load: () =>
      Promise.all(
        [...byKey].map(async ([key, checked]) => {
          await checked.ready().catch(() => {});
          report(key, checked.fault);
          return { key, fault: checked.fault };
        }),
      ),
    close() {
      for (const checked of byKey.values()) checked.close();
    },
  };
}

/** One module, and what is known of it. */
class Checked {
  readonly #key: WasmKey;
  readonly #find: FindFile;
  readonly #changes: "drawn" | "all";
  #runner: WasmRunner | null = null;
  #loading: Promise<WasmRunner> | null = null;
  #isRefused = false;
  #isClosed = false;
  /** When a module that could not be loaded is tried again, by `performance.now()`, and the pause before it. */
  #retryMs = 0;
  #pauseMs = PAUSE_MS_MIN;
  /** Set by a trap until the good proof has held again. */
  #isDoubted = false;
  #turn: Promise<unknown> = Promise.resolve();
  /** Why the module is not used; `null` while it is used. */
  fault: Fault | null = { code: "verifier.not-loaded", message: "the module has not been loaded yet" };

  constructor(key: WasmKey, { find, changes = "drawn" }: WasmModules) {
    this.#key = key;
    this.#find = find;
    this.#changes = changes;
  }

  /** One proof after the other, so that no answer after a trap counts before the good proof has held again. */
  async verify(values: Uint8Array, proof: Uint8Array, signal: AbortSignal): Promise<Check> {
    const body = bodyOf(this.#key, values, proof);
    if (typeof body === "string") return { valid: false, code: body };
    const turn = this.#turn.then(() => this.#verifyBody(body, signal));
    this.#turn = turn.catch(() => {});
    return turn;
  }

  async #verifyBody(body: Uint8Array, signal: AbortSignal): Promise<Check> {
    const runner = await this.ready();
    signal.throwIfAborted();
    if (this.#isDoubted) await this.#askGood(runner);
    try {
      return await verdictOf(runner, this.#key, body);
    } catch (error) {
      if (!(error instanceof WasmTrap)) throw error;
      this.#isDoubted ||= !error.isOwn;
      throw new VerifierFault("verifier.trap", error.message, error.isOwn ? "own" : "verdictless");
    }
  }

  /** The module, once it has passed its canaries. Rejects with a `VerifierFault`. */
  async ready(): Promise<WasmRunner> {
    if (this.#isClosed) throw new VerifierFault("verifier.closed", "the verifier is closed");
    if (this.#runner !== null && !this.#isRefused) return this.#runner;
    if (this.fault !== null && (this.#isRefused || performance.now() < this.#retryMs))
      throw new VerifierFault(this.fault.code, this.fault.message);
    this.#loading ??= this.#load().finally(() => {
      this.#loading = null;
    });
    return this.#loading;
  }

  close(): void {
    this.#isClosed = true;
    this.#runner?.close();
  }

  async #load(): Promise<WasmRunner> {
    const { module: hash, moduleBytesMax, memoryPagesMax } = this.#key;
    try {
      const module = await this.#file(hash, moduleBytesMax);
      checkModule(module, memoryPagesMax);
      const shown: Shown[] = [];
      for (const canary of [this.#key.canaries?.good, this.#key.canaries?.other])
        if (canary != null) shown.push({ canary, proof: await this.#file(canary.proof, CANARY_BYTES_MAX) });
      const runner = createWasmRunner(module, this.#key);
      try {
        await askCanaries(
          runner,
          module,
          this.#key,
          shown,
          this.#changes === "all" ? changesOf(this.#key) : drawn(this.#key),
        );
      } catch (error) {
        runner.close();
        throw error;
      }
      this.fault = null;
      this.#runner = runner;
      // It was closed meanwhile.
      if (this.#isClosed) runner.close();
      return runner;
    } catch (error) {
      const fault = error instanceof VerifierFault ? error : new VerifierFault("verifier.trap", messageOf(error));
      this.fault = { code: fault.code, message: fault.message };
      // A file that is missing may come, and a machine that was short of memory may have some again.
      this.#isRefused = REFUSALS.has(fault.code);
      this.#retryMs = performance.now() + this.#pauseMs;
      this.#pauseMs = Math.min(2 * this.#pauseMs, PAUSE_MS_MAX);
      throw fault;
    }
  }

  async #askGood(runner: WasmRunner): Promise<void> {
    const canary = this.#key.canaries?.good;
    if (canary !== undefined) {
      const proof = await this.#file(canary.proof, CANARY_BYTES_MAX);
      const isGood = await holds(runner, this.#key, { canary, proof }).catch((error: unknown) => {
        throw new VerifierFault("verifier.trap", `at the proof that holds: ${messageOf(error)}`);
      });
      if (!isGood) {
        this.#isRefused = true;
        this.fault = { code: "verifier.canary", message: "after a trap the module refuses the proof that holds" };
        throw new VerifierFault(this.fault.code, this.fault.message);
      }
    }
    this.#isDoubted = false;
  }

  async #file(hash: Hash, bytesMax: number): Promise<Uint8Array> {
    const bytes = await this.#find(hash, bytesMax).catch((error: unknown) => {
      throw new VerifierFault("verifier.missing", `the file ${hash} is missing: ${messageOf(error)}`);
    });
    if (bytes.length > bytesMax)
      throw new VerifierFault("verifier.module", `the file ${hash} has ${bytes.length} bytes; allowed: ${bytesMax}`);
    if (artefactHash(bytes) !== hash) throw new VerifierFault("verifier.missing", `the file ${hash} has another hash`);
    return bytes;
  }
}

/** Codes after which a module is never used again. */
const REFUSALS: ReadonlySet<string> = new Set(["verifier.canary", "verifier.module"]);

/** Throws `verifier.module` for a module that uses more than it may. */
function checkModule(module: Uint8Array, memoryPagesMax: number): void {
  let facts: ReturnType<typeof readModule>;
  try {
    facts = readModule(module);
  } catch (error) {
    throw new VerifierFault("verifier.module", messageOf(error));
  }
  for (const name of ["verify_stark", "__wbindgen_malloc"])
    if (!facts.functions.has(name))
      throw new VerifierFault("verifier.module", `the module exports no function ${name}`);
  if ((facts.pages ?? 0) > memoryPagesMax)
    throw new VerifierFault(
      "verifier.module",
      `the module begins with ${facts.pages} pages; allowed: ${memoryPagesMax}`,
    );
}

async function verdictOf(runner: WasmRunner, call: WasmCall, body: Uint8Array): Promise<Check> {
  if (!(await runner.ask(body))) return { valid: false, code: "proof.equation" };
  // Bytes that the module does not read would give one proof many names.
  if (call.bytes === "shortest" && (await runner.ask(body.subarray(0, -1))))
    return { valid: false, code: "proof.length" };
  return { valid: true };
}

async function holds(runner: WasmRunner, key: WasmKey, { canary, proof }: Shown): Promise<boolean> {
  const body = bodyOf(key, canary.values, proof);
  return typeof body === "string" ? false : (await verdictOf(runner, key, body)).valid;
}

interface Shown {
  readonly canary: Canary;
  readonly proof: Uint8Array;
}

/** Throws `verifier.canary` for a wrong answer, and `verifier.trap` where there is none. */
async function askCanaries(
  runner: WasmRunner,
  module: Uint8Array,
  key: WasmKey,
  [good, other]: readonly Shown[],
  changes: readonly Change[],
): Promise<void> {
  const fail = (what: string): never => {
    throw new VerifierFault("verifier.canary", `the module ${what}`);
  };
  if (good === undefined) return;
  try {
    if (!(await holds(runner, key, good))) fail("refuses the proof that holds");
    for (const change of changes)
      if (await acceptsChange(runner, module, key, good, change))
        fail(`accepts the proof with byte ${change.at} of the ${change.of} changed`);
    if (other !== undefined && (await runner.ask(withoutTail(key, other)))) fail("accepts a proof of another program");
  } catch (error) {
    if (error instanceof WasmTrap) throw new VerifierFault("verifier.trap", error.message);
    throw error;
  }
}

function withoutTail({ behind }: WasmCall, { canary, proof }: Shown): Uint8Array {
  const tail = behind === null ? 0 : LENGTH_BYTES + canary.values.length + behind.length;
  return proof.subarray(0, proof.length - tail);
}

interface Change {
  readonly of: "digest" | "zeros" | "key";
  readonly at: number;
}

/** Every byte of the digest's place, of the places that must be zero, and of the key. */
function changesOf(key: WasmCall): readonly Change[] {
  const list = (of: Change["of"], from: number, to: number): Change[] =>
    Array.from({ length: to - from }, (_, i) => ({ of, at: from + i }));
  return [...placesOf(key).flatMap(({ of, from, to }) => list(of, from, to)), ...list("key", 0, key.key?.length ?? 0)];
}

/** A few of these, one of them where the proof must be zero: a module that does not verify this place binds nothing there. */
function drawn(key: WasmCall): readonly Change[] {
  const all = changesOf(key);
  const zeros = all.filter(({ of }) => of === "zeros");
  return [...drawnOf(all, CHANGES), ...drawnOf(zeros, 1)];
}

function drawnOf(all: readonly Change[], count: number): readonly Change[] {
  return Array.from({ length: Math.min(count, all.length) }, () => all[randomInt(all.length)]).filter(
    (change) => change !== undefined,
  );
}

/** The module itself is asked: our comparison of a place must not hide that the module ignores the place. */
async function acceptsChange(
  runner: WasmRunner,
  module: Uint8Array,
  call: WasmCall,
  good: Shown,
  { of, at }: Change,
): Promise<boolean> {
  const body = withoutTail(call, good);
  if (of !== "key") return runner.ask(flipped(body, at));
  const other = createWasmRunner(module, { ...call, key: flipped(call.key ?? new Uint8Array(), at) });
  try {
    return await other.ask(body);
  } finally {
    other.close();
  }
}

function flipped(bytes: Uint8Array, at: number): Uint8Array {
  return bytes.map((byte, i) => (i === at ? byte ^ 1 : byte));
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
