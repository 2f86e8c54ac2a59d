/** Real SP1 proofs, as its makers publish them as test data (see the README beside them). */
import { readFileSync } from "node:fs";

const VECTORS = new URL("../vectors/sp1/", import.meta.url);

export interface Sp1Vector {
  readonly name: string;
  readonly keyBytes: Uint8Array;
  readonly proof: Uint8Array;
  readonly values: Uint8Array;
}

/** Of SP1 3 to 5. */
export const SP1_NUMBERS = [1, 2, 4, 5, 6, 7, 9] as const;
export const ROOT_6_0: Uint8Array = bytesOf("008cd56e10c2fe24795cff1e1d1f40d3a324528d315674da45d26afb376e8670");
export const ROOT_6_1: Uint8Array = bytesOf("002f850ee998974d6cc00e50cd0814b098c05bfade466d28573240d057f25352");

export function sp1Vector(number: (typeof SP1_NUMBERS)[number]): Sp1Vector {
  const name = `proof-${number}.json`;
  const json = JSON.parse(sp1File(name).toString()) as Readonly<Record<string, string>>;
  const proof = bytesOf(json["proof"] ?? "");
  const circuit = sp1File(`vk-${Buffer.from(proof.subarray(0, 4)).toString("hex")}.bin`);
  const keyBytes = Uint8Array.from([...circuit, ...bytesOf(json["vkey_hash"] ?? "")]);
  return { name, keyBytes, proof, values: bytesOf(json["public_inputs"] ?? "") };
}

/** Of SP1 6.0. */
export function sp1Vector6(system: "groth16" | "plonk"): Sp1Vector {
  const name = `${system}-6.0.0.json`;
  const json = JSON.parse(sp1File(name).toString()) as Readonly<Record<string, string>>;
  const circuit = sp1File(system === "plonk" ? "plonk-vk-bb1a6f29.bin" : "vk-0e78f4db.bin");
  const keyBytes = Uint8Array.from([...circuit, ...ROOT_6_0, ...bytesOf(json["vkey_hash"] ?? "")]);
  return { name, keyBytes, proof: bytesOf(json["proof"] ?? ""), values: bytesOf(json["public_values"] ?? "") };
}

export function sp1File(name: string): Buffer {
  return readFileSync(new URL(name, VECTORS));
}

export function bytesOf(hex: string): Uint8Array {
  return Uint8Array.from(Buffer.from(hex.replace(/^0x/, ""), "hex"));
}

export function flipped(bytes: Uint8Array, at: number): Uint8Array {
  return bytes.with(at, (bytes[at] ?? 0) ^ 1);
}
