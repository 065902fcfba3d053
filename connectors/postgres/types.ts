import type { FieldSchema, JsonType } from "../../domain/streams.ts";
import { parseJson } from "../../domain/json.ts";
import type { Session, Text } from "./session.ts";

/** A type of the catalogue. */
interface CatalogueType {
  oid: string;
  name: string;
  schema: string;
  /** b base, c composite, d domain, e enum, r range, m multirange. */
  kind: string;
  /** The type of an array's elements; null for what is no array. */
  element: string | null;
  /** What a domain is made of, and its modifier (`numeric(10,2)`). */
  base: string | null;
  baseModifier: number;
  /** The type's name as a cast writes it. */
  cast: string;
  labels: string[];
}

/** A column, with its domains resolved to what they are made of. */
export interface Column {
  name: string;
  type: CatalogueType;
  modifier: number;
  /** How many dimensions the array was declared with; Postgres does not hold values to it. */
  dimensions: number;
  isNullable: boolean;
  isSelectable: boolean;
  description: string | null;
  /** Schema of an array's elements; null for other types. */
  items: FieldSchema | null;
}

/** The columns of each relation, in their order. */
export async function readColumns(session: Session, relations: string[]): Promise<Map<string, Column[]>> {
  const types = await readTypes(session, relations);
  const rows = await session.query(
    `select a.attrelid, a.attname, a.atttypid, a.atttypmod, a.attndims, not a.attnotnull,
       has_column_privilege(a.attrelid, a.attnum, 'select'), col_description(a.attrelid, a.attnum)
     from pg_attribute a
     where a.attrelid = any($1::oid[]) and a.attnum > 0 and not a.attisdropped
     order by a.attrelid, a.attnum`,
    [relations],
  );
  const columns = new Map<string, Column[]>(relations.map((relation) => [relation, []]));
  for (const [relation, name, oid, modifier, dimensions, isNullable, isSelectable, description] of rows) {
    const resolved = resolve(types, oid as string, Number(modifier));
    columns.get(relation as string)?.push({
      name: name as string,
      ...resolved,
      dimensions: Number(dimensions),
      isNullable: isNullable === "t",
      isSelectable: isSelectable === "t",
      description: description ?? null,
      items: elementSchema(types, resolved.type, resolved.modifier),
    });
  }
  return columns;
}

async function readTypes(session: Session, relations: string[]): Promise<Map<string, CatalogueType>> {
  const rows = await session.query(
    `with recursive used (oid) as (
       select a.atttypid from pg_attribute a where a.attrelid = any($1::oid[]) and not a.attisdropped
       union
       select unnest(array[t.typbasetype, t.typelem]) from used join pg_type t using (oid)
     )
     select t.oid, t.typname, n.nspname, t.typtype,
       case when t.typcategory = 'A' and t.typlen = -1 and t.typelem <> 0 then t.typelem end,
       nullif(t.typbasetype, 0), t.typtypmod, format_type(t.oid, -1),
       (select json_agg(e.enumlabel order by e.enumsortorder) from pg_enum e where e.enumtypid = t.oid)
     from used join pg_type t using (oid) join pg_namespace n on n.oid = t.typnamespace`,
    [relations],
  );
  return new Map(
    rows.map(([oid, name, schema, kind, element, base, baseModifier, cast, labels]: Text[]) => [
      oid as string,
      {
        oid: oid as string,
        name: name as string,
        schema: schema as string,
        kind: kind as string,
        element: element ?? null,
        base: base ?? null,
        baseModifier: Number(baseModifier),
        cast: cast as string,
        labels: labels ? (JSON.parse(labels) as string[]) : [],
      },
    ]),
  );
}

function resolve(types: Map<string, CatalogueType>, oid: string, modifier: number) {
  let type = types.get(oid) as CatalogueType;
  let ownModifier = modifier;
  while (type.kind === "d" && type.base !== null) {
    ownModifier = type.baseModifier;
    type = types.get(type.base) as CatalogueType;
  }
  return { type, modifier: ownModifier };
}

/**
 * The expression by which the source itself writes a column's value for the landing: bytes as base64, arrays and rows
 * as JSON, money as a plain number, all else in Postgres's own text.
 * @param quoted the column's quoted name
 */
export function valueExpression(column: Column, quoted: string): string {
  const { type } = column;
  if (isNested(type)) return `pg_catalog.to_json(${quoted})::text`;
  if (isBuiltIn(type, "bytea")) return `pg_catalog.translate(pg_catalog.encode(${quoted}, 'base64'), E'\\n', '')`;
  if (isBuiltIn(type, "money")) return `${quoted}::numeric::text`;
  return `${quoted}::text`;
}

/** How a column's text becomes a value of a record; null where it stays as it is. */
export function valueReader(column: Column): ((text: string) => unknown) | null {
  if (isTimestamp(column)) return isoTimestamp;
  return isNested(column.type) || isJson(column.type) ? jsonValue : null;
}

export function isTimestamp({ type }: Column): boolean {
  return isBuiltIn(type, "timestamptz") || isBuiltIn(type, "timestamp");
}

/**
 * `2024-01-02 03:04:05.123456+00` becomes `2024-01-02T03:04:05.123456Z`. A timestamp without a zone is taken as UTC.
 * Infinity and years before Christ stay as they are: ISO 8601 has no text for them.
 */
function isoTimestamp(text: string): string {
  if (text.length < 19 || text.endsWith("BC")) return text;
  const end = text.endsWith("+00") ? text.length - 3 : text.length;
  const space = text.indexOf(" ");
  return `${text.slice(0, space)}T${text.slice(space + 1, end)}Z`;
}

function jsonValue(text: string): unknown {
  try {
    return parseJson(text);
  } catch {
    // Nested too deep for a parser; the landing refuses it by that reason.
    return text;
  }
}

/** What the column's values look like once read; nullability and description included. */
export function columnSchema(column: Column): FieldSchema {
  const schema = typeSchema(column.type, column.modifier, column.items, column.dimensions);
  return {
    ...(column.isNullable ? nullable(schema) : schema),
    ...(column.description === null ? {} : { description: column.description }),
  };
}

function typeSchema(type: CatalogueType, modifier: number, items: FieldSchema | null, dimensions: number): FieldSchema {
  if (items) {
    let schema = items;
    for (let depth = 0; depth < Math.max(1, dimensions); depth++) schema = { type: "array", items: schema };
    return schema;
  }
  if (type.kind === "e") return { type: "string", enum: type.labels };
  if (isNested(type)) return { type: "object" };
  if (type.schema !== "pg_catalog") return { type: "string" };
  if (type.name === "numeric") return { type: "number", ...decimalOf(modifier) };
  if (type.name === "varchar" || type.name === "bpchar") return { type: "string", ...lengthOf(modifier) };
  return BUILT_IN[type.name] ?? { type: "string" };
}

/** A JSON column may hold null even where it is NOT NULL. */
const ANY_JSON: JsonType[] = ["object", "array", "string", "number", "boolean", "null"];

const BUILT_IN: Record<string, FieldSchema> = {
  bool: { type: "boolean" },
  int2: { type: "integer" },
  int4: { type: "integer" },
  int8: { type: "integer" },
  oid: { type: "integer" },
  float4: { type: "number" },
  float8: { type: "number" },
  // 64 bits of the smallest unit.
  money: { type: "number", decimal: [19, 2] },
  uuid: { type: "string", format: "uuid" },
  date: { type: "string", format: "date" },
  timestamptz: { type: "string", format: "date-time" },
  timestamp: { type: "string", format: "date-time" },
  bytea: { type: "string", contentEncoding: "base64" },
  json: { type: ANY_JSON },
  jsonb: { type: ANY_JSON },
};

/** Elements are written by to_json, which has fewer forms: no base64, no zone for a timestamp without one. */
function elementSchema(types: Map<string, CatalogueType>, type: CatalogueType, modifier: number): FieldSchema | null {
  if (type.element === null) return null;
  const element = resolve(types, type.element, modifier);
  if (["bytea", "timestamp", "money"].includes(element.type.name)) return { type: ["string", "null"] };
  return nullable(typeSchema(element.type, element.modifier, elementSchema(types, element.type, element.modifier), 1));
}

function nullable(schema: FieldSchema): FieldSchema {
  const types = [schema.type].flat() as JsonType[];
  const labels = schema["enum"] as unknown[] | undefined;
  return { ...schema, type: [...new Set([...types, "null" as const])], ...(labels ? { enum: [...labels, null] } : {}) };
}

/** numeric(p,s): precision in the upper, scale (11 bits, signed) in the lower half of the modifier less 4. */
function decimalOf(modifier: number): { decimal?: [number, number] } {
  if (modifier < 4) return {};
  const precision = ((modifier - 4) >> 16) & 0xffff;
  const scale = (((modifier - 4) & 0x7ff) ^ 1024) - 1024;
  // numeric(2,-3) has three zeros before the point, numeric(2,3) one after it.
  return { decimal: scale < 0 ? [precision - scale, 0] : [Math.max(precision, scale), scale] };
}

function lengthOf(modifier: number): { maxLength?: number } {
  return modifier < 4 ? {} : { maxLength: modifier - 4 };
}

/** Arrays, rows and hstore, which the source writes as JSON. */
function isNested(type: CatalogueType): boolean {
  return type.element !== null || type.kind === "c" || (type.name === "hstore" && type.schema !== "pg_catalog");
}

function isJson(type: CatalogueType): boolean {
  return isBuiltIn(type, "json") || isBuiltIn(type, "jsonb");
}

function isBuiltIn(type: CatalogueType, name: string): boolean {
  return type.schema === "pg_catalog" && type.name === name;
}
