import { RLP } from "@ethereumjs/rlp";
import { keccak_256 } from "@noble/hashes/sha3.js";
import { bytesToHex, concatBytes, hexToBytes } from "@noble/hashes/utils.js";
import { describe, expect, it } from "vitest";
import { itemOf, rawTransaction } from "../../src/protocol/transaction.ts";
import { rpcBlock } from "../provers/fixtures.ts";

const TO = "22".repeat(20);
const SENDER = "33".repeat(20);

const opaque = (raw: Uint8Array) => {
  return { sender: "00".repeat(20), recipient: bytesToHex(keccak_256(raw).subarray(12)), value: 0n, feeLimit: 0n };
};
const typed = (type: number, fields: Parameters<typeof RLP.encode>[0]): Uint8Array =>
  concatBytes(Uint8Array.of(type), RLP.encode(fields));

describe("what a transaction moves", () => {
  it("is read of deposits of the OP Stack and of messages of Scroll, which name their sender", () => {
    const [to, sender, source] = [hexToBytes(TO), hexToBytes(SENDER), new Uint8Array(32)];
    const deposit = typed(0x7e, [source, sender, to, 9, 5, 21_000, "", "data"]);
    const message = typed(0x7e, [17, 21_000, to, 5, "data", sender]);
    const expected = { sender: SENDER, recipient: TO, value: 5n, feeLimit: 0n };
    expect([itemOf(deposit), itemOf(message)]).toEqual([expected, expected]);
    const creation = typed(0x7e, [source, sender, "", "", "", 21_000, "", "code"]);
    expect(itemOf(creation)).toMatchObject({ recipient: null, value: 0n });
  });

  it.each([0x64, 0x65, 0x68, 0x69, 0x6a, 0x71, 0x78, 0xbf])("is nothing where the type is unknown (%i)", (type) => {
    const raw = typed(type, [1, 2, 3]);
    expect(itemOf(raw)).toEqual(opaque(raw));
  });

  it("is nothing where nobody can have signed it, or where its amounts fit no circuit", () => {
    // The generator's x: a number that a signature can hold.
    const word = "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";
    const legacy = (v: number, value: string, r: string): Uint8Array =>
      RLP.encode([1, 1, 21_000, hexToBytes(TO), hexToBytes(value), "", v, hexToBytes(r), hexToBytes(word)]);
    expect(itemOf(legacy(27, "01", word))).toMatchObject({ recipient: TO, value: 1n, feeLimit: 21_000n });
    const unreadable = [
      legacy(26, "01", word),
      legacy(27, "01", "ff".repeat(32)),
      legacy(27, "01", "00"),
      legacy(27, `01${"00".repeat(16)}`, word),
      typed(0x7e, [1, 2, 3]),
      typed(0x02, [1, 2, 3]),
      typed(0x7e, [new Uint8Array(32), hexToBytes("33"), hexToBytes(TO), 9, 5, 1, "", ""]),
      Uint8Array.of(0x02),
      new Uint8Array(0),
      new Uint8Array(100).fill(0xc1),
    ];
    for (const raw of unreadable) expect(itemOf(raw)).toEqual(opaque(raw));
  });
});

describe("the bytes of a transaction that a node tells", () => {
  const [deposit] = rpcBlock("unichain-sepolia-35535698")["transactions"] as readonly Readonly<
    Record<string, unknown>
  >[];

  it("are those of a deposit, and no others hash to what the node says", () => {
    const raw = rawTransaction(deposit, 0);
    expect(`0x${bytesToHex(keccak_256(raw))}`).toBe(deposit?.["hash"]);
    expect(() => rawTransaction({ ...deposit, value: "0x1" }, 0)).toThrow("transaction 0 hashes to");
  });

  it("may be there as they are, of any type", () => {
    const raw = typed(0x6a, [1, 2]);
    const hash = `0x${bytesToHex(keccak_256(raw))}`;
    expect(rawTransaction({ hash, raw: `0x${bytesToHex(raw)}` }, 0)).toEqual(raw);
    expect(() => rawTransaction({ hash, type: "0x6a", to: null }, 3)).toThrow();
    expect(() => rawTransaction({ hash, raw: "0x6a00" }, 3)).toThrow("transaction 3 hashes to");
  });
});
