/** Talks to a running node over its local HTTP endpoint. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { publicUrl, withAuthorization } from "../address.ts";
import { defaultData } from "../config.ts";
import { CommandError } from "./exit.ts";

export interface Where {
  readonly http?: string | undefined;
  readonly data?: string | undefined;
}

const REQUEST_MS_MAX = 30_000;

/** The node's address: as given, or as the node in the data directory has written it. */
export function addressOf(where: Where): string {
  if (where.http !== undefined) return where.http.startsWith("http") ? where.http : `http://${where.http}`;
  const file = join(where.data ?? defaultData("dev"), "node.json");
  if (!existsSync(file))
    throw new CommandError(
      "node.unreachable",
      `no node runs in ${join(file, "..")} (no node.json there); start one, or give --http host:port`,
    );
  const http = httpIn(file);
  if (http === undefined)
    throw new CommandError(
      "node.unreachable",
      `${file} cannot be read; give the address of the node's endpoint with --http host:port`,
    );
  if (typeof http !== "string")
    throw new CommandError("node.unreachable", `the node of ${file} has no HTTP endpoint (--http off)`);
  return http;
}

/** The `http` of the node's note: `null` of a node without an endpoint, `undefined` of a damaged note. */
function httpIn(file: string): unknown {
  try {
    return (JSON.parse(readFileSync(file, "utf8")) as { readonly http?: unknown }).http;
  } catch {
    return undefined;
  }
}

/** Throws the node's own fault where it refuses, and `node.unreachable` where nobody answers. */
export async function ask(
  where: Where,
  path: string,
  init: Omit<RequestInit, "headers"> & { readonly headers?: Readonly<Record<string, string>> } = {},
  timeoutMs: number = REQUEST_MS_MAX,
): Promise<Response> {
  const address = addressOf(where);
  let response: Response;
  try {
    const { url, headers } = withAuthorization(`${address}${path}`);
    response = await fetch(url, {
      ...init,
      headers: { ...headers, ...init.headers },
      signal: AbortSignal.timeout(timeoutMs),
    });
  } catch (error) {
    throw new CommandError(
      "node.unreachable",
      `no node answers at ${publicUrl(address)}: ${error instanceof Error ? error.message : String(error)}`,
    );
  }
  if (response.ok) return response;
  const text = await response.text();
  throw faultOf(text, response.status, `${publicUrl(address)}${path}`);
}

function faultOf(text: string, status: number, shown: string): CommandError {
  try {
    const { code, message } = JSON.parse(text) as { readonly code?: unknown; readonly message?: unknown };
    if (typeof code === "string" && typeof message === "string") return new CommandError(code, message);
  } catch {
    // Not one of ours: said as it came.
  }
  return new CommandError("node.unreachable", `${shown} answers ${status}: ${text.slice(0, 200)}`);
}
