/**
 * What a payload carries of a block besides header and transactions, where the statement of a proof needs it: withdrawals,
 * execution requests (EIP-7685), the block access list (EIP-7928) and the header of the block before.
 *
 * The header names a hash of each, so nothing here is believed. Which of them a payload carries follows from the workflow
 * (`formOf`), so a block has one payload in a network.
 */
import { keccak_256 } from "@noble/hashes/sha3.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex, concatBytes } from "@noble/hashes/utils.js";
import type { Hash } from "./ids.ts";
import { fail } from "./payload-fault.ts";
import { encode, itemAt, listAt, listOf, orderedRoot } from "./rlp.ts";
import { address, data, type Json, list, number, record } from "./rpc-json.ts";
import type { PayloadForm } from "./statement.ts";

export interface Body {
  /** RLP of each, as the trie under `withdrawalsRoot` has it; `null` where the header has no such field. */
  readonly withdrawals: readonly Uint8Array[] | null;
  /** Type byte and data of each; `null` where the header has no such field. */
  readonly requests: readonly Uint8Array[] | null;
  readonly accessList: Uint8Array | null;
}

/** The hashes by which a header names its body; `null` for fields that it lacks. */
export interface BodyRoots {
  readonly withdrawalsRoot: Hash | null;
  readonly requestsHash: Hash | null;
  readonly accessListHash: Hash | null;
}

export interface Extras {
  readonly body: Body | null;
  readonly parentHeader: Uint8Array | null;
}

const WITHDRAWALS_MAX = 4096;
/** One of each type, and the type is a byte. */
const REQUESTS_MAX = 256;
const NOTHING = Uint8Array.of(0x80);

/** SHA-256 over the hashes of requests: what a header without any request has. */
const NO_REQUESTS: Hash = bytesToHex(sha256(new Uint8Array(0)));

export function requestsHash(requests: readonly Uint8Array[]): Hash {
  return bytesToHex(sha256(concatBytes(...requests.map((each) => sha256(each)))));
}

/** The two last items of a payload of version 2. */
export function encodeExtras({ body, parentHeader }: Extras): readonly Uint8Array[] {
  const strings = (some: readonly Uint8Array[] | null) => (some === null ? NOTHING : encode(some));
  const { withdrawals = null, requests = null, accessList = null } = body ?? {};
  const parts = [strings(withdrawals), strings(requests), accessList === null ? NOTHING : encode(accessList)];
  return [body === null ? NOTHING : listOf(parts), parentHeader ?? NOTHING];
}

/** Reads and checks the two last items of a payload of version 2, which begin at `at`. */
export function readExtras(payload: Uint8Array, at: number, roots: BodyRoots, parent: Hash): Extras {
  const bodyFrame = itemAt(payload, at, payload.length);
  const parentFrame = itemAt(payload, bodyFrame.end, payload.length);
  if (parentFrame.end !== payload.length)
    fail("payload.malformed", "more than a header, transactions, body and parent");
  const parentHeader = parentFrame.list ? payload.subarray(bodyFrame.end, parentFrame.end) : null;
  if (!parentFrame.list && parentFrame.end !== parentFrame.from) fail("payload.malformed", "the parent is no header");
  if (!bodyFrame.list && bodyFrame.end !== bodyFrame.from) fail("payload.malformed", "the body is no list");
  if (parentHeader !== null) checkParent(parentHeader, parent);
  const body = bodyFrame.list ? readBody(payload, at) : null;
  if (body !== null) checkBody(body, roots);
  return { body, parentHeader };
}

function readBody(payload: Uint8Array, at: number): Body {
  const frame = listAt(payload, at);
  const withdrawals = stringsAt(payload, frame.from, frame.end, WITHDRAWALS_MAX);
  const requests = stringsAt(payload, withdrawals.end, frame.end, REQUESTS_MAX);
  const accessFrame = itemAt(payload, requests.end, frame.end);
  if (accessFrame.list || accessFrame.end !== frame.end)
    fail("payload.malformed", "the body is not withdrawals, requests and access list");
  const accessList = accessFrame.from === accessFrame.end ? null : payload.subarray(accessFrame.from, accessFrame.end);
  return { withdrawals: withdrawals.strings, requests: requests.strings, accessList };
}

/** A list of strings of bytes, or the empty string for none. */
function stringsAt(
  payload: Uint8Array,
  at: number,
  limit: number,
  most: number,
): { readonly strings: readonly Uint8Array[] | null; readonly end: number } {
  const frame = itemAt(payload, at, limit);
  if (!frame.list) {
    if (frame.from !== frame.end) fail("payload.malformed", "a part of the body is no list");
    return { strings: null, end: frame.end };
  }
  const strings: Uint8Array[] = [];
  for (let next = frame.from; next < frame.end; ) {
    const item = itemAt(payload, next, frame.end);
    if (item.list) fail("payload.malformed", "a part of the body is not a string of bytes");
    if (strings.length >= most) fail("payload.too-large", `over ${most} withdrawals or requests`);
    strings.push(payload.subarray(item.from, item.end));
    next = item.end;
  }
  return { strings, end: frame.end };
}

function checkBody({ withdrawals, requests, accessList }: Body, roots: BodyRoots): void {
  const found = {
    withdrawals: withdrawals === null ? null : bytesToHex(orderedRoot(withdrawals)),
    requests: requests === null ? null : requestsHash(requests),
    "access-list": accessList === null ? null : bytesToHex(keccak_256(accessList)),
  };
  const named = {
    withdrawals: roots.withdrawalsRoot,
    requests: roots.requestsHash,
    "access-list": roots.accessListHash,
  };
  for (const name of ["withdrawals", "requests", "access-list"] as const) {
    if (found[name] === named[name]) continue;
    fail(`payload.${name}-mismatch`, `the ${name} hash to ${found[name]}; the header says ${named[name]}`);
  }
  requests?.forEach((request, at) => {
    const before = requests[at - 1];
    const isOrdered = before === undefined || (request[0] ?? 0) > (before[0] ?? 0);
    if (request.length < 2 || !isOrdered)
      fail("payload.requests-mismatch", `request ${at} is empty or of no higher type than the one before`);
  });
}

function checkParent(header: Uint8Array, parent: Hash): void {
  const hash = bytesToHex(keccak_256(header));
  if (hash !== parent)
    fail("payload.parent-mismatch", `the parent's header hashes to ${hash}, the block names ${parent}`);
}

/** What JSON-RPC gave of a block beyond its header, as far as the form asks for it. `headerOf` encodes a header. */
export function extrasOf(
  source: Json,
  form: PayloadForm,
  roots: BodyRoots,
  parent: Hash,
  headerOf: (source: Json) => Uint8Array,
): Extras {
  const body = form.body ? bodyOf(source, roots) : null;
  if (body !== null) checkBody(body, roots);
  if (!form.parent) return { body, parentHeader: null };
  if (source["parent"] === undefined)
    fail("payload.parent-missing", 'the statement needs the header of the block before, which "parent" has to hold');
  const parentHeader = headerOf(record(source["parent"], "parent"));
  checkParent(parentHeader, parent);
  return { body, parentHeader };
}

function bodyOf(source: Json, roots: BodyRoots): Body {
  return {
    withdrawals: roots.withdrawalsRoot === null ? null : withdrawalsOf(source),
    requests: roots.requestsHash === null ? null : requestsOf(source, roots.requestsHash),
    accessList: roots.accessListHash === null ? null : accessListOf(source),
  };
}

function withdrawalsOf(source: Json): readonly Uint8Array[] {
  if (source["withdrawals"] === undefined)
    fail("payload.withdrawals-missing", 'the statement needs the withdrawals, and the block has no "withdrawals"');
  return list(source["withdrawals"], "withdrawals").map((value) => {
    const each = record(value, "withdrawal");
    return encode([
      number(each, "index"),
      number(each, "validatorIndex"),
      address(each, "address"),
      number(each, "amount"),
    ]);
  });
}

/** No standard call gives the requests. A block without any needs none; otherwise `requests` holds them as EIP-7685 has them. */
function requestsOf(source: Json, hash: Hash): readonly Uint8Array[] {
  const given = source["requests"] ?? source["executionRequests"];
  if (given === undefined || given === null) {
    if (hash === NO_REQUESTS) return [];
    fail(
      "payload.requests-missing",
      'the statement needs the execution requests, and the block has no "requests" (a list of hex, EIP-7685); no call of an execution node gives them, so the source needs a "beacon"',
    );
  }
  return list(given, "requests").map((text) => data({ text }, "text"));
}

function accessListOf(source: Json): Uint8Array {
  if (source["blockAccessList"] === undefined)
    fail(
      "payload.access-list-missing",
      'the statement needs the block access list, and the block has no "blockAccessList" (its RLP in hex, EIP-7928)',
    );
  return data(source, "blockAccessList");
}
