import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, test } from "vitest";
import { hasCredentials, publicUrl, redacted, withAuthorization } from "../src/address.ts";

const URL_WITH_ALL = "https://carrier:pigeon%20pass@box.example:8443/v3/0123456789abcdef?token=feather";

describe("an address that is shown", () => {
  test("has scheme, host and port, and dots for the rest", () => {
    expect(publicUrl(URL_WITH_ALL)).toBe("https://box.example:8443/...");
    expect(publicUrl("http://127.0.0.1:8545")).toBe("http://127.0.0.1:8545");
    expect(publicUrl("http://127.0.0.1:8545/")).toBe("http://127.0.0.1:8545");
    expect(publicUrl("wss://op:key@node.example/?k=1")).toBe("wss://node.example/...");
    for (const text of ["", "box.example/v3/key", "localhost:8545", "user:pass@host"])
      expect(publicUrl(text)).toBe("(not a URL)");
  });

  test("is taken out of what a server says of it", () => {
    const says = 'Cannot POST /v3/0123456789abcdef?token=feather for "carrier", pigeon pass, pigeon%20pass';
    expect(redacted(says, URL_WITH_ALL)).toBe('Cannot POST /v3/...... for "...", ..., ...');
    expect(redacted(`no answer of ${URL_WITH_ALL}`, URL_WITH_ALL)).toBe("no answer of ...");
    expect(redacted("of v3", URL_WITH_ALL)).toBe("of v3");
    expect(redacted("anything", "not a URL")).toBe("anything");
  });

  test("gives its credentials to a header", () => {
    const { url, headers } = withAuthorization(URL_WITH_ALL);
    expect(url).toBe("https://box.example:8443/v3/0123456789abcdef?token=feather");
    expect(Buffer.from(headers["authorization"]?.slice(6) ?? "", "base64").toString()).toBe("carrier:pigeon pass");
    expect(withAuthorization("http://box.example/a")).toEqual({ url: "http://box.example/a", headers: {} });
    expect([hasCredentials(URL_WITH_ALL), hasCredentials("http://box.example/a@b")]).toEqual([true, false]);
  });

  test("is in no message of the sources but through publicUrl", () => {
    const root = path.join(import.meta.dirname, "../src");
    const files = readdirSync(root, { recursive: true, encoding: "utf8" }).filter((name) => /(?<!\.d)\.ts$/.test(name));
    expect(files.length).toBeGreaterThan(100);
    // A template with a space is a text for people; one without is an address that is put together.
    const message = /`[^`\n]*\$\{[\w.?]*(?:url|Url|rpc|href|endpoint)\}[^`\n]*`/g;
    const found = files.flatMap((name) => {
      const templates = readFileSync(path.join(root, name), "utf8").match(message) ?? [];
      return templates.filter((text) => text.includes(" ")).map((text) => `${name}: ${text}`);
    });
    expect(found).toEqual([]);
  });
});
