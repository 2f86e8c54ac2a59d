import { describe, expect, it } from "vitest";
import { createTelemetry } from "../src/telemetry.ts";

type Line = Readonly<Record<string, unknown>>;

function telemetry() {
  const lines: Line[] = [];
  const at = { ms: 0 };
  const clock = { now: () => at.ms, wall: () => 0, after: () => () => {} };
  const write = (line: string): void => void lines.push(JSON.parse(line) as Line);
  return { lines, at, log: createTelemetry({ form: "json", write }, { clock }) };
}

function refusal(from: string, author: string): Line {
  return { code: "author.unknown", author, entry: "batch", from };
}

describe("the log", () => {
  it("shows one line for a peer that is refused ten thousand times, under however many names", () => {
    const { lines, log } = telemetry();
    for (let at = 0; at < 10_000; at++) log.emit("refused", refusal("peer", `author ${at}`));
    expect(lines).toHaveLength(1);
  });

  it("says with the next line how many it has left out", () => {
    const { lines, at, log } = telemetry();
    for (let count = 0; count < 10; count++) log.emit("refused", refusal("peer", "author"));
    at.ms += 10_001;
    log.emit("refused", refusal("peer", "author"));
    expect(lines.map(({ hidden }) => hidden)).toEqual([undefined, 9]);
  });

  it("stays short however many peers there are and however often they come and go", () => {
    const { lines, at, log } = telemetry();
    for (let count = 0; count < 10_000; count++) {
      at.ms += 1;
      for (const event of ["peer.up", "network.banned", "network.flooded", "peer.down"])
        log.emit(event, { peer: `peer ${count}` });
      log.emit("refused", refusal(`peer ${count}`, "author"));
    }
    expect(lines.length).toBeLessThan(5 * (64 + 11));
  });

  it("says less of strangers that come and go than of members", () => {
    const { lines, at, log } = telemetry();
    for (let count = 0; count < 30; count++) {
      at.ms += 300;
      log.emit("peer.up", { peer: `stranger ${count}`, stranger: true });
      log.emit("peer.up", { peer: `member ${count}` });
    }
    expect(lines.filter(({ stranger }) => stranger === true).length).toBeLessThan(6);
    expect(lines.filter(({ stranger }) => stranger === undefined)).toHaveLength(30);
  });

  it("leaves out nothing that strangers cannot bring about", () => {
    const { lines, log } = telemetry();
    for (let height = 0; height < 1_000; height++) log.emit("block.certified", { height });
    expect(lines).toHaveLength(1_000);
  });
});
