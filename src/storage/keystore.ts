/**
 * The node's secret key: one small file that only its owner may read.
 */
import { createPrivateKey, createPublicKey, type KeyObject, randomBytes, sign, verify } from "node:crypto";
import fs from "node:fs";
import path from "node:path";
import type { Equation, Signer } from "../ports.ts";
import type { Key } from "../protocol/ids.ts";
import { shorten } from "../protocol/shape.ts";
import { codeOf, StorageFault, systemFault } from "./fault.ts";
import { createFileDurably, makeDirectory } from "./files.ts";

/** 32 secret bytes, and the public key that belongs to them. */
export interface NodeKey {
  readonly seed: Uint8Array;
  readonly key: Key;
}

/** What comes before the 32 raw bytes in the DER forms of an Ed25519 key (RFC 8410). */
const PRIVATE_PREFIX = Buffer.from("302e020100300506032b657004220420", "hex");
const PUBLIC_PREFIX = Buffer.from("302a300506032b6570032100", "hex");

const FIELDS = ["version", "type", "seed", "key"];
const ALLOWED = '{"version":1,"type":"ed25519","seed":"64 hex digits","key":"64 hex digits"}';

/** Makes a key and writes it durably. Throws `key.exists` rather than overwrite one, `disk.full` or `key.failed`. */
export function createKey(file: string): NodeKey {
  const seed = randomBytes(32);
  const key = publicKeyOf(seed);
  const text = `${JSON.stringify({ version: 1, type: "ed25519", seed: seed.toString("hex"), key })}\n`;
  try {
    makeDirectory(path.dirname(path.resolve(file)), 0o700);
    createFileDurably(file, Buffer.from(text), 0o600);
  } catch (error) {
    if (codeOf(error) === "EEXIST") throw new StorageFault("key.exists", `${file} exists; a key is never overwritten`);
    throw systemFault(error, "key.failed", `cannot write the key file ${file}`);
  }
  return { seed, key };
}

/**
 * Throws `key.missing`, `key.permissions`, `key.truncated`, `key.malformed`, `key.mismatch` or `key.failed`. No message
 * ever contains what the file holds of the seed.
 */
export function loadKey(file: string): NodeKey {
  let text: string;
  try {
    const fd = fs.openSync(file, "r");
    try {
      const mode = fs.fstatSync(fd).mode & 0o777;
      if ((mode & 0o077) !== 0) {
        const found = mode.toString(8).padStart(4, "0");
        throw new StorageFault(
          "key.permissions",
          `${file} has mode ${found}: others may use it. Run: chmod 600 ${file}`,
        );
      }
      text = fs.readFileSync(fd, "utf8");
    } finally {
      fs.closeSync(fd);
    }
  } catch (error) {
    if (codeOf(error) === "ENOENT") throw new StorageFault("key.missing", `there is no key file ${file}`);
    throw systemFault(error, "key.failed", `cannot read the key file ${file}`);
  }
  return parseKey(file, text);
}

function parseKey(file: string, text: string): NodeKey {
  const malformed = (what: string): StorageFault => {
    return new StorageFault("key.malformed", `${file} has ${what}; allowed is ${ALLOWED}`);
  };
  if (!text.trimEnd().endsWith("}")) {
    throw new StorageFault("key.truncated", `${file} ends after ${text.length} characters; whole is ${ALLOWED}`);
  }
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    // The parser's own message quotes what it read.
    throw malformed(`${text.length} characters that are not JSON`);
  }
  if (typeof parsed !== "object" || parsed === null || Array.isArray(parsed)) throw malformed("no object");
  const fields = new Map<string, unknown>(Object.entries(parsed));
  const unknown = [...fields.keys()].filter((name) => !FIELDS.includes(name));
  if (unknown.length > 0) throw malformed(`the field ${shorten(unknown[0])}`);
  if (fields.get("version") !== 1) throw malformed(`version ${shorten(fields.get("version"))}`);
  if (fields.get("type") !== "ed25519") throw malformed(`type ${shorten(fields.get("type"))}`);
  const seed = fields.get("seed");
  const key = fields.get("key");
  if (typeof seed !== "string" || !/^[0-9a-f]{64}$/.test(seed)) throw malformed(`a seed that is ${shapeOf(seed)}`);
  if (typeof key !== "string" || !/^[0-9a-f]{64}$/.test(key)) throw malformed(`a key that is ${shapeOf(key)}`);
  const bytes = Buffer.from(seed, "hex");
  const actual = publicKeyOf(bytes);
  if (actual !== key) throw new StorageFault("key.mismatch", `${file} names key ${key}, but its seed makes ${actual}`);
  return { seed: bytes, key };
}

function shapeOf(value: unknown): string {
  if (typeof value !== "string") return value === undefined ? "missing" : typeof value;
  if (!/^[0-9a-f]*$/.test(value)) return "not lower-case hex";
  return `${value.length} digits long`;
}

/** Signs natively, with the key imported once. */
export function nodeSigner(seed: Uint8Array): Signer {
  const secret = privateKey(seed);
  return { key: publicKeyOf(seed), sign: (message) => sign(null, message, secret) };
}

/** More members than a network has; each object is a few hundred bytes. */
const KEY_OBJECTS_MAX = 1024;

/** The equation by `node:crypto`; alone it is not the protocol's rule (`protocol/signing.ts`). */
export const nativeEquation: Equation = equationWith(keyObjects(KEY_OBJECTS_MAX));

function equationWith(keyOf: (key: Uint8Array) => KeyObject): Equation {
  return (signature, message, key) => {
    if (key.length !== 32 || signature.length !== 64) return false;
    return verify(null, message, keyOf(key), signature);
  };
}

/** Keys imported lately, the longest unused first. Importing one costs as much as half a verification. */
function keyObjects(countMax: number): (key: Uint8Array) => KeyObject {
  const cached = new Map<string, KeyObject>();
  return (key) => {
    const name = Buffer.from(key.buffer, key.byteOffset, key.byteLength).toString("latin1");
    let object = cached.get(name);
    if (object === undefined) {
      object = createPublicKey({ key: Buffer.concat([PUBLIC_PREFIX, key]), format: "der", type: "spki" });
      const [oldest] = cached.keys();
      if (cached.size >= countMax && oldest !== undefined) cached.delete(oldest);
    } else {
      cached.delete(name);
    }
    cached.set(name, object);
    return object;
  };
}

function publicKeyOf(seed: Uint8Array): Key {
  const der = createPublicKey(privateKey(seed)).export({ format: "der", type: "spki" });
  return der.toString("hex", PUBLIC_PREFIX.length);
}

function privateKey(seed: Uint8Array): KeyObject {
  if (seed.length !== 32) throw new RangeError(`a seed of ${seed.length} bytes`);
  return createPrivateKey({ key: Buffer.concat([PRIVATE_PREFIX, seed]), format: "der", type: "pkcs8" });
}
