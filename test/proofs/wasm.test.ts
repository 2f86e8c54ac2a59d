import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { sha256 } from "@noble/hashes/sha2.js";
import { afterEach, describe, expect, it } from "vitest";
import type { Fault } from "../../src/ports.ts";
import { artefactHash, type Hash } from "../../src/protocol/ids.ts";
import { HYPERCUBE_FILE, HYPERCUBE_PACKAGE, readHypercubeKey } from "../../src/proofs/sp1/hypercube.ts";
import { readModule } from "../../src/proofs/wasm/module.ts";
import { readWasmKey, type WasmKey } from "../../src/proofs/wasm/settings.ts";
import { createWasmVerifier, type WasmVerifier } from "../../src/proofs/wasm/verifier.ts";
import { flipped } from "./sp1-vectors.ts";
import { assemble, TOY_BYTES, toyCanaries, toyKeyJson, toyProof, toyText } from "./toy-modules.ts";

const VECTORS = new URL("../vectors/sp1-hypercube/", import.meta.url);
const file = (name: string): Uint8Array => new Uint8Array(readFileSync(new URL(name, VECTORS)));
const [PROOF, PROGRAM, VALUES] = [file("proof.bin"), file("program_vk.bin"), file("public_values.bin")];
const SP1_MODULE = new Uint8Array(
  readFileSync(createRequire(import.meta.url).resolve(`${HYPERCUBE_PACKAGE}/${HYPERCUBE_FILE}`)),
);
const utf8 = new TextEncoder();
const SIGNAL = new AbortController().signal;
const KEY: Hash = "11".repeat(32);

const opened: WasmVerifier[] = [];
afterEach(() => {
  for (const verifier of opened.splice(0)) verifier.close();
});

interface Opened {
  readonly verify: (values: Uint8Array, proof: Uint8Array) => Promise<unknown>;
  readonly verifier: WasmVerifier;
  readonly changes: (Fault | null)[];
}

function open(key: WasmKey, files: readonly Uint8Array[], bytesChanged: "drawn" | "all" = "drawn"): Opened {
  const store = new Map(files.map((bytes) => [artefactHash(bytes), bytes]));
  const changes: (Fault | null)[] = [];
  const verifier = createWasmVerifier("wasm", new Map([[KEY, key]]), {
    find: async (hash) => {
      const found = store.get(hash);
      if (found === undefined) throw new Error("nobody has it");
      return found;
    },
    changed: (_, fault) => void changes.push(fault),
    changes: bytesChanged,
  });
  opened.push(verifier);
  const job = (values: Uint8Array, proof: Uint8Array) => ({ system: "wasm", key: KEY, values, parts: [], proof });
  const verify = async (values: Uint8Array, proof: Uint8Array): Promise<unknown> => {
    try {
      return await verifier.verify(job(values, proof), SIGNAL);
    } catch (error) {
      return error instanceof Error && "code" in error ? error.code : error;
    }
  };
  return { verify, verifier, changes };
}

const TOY_VALUES = utf8.encode("toy values");
const [GOOD, OTHER] = toyCanaries(TOY_VALUES);

function toyJson(module: Uint8Array, changes: object = {}): string {
  return toyKeyJson(module, TOY_VALUES, { timeMsMax: 400, ...changes });
}

async function openToy(text: string, changes: object = {}): Promise<Opened> {
  const module = await assemble(text);
  return open(readWasmKey(utf8.encode(toyJson(module, changes))), [module, GOOD, OTHER]);
}

describe("a real SP1 6.1 compressed proof", () => {
  const key = readHypercubeKey(Uint8Array.from([...PROGRAM, ...utf8.encode("v6.1.0")]));

  it("holds, and no other public values do", async () => {
    const { verify } = open(key, [SP1_MODULE]);
    expect(await verify(VALUES, PROOF)).toEqual({ valid: true });
    for (let at = 0; at < VALUES.length; at += 9)
      expect(await verify(flipped(VALUES, at), PROOF)).toEqual({ valid: false, code: "proof.values" });
    expect(await verify(new Uint8Array(), PROOF)).toEqual({ valid: false, code: "proof.values" });
  });

  it("is refused after a changed byte, and never by a fault of the machine", async () => {
    const { verify } = open(key, [SP1_MODULE]);
    const places = [0, 9, 117, 243, 244, 300, 371, 372, 5_000, 600_000, 1_200_000, PROOF.length - 76, PROOF.length - 1];
    for (const at of places) {
      const answer = await verify(VALUES, flipped(PROOF, at));
      expect(["proof.equation", "proof.values"], `byte ${at}: ${JSON.stringify(answer)}`).toContain(
        (answer as { readonly code?: string }).code,
      );
    }
  });

  it("has one name: nothing may be missing or stand behind it", async () => {
    const { verify } = open(key, [SP1_MODULE]);
    const body = PROOF.subarray(0, PROOF.length - 75);
    expect(await verify(VALUES, body)).toMatchObject({ valid: false });
    expect(await verify(VALUES, Uint8Array.from([...PROOF, 0]))).toMatchObject({ valid: false });
    const bare = open(readHypercubeKey(PROGRAM), [SP1_MODULE]).verify;
    expect(await bare(VALUES, body)).toEqual({ valid: true });
    expect(await bare(VALUES, PROOF)).toEqual({ valid: false, code: "proof.length" });
    expect(await bare(VALUES, body.subarray(0, -1))).toEqual({ valid: false, code: "proof.equation" });
  });

  // Word 168 of SP1's RecursionPublicValues is is_complete, and word 170 is exit_code.
  it("does not hold where the program ended with another exit code than 0", async () => {
    const words = new DataView(PROOF.buffer, PROOF.byteOffset + 116);
    expect([168, 170].map((word) => words.getUint32(4 * word, true))).toEqual([1, 0]);
    const { verify } = open(key, [SP1_MODULE]);
    for (const at of [796, 797, 798, 799])
      expect(await verify(VALUES, flipped(PROOF, at)), `byte ${at}`).toEqual({ valid: false, code: "proof.exit-code" });
    for (const at of [795, 800])
      expect(await verify(VALUES, flipped(PROOF, at))).toMatchObject({ code: "proof.equation" });
  });

  it("does not hold for another program", async () => {
    const other = readHypercubeKey(Uint8Array.from([...flipped(PROGRAM, 31), ...utf8.encode("v6.1.0")]));
    expect(await open(other, [SP1_MODULE]).verify(VALUES, PROOF)).toEqual({ valid: false, code: "proof.equation" });
    expect(() => readHypercubeKey(PROGRAM.subarray(1))).toThrow("the key has 31 bytes");
    expect(() => readHypercubeKey(new Uint8Array(32).fill(255))).toThrow("no element of SP1's field");
  });

  it("is verified by the module as data, with its canaries", async () => {
    const { verify, verifier, changes } = open(
      readWasmKey(
        utf8.encode(
          JSON.stringify({
            module: artefactHash(SP1_MODULE),
            key: Buffer.from(key.key ?? []).toString("hex"),
            bytes: PROOF.length - 75,
            behind: "060000000000000076362e312e30",
            digest: { at: 244, form: "u32", hashes: ["sha256", "blake3"] },
            zeros: [{ at: 796, bytes: 4 }],
            memoryPagesMax: 256,
            timeMsMax: 20_000,
            moduleBytesMax: 700_000,
            canaries: { good: { proof: artefactHash(PROOF), values: Buffer.from(VALUES).toString("hex") } },
          }),
        ),
      ),
      [SP1_MODULE, PROOF],
    );
    expect(await verifier.load()).toEqual([{ key: KEY, fault: null }]);
    expect(await verify(VALUES, PROOF)).toEqual({ valid: true });
    expect(await verify(flipped(VALUES, 0), PROOF)).toEqual({ valid: false, code: "proof.values" });
    expect(await verify(VALUES, flipped(PROOF, 5_000))).toEqual({ valid: false, code: "proof.equation" });
    expect(await verify(VALUES, flipped(PROOF, 796))).toEqual({ valid: false, code: "proof.exit-code" });
    expect(changes).toEqual([null]);
  });
});

describe("a module without a key argument", () => {
  it("accepts what holds and refuses the rest", async () => {
    const { verify, verifier } = await openToy(toyText());
    expect(await verifier.load()).toEqual([{ key: KEY, fault: null }]);
    const others = utf8.encode("other values");
    expect(await verify(TOY_VALUES, GOOD)).toEqual({ valid: true });
    expect(await verify(others, toyProof(sha256(others)))).toEqual({ valid: true });
    expect(await verify(others, GOOD)).toEqual({ valid: false, code: "proof.values" });
    expect(await verify(TOY_VALUES, OTHER)).toEqual({ valid: false, code: "proof.equation" });
    for (let at = 0; at < TOY_BYTES; at += 7)
      expect(await verify(TOY_VALUES, flipped(GOOD, at))).toMatchObject({ valid: false });
    for (const bytes of [GOOD.subarray(1), Uint8Array.from([...GOOD, 0])])
      expect(await verify(TOY_VALUES, bytes)).toEqual({ valid: false, code: "proof.length" });
  });

  it("must be shown a proof of another program", async () => {
    const module = await assemble(toyText());
    const { good } = (JSON.parse(toyJson(module)) as { readonly canaries: { readonly good: object } }).canaries;
    expect(() => readWasmKey(utf8.encode(toyJson(module, { canaries: { good } })))).toThrow(
      "canaries.other is missing",
    );
  });
});

describe("a key that names places of zeros", () => {
  // The last byte of the toy's mask stands for an exit code.
  const zeros = [{ at: TOY_BYTES - 1, bytes: 1 }];
  const valuesFor = (exitCode: number): Uint8Array => {
    for (let i = 0; ; i++) {
      const values = utf8.encode(`toy ${i}`);
      if (toyProof(sha256(values)).at(-1) === exitCode) return values;
    }
  };
  const [ended, failed] = [valuesFor(0), valuesFor(1)];
  const [good, other] = [toyProof(sha256(ended)), toyProof(sha256(ended), "program2")];
  const values = Buffer.from(ended).toString("hex");
  const canaries = { good: { proof: artefactHash(good), values }, other: { proof: artefactHash(other), values } };
  const openZeros = async (text: string): Promise<Opened> => {
    const module = await assemble(text);
    const key = readWasmKey(utf8.encode(toyJson(module, { zeros, canaries })));
    return open(key, [module, good, other], "all");
  };

  it("refuses a proof that the module accepts, and that has another number there", async () => {
    const { verify, verifier } = await openZeros(toyText());
    expect(await verifier.load()).toEqual([{ key: KEY, fault: null }]);
    expect(await verify(ended, good)).toEqual({ valid: true });
    expect(await verify(failed, toyProof(sha256(failed)))).toEqual({ valid: false, code: "proof.exit-code" });
  });

  it("takes no module that does not verify these places", async () => {
    const { verifier } = await openZeros(
      toyText(
        `(i32.store8 offset=71 (local.get $at) (i32.const 0))
         (call $check (local.get $at) (local.get $bytes))`,
      ),
    );
    const message = "the module accepts the proof with byte 71 of the zeros changed";
    expect(await verifier.load()).toEqual([{ key: KEY, fault: { code: "verifier.canary", message } }]);
  });
});

describe("a hostile module", () => {
  const LOOP = "(loop $ever (br $ever)) (i32.const 1)";
  const BOMB = `(local $i i32)
    (loop $more (drop (memory.grow (i32.const 1)))
      (memory.fill (i32.const 0) (i32.const 1) (i32.mul (memory.size) (i32.const 65535))) (br $more)) (i32.const 1)`;

  it.each([
    ["loops for ever", toyText(LOOP), "verifier.trap"],
    ["takes all memory that it gets", toyText(BOMB), "verifier.trap"],
    ["traps at its start", toyText(undefined, "(func $boom unreachable) (start $boom)"), "verifier.trap"],
    ["answers neither true nor false", toyText("(i32.const 2)"), "verifier.trap"],
    ["accepts everything", toyText("(i32.const 1)"), "verifier.canary"],
    ["accepts nothing", toyText("(i32.const 0)"), "verifier.canary"],
    [
      "ignores the program",
      toyText("(i64.store (local.get $at) (i64.load (i32.const 0))) (call $check (local.get $at) (local.get $bytes))"),
      "verifier.canary",
    ],
    ["has no verify_stark", '(module (memory (export "memory") 1))', "verifier.module"],
    ["wants more memory than it may have", toyText().replace("3)", "17)"), "verifier.module"],
  ])("that %s gives no verdict", async (_, text, code) => {
    const { verify, verifier, changes } = await openToy(text);
    expect(await verifier.load()).toMatchObject([{ fault: { code } }]);
    expect(await verify(TOY_VALUES, GOOD)).toBe(code);
    expect(await verify(TOY_VALUES, OTHER)).toBe(code);
    expect(changes).toMatchObject([{ code }]);
  });

  it("that changes its answer at the second call always gives the first", async () => {
    const count = "(global $calls (mut i32) (i32.const 0))";
    const { verify, verifier } = await openToy(
      toyText(
        `(global.set $calls (i32.add (global.get $calls) (i32.const 1)))
         (if (result i32) (i32.gt_u (global.get $calls) (i32.const 1)) (then (i32.const 1))
           (else (call $check (local.get $at) (local.get $bytes))))`,
        count,
      ),
    );
    expect(await verifier.load()).toEqual([{ key: KEY, fault: null }]);
    for (let i = 0; i < 3; i++) {
      expect(await verify(TOY_VALUES, GOOD)).toEqual({ valid: true });
      expect(await verify(TOY_VALUES, OTHER)).toEqual({ valid: false, code: "proof.equation" });
    }
  });

  it("that loops on some proofs is asked its good canary before it is believed again", async () => {
    // It loops where the last byte of the digest is 0 and the mask is wrong.
    const text = toyText(
      `(if (i32.eqz (i32.load8_u offset=71 (local.get $at))) (then (loop $ever (br $ever))))
       (call $check (local.get $at) (local.get $bytes))`,
    );
    const { verify, changes } = await openToy(text);
    expect(await verify(TOY_VALUES, GOOD)).toEqual({ valid: true });
    expect(await verify(TOY_VALUES, GOOD.with(71, 0))).toBe("verifier.trap");
    expect(await verify(TOY_VALUES, OTHER)).toEqual({ valid: false, code: "proof.equation" });
    expect(await verify(TOY_VALUES, GOOD)).toEqual({ valid: true });
    expect(changes).toEqual([null]);
  });

  it("gets no more memory than its key says", async () => {
    const grow = (pages: number) =>
      toyText(`(if (i32.eq (memory.grow (i32.const ${pages})) (i32.const -1)) (then unreachable))
        (call $check (local.get $at) (local.get $bytes))`);
    expect(await (await openToy(grow(13))).verifier.load()).toMatchObject([{ fault: null }]);
    expect(await (await openToy(grow(14))).verifier.load()).toMatchObject([{ fault: { code: "verifier.trap" } }]);
  });

  it("answers nothing once it is closed", async () => {
    const { verify, verifier } = await openToy(toyText());
    expect(await verify(TOY_VALUES, GOOD)).toEqual({ valid: true });
    verifier.close();
    expect(await verify(TOY_VALUES, GOOD)).toBe("verifier.closed");
  });

  it("whose files are missing or false is not used, and may come later", async () => {
    const module = await assemble(toyText());
    const key = readWasmKey(utf8.encode(toyJson(module)));
    for (const files of [
      [GOOD, OTHER],
      [module, OTHER],
      [module, GOOD],
    ]) {
      const { verifier } = open(key, files);
      expect(await verifier.load()).toMatchObject([{ fault: { code: "verifier.missing" } }]);
    }
  });
});

describe("reading a module", () => {
  it("takes SP1's and ours", async () => {
    expect(readModule(SP1_MODULE).imports).toHaveLength(5);
    expect([...readModule(await assemble(toyText())).functions]).toEqual(["__wbindgen_malloc", "verify_stark"]);
  });

  it.each([
    ["an import of another kind", '(module (import "env" "clock" (func)))', {}, "imports env clock; allowed:"],
    ["an imported memory", '(module (import "env" "memory" (memory 1)))', {}, "imports env memory"],
    ["shared memory", "(module (memory 1 2 shared))", { threads: true }, "shared or of 64 bits"],
    ["64-bit memory", "(module (memory i64 1))", { memory64: true }, "shared or of 64 bits"],
    ["threads", "(module (memory 1) (func (drop (i32.atomic.load (i32.const 0)))))", { threads: true }, "0xfe"],
    ["tail calls", "(module (func $f return_call $f))", { tail_call: true }, "0x12"],
    ["exceptions", "(module (tag $t) (func throw $t))", { exceptions: true }, "section 13"],
    [
      "relaxed SIMD",
      "(module (func (param v128 v128) (result v128) (i8x16.relaxed_swizzle (local.get 0) (local.get 1))))",
      { relaxed_simd: true },
      "0xfd",
    ],
  ])("refuses %s", async (_, text, features, message) => {
    const module = await assemble(text, features);
    expect(() => readModule(module)).toThrow(message);
  });

  it("refuses two memories", () => {
    const bytes = Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, 5, 5, 2, 0, 1, 0, 1);
    expect(() => readModule(bytes)).toThrow("more than one memory");
  });

  it("refuses what is cut short, at any byte", async () => {
    const module = await assemble(toyText());
    let refused = 0;
    for (let end = 0; end < module.length; end++) {
      try {
        readModule(module.subarray(0, end));
      } catch {
        refused++;
      }
    }
    // Between two sections the rest is a whole module with fewer sections.
    expect(refused).toBeGreaterThan(module.length - 12);
  });
});

describe("the key of a module", () => {
  it("says what is wrong with it, every fault at once", async () => {
    const module = await assemble(toyText());
    const read = (changes: object) => () => readWasmKey(utf8.encode(toyJson(module, changes)));
    expect(read({ memoryPagesMax: 0, timeMsMax: -1 })).toThrow(/memoryPagesMax.*timeMsMax/);
    expect(read({ moduleBytesMax: 9 * 1024 * 1024 })).toThrow("moduleBytesMax");
    expect(read({ bytes: 39 })).toThrow("the digest ends at byte 40, behind the proof's 39 bytes");
    expect(read({ zeros: [{ at: TOY_BYTES - 3, bytes: 4 }] })).toThrow(
      "a place of zeros ends at byte 73, behind the proof's 72 bytes",
    );
    for (const zeros of [
      [],
      [{ at: 0, bytes: 0 }],
      [{ at: 0, bytes: 33 }],
      [{ at: -1, bytes: 1 }],
      Array.from({ length: 9 }, (_, at) => ({ at, bytes: 1 })),
    ])
      expect(read({ zeros }), JSON.stringify(zeros)).toThrow("zeros");
    expect(read({ extra: 1 })).toThrow("extra");
    expect(() => readWasmKey(utf8.encode("no JSON"))).toThrow();
  });
});
