import { describe, expect, it } from "vitest";
import { lastWords, secretsOf, WORDS_BYTES_MAX } from "../../src/protocol/words.ts";

describe("a program's last words", () => {
  it("are one printable line, without a terminal's escapes", () => {
    const text = "thread 'main' panicked:\r\n  \u001b[1;31mout of memory\u001b[0m\u0007\n\u001b]0;title\u0007\n";
    expect(lastWords(text)).toBe("thread 'main' panicked: | out of memory?");
  });

  it("are at most 4 KiB, the last of them, in whole characters", () => {
    const words = lastWords(`${"é".repeat(3000)}!`);
    expect(Buffer.byteLength(words)).toBeLessThanOrEqual(WORDS_BYTES_MAX);
    expect(Buffer.byteLength(words)).toBeGreaterThan(WORDS_BYTES_MAX - 2);
    expect(words).toMatch(/^é+!$/);
  });

  it("name no secret: of the environment, of a URL, of a header or by its name", () => {
    const secrets = secretsOf({ API_TOKEN: "from-the-node", HOME: "/root/home" }, { PROVER: "configured" });
    expect(secrets).toEqual(["from-the-node", "configured"]);
    const shown = (text: string) => lastWords(text, secrets);
    expect(shown("from-the-node and configured in /root/home")).toBe("*** and *** in /root/home");
    expect(shown("GET http://op:s3cret@host:1/x")).toBe("GET http://***@host:1/x");
    expect(shown("Authorization: Bearer abcdef0123456789")).toBe("Authorization: Bearer ***");
    expect(shown('{"api_key": "k-1234", "password":"x y"}')).not.toMatch(/k-1234|"x/);
    expect(shown("https://rpc/?apikey=abc123&x=1")).toBe("https://rpc/?apikey=***&x=1");
  });

  it("leave out a first word that may be the rest of a secret", () => {
    expect(lastWords("-node failed at last", ["from-the-node"], true)).toBe("failed at last");
  });

  it("take time that grows with the text, whatever the text is", () => {
    const began = performance.now();
    for (const text of ["a", "key", "token=", "\u001b]", "http://", " ", "a:", "secret_", ". ", "\n"])
      lastWords(text.repeat(Math.ceil(8192 / text.length)), ["secret"]);
    expect(performance.now() - began).toBeLessThan(500);
  });
});
