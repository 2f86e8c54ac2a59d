/** A program's last words as they may be shown: bounded, printable, on one line and without secrets. */

import { utf8ToBytes } from "@noble/hashes/utils.js";

/** Enough for a stack trace and what came before it. */
export const WORDS_BYTES_MAX = 4096;

const HIDDEN = "***";
/** What is shorter is found everywhere in a text, and is hardly a secret. */
const SECRET_CHARS_MIN = 6;

/** Credentials by the form in which they are written, whoever they belong to. */
const CREDENTIALS: readonly (readonly [RegExp, string])[] = [
  // A user and password in a URL.
  [/\b([a-z][a-z0-9+.-]{0,15}:\/\/)[^\s/?#@]{1,512}@/gi, `$1${HIDDEN}@`],
  [/\b(bearer|basic)\s+[a-z0-9._~+/=-]{6,}/gi, `$1 ${HIDDEN}`],
  [
    /(api[_-]?key|secret|token|passw(?:or)?d|passphrase|private[_-]?key)(["']?\s?[=:]\s?)["']?[^\s"',;&]+["']?/gi,
    `$1$2${HIDDEN}`,
  ],
];
/** Escape sequences of terminals: colours, the cursor, titles. */
// oxlint-disable-next-line no-control-regex
const ESCAPES = /\u001b(?:\[[0-?]*[ -/]*[@-~]|\][^\u0007\u001b]*(?:\u0007|\u001b\\)|[@-Z\\-_])/g;

/**
 * The end of a text, at most `WORDS_BYTES_MAX` bytes of UTF-8. `secrets` are texts that must not appear. `isCut`: the text
 * is the end of a longer one, so that its first word may be the rest of a secret.
 */
export function lastWords(text: string, secrets: readonly string[] = [], isCut: boolean = false): string {
  let words = isCut ? text.replace(/^\S*/, "") : text;
  for (const secret of [...secrets].sort((a, b) => b.length - a.length))
    if (secret.length >= SECRET_CHARS_MIN) words = words.replaceAll(secret, HIDDEN);
  words = words.replace(ESCAPES, "");
  for (const [form, shown] of CREDENTIALS) words = words.replace(form, shown);
  const lines = words.split(/[\r\n]/).map((line) => line.trim());
  words = lines
    .filter((line) => line !== "")
    .join(" | ")
    .replace(/[\p{Cc}\p{Cf}\p{Co}\p{Cs}\u2028\u2029]/gu, "?");
  return endOf(words);
}

/** Whole characters only. */
function endOf(text: string): string {
  const kept: string[] = [];
  let bytes = 0;
  for (const character of Array.from(text).reverse()) {
    bytes += utf8ToBytes(character).length;
    if (bytes > WORDS_BYTES_MAX) break;
    kept.push(character);
  }
  return kept.reverse().join("");
}

/** Names of environment variables whose values are secrets. */
const SECRET_NAMES = /key|secret|token|passw|passphrase|credential|auth/i;

/** The values of an environment that a program must not repeat: all that were configured, of all others those so named. */
export function secretsOf(
  environment: Readonly<Record<string, string | undefined>>,
  configured: Readonly<Record<string, string | undefined>> = {},
): readonly string[] {
  const named = Object.entries(environment).filter(([name]) => SECRET_NAMES.test(name));
  return [...named, ...Object.entries(configured)].flatMap(([, value]) => (value === undefined ? [] : [value]));
}
