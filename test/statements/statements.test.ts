import { readFileSync } from "node:fs";
import { join } from "node:path";
import { keccak_256 } from "@noble/hashes/sha3.js";
import { bytesToHex, concatBytes, hexToBytes } from "@noble/hashes/utils.js";
import { describe, expect, it } from "vitest";
import { type BlockBytes, payloadOf, readPayload } from "../../src/protocol/ethereum.ts";
import { rangeOf, readRange } from "../../src/protocol/range.ts";
import { decode, encode } from "../../src/protocol/rlp.ts";
import { formOf, type Layout, type LayoutField, type Statement } from "../../src/protocol/statement.ts";
import { agrees, claimOf } from "../../src/statements/claim.ts";
import { expectedValues, type Subject } from "../../src/statements/expected.ts";
import { Header } from "../../src/statements/header.ts";
import { payloadRoot, requestsRoot } from "../../src/statements/request.ts";
import { nextBlock } from "../node/blocks.ts";
import { rpcBlock } from "../provers/fixtures.ts";

const CONFIG = join(import.meta.dirname, "../../config");
/** The block of the NewPayloadRequest in `test/vectors/zkboost`, with the header of the block before. */
const FULL = JSON.parse(readFileSync(join(CONFIG, "qualification-full.json"), "utf8")) as Record<string, string>;

function bytesOf(source: unknown, form = { body: true, parent: false }): BlockBytes {
  const encoded = payloadOf(source, form);
  if (!encoded.ok) throw new Error(encoded.fault.message);
  const read = readPayload(encoded.value.payload, encoded.value.hash, form);
  if (!read.ok) throw new Error(read.fault.message);
  return read.value.bytes;
}

function subjectOf(last: BlockBytes, first = last): Subject {
  return { chainId: 3151908, first, last, isRange: first !== last };
}

const never = (): Uint8Array => {
  throw new Error("no fold was asked for");
};

function valuesOf(statement: Statement, subject: Subject): string {
  const found = expectedValues(statement, subject, never);
  return found.ok ? bytesToHex(found.value) : `${found.fault.code}: ${found.fault.message}`;
}

const GOERLI = bytesOf(rpcBlock("goerli-10536893"));
const OSAKA = bytesOf(FULL, { body: true, parent: true });

describe("shard-fold", () => {
  it("is what the circuits fold", () => {
    const found = expectedValues("shard-fold", subjectOf(GOERLI), () => Uint8Array.of(7));
    expect(found).toEqual({ ok: true, value: Uint8Array.of(7) });
  });
});

describe("block-hash", () => {
  it("is the block's hash, and of a range the hashes of its first and last block", () => {
    expect(valuesOf("block-hash", subjectOf(GOERLI))).toBe(GOERLI.hash);
    expect(valuesOf("block-hash", subjectOf(GOERLI, OSAKA))).toBe(OSAKA.hash + GOERLI.hash);
  });
});

describe("a range of blocks whose payloads carry more", () => {
  it("is read back by its workflow's form, and its statements are of the first and the last block", () => {
    const form = { body: true, parent: true };
    const [before, first] = [nextBlock(null), nextBlock(nextBlock(null))];
    const blocks = [
      { ...first, parent: before },
      { ...nextBlock(first), parent: first },
    ].map((source) => {
      const encoded = payloadOf(source, form);
      if (!encoded.ok) throw new Error(encoded.fault.message);
      return encoded.value;
    });
    const range = rangeOf(blocks);
    if (!range.ok) throw new Error(range.fault.message);
    const { payload, hash } = range.value;
    expect(readRange(payload, hash, 2, { body: true, parent: false })).toMatchObject({
      fault: { code: "payload.version" },
    });
    const read = readRange(payload, hash, 2, form);
    if (!read.ok) throw new Error(read.fault.message);
    const subject = { chainId: 1, first: read.value.first, last: read.value.bytes, isRange: true };
    expect(valuesOf("block-hash", subject)).toBe(`${blocks[0]?.hash}${blocks[1]?.hash}`);
    const layout: Statement = {
      kind: "layout",
      bytes: 96,
      fields: [
        { at: 0, is: "block-hash" },
        { at: 32, is: "block-hash", of: "before" },
        { at: 64, is: "parent-hash", of: "before" },
      ],
    };
    expect(valuesOf(layout, subject)).toBe(`${blocks[1]?.hash}${before.hash.slice(2)}${"11".repeat(32)}`);
    expect(valuesOf({ kind: "stateless-result", schema: 1 }, subject)).toHaveLength(4 * 43);
  });
});

describe("stateless-result", () => {
  const result = (ssz: "bounded" | "progressive", schema: number | { from: number; schema: number }[] = 0x1201) =>
    ({ kind: "stateless-result", schema, ssz }) satisfies Statement;

  // Roots by another implementation of SSZ, of the same blocks.
  it("is root, success, chain and schema of the NewPayloadRequest of zkboost's fixture", () => {
    const bounded = "2b1cf251b5b8cabf41828761b5105b307544c6280b5c8e66fd30170f7fe7ddbf";
    const progressive = "3e9ddb89151136dd874bc11cefb144ac7e382d4c87317f3c1b54a4a24c3ff770";
    const tail = "0124183000000000000112";
    expect(valuesOf(result("bounded"), subjectOf(OSAKA))).toBe(bounded + tail);
    expect(valuesOf(result("progressive"), subjectOf(OSAKA))).toBe(progressive + tail);
    expect(valuesOf({ kind: "stateless-result", schema: 0x1201 }, subjectOf(OSAKA))).toHaveLength(2 * 43);
  });

  it("has the root of a block of Cancun with blobs and withdrawals", () => {
    const bounded = "8cd7f5c2b57c1aaff06754ad7800ac82d83fa3e62a0d93ba86e4e56db6ac2fc8";
    const progressive = "99ae7ae626d5a12259611ff0e3bd812084c250516cc8c133ab2247024275b655";
    expect(valuesOf(result("bounded"), subjectOf(GOERLI)).slice(0, 64)).toBe(bounded);
    expect(valuesOf(result("progressive"), subjectOf(GOERLI)).slice(0, 64)).toBe(progressive);
  });

  it("has the schema of the last fork that begins by the block's time", () => {
    const time = Number(FULL["timestamp"]);
    const schemas = [
      { from: 0, schema: 0x1101 },
      { from: time, schema: 0x1201 },
      { from: time + 1, schema: 0x1301 },
    ];
    expect(valuesOf(result("bounded", schemas), subjectOf(OSAKA)).slice(-4)).toBe("0112");
    expect(valuesOf(result("bounded", schemas.slice(2)), subjectOf(OSAKA))).toMatch(/^payload.statement: .*no schema/);
  });

  it("cannot be said of a block from before the merge", () => {
    const old = bytesOf(rpcBlock("mainnet-2000004"));
    expect(valuesOf(result("bounded"), subjectOf(old))).toMatch(/^payload.statement: .*before the merge/);
  });
});

/** The reference vectors of eth-act/ere-guests (`stateless-validator-common`), whose fields are runs of one byte. */
describe("roots of progressive containers", () => {
  const run = (length: number, byte: number): Uint8Array => new Uint8Array(length).fill(byte);
  const int = (hex: string): Uint8Array => hexToBytes(hex);
  const base = [
    run(32, 1),
    run(32, 0),
    run(20, 2),
    run(32, 3),
    run(32, 0),
    run(32, 4),
    run(256, 5),
    run(0, 0),
    ...["64", "01c9c380", "5208", "6553f100"].map(int),
    run(7, 0xee),
    run(32, 6),
    run(8, 0),
    run(32, 7),
  ];
  const cancun = [run(32, 0), int("020000"), int("040000"), run(32, 10)];
  const withdrawal = encode([int("01"), int("02"), run(20, 3), int("04")]);
  const eight = (value: number): Uint8Array => Uint8Array.of(value, 0, 0, 0, 0, 0, 0, 0);
  const deposit = [run(48, 1), run(32, 2), eight(3), run(96, 4)];
  const requests = [
    concatBytes(Uint8Array.of(0), ...deposit, eight(5)),
    concatBytes(Uint8Array.of(1), run(20, 1), run(48, 2), eight(3)),
    concatBytes(Uint8Array.of(2), run(20, 1), run(48, 2), run(48, 3)),
    concatBytes(Uint8Array.of(3), ...deposit),
    concatBytes(Uint8Array.of(4), run(20, 1), run(48, 2)),
  ];
  const block = (accessList: Uint8Array | null): BlockBytes => ({
    hash: "08".repeat(32),
    header: new Uint8Array(),
    transactions: [run(8, 0xdd)],
    body: { withdrawals: [withdrawal], requests, accessList },
    parentHeader: null,
  });
  const root = (fields: readonly Uint8Array[], accessList: Uint8Array | null = null) =>
    bytesToHex(payloadRoot(new Header(encode(fields)), block(accessList), "progressive"));

  it("of payloads of four forks are the published ones", () => {
    expect(root(base)).toBe("7607fcf862b0f219726ad51d8651d49a9bbbe12fb62edaacd399c25db92b8d77");
    expect(root([...base, run(32, 0)])).toBe("2e3ce606be3d7aa667c2babf22196711f68b45bea6716c6446ec5dce4bd39449");
    expect(root([...base, ...cancun])).toBe("b9ccbb429059770fb1c3796aa98dc5d5df321b6226d46ed14203cfe8df186834");
    const amsterdam = [...base, ...cancun, run(32, 0), run(32, 0), int("2a")];
    expect(root(amsterdam, run(33, 0xba))).toBe("fc49b59feaa0a2877a26f64bf9e6e30c3848c32c6c2ffa6ca4943a57d640f753");
  });

  it("of execution requests are the published ones", () => {
    const electra = { body: { withdrawals: null, requests: requests.slice(0, 3), accessList: null } };
    expect(bytesToHex(requestsRoot(electra, "progressive", false))).toBe(
      "56dff976fcc8547491480bb0c68c391852c66410c1768707a851c5038047b78f",
    );
    expect(bytesToHex(requestsRoot(block(null), "progressive", true))).toBe(
      "0304da3c1bcc50b26b9d6408ea98648962bde84bc81f5d50d645f2b3dcc0e9b0",
    );
    expect(() => requestsRoot(block(null), "progressive", false)).toThrow("type 3 are unknown");
  });
});

describe("header", () => {
  const take = (hex: string, ...parts: readonly string[]): void => {
    let at = 0;
    for (const part of parts) {
      expect(hex.slice(at, at + part.length)).toBe(part);
      at += part.length;
    }
    expect(hex.length).toBe(at);
  };
  const field = (name: string): string => (FULL[name] ?? "").slice(2);
  const data = (hex: string): string => {
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(hex.length / 2));
    return length.toString("hex") + hex;
  };
  const u64 = (name: string): string => {
    const value = Buffer.alloc(8);
    value.writeBigUInt64LE(BigInt(FULL[name] ?? ""));
    return value.toString("hex");
  };

  it("is bincode of the header as alloy writes it, in its order", () => {
    const parts = [
      data(field("parentHash")),
      data(field("sha3Uncles")),
      data(field("miner")),
      data(field("stateRoot")),
      data(field("transactionsRoot")),
      data(field("receiptsRoot")),
      `01${data(field("withdrawalsRoot"))}`,
      data(field("logsBloom")),
      data("00".repeat(32)),
      u64("number"),
      u64("gasLimit"),
      u64("gasUsed"),
      u64("timestamp"),
      data(field("mixHash")),
      data(field("nonce")),
      `01${u64("baseFeePerGas")}`,
      `01${u64("blobGasUsed")}`,
      `01${u64("excessBlobGas")}`,
      `01${data(field("parentBeaconBlockRoot"))}`,
      `01${data(field("requestsHash"))}`,
    ];
    take(valuesOf("header", subjectOf(OSAKA)), ...parts, "00", "00", data(field("extraData")));
    take(valuesOf({ kind: "header", alloy: 1 }, subjectOf(OSAKA)), ...parts, data(field("extraData")));
  });

  it("has nothing where an older fork lacks a field", () => {
    const old = valuesOf("header", subjectOf(bytesOf(rpcBlock("mainnet-2000004"))));
    expect(old.slice(0, 16 + 64)).toBe(`2000000000000000${rpc("mainnet-2000004", "parentHash")}`);
    // No withdrawals root, no base fee, no blobs, no roots of forks after them.
    expect(old).toContain(
      `${data(rpc("mainnet-2000004", "nonce"))}${"00".repeat(7)}${data(rpc("mainnet-2000004", "extraData"))}`,
    );
  });
});

function rpc(name: string, field: string): string {
  return String(rpcBlock(name)[field]).slice(2);
}

describe("a header that a stranger made up", () => {
  const forged = (name: number, field: Uint8Array): BlockBytes => {
    const fields = [...(decode(OSAKA.header) as readonly Uint8Array[])];
    fields[name] = field;
    return { ...OSAKA, header: encode(fields) };
  };

  it("payload.statement: has no values that are too long for a receipt, and no numbers that take long to read", () => {
    const long = subjectOf(forged(12, new Uint8Array(5000)));
    expect(valuesOf("header", long)).toMatch(/^payload.statement: .*allowed: 4096$/);
    expect(valuesOf({ kind: "stateless-result", schema: 1 }, long)).toMatch(/^payload.statement: .*extraData/);
    const huge = subjectOf(forged(9, new Uint8Array(1_000_000).fill(255)));
    expect(valuesOf("header", huge)).toMatch(/^payload.statement: the header's gasLimit has 1000000 bytes/);
    const fields = [
      ...(decode(OSAKA.header) as readonly Uint8Array[]),
      new Uint8Array(32),
      new Uint8Array(1),
      new Uint8Array(1),
    ];
    expect(valuesOf("header", subjectOf({ ...OSAKA, header: encode(fields) }))).toMatch(
      /^payload.statement: .*24 fields/,
    );
  });
});

describe("layout", () => {
  const layout = (...fields: readonly LayoutField[]): Layout => {
    const last = fields.at(-1);
    const size =
      last === undefined
        ? 0
        : "constant" in last
          ? last.constant.length / 2
          : "anything" in last
            ? last.anything
            : "bytes" in last
              ? last.bytes
              : 32;
    return { kind: "layout", bytes: (last?.at ?? 0) + size, fields: [...fields] };
  };

  it("has each field at its place, with its width and order of bytes", () => {
    const statement = layout(
      { at: 0, is: "block-hash" },
      { at: 32, is: "parent-hash" },
      { at: 64, is: "state-root" },
      { at: 96, is: "number", bytes: 8, endian: "big" },
      { at: 104, is: "timestamp", bytes: 4, endian: "little" },
      { at: 108, is: "chain-id", bytes: 3, endian: "big" },
      { at: 111, constant: "c0ffee" },
    );
    const time = Buffer.alloc(4);
    time.writeUInt32LE(Number(FULL["timestamp"]));
    const [hash, parent, state] = ["hash", "parentHash", "stateRoot"].map((name) => (FULL[name] ?? "").slice(2));
    const number = Number(FULL["number"]).toString(16).padStart(16, "0");
    expect(valuesOf(statement, subjectOf(OSAKA))).toBe(
      `${hash}${parent}${state}${number}${time.toString("hex")}301824c0ffee`,
    );
  });

  it("is of the first and last block of a range, and of the block before it: as op-succinct's aggregation commits", () => {
    const outputRoot = (header: Header, hash: string): string => {
      const roots = [header.bytes("stateRoot", 32), header.bytes("withdrawalsRoot", 32), hexToBytes(hash)];
      return bytesToHex(keccak_256(concatBytes(new Uint8Array(32), ...roots)));
    };
    const statement = layout(
      { at: 0, anything: 32 },
      { at: 32, is: "output-root", of: "before" },
      { at: 64, is: "output-root" },
      { at: 96, is: "number", bytes: 32, endian: "big" },
      { at: 128, constant: "aa".repeat(32) },
      { at: 160, constant: "bb".repeat(32) },
      { at: 192, is: "number", of: "before", bytes: 8, endian: "little" },
    );
    expect(formOf([statement])).toEqual({ body: false, parent: true });
    const values = valuesOf(statement, subjectOf(GOERLI, OSAKA));
    expect(values.slice(0, 64)).toBe("00".repeat(32));
    const before = new Header(OSAKA.parentHeader ?? new Uint8Array());
    expect(values.slice(64, 128)).toBe(outputRoot(before, (FULL["parentHash"] ?? "").slice(2)));
    expect(values.slice(128, 192)).toBe(outputRoot(new Header(GOERLI.header), GOERLI.hash));
    expect(values.slice(192, 256)).toBe((10536893).toString(16).padStart(64, "0"));
    expect(values.slice(-16, -12)).toBe("af04");
  });

  it("cannot be said where a number does not fit its bytes, or the header before is not there", () => {
    const wide = layout({ at: 0, is: "block-hash" }, { at: 32, is: "timestamp", bytes: 2, endian: "big" });
    expect(valuesOf(wide, subjectOf(OSAKA))).toMatch(/^payload.statement: .*does not fit 2 bytes/);
    const before = layout({ at: 0, is: "state-root", of: "before" });
    expect(valuesOf(before, subjectOf(GOERLI))).toMatch(/^payload.statement: .*no header of the block before/);
  });
});

describe("public values that a guest committed to", () => {
  const open: Statement = {
    kind: "layout",
    bytes: 34,
    fields: [
      { at: 0, is: "block-hash" },
      { at: 32, anything: 2 },
    ],
  };
  const implied = hexToBytes(valuesOf(open, subjectOf(OSAKA)));

  it.each<Statement>(["block-hash", "header", { kind: "stateless-result", schema: 0x1201 }])(
    "agree with %j to the last byte, and in length",
    (statement) => {
      const values = hexToBytes(valuesOf(statement, subjectOf(OSAKA)));
      expect(agrees(statement, values, values.slice())).toBe(true);
      for (let at = 0; at < values.length; at++) {
        const changed = values.slice();
        changed[at] = (changed[at] ?? 0) ^ 1;
        expect(agrees(statement, values, changed)).toBe(false);
      }
      expect(agrees(statement, values, values.subarray(1))).toBe(false);
      expect(agrees(statement, values, concatBytes(values, Uint8Array.of(0)))).toBe(false);
    },
  );

  it("differ only where the statement leaves bytes open, and stand before the proof in the artefact", () => {
    const values = implied.slice();
    values.set([7, 9], 32);
    const artefact = concatBytes(values, Uint8Array.of(1, 2, 3));
    expect(claimOf(open, implied, artefact)).toEqual({ values, proof: Uint8Array.of(1, 2, 3) });
    values[31] = (values[31] ?? 0) ^ 1;
    expect(claimOf(open, implied, concatBytes(values, Uint8Array.of(1)))).toBe(null);
    expect(claimOf(open, implied, values.subarray(0, 33))).toBe(null);
    expect(claimOf("block-hash", implied, artefact)).toEqual({ values: implied, proof: artefact });
  });
});
