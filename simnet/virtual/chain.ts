import { hexToBytes } from "@noble/hashes/utils.js";
import type { SourceBlock } from "../../src/ports.ts";
import { domainHash, u64 } from "../../src/protocol/ids.ts";
import { CHAIN } from "./manifest.ts";

/** The chain that all nodes follow. */
export function blockAt(height: number): SourceBlock {
  const hash = domainHash("sim-block", u64(height));
  const parent = domainHash("sim-block", u64(height - 1));
  return { chain: CHAIN, height, hash, parent, payload: hexToBytes(hash), items: 0 };
}
