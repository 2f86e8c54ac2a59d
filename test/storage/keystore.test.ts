import fs from "node:fs";
import path from "node:path";
import { getPublicKeyAsync, signAsync, verifyAsync } from "@noble/ed25519";
import { expect, test } from "vitest";
import { createKey, loadKey, nativeEquation, nodeSigner } from "../../src/storage/keystore.ts";
import { temporaryDirectory } from "./directories.ts";

function keyFile(): string {
  return path.join(temporaryDirectory(), "keys", "node.key");
}

function refusal(run: () => unknown): { readonly code: string; readonly message: string } {
  try {
    run();
  } catch (error) {
    return error as { readonly code: string; readonly message: string };
  }
  throw new Error("it was accepted");
}

/** What loading says about a file with this text. */
function refusalOf(text: string): { readonly code: string; readonly message: string } {
  const file = path.join(temporaryDirectory(), "node.key");
  fs.writeFileSync(file, text, { mode: 0o600 });
  return refusal(() => loadKey(file));
}

const seed = "4c".repeat(32);

test("a key is created for its owner alone and loaded again", () => {
  const file = keyFile();
  const created = createKey(file);
  expect(fs.statSync(file).mode & 0o777).toBe(0o600);
  expect(fs.readdirSync(path.dirname(file))).toEqual(["node.key"]);
  const loaded = loadKey(file);
  expect(loaded.key).toBe(created.key);
  expect(Buffer.from(loaded.seed).equals(created.seed)).toBe(true);
  expect(JSON.parse(fs.readFileSync(file, "utf8"))).toEqual({
    version: 1,
    type: "ed25519",
    seed: Buffer.from(created.seed).toString("hex"),
    key: created.key,
  });
});

test("key.exists: a key is never overwritten", () => {
  const file = keyFile();
  const { key } = createKey(file);
  expect(refusal(() => createKey(file)).code).toBe("key.exists");
  expect(loadKey(file).key).toBe(key);
  expect(fs.readdirSync(path.dirname(file))).toEqual(["node.key"]);
});

test("key.missing", () => {
  const file = keyFile();
  expect(refusal(() => loadKey(file))).toMatchObject({ code: "key.missing", message: `there is no key file ${file}` });
});

for (const mode of [0o640, 0o604, 0o620, 0o666]) {
  test(`key.permissions: 0${mode.toString(8)}`, () => {
    const file = keyFile();
    createKey(file);
    fs.chmodSync(file, mode);
    const { code, message } = refusal(() => loadKey(file));
    expect(code).toBe("key.permissions");
    expect(message).toContain(`0${mode.toString(8)}`);
    expect(message).toContain(`chmod 600 ${file}`);
  });
}

test("key.truncated: every shorter file", () => {
  const file = keyFile();
  createKey(file);
  const text = fs.readFileSync(file, "utf8").trimEnd();
  for (let length = 0; length < text.length; length += 7) {
    expect(refusalOf(text.slice(0, length))).toMatchObject({ code: "key.truncated" });
  }
});

test("key.malformed names what is there and what is allowed, and never the seed", () => {
  const good = { version: 1, type: "ed25519", seed, key: "ab".repeat(32) };
  const cases: readonly (readonly [string, string])[] = [
    [`{"seed":"${seed}"x}`, "not JSON"],
    [`[${JSON.stringify(good)}, {}]}`, "not JSON"],
    ["{}", "version undefined"],
    [JSON.stringify({ ...good, version: 2 }), "version 2"],
    [JSON.stringify({ ...good, type: "secp256k1" }), 'type "secp256k1"'],
    [JSON.stringify({ ...good, seed: seed.slice(2) }), "62 digits long"],
    [JSON.stringify({ ...good, seed: `${seed.slice(2)}ZZ` }), "not lower-case hex"],
    [JSON.stringify({ ...good, seed: 7 }), "a seed that is number"],
    [JSON.stringify({ ...good, key: undefined }), "a key that is missing"],
    [JSON.stringify({ ...good, comment: "mine" }), 'the field "comment"'],
  ];
  for (const [text, what] of cases) {
    const { code, message } = refusalOf(text);
    expect(code).toBe("key.malformed");
    expect(message).toContain(what);
    expect(message).toContain('"type":"ed25519"');
    expect(message).not.toContain(seed.slice(0, 8));
  }
});

test("key.mismatch", () => {
  const text = JSON.stringify({ version: 1, type: "ed25519", seed, key: "ab".repeat(32) });
  const { code, message } = refusalOf(text);
  expect(code).toBe("key.mismatch");
  expect(message).not.toContain(seed.slice(0, 8));
});

test("keys and signatures are those of another implementation", async () => {
  const signer = nodeSigner(Buffer.from(seed, "hex"));
  const message = new TextEncoder().encode("a message");
  const signature = signer.sign(message);
  expect(signer.key).toBe(Buffer.from(await getPublicKeyAsync(Buffer.from(seed, "hex"))).toString("hex"));
  expect(Buffer.from(signature).toString("hex")).toBe(
    Buffer.from(await signAsync(message, Buffer.from(seed, "hex"))).toString("hex"),
  );
  const key = Buffer.from(signer.key, "hex");
  expect(await verifyAsync(signature, message, key)).toBe(true);
  expect(nativeEquation(signature, message, key)).toBe(true);
});

test("the equation fails for another message, key or signature, and for wrong lengths", () => {
  const signer = nodeSigner(Buffer.from(seed, "hex"));
  const key = Buffer.from(signer.key, "hex");
  const message = new TextEncoder().encode("a message");
  const signature = signer.sign(message);
  const other = Buffer.from(nodeSigner(new Uint8Array(32)).key, "hex");
  const changed = Uint8Array.from(signature, (byte, index) => (index === 40 ? byte ^ 1 : byte));
  expect(nativeEquation(signature, new Uint8Array(9), key)).toBe(false);
  expect(nativeEquation(signature, message, other)).toBe(false);
  expect(nativeEquation(changed, message, key)).toBe(false);
  expect(nativeEquation(signature.subarray(1), message, key)).toBe(false);
  expect(nativeEquation(signature, message, key.subarray(1))).toBe(false);
  // Not the encoding of a point.
  expect(nativeEquation(signature, message, new Uint8Array(32).fill(2))).toBe(false);
});

test("more keys than the cache holds are verified all the same", () => {
  const message = new Uint8Array(3);
  for (let round = 0; round < 2; round++) {
    for (let number = 0; number < 1100; number++) {
      const bytes = Buffer.alloc(32);
      bytes.writeUInt32BE(number);
      const signer = nodeSigner(bytes);
      if (round === 1 && number % 100 !== 0) continue;
      expect(nativeEquation(signer.sign(message), message, Buffer.from(signer.key, "hex"))).toBe(true);
    }
  }
});
