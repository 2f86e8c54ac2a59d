/** A workflow as a picture: in the terminal, with a lane for each stage that others still take; or as SVG, in layers. */
import { describeFields, describeStatement } from "../protocol/statement.ts";
import type { Stage, Taken } from "../protocol/workflow.ts";

/** The four ways a line may leave a cell. */
const [UP, RIGHT, DOWN, LEFT] = [1, 2, 4, 8];
const LINES: Readonly<Record<number, string>> = {
  0: " ",
  1: "╵",
  2: "╶",
  3: "╰",
  4: "╷",
  5: "│",
  6: "╭",
  7: "├",
  8: "╴",
  9: "╯",
  10: "─",
  11: "┴",
  12: "╮",
  13: "┤",
  14: "┬",
  15: "┼",
};

interface Lane {
  readonly from: string;
  readonly waiting: Set<string>;
}

/** One line a stage, and one above it where lines come together. */
export function drawText(stages: readonly Stage[]): string[] {
  const lanes: (Lane | null)[] = [];
  const rows: { readonly graph: string; readonly stage: Stage | null }[] = [];
  for (const stage of stages) {
    const taken = lanes.flatMap((lane, at) => (lane?.waiting.delete(stage.name) === true ? [at] : []));
    const going = lanes.map((lane) => lane !== null && lane.waiting.size > 0);
    const [freed = -1] = taken.filter((at) => going[at] !== true);
    const free = lanes.findIndex((lane) => lane === null);
    const place = freed !== -1 ? freed : free === -1 ? lanes.length : free;
    if (taken.length > 1 || (taken[0] ?? place) !== place)
      rows.push({ graph: joinLine(lanes, taken, place), stage: null });
    for (const at of taken) if (going[at] !== true) lanes[at] = null;
    const passing = lanes.map((lane): string => (lane === null ? " " : "│"));
    passing[place] = "●";
    rows.push({ graph: Array.from(passing, (cell) => cell ?? " ").join(" "), stage });
    const waiting = stages.filter(({ takes }) => takes.some((each) => each.stage === stage.name));
    lanes[place] =
      waiting.length === 0 ? null : { from: stage.name, waiting: new Set(waiting.map(({ name }) => name)) };
  }
  const width = Math.max(...rows.map(({ graph }) => graph.length));
  const nameWidth = Math.max(...stages.map(({ name }) => name.length));
  return rows.map(({ graph, stage }) => {
    if (stage === null) return graph;
    return `${graph.padEnd(width)}  ${stage.name.padEnd(nameWidth)}  ${describeStage(stage)}`;
  });
}

/** The line on which lanes turn towards the stage that takes them. */
function joinLine(lanes: readonly (Lane | null)[], taken: readonly number[], place: number): string {
  const [first, last] = [Math.min(place, ...taken), Math.max(place, ...taken)];
  const cells: string[] = [];
  for (let at = 0; at <= Math.max(last, lanes.length - 1); at++) {
    const lane = lanes[at] ?? null;
    const isTaken = taken.includes(at);
    let ways = lane === null ? 0 : UP;
    if (at === place || (lane !== null && (!isTaken || lane.waiting.size > 0))) ways |= DOWN;
    const inside = at >= first && at <= last && (isTaken || at === place);
    const crossed = at > first && at < last;
    if ((inside || crossed) && at > first) ways |= LEFT;
    if ((inside || crossed) && at < last) ways |= RIGHT;
    cells.push(LINES[ways] ?? " ", at >= first && at < last ? "─" : " ");
  }
  return cells.join("").trimEnd();
}

/** What a person wants to know of a stage, in one line. */
export function describeStage(stage: Stage): string {
  const takes = stage.takes.map(takenText).join(" + ");
  return [
    tasksText(stage),
    proversText(stage),
    statementsText(stage),
    takes === "" ? "" : `takes ${takes}`,
    collectText(stage),
  ]
    .filter((text) => text !== "")
    .join("  ");
}

/** What its proofs say, where that is not what the circuits of this repository say. */
function statementsText({ variants }: Stage): string {
  const named = new Set(variants.map(({ statement }) => describeStatement(statement)));
  return named.size === 1 && named.has("shard-fold") ? "" : `proves ${[...named].join(" or ")}`;
}

/** The fields of all layouts, one line each, under the stage and the proof system that they are of. */
export function drawStatements(stages: readonly Stage[]): string[] {
  return stages.flatMap(({ name, variants }) =>
    variants.flatMap(({ system, statement }) => {
      const fields = describeFields(statement);
      if (fields.length === 0) return [];
      return [`${name} by ${system}: ${describeStatement(statement)}`, ...fields.map((field) => `  ${field}`)];
    }),
  );
}

function takenText({ stage, how }: Taken): string {
  return how === "whole" ? stage : `${how === "each" ? "each" : "each item of"} ${stage}`;
}

function tasksText({ count, countedBy, levels, variants }: Stage): string {
  const counts = [...new Set(levels.map((groups) => groups * variants.length))];
  if (counts.length > 1) return `${counts.slice(0, -1).join(", ")} or ${counts.at(-1)} tasks`;
  const [tasks = count] = counts;
  return `${countedBy === null ? "" : "up to "}${tasks} ${tasks === 1 ? "task" : "tasks"}`;
}

function proversText({ variants }: Stage): string {
  return [
    ...new Set(variants.map(({ system, executor }) => (executor === system ? system : `${system} by ${executor}`))),
  ].join(", ");
}

function collectText({ custom, need, variants, distinct, sequential, verify }: Stage): string {
  if (custom !== null) return `chosen by ${custom.name}`;
  if (verify === "agree") return `${need} of ${variants.length} provers agree`;
  if (verify === "recompute") return sequential ? "recomputed, in order" : "recomputed";
  if (need < variants.length || distinct !== null)
    return `any ${need} of ${variants.length}${distinct === null ? "" : ` ${distinct}`}`;
  return sequential ? "in order" : "";
}

const [BOX_WIDTH, BOX_HEIGHT, GAP_X, GAP_Y, MARGIN] = [260, 64, 40, 56, 24];

/** Layers from top to bottom: a stage stands below everything that it takes. */
export function drawSvg(title: string, stages: readonly Stage[]): string {
  const depth = new Map<string, number>();
  for (const { name, takes } of stages)
    depth.set(name, Math.max(-1, ...takes.map((taken) => depth.get(taken.stage) ?? 0)) + 1);
  const layers = Array.from({ length: Math.max(...depth.values()) + 1 }, (_, at) =>
    stages.filter(({ name }) => depth.get(name) === at),
  );
  const widest = Math.max(...layers.map(({ length }) => length));
  const width = widest * (BOX_WIDTH + GAP_X) - GAP_X + 2 * MARGIN;
  const height = layers.length * (BOX_HEIGHT + GAP_Y) - GAP_Y + 2 * MARGIN + 24;
  const places = new Map<string, { readonly x: number; readonly y: number }>();
  for (const [row, layer] of layers.entries()) {
    const left = (width - (layer.length * (BOX_WIDTH + GAP_X) - GAP_X)) / 2;
    for (const [at, { name }] of layer.entries())
      places.set(name, { x: left + at * (BOX_WIDTH + GAP_X), y: MARGIN + 24 + row * (BOX_HEIGHT + GAP_Y) });
  }
  const at = (name: string) => places.get(name) ?? { x: 0, y: 0 };
  const edges = stages.flatMap((stage) =>
    stage.takes.map((taken) => edge(at(taken.stage), at(stage.name), taken.how !== "whole")),
  );
  const boxes = stages.map((stage) => box(at(stage.name), stage));
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" font-family="ui-monospace, monospace" font-size="12">`,
    `<rect width="100%" height="100%" fill="#fff"/>`,
    `<text x="${MARGIN}" y="${MARGIN}" font-weight="bold" font-size="14">${escape(title)}</text>`,
    ...edges,
    ...boxes,
    "</svg>\n",
  ].join("\n");
}

interface Point {
  readonly x: number;
  readonly y: number;
}

/** Dashed where outputs are taken one by one. */
function edge(from: Point, to: Point, each: boolean): string {
  const [x1, y1, x2, y2] = [from.x + BOX_WIDTH / 2, from.y + BOX_HEIGHT, to.x + BOX_WIDTH / 2, to.y];
  const bend = (y1 + y2) / 2;
  const dashes = each ? ' stroke-dasharray="5 4"' : "";
  return `<path d="M${x1} ${y1} C${x1} ${bend} ${x2} ${bend} ${x2} ${y2}" fill="none" stroke="#777" stroke-width="1.5"${dashes}/>`;
}

function box({ x, y }: Point, stage: Stage): string {
  const lines = [
    `${stage.name}  ${tasksText(stage)}`,
    shortened(proversText(stage)),
    shortened(
      [stage.takes.length === 0 ? "" : "takes", ...stage.takes.map(takenText), collectText(stage)].join(" ").trim(),
    ),
  ];
  const texts = lines.map(
    (line, at) =>
      `<text x="${x + 10}" y="${y + 20 + at * 17}"${at === 0 ? ' font-weight="bold"' : ' fill="#444"'}>${escape(line)}</text>`,
  );
  return `<g><rect x="${x}" y="${y}" width="${BOX_WIDTH}" height="${BOX_HEIGHT}" rx="6" fill="#eef4ff" stroke="#36c"/>${texts.join("")}</g>`;
}

function shortened(text: string): string {
  return text.length > 34 ? `${text.slice(0, 33)}…` : text;
}

function escape(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
