/** Real SP1 proofs, as its makers publish them as test data (see the README beside them). */
import { readFileSync } from "node:fs";

const VECTORS = new URL("../vectors/sp1/", import.meta.url);

export interface Sp1Vector {
  readonly name: string;
  readonly keyBytes: Uint8Array;
  readonly proof: Uint8Array;
  readonly values: Uint8Array;
}

export const SP1_NUMBERS = [1, 2, 4, 5, 6, 7, 9] as const;

export function sp1Vector(number: (typeof SP1_NUMBERS)[number]): Sp1Vector {
  const name = `proof-${number}.json`;
  const json = JSON.parse(readFileSync(new URL(name, VECTORS), "utf8")) as Readonly<Record<string, string>>;
  const proof = bytesOf(json["proof"] ?? "");
  const circuit = readFileSync(new URL(`vk-${Buffer.from(proof.subarray(0, 4)).toString("hex")}.bin`, VECTORS));
  const keyBytes = Uint8Array.from([...circuit, ...bytesOf(json["vkey_hash"] ?? "")]);
  return { name, keyBytes, proof, values: bytesOf(json["public_inputs"] ?? "") };
}

export function bytesOf(hex: string): Uint8Array {
  return Uint8Array.from(Buffer.from(hex.replace(/^0x/, ""), "hex"));
}
