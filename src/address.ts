/**
 * Addresses with secrets in them: the one place that decides what of an address is shown.
 *
 * Operators and providers put credentials into user names, passwords, paths and queries. A log, a status and an error
 * show scheme, host and port only.
 */

const HIDDEN = "...";
/** Shorter pieces are words such as "v1" and "rpc"; hiding them would make other texts unreadable. */
const SECRET_CHARS_MIN = 6;

/** Scheme, host and port of an address; a path or a query is replaced by dots. */
export function publicUrl(url: string): string {
  if (!URL.canParse(url)) return "(not a URL)";
  const { protocol, host, pathname, search } = new URL(url);
  if (host === "") return "(not a URL)";
  return `${protocol}//${host}${pathname.length > 1 || search !== "" ? `/${HIDDEN}` : ""}`;
}

/** A text of a server or a library, without what an address hides: servers repeat the path that they do not know. */
export function redacted(text: string, url: string): string {
  if (!URL.canParse(url)) return text;
  const { href, username, password, pathname, search, searchParams } = new URL(url);
  const segments = [...pathname.split("/"), ...searchParams.values(), username];
  const secrets = [
    ...[url, href, search, password].filter((each) => each !== ""),
    ...segments.filter((each) => each.length >= SECRET_CHARS_MIN),
  ].flatMap((each) => [each, decoded(each)]);
  // The longest first, because a shorter one may be a part of it.
  return secrets
    .toSorted((a, b) => b.length - a.length)
    .reduce((shown, secret) => shown.replaceAll(secret, HIDDEN), text);
}

/** The address without credentials, and the header that has them (RFC 7617): `fetch` refuses an address with them. */
export function withAuthorization(url: string): {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
} {
  if (!hasCredentials(url)) return { url, headers: {} };
  const parsed = new URL(url);
  const pair = `${decoded(parsed.username)}:${decoded(parsed.password)}`;
  parsed.username = "";
  parsed.password = "";
  return { url: parsed.href, headers: { authorization: `Basic ${Buffer.from(pair).toString("base64")}` } };
}

export function hasCredentials(url: string): boolean {
  if (!URL.canParse(url)) return false;
  const { username, password } = new URL(url);
  return username !== "" || password !== "";
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
