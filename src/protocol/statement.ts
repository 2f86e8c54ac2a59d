/**
 * The statement of a stage: what the public values of its proofs must be. Every node computes them from the block alone
 * (`src/statements`), so a proof of another block, or of another kind of statement, is refused before it is verified.
 *
 * This file has what a manifest says: the kinds, their limits, and what of the block a kind needs.
 */
import { z } from "zod";
import { int, LIST } from "./fields.ts";
import { VALUES_BYTES_MAX } from "./limits.ts";

/** Fields of a layout. A layout of 4 KiB with a constant for each byte would be no use to anybody. */
const FIELDS_MAX = 128;

const HASHES = [
  "block-hash",
  "parent-hash",
  "state-root",
  "transactions-root",
  "receipts-root",
  "output-root",
] as const;
const NUMBERS = ["number", "timestamp", "chain-id"] as const;
const OF_WORDS = '"first", "last" or "before"';
const KIND_WORDS = [...HASHES, ...NUMBERS].join(", ");
const FIELD_WORDS = `{"at", "is"} with ${KIND_WORDS}, {"at", "constant"} or {"at", "anything"}`;

const offset = int(0, VALUES_BYTES_MAX - 1, "bytes");
/** The first or the last block of a range, or the block before the first; the last if left out. */
const of = z.enum(["first", "last", "before"], OF_WORDS).optional();

const hashField = z.strictObject({ at: offset, is: z.enum(HASHES, FIELD_WORDS), of }, FIELD_WORDS);
const numberField = z.strictObject(
  {
    at: offset,
    is: z.enum(NUMBERS, FIELD_WORDS),
    of,
    bytes: int(1, 32, "bytes"),
    endian: z.enum(["big", "little"], '"big" or "little"'),
  },
  FIELD_WORDS,
);
const constantField = z.strictObject(
  {
    at: offset,
    constant: z
      .string("bytes in lower-case hex")
      .regex(/^(?:[0-9a-f]{2})+$/, "bytes in lower-case hex")
      .max(2 * VALUES_BYTES_MAX, `at most ${VALUES_BYTES_MAX} bytes`),
  },
  FIELD_WORDS,
);
/** So many bytes that the program chooses: the statement does not bind them. */
const freeField = z.strictObject({ at: offset, anything: int(1, VALUES_BYTES_MAX, "bytes") }, FIELD_WORDS);

const STATEMENT_WORDS =
  '"shard-fold", "block-hash", "header", {"kind": "header", "alloy"}, {"kind": "stateless-result", "schema"} or {"kind": "layout", "bytes", "fields"}';

/** Forks that a network lives through. */
const SCHEMAS_MAX = 16;
const SCHEMA_WORDS = `a number up to 65535, or 1 to ${SCHEMAS_MAX} of {"from", "schema"}`;
const schemaId = int(0, 65_535);
const schema = z.union(
  [
    schemaId,
    /** Guests name the fork in their schema, so it changes with forks: each from a block's timestamp on. */
    z
      .array(
        z.strictObject({ from: int(0, Number.MAX_SAFE_INTEGER, "seconds"), schema: schemaId }, SCHEMA_WORDS),
        SCHEMA_WORDS,
      )
      .min(1, SCHEMA_WORDS)
      .max(SCHEMAS_MAX, SCHEMA_WORDS),
  ],
  SCHEMA_WORDS,
);

export const STATEMENT = z.union(
  [
    z.enum(["shard-fold", "block-hash", "header"], STATEMENT_WORDS),
    /** The version of alloy whose layout the guest writes; 2 if left out. */
    z.strictObject(
      { kind: z.literal("header", '"header"'), alloy: z.union([z.literal(1), z.literal(2)], "1 or 2") },
      STATEMENT_WORDS,
    ),
    z.strictObject(
      {
        kind: z.literal("stateless-result", '"stateless-result"'),
        schema,
        /** How lists are hashed: "progressive" (EIP-7916) if left out, or "bounded" for older guests. */
        ssz: z.enum(["progressive", "bounded"], '"progressive" or "bounded"').optional(),
      },
      STATEMENT_WORDS,
    ),
    z.strictObject(
      {
        kind: z.literal("layout", '"layout"'),
        /** Exact length of the public values. */
        bytes: int(1, VALUES_BYTES_MAX, "bytes"),
        fields: z
          .array(z.union([hashField, numberField, constantField, freeField], FIELD_WORDS), LIST)
          .min(1, `1 to ${FIELDS_MAX} fields`)
          .max(FIELDS_MAX, `1 to ${FIELDS_MAX} fields`),
      },
      STATEMENT_WORDS,
    ),
  ],
  STATEMENT_WORDS,
);

export type Statement = z.infer<typeof STATEMENT>;
type StatelessResult = Extract<Statement, { kind: "stateless-result" }>;
export type Layout = Extract<Statement, { kind: "layout" }>;
export type LayoutField = Layout["fields"][number];
export type BlockField = Extract<LayoutField, { is: unknown }>;

/** What stages without a statement prove: the circuits of this repository. */
export const SHARD_FOLD: Statement = "shard-fold";

type Kind = "shard-fold" | "block-hash" | "header" | "stateless-result" | "layout";

function kindOf(statement: Statement): Kind {
  return typeof statement === "string" ? statement : statement.kind;
}

/** How many bytes a field has. */
export function fieldBytes(field: LayoutField): number {
  if ("constant" in field) return field.constant.length / 2;
  if ("anything" in field) return field.anything;
  return "bytes" in field ? field.bytes : 32;
}

/** What of a block a payload carries besides header and transactions. */
export interface PayloadForm {
  /** Withdrawals, execution requests and block access list. */
  readonly body: boolean;
  /** The header of the block before. */
  readonly parent: boolean;
}

/** Header and transactions alone. */
export const PLAIN: PayloadForm = { body: false, parent: false };

/** What the payload of a block carries whose proofs have these statements. */
export function formOf(statements: readonly Statement[]): PayloadForm {
  const fields = statements.flatMap((each) => (typeof each === "object" && each.kind === "layout" ? each.fields : []));
  return {
    body: statements.some((each) => kindOf(each) === "stateless-result"),
    parent: fields.some((field) => "is" in field && readsParent(field)),
  };
}

/** The hash of the block before, its number and the chain are known without its header. */
function readsParent(field: BlockField): boolean {
  return field.of === "before" && !["block-hash", "number", "chain-id"].includes(field.is);
}

/** A mistake of a statement: the field, what stands there, and what is allowed. */
export interface StatementMistake {
  readonly path: string;
  readonly value: unknown;
  readonly allowed: string;
}

/** Numbers that grow with the chain, and the width that outlives it. */
const GROWING: ReadonlySet<string> = new Set(["number", "timestamp"]);
const GROWING_BYTES_MIN = 4;

/** What is wrong with a statement that has the right shape. */
export function mistakesOf(statement: Statement): readonly StatementMistake[] {
  if (typeof statement !== "object") return [];
  if (statement.kind === "stateless-result") return schemaMistakes(statement.schema);
  if (statement.kind !== "layout") return [];
  const mistakes: StatementMistake[] = [];
  let end = 0;
  for (const [place, field] of statement.fields.entries()) {
    if (field.at !== end)
      mistakes.push({
        path: `fields[${place}].at`,
        value: field.at,
        allowed: `${end}: fields follow each other without a gap`,
      });
    if ("is" in field && GROWING.has(field.is) && fieldBytes(field) < GROWING_BYTES_MIN)
      mistakes.push({
        path: `fields[${place}].bytes`,
        value: fieldBytes(field),
        allowed: `${GROWING_BYTES_MIN} to 32: the chain would stop at the first ${field.is} that needs more`,
      });
    end = field.at + fieldBytes(field);
  }
  if (end !== statement.bytes)
    mistakes.push({ path: "bytes", value: statement.bytes, allowed: `${end}, where the last field ends` });
  if (!statement.fields.some(namesBlock))
    mistakes.push({
      path: "fields",
      value: statement.fields.length,
      allowed: "a block-hash, output-root or state-root of the last block; otherwise one proof fits every block",
    });
  return mistakes;
}

function schemaMistakes(schemas: StatelessResult["schema"]): readonly StatementMistake[] {
  if (typeof schemas === "number") return [];
  return schemas.flatMap(({ from }, at) => {
    const before = schemas[at - 1]?.from ?? -1;
    return from > before ? [] : [{ path: `schema[${at}].from`, value: from, allowed: `more than ${before}` }];
  });
}

function namesBlock(field: LayoutField): boolean {
  if (!("is" in field) || (field.of ?? "last") !== "last") return false;
  return field.is === "block-hash" || field.is === "output-root" || field.is === "state-root";
}

/** A statement in a few words. */
export function describeStatement(statement: Statement): string {
  if (typeof statement === "string") return statement;
  if (statement.kind === "header") return `header, alloy ${statement.alloy}`;
  if (statement.kind === "stateless-result") {
    const schemas = typeof statement.schema === "number" ? [statement] : statement.schema;
    const names = schemas.map((each) => `0x${Number(each.schema).toString(16).padStart(4, "0")}`);
    return `stateless-result, schema ${names.join(", ")}`;
  }
  return `layout of ${statement.bytes} bytes`;
}

/** The fields of a layout, one line each; none for other kinds. */
export function describeFields(statement: Statement): readonly string[] {
  if (typeof statement !== "object" || statement.kind !== "layout") return [];
  return statement.fields.map((field) => `${field.at} to ${field.at + fieldBytes(field) - 1}  ${fieldText(field)}`);
}

const BLOCKS = { first: " of the first block", last: "", before: " of the block before" } as const;

function fieldText(field: LayoutField): string {
  if ("constant" in field) return `constant ${field.constant}`;
  if ("anything" in field) return "anything: not bound";
  const block = field.is === "chain-id" ? "" : BLOCKS[field.of ?? "last"];
  return "endian" in field ? `${field.is}${block}, ${field.endian}-endian` : `${field.is}${block}`;
}

/** Whether the statement leaves bytes of the public values to the program. */
export function isOpen(statement: Statement): boolean {
  return valuesBefore(statement) > 0;
}

/** How many bytes of public values stand before the proof in an artefact. */
export function valuesBefore(statement: Statement): number {
  if (typeof statement !== "object" || statement.kind !== "layout") return 0;
  return statement.fields.some((field) => "anything" in field) ? statement.bytes : 0;
}
