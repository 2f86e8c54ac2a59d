/** A network of one node and the flags with which its registry contract is deployed. */
import { writeFileSync } from "node:fs";
import path from "node:path";
import { addressOf, keyOf } from "../sinks/evm.ts";
import { makeMembers, type Members } from "./members.ts";

interface Place {
  readonly members: Members;
  /** Writes a file beside the manifest. */
  readonly write: (name: string, text: string) => string;
  /** The flags of a deployment in which all is right, but for what is changed. */
  readonly flags: (change?: Readonly<Record<string, string>>) => string[];
}

export function placeOn(chain: { readonly url: string }): Place {
  const members = makeMembers(1);
  const write = (name: string, text: string): string => {
    const file = path.join(members.dir, name);
    writeFileSync(file, text);
    return file;
  };
  const owner = write("owner.account", `${keyOf(0)}\n`);
  const right = { "--network": members.manifest, "--rpc": chain.url, "--key-file": owner, "--recorder": addressOf(1) };
  return { members, write, flags: (change = {}) => Object.entries({ ...right, ...change }).flat() };
}
