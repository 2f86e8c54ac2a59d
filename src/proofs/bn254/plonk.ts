/**
 * The verifier of gnark's PLONK over BN254, for circuits with one commitment, over @noble/curves. What the public inputs
 * mean is the caller's.
 *
 * A proof has 864 bytes: the wires L, R, O and the quotient's parts H0, H1, H2 (points), five values at zeta (l, r, o,
 * s1, s2), the permutation's accumulator Z, its value at the shifted point, two opening proofs, the value of the
 * commitment's selector, and the commitment.
 */
import { expand_message_xmd } from "@noble/curves/abstract/hash-to-curve.js";
import { bn254 } from "@noble/curves/bn254.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { concatBytes, hexToBytes, utf8ToBytes } from "@noble/hashes/utils.js";
import { bigEndian } from "../bytes.ts";
import { type Lines, pairsToOne, type ProofCode, type Verdict } from "./equation.ts";
import { readG1, readG2 } from "./gnark.ts";
import { bytesOfG1, G1_BYTES, type G1, pointCode, pointG1 } from "./points.ts";

export interface PlonkKey {
  /** The circuit's number of rows, a power of two, and its inverse. */
  readonly size: bigint;
  readonly sizeInverse: bigint;
  readonly generator: bigint;
  readonly inputs: number;
  readonly shift: bigint;
  readonly s: readonly [G1, G1, G1];
  readonly ql: G1;
  readonly qr: G1;
  readonly qm: G1;
  readonly qo: G1;
  readonly qk: G1;
  /** The selector of the commitment, and the row that it is in, counted behind the public inputs. */
  readonly qcp: G1;
  readonly committedAt: number;
  readonly g1: G1;
  readonly g2: readonly [one: Lines, secret: Lines];
}

/** The length of a key with one commitment. Most of it is room for tables that gnark leaves empty. */
export const PLONK_KEY_BYTES = 34_368;
export const PLONK_PROOF_BYTES = 864;
const TABLES_BYTES = 33_792;
const SCALAR_BYTES = 32;
const HASH_TO_FIELD = "BSB22-Plonk";
const EXPANDED_BYTES = 48;

const { Fr } = bn254.fields;

/** Throws for a key of another form, or whose numbers do not fit each other. */
export function readPlonkKey(bytes: Uint8Array): PlonkKey {
  if (bytes.length !== PLONK_KEY_BYTES)
    throw new Error(`the key has ${bytes.length} bytes; a PLONK key with one commitment has ${PLONK_KEY_BYTES}`);
  const number = (at: number, length: number): bigint => bigEndian(bytes.subarray(at, at + length));
  const g1 = (at: number): G1 => {
    const point = readG1(bytes, at);
    point.assertValidity();
    return point;
  };
  const lines = (at: number): Lines => {
    const point = readG2(bytes, at);
    point.assertValidity();
    return bn254.utils.calcPairingPrecomputes(point);
  };
  const [size, sizeInverse, generator] = [number(0, 8), number(8, SCALAR_BYTES), number(40, SCALAR_BYTES)];
  if (sizeInverse >= Fr.ORDER || generator >= Fr.ORDER) throw new Error("a number of the key is no field element");
  if (size < 2n || (size & (size - 1n)) !== 0n)
    throw new Error(`the circuit has ${size} rows, which is no power of two`);
  if (Fr.mul(Fr.create(size), sizeInverse) !== 1n) throw new Error("the key has another inverse of its size");
  if (Fr.pow(generator, size / 2n) !== Fr.ORDER - 1n) throw new Error("the key's generator has another order");
  const tail = 404 + 32 + 2 * 64 + TABLES_BYTES;
  if (number(368, 4) !== 1n || number(tail, 4) !== 1n) throw new Error("the key has not exactly one commitment");
  return {
    size,
    sizeInverse,
    generator,
    inputs: Number(number(72, 8)),
    shift: number(80, SCALAR_BYTES),
    s: [g1(112), g1(144), g1(176)],
    ql: g1(208),
    qr: g1(240),
    qm: g1(272),
    qo: g1(304),
    qk: g1(336),
    qcp: g1(372),
    committedAt: Number(number(tail + 4, 8)),
    g1: g1(404),
    g2: [lines(436), lines(500)],
  };
}

interface PlonkProof {
  readonly lro: readonly [G1, G1, G1];
  readonly h: readonly [G1, G1, G1];
  /** l, r, o, s1, s2 and the commitment's selector at zeta. */
  readonly at: readonly [bigint, bigint, bigint, bigint, bigint, bigint];
  readonly z: G1;
  readonly zShifted: bigint;
  readonly opening: G1;
  readonly shiftedOpening: G1;
  readonly commitment: G1;
}

/** Whether the proof holds for these public inputs. */
export function holdsPlonk(key: PlonkKey, inputs: readonly bigint[], bytes: Uint8Array): Verdict {
  if (inputs.length !== key.inputs) return { valid: false, code: "proof.length" };
  if (inputs.some((input) => input < 0n || input >= Fr.ORDER)) return { valid: false, code: "proof.not-canonical" };
  const proof = readProof(bytes);
  if (typeof proof === "string") return { valid: false, code: proof };
  const challenges = challengesOf(key, inputs, proof);
  return opens(key, inputs, proof, challenges) ? { valid: true } : { valid: false, code: "proof.equation" };
}

function readProof(bytes: Uint8Array): PlonkProof | ProofCode {
  if (bytes.length !== PLONK_PROOF_BYTES) return "proof.length";
  let at = 0;
  const take = (length: number): Uint8Array => bytes.subarray(at, (at += length));
  const scalars: bigint[] = [];
  const scalar = (): bigint => {
    const value = bigEndian(take(SCALAR_BYTES));
    scalars.push(value);
    return value;
  };
  try {
    const g1 = (): G1 => pointG1(take(G1_BYTES));
    const lro = [g1(), g1(), g1()] as const;
    const h = [g1(), g1(), g1()] as const;
    const five = [scalar(), scalar(), scalar(), scalar(), scalar()] as const;
    const z = g1();
    const zShifted = scalar();
    const [opening, shiftedOpening] = [g1(), g1()];
    const selector = scalar();
    const commitment = g1();
    if (scalars.some((value) => value >= Fr.ORDER)) return "proof.not-canonical";
    return { lro, h, at: [...five, selector], z, zShifted, opening, shiftedOpening, commitment };
  } catch (error) {
    return pointCode(error);
  }
}

interface Challenges {
  readonly gamma: bigint;
  readonly beta: bigint;
  readonly alpha: bigint;
  readonly zeta: bigint;
  /** The hash that zeta is, which the last challenge rests on. */
  readonly last: Uint8Array;
}

/** Each challenge is a hash of its name, of the challenge before, and of what the prover sent in between. */
function challengesOf(key: PlonkKey, inputs: readonly bigint[], proof: PlonkProof): Challenges {
  const { s, ql, qr, qm, qo, qk, qcp } = key;
  const { lro, h, z, commitment } = proof;
  const publics = [...s, ql, qr, qm, qo, qk, qcp].map(bytesOfG1);
  const gamma = challenge("gamma", null, [...publics, ...inputs.map(bytesOf), ...lro.map(bytesOfG1)]);
  const beta = challenge("beta", gamma, []);
  const alpha = challenge("alpha", beta, [commitment, z].map(bytesOfG1));
  const zeta = challenge("zeta", alpha, h.map(bytesOfG1));
  return { gamma: scalarOf(gamma), beta: scalarOf(beta), alpha: scalarOf(alpha), zeta: scalarOf(zeta), last: zeta };
}

function challenge(name: string, before: Uint8Array | null, sent: readonly Uint8Array[]): Uint8Array {
  return sha256(concatBytes(utf8ToBytes(name), before ?? new Uint8Array(), ...sent));
}

/** The public inputs as a polynomial at zeta, with the commitment's hash as one more; `null` where zeta is a row. */
function publicPart(key: PlonkKey, inputs: readonly bigint[], commitment: G1, zeta: bigint): bigint | null {
  const hashed = expand_message_xmd(bytesOfG1(commitment), utf8ToBytes(HASH_TO_FIELD), EXPANDED_BYTES, sha256);
  const rows: [row: number, value: bigint][] = [
    ...inputs.map((input, row): [number, bigint] => [row, input]),
    [inputs.length + key.committedAt, scalarOf(hashed)],
  ];
  let total = 0n;
  for (const [row, value] of rows) {
    const lagrange = lagrangeAt(key, row, zeta);
    if (lagrange === null) return null;
    total = Fr.add(total, Fr.mul(lagrange, value));
  }
  return total;
}

/** w^row (zeta^n - 1) / (n (zeta - w^row)) */
function lagrangeAt({ size, sizeInverse, generator }: PlonkKey, row: number, zeta: bigint): bigint | null {
  const root = Fr.pow(generator, BigInt(row));
  const under = Fr.sub(zeta, root);
  if (under === 0n) return null;
  return product(root, Fr.sub(Fr.pow(zeta, size), 1n), sizeInverse, Fr.inv(under));
}

interface Linear {
  /** The commitment to the linearized polynomial, and what it has to be at zeta. */
  readonly point: G1;
  readonly value: bigint;
}

function linearized(key: PlonkKey, proof: PlonkProof, challenges: Challenges, publics: bigint, first: bigint): Linear {
  const { gamma, beta, alpha, zeta } = challenges;
  const [l, r, o, s1, s2, selector] = proof.at;
  const vanishing = Fr.sub(Fr.pow(zeta, key.size), 1n);
  const start = product(alpha, alpha, first);
  const left = sum(l, Fr.mul(beta, s1), gamma);
  const right = sum(r, Fr.mul(beta, s2), gamma);
  const constant = product(left, right, sum(o, gamma), alpha, proof.zShifted);
  const ofS3 = product(left, right, beta, alpha, proof.zShifted);
  const moved = Fr.mul(beta, zeta);
  const ofZ = product(
    alpha,
    sum(l, moved, gamma),
    sum(r, Fr.mul(moved, key.shift), gamma),
    sum(o, product(moved, key.shift, key.shift), gamma),
  );
  const step = Fr.pow(zeta, key.size + 2n);
  const terms: readonly (readonly [G1, bigint])[] = [
    [proof.commitment, selector],
    [key.ql, l],
    [key.qr, r],
    [key.qm, Fr.mul(l, r)],
    [key.qo, o],
    [key.qk, 1n],
    [key.s[2], ofS3],
    [proof.z, Fr.sub(start, ofZ)],
    [proof.h[0], Fr.neg(vanishing)],
    [proof.h[1], Fr.neg(Fr.mul(step, vanishing))],
    [proof.h[2], Fr.neg(product(step, step, vanishing))],
  ];
  return { point: combined(terms), value: Fr.neg(sum(constant, Fr.neg(start), publics)) };
}

/** The two openings of KZG, at zeta and at the next row's zeta, in one pairing equation. */
function opens(key: PlonkKey, inputs: readonly bigint[], proof: PlonkProof, challenges: Challenges): boolean {
  const { zeta } = challenges;
  const publics = publicPart(key, inputs, proof.commitment, zeta);
  const first = lagrangeAt(key, 0, zeta);
  if (publics === null || first === null) return false;
  const linear = linearized(key, proof, challenges, publics, first);
  const points = [linear.point, ...proof.lro, key.s[0], key.s[1], key.qcp];
  const values = [linear.value, ...proof.at];
  const said = [bytesOf(zeta), ...points.map(bytesOfG1), ...values.map(bytesOf), bytesOf(proof.zShifted)];
  const fold = scalarOf(challenge("gamma", null, said));
  const powers = points.map((_, i) => Fr.pow(fold, BigInt(i)));
  const folded = combined(points.map((point, i) => [point, powers[i] ?? 0n]));
  const value = values.reduce((all, each, i) => Fr.add(all, Fr.mul(each, powers[i] ?? 0n)), 0n);
  const sent = [folded, proof.z, proof.opening, proof.shiftedOpening].map(bytesOfG1);
  const u = scalarOf(challenge("u", challenges.last, [bytesOf(fold), ...sent]));
  const shifted = Fr.mul(zeta, key.generator);
  const left = combined([
    [folded, 1n],
    [proof.z, u],
    [key.g1, Fr.neg(Fr.add(value, Fr.mul(u, proof.zShifted)))],
    [proof.opening, zeta],
    [proof.shiftedOpening, Fr.mul(u, shifted)],
  ]);
  const right = combined([
    [proof.opening, 1n],
    [proof.shiftedOpening, u],
  ]);
  const [one, secret] = key.g2;
  return pairsToOne([
    [one, left],
    [secret, right.negate()],
  ]);
}

function combined(terms: readonly (readonly [G1, bigint])[]): G1 {
  return terms.reduce((all, [point, scalar]) => all.add(point.multiplyUnsafe(scalar)), bn254.G1.Point.ZERO);
}

function product(...factors: readonly bigint[]): bigint {
  return factors.reduce((all, factor) => Fr.mul(all, factor), 1n);
}

function sum(...terms: readonly bigint[]): bigint {
  return terms.reduce((all, term) => Fr.add(all, term), 0n);
}

function scalarOf(hash: Uint8Array): bigint {
  return Fr.create(bigEndian(hash));
}

function bytesOf(scalar: bigint): Uint8Array {
  return hexToBytes(scalar.toString(16).padStart(2 * SCALAR_BYTES, "0"));
}
