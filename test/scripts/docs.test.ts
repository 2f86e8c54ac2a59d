import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import type { Command } from "commander";
import { describe, expect, test } from "vitest";
import { ageCommand } from "../../simnet/commands/age.ts";
import { localCommand } from "../../simnet/commands/local.ts";
import { mutantsCommand } from "../../simnet/commands/mutants.ts";
import { twinsCommand } from "../../simnet/commands/twins.ts";
import { virtualCommand } from "../../simnet/commands/virtual.ts";
import { MESSAGES } from "../../src/protocol/messages.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const PAGES = ["README.md", ...readdirSync(join(ROOT, "docs")).map((name) => `docs/${name}`)];
const TEXTS = new Map(PAGES.map((page) => [page, readFileSync(join(ROOT, page), "utf8")]));
const SIMNET: Readonly<Record<string, () => Command>> = {
  age: ageCommand,
  local: localCommand,
  virtual: virtualCommand,
  mutants: mutantsCommand,
  twins: twinsCommand,
};
const SCRIPTS = new Set(
  Object.keys((JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as { scripts: object }).scripts),
);

/** Parts of a page that are no code. */
function prose(text: string): string {
  return text.replace(/^```[\s\S]*?^```$/gm, "").replace(/`[^`\n]*`/g, "");
}

/** The anchors that GitHub gives the headings of a page. */
function anchors(text: string): ReadonlySet<string> {
  const headings = text.replace(/^```[\s\S]*?^```$/gm, "").matchAll(/^#+ (.+)$/gm);
  return new Set([...headings].map(([, title = ""]) => anchorOf(title)));
}

function anchorOf(title: string): string {
  return title
    .toLowerCase()
    .replace(/[^\p{L}\p{N} _-]/gu, "")
    .replaceAll(" ", "-");
}

/** Every link of a page that leads nowhere. */
function brokenLinks(page: string, text: string): string[] {
  return [...prose(text).matchAll(/\]\(([^)\s]+)\)/g)].flatMap(([, target = ""]) => {
    if (/^https?:/.test(target)) return [];
    const [path = "", anchor] = target.split("#");
    const file = path === "" ? page : relative(ROOT, join(ROOT, dirname(page), path));
    if (!existsSync(join(ROOT, file))) return [`${page}: ${target}: no such file`];
    const found = anchor === undefined || anchors(TEXTS.get(file) ?? "").has(anchor);
    return found ? [] : [`${page}: ${target}: no such heading`];
  });
}

/** Commands as the pages write them, in code blocks and inline, continued lines joined. */
function commands(text: string): string[] {
  const blocks = [...text.matchAll(/^ *```sh\n([\s\S]*?)^ *```$/gm)].flatMap(([, code = ""]) =>
    code
      .replace(/\\\n/g, " ")
      .split("\n")
      .map((line) => line.replace(/(^|\s)#.*$/, "")),
  );
  const inline = [...text.replace(/^ *```[\s\S]*?^ *```$/gm, "").matchAll(/`([^`\n]+)`/g)].map(([, code = ""]) => code);
  return [...blocks, ...inline].flatMap((line) => line.split("&&").map((part) => part.trim()));
}

/** The words that follow `proofmesh`, or `simnet`; `null` for a line that calls neither. */
function called(line: string): { readonly program: "proofmesh" | "simnet"; readonly words: string[] } | null {
  const npm = /^npm run (?:-s )?(proofmesh|simnet) --\s+(.*)$/.exec(line);
  const start = /^npm start(?: --\s+(.*))?$/.exec(line);
  const bare = /^(?:\w+=\S+ )?proofmesh (.*)$/.exec(line);
  const program = npm?.[1] === "simnet" || bare?.[1]?.startsWith("simnet ") === true ? "simnet" : "proofmesh";
  const rest = npm?.[2] ?? (start === null ? bare?.[1] : `start ${start[1] ?? ""}`);
  if (rest === undefined) return null;
  const words = rest.split(/\s+/).filter((word) => word !== "" && word !== "simnet");
  return { program, words };
}

async function commandOf(program: string, name: string): Promise<Command | undefined> {
  if (program === "simnet") return SIMNET[name]?.();
  if (!existsSync(join(ROOT, `src/cli/${name}.ts`))) return undefined;
  const module = (await import(`../../src/cli/${name}.ts`)) as Record<string, (() => Command) | undefined>;
  return module[`${name}Command`]?.();
}

/** What a documented command line names and the program does not know. */
async function unknown(line: string): Promise<string[]> {
  const script = /^npm run (?:-s )?([a-z:]+)/.exec(line)?.[1];
  if (script !== undefined && !SCRIPTS.has(script)) return [`${line}: no script ${script}`];
  const call = called(line);
  const [name = "", sub = ""] = call?.words ?? [];
  if (call === null || !/^[a-z]+$/.test(name)) return [];
  const command = await commandOf(call.program, name);
  if (command === undefined) return [`${line}: no command ${name}`];
  const inner = command.commands.find((each) => each.name() === sub);
  if (command.commands.length > 0 && inner === undefined && /^[a-z]+$/.test(sub)) return [`${line}: no command ${sub}`];
  const flags = new Set([...command.options, ...(inner?.options ?? [])].map(({ long }) => long));
  const known = (word: string) => word === "--help" || flags.has(word) || flags.has(`--no-${word.slice(2)}`);
  return call.words.filter((word) => word.startsWith("--") && !known(word)).map((flag) => `${line}: no flag ${flag}`);
}

describe("the documentation", () => {
  test("has a README of at most 150 lines", () => {
    expect(TEXTS.get("README.md")?.trimEnd().split("\n").length).toBeLessThanOrEqual(150);
  });

  test("has no link and no anchor that leads nowhere", () => {
    expect([...TEXTS].flatMap(([page, text]) => brokenLinks(page, text))).toEqual([]);
  });

  test("notices a link to a missing page and to a missing heading", () => {
    const text = "[a](docs/none.md) [b](docs/protocol.md#none) [c](docs/protocol.md#messages) `[d](none.md)`";
    expect(brokenLinks("README.md", text)).toEqual([
      "README.md: docs/none.md: no such file",
      "README.md: docs/protocol.md#none: no such heading",
    ]);
  });

  test("names only files of this repository that exist", () => {
    const named = [...TEXTS].flatMap(([page, text]) =>
      [...text.matchAll(/(?<![\w./])(?:src|test|scripts|config|simnet|docs)\/[\w./-]*\w/g)].map(([path]) => ({
        page,
        path,
      })),
    );
    expect(named.length).toBeGreaterThan(40);
    expect(named.filter(({ path }) => !existsSync(join(ROOT, path)))).toEqual([]);
  });

  test("lists every page in the README", () => {
    const missing = PAGES.filter(
      (page) => page !== "README.md" && TEXTS.get("README.md")?.includes(`(${page})`) === false,
    );
    expect(missing).toEqual([]);
  });

  test("begins each page by saying for whom it is", () => {
    const others = PAGES.filter((page) => page !== "README.md");
    expect(others.filter((page) => !/^# .+\n\nFor whoever /.test(TEXTS.get(page) ?? ""))).toEqual([]);
  });

  test("names only scripts, commands and flags that exist", async () => {
    const lines = [...TEXTS].flatMap(([page, text]) => commands(text).map((line) => ({ page, line })));
    expect(lines.filter(({ line }) => called(line) !== null).length).toBeGreaterThan(60);
    const wrong = await Promise.all(
      lines.map(async ({ page, line }) => (await unknown(line)).map((what) => `${page}: ${what}`)),
    );
    expect(wrong.flat()).toEqual([]);
  });

  test("notices a script, a command and a flag that do not exist", async () => {
    expect(await unknown("npm run nothing")).toEqual(["npm run nothing: no script nothing"]);
    expect(await unknown("proofmesh nothing")).toEqual(["proofmesh nothing: no command nothing"]);
    expect(await unknown("proofmesh tasks nothing")).toEqual(["proofmesh tasks nothing: no command nothing"]);
    expect(await unknown("npm start -- --nothing")).toEqual(["npm start -- --nothing: no flag --nothing"]);
    expect(await unknown("npm run simnet -- local --nothing")).toHaveLength(1);
  });

  test("has rules for every message, each with a number of its own", () => {
    const text = TEXTS.get("docs/protocol.md") ?? "";
    const rules = [...text.matchAll(/^(?:- |\| )`([A-Z]+-\d+)`/gm)].map(([, rule = ""]) => rule);
    expect(rules.filter((rule, at) => rules.indexOf(rule) < at)).toEqual([]);
    const numbered = new Map<string, number[]>();
    for (const rule of rules) {
      const [kind = "", number] = rule.split("-");
      numbered.set(kind, [...(numbered.get(kind) ?? []), Number(number)]);
    }
    for (const numbers of numbered.values()) expect(numbers).toEqual(numbers.map((_, at) => at + 1));
    expect(Object.keys(MESSAGES).filter((kind) => !numbered.has(kind.toUpperCase()))).toEqual([]);
    const named = [...text.matchAll(/`([A-Z]+-\d+)`/g)].map(([, rule = ""]) => rule);
    expect(named.filter((rule) => !rules.includes(rule))).toEqual([]);
  });
});
