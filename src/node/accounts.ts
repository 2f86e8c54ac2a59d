/** Accounts on EVM chains and other secrets that the configuration names: in a file or a variable, never in itself. */
import { createECDH } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import type { SecretConfig } from "../config.ts";
import type { Hash } from "../protocol/ids.ts";
import type { Deployed } from "../sinks/deploy.ts";
import type { Acted, OwnerAct } from "../sinks/owner.ts";
import { createFileDurably } from "../storage/files.ts";
import { NodeFault } from "./fault.ts";

/** Nothing of a secret is ever in a message. `whose` says in messages what it is for. Throws `config.secret`. */
export function readSecret(from: SecretConfig, whose: string, environment: NodeJS.ProcessEnv): string {
  if ("env" in from) {
    const value = environment[from.env]?.trim();
    if (value !== undefined && value !== "") return value;
    throw new NodeFault("config.secret", `${whose}: the variable ${from.env} is not set`);
  }
  try {
    const value = readFileSync(from.file, "utf8").trim();
    if (value !== "") return value;
  } catch (error) {
    throw new NodeFault("config.secret", `${whose}: ${from.file} cannot be read: ${messageOf(error)}`);
  }
  throw new NodeFault("config.secret", `${whose}: ${from.file} is empty`);
}

/** The private key of an account on an EVM chain. Throws `config.secret`. */
export function readAccount(from: SecretConfig, whose: string, environment: NodeJS.ProcessEnv): `0x${string}` {
  const text = readSecret(from, whose, environment);
  if (/^0x[0-9a-fA-F]{64}$/.test(text) && isScalar(text.slice(2))) return text as `0x${string}`;
  const where = "env" in from ? `the variable ${from.env}` : from.file;
  throw new NodeFault("config.secret", `${whose}: ${where} holds no private key; allowed: 0x and 64 hex digits`);
}

/** Whether secp256k1 has such a private key: not zero, and below the curve's order. */
function isScalar(hex: string): boolean {
  try {
    createECDH("secp256k1").setPrivateKey(hex, "hex");
    return true;
  } catch {
    return false;
  }
}

export interface Account {
  readonly address: string;
  /** Whether the file was not there and holds a new key now. */
  readonly made: boolean;
}

/** The account whose private key a file holds; a new one where there is no file. Throws `config.secret`, `key.failed`. */
export async function openAccount(file: string): Promise<Account> {
  const { addressOfAccount, newAccount } = await import("../sinks/deploy.ts");
  if (existsSync(file)) return { address: addressOfAccount(readAccount({ file }, "account", {})), made: false };
  const account = newAccount();
  try {
    createFileDurably(file, Buffer.from(`${account}\n`), 0o600);
  } catch (error) {
    throw new NodeFault("key.failed", `${file} cannot be written: ${messageOf(error)}`);
  }
  return { address: addressOfAccount(account), made: true };
}

export interface RegistryRequest {
  readonly network: Hash;
  readonly rpc: string;
  /** Holds the private key of the account that pays, and then owns the contract. */
  readonly keyFile: string;
  readonly recorders: readonly string[];
  readonly timeoutMs: number;
}

export type DeployedRegistry = Deployed;

const POLL_MS = 500;

/** Puts a registry for the network on an EVM chain. Throws `config.secret` and `contract.*`. */
export async function deployRegistry(request: RegistryRequest): Promise<DeployedRegistry> {
  const { network, rpc, keyFile, recorders, timeoutMs } = request;
  const account = readAccount({ file: keyFile }, "--key-file", {});
  // Loaded where it is used: its client is the slowest import of all.
  const { deployRegistry: deploy } = await import("../sinks/deploy.ts");
  const deployed = await deploy({ network, rpc, account, recorders, timeoutMs, pollMs: POLL_MS });
  if (deployed.ok) return deployed.value;
  throw new NodeFault(deployed.fault.code, deployed.fault.message);
}

export interface OwnerRequest {
  readonly rpc: string;
  readonly contract: string;
  /** Holds the private key of the account that owns the registry. */
  readonly keyFile: string;
  readonly act: OwnerAct;
  readonly timeoutMs: number;
}

/** Does what only a registry's owner may do. Throws `config.secret` and `contract.*`. */
export async function actOnRegistry(request: OwnerRequest): Promise<Acted> {
  const { rpc, contract, keyFile, act, timeoutMs } = request;
  const account = readAccount({ file: keyFile }, "--key-file", {});
  const { actAsOwner } = await import("../sinks/owner.ts");
  const acted = await actAsOwner({ rpc, contract, account, act, timeoutMs, pollMs: POLL_MS });
  if (acted.ok) return acted.value;
  throw new NodeFault(acted.fault.code, acted.fault.message);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
