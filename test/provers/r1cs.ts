/** Reads and evaluates what the circuit's compiler writes: constraints (`.r1cs`) and the names of wires (`.sym`). */
import { FIELD_ORDER } from "../../src/protocol/payee.ts";

type Sum = readonly (readonly [wire: number, factor: bigint])[];

/** A constraint holds where the product of the first two sums is the third. */
export type Constraint = readonly [Sum, Sum, Sum];

export interface Circuit {
  readonly wires: number;
  readonly publicInputs: number;
  readonly constraints: readonly Constraint[];
}

const CONSTRAINTS = 2;
const HEADER = 1;

/** https://github.com/iden3/r1csfile/blob/master/doc/r1cs_bin_format.md */
export function readCircuit(bytes: Buffer): Circuit {
  const sections = new Map<number, Buffer>();
  for (let at = 12; at < bytes.length; ) {
    const length = Number(bytes.readBigUInt64LE(at + 4));
    sections.set(bytes.readUInt32LE(at), bytes.subarray(at + 12, at + 12 + length));
    at += 12 + length;
  }
  const header = sections.get(HEADER);
  const body = sections.get(CONSTRAINTS);
  if (header === undefined || body === undefined) throw new Error("no constraints");
  const elementBytes = header.readUInt32LE(0);
  const [wires, , publicInputs] = [0, 4, 8].map((at) => header.readUInt32LE(4 + elementBytes + at));
  const count = header.readUInt32LE(4 + elementBytes + 24);
  let at = 0;
  const sum = (): Sum => {
    const terms = body.readUInt32LE(at);
    at += 4;
    return Array.from({ length: terms }, () => {
      const wire = body.readUInt32LE(at);
      const factor = BigInt(
        `0x${Buffer.from(body.subarray(at + 4, at + 4 + elementBytes))
          .reverse()
          .toString("hex")}`,
      );
      at += 4 + elementBytes;
      return [wire, factor] as const;
    });
  };
  const constraints = Array.from({ length: count }, (): Constraint => [sum(), sum(), sum()]);
  return { wires: wires ?? 0, publicInputs: publicInputs ?? 0, constraints };
}

/** The wire of each signal; -1 where the compiler has put another in its place. */
export function readNames(text: string): ReadonlyMap<string, number> {
  const lines = text.split("\n").filter((line) => line !== "");
  return new Map(lines.map((line) => [line.split(",")[3] ?? "", Number(line.split(",")[1])]));
}

/** How many constraints do not hold. */
export function violations(circuit: Circuit, witness: readonly bigint[]): number {
  const total = (sum: Sum): bigint => sum.reduce((all, [wire, factor]) => all + factor * (witness[wire] ?? 0n), 0n);
  return circuit.constraints.filter(([a, b, c]) => (total(a) * total(b) - total(c)) % FIELD_ORDER !== 0n).length;
}
