import { columnName } from "../domain/columns.ts";
import { DecimalText } from "../domain/decimal.ts";
import { parseJson } from "../domain/json.ts";
import type { FieldSchema, JsonType, PersonalKind } from "../domain/streams.ts";
import type { DiscoveredStream, SourceRecord } from "./connector.ts";
import { proposeLabels } from "./propose-labels.ts";

/** Values per field by which personal data is recognised. */
const LABEL_VALUES = 1000;
const MOST_DECIMALS = 4;
/** Kinds of which `+33…` or a leading zero is a part, even where the sample has none. */
const CODES: PersonalKind[] = ["phone", "postal_code", "government_id", "payment", "ip", "device_id"];
/** Digits of a proposed decimal: room for amounts far above the sample's. */
const DECIMAL_DIGITS = 14;

/** What can be said of a field's values beyond their JSON type; the first that all values fit is taken. */
interface Shape {
  schema: FieldSchema;
  fits(text: string): boolean;
}

/** No leading zeros, which belong to codes, and no more digits than a bigint has. */
const INTEGER = /^-?(?:0|[1-9]\d{0,17})$/;
const NUMBER = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d{1,2})?$/;
const DATE = /^(\d{4})-(\d{2})-(\d{2})$/;
const BASIC_DATE = /^(?:19|20)\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])$/;
const DATE_TIME =
  /^(\d{4})-(\d{2})-(\d{2})(?:[T ]\d{2}:\d{2}(?::\d{2}(?:[.,]\d{1,12})?)?\s?(?:Z|[+-]\d{2}(?::?\d{2})?)?)?$/i;
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

const STRING_SHAPES: Shape[] = [
  { schema: { type: "string", format: "date" }, fits: (text) => isDay(DATE.exec(text)) },
  { schema: { type: "string", format: "date-time" }, fits: (text) => isDay(DATE_TIME.exec(text)) },
  { schema: { type: "string", format: "uuid" }, fits: (text) => UUID.test(text) },
];

const TEXT_SHAPES: Shape[] = [
  { schema: { type: "integer" }, fits: (text) => INTEGER.test(text) },
  { schema: { type: "number" }, fits: (text) => NUMBER.test(text) },
  { schema: { type: "boolean" }, fits: (text) => /^(?:true|false|t|f|yes|no)$/i.test(text) },
  ...STRING_SHAPES,
  { schema: { type: "object" }, fits: (text) => text.startsWith("{") && jsonType(text) === "object" },
  { schema: { type: "array" }, fits: (text) => text.startsWith("[") && jsonType(text) === "array" },
];

/**
 * Proposes a stream from a sample of its records: types, formats, which fields may be empty, the key and the personal
 * labels. What the sample does not show, a person corrects.
 * @param values `text`: types are read from the text of the values; `json`: values have their types
 * @returns null where the sample names no field
 */
export function inferStream(name: string, records: SourceRecord[], values: "text" | "json"): DiscoveredStream | null {
  const fields = new Set<string>();
  for (const record of records) {
    // A name with a control character can be no field of a schema: its values are sealed with the undeclared ones.
    for (const field of Object.keys(record)) if (field.isWellFormed() && !/\p{Control}/u.test(field)) fields.add(field);
  }
  if (fields.size === 0) return null;
  const properties: Record<string, FieldSchema> = {};
  const required: string[] = [];
  for (const field of fields) {
    const column = records.map((record) => (Object.hasOwn(record, field) ? record[field] : undefined));
    const { why, ...labels } = proposeLabels(field, column.flatMap(labelText).slice(0, LABEL_VALUES), name);
    const isCode = labels.personal !== undefined && CODES.includes(labels.personal);
    const schema = inferField(field, column, values, isCode);
    const described = { ...schema, ...labels, ...(why !== undefined && { why }) };
    Object.defineProperty(properties, field, {
      value: described,
      enumerable: true,
      configurable: true,
      writable: true,
    });
    if (column.every((value) => value !== undefined)) required.push(field);
  }
  const key = inferKey([...fields], records, values);
  return {
    name,
    key: key === null ? null : [key],
    cursor: null,
    schema: { type: "object", ...(required.length > 0 && { required }), properties },
  };
}

function inferField(field: string, column: unknown[], values: "text" | "json", isCode: boolean): FieldSchema {
  const present = column.filter((value) => !isEmpty(value, values));
  const schema = values === "json" ? inferJson(present) : inferText(field, isCode ? [] : (present as string[]));
  if (present.length === column.length) return schema;
  const types = [schema.type].flat();
  return { ...schema, type: types.includes("null") ? types : [...types, "null"] };
}

function inferText(field: string, texts: string[]): FieldSchema {
  const trimmed = texts.map((text) => text.trim());
  if (trimmed.length === 0) return { type: "string" };
  const isDated = /(^|_)(date|day|dob|on|birthday)($|_)/.test(columnName(field));
  if (isDated && trimmed.every((text) => BASIC_DATE.test(text))) return { type: "string", format: "date" };
  const shape = TEXT_SHAPES.find(({ fits }) => trimmed.every(fits));
  if (shape?.schema.type === "number") return inferNumber(trimmed);
  return shape ? { ...shape.schema } : { type: "string" };
}

function inferJson(present: unknown[]): FieldSchema {
  const types = [...new Set(present.map(typeOf))];
  const numeric = types.every((type) => type === "integer" || type === "number");
  if (numeric && types.includes("number")) return inferNumber(present.map(String));
  if (types.length === 1 && types[0] === "string") {
    const shape = STRING_SHAPES.find(({ fits }) => (present as string[]).every(fits));
    if (shape) return { ...shape.schema };
  }
  const [first, ...others] = types.sort();
  return { type: first === undefined ? "string" : others.length === 0 ? first : types };
}

/**
 * `decimal` where the decimals look like those of money or a rate: two at the most, or the same number everywhere.
 * Other numbers are measures, which numeric without a scale holds whole.
 */
function inferNumber(texts: string[]): FieldSchema {
  const parts = texts.map((text) => /^-?(\d+)(?:\.(\d+))?$/.exec(text));
  const whole = Math.max(...parts.map((part) => part?.[1]?.length ?? Infinity));
  const scales = new Set(parts.map((part) => part?.[2]?.length ?? 0));
  const scale = Math.max(...scales);
  const isFixed = scale > 0 && (scale <= 2 || (scale <= MOST_DECIMALS && scales.size === 1));
  return isFixed && whole + scale <= DECIMAL_DIGITS
    ? { type: "number", decimal: [DECIMAL_DIGITS, scale] }
    : { type: "number" };
}

/** A field called `id`, else the first called `…_id`, that is never empty and never repeats. */
function inferKey(fields: string[], records: SourceRecord[], values: "text" | "json"): string | null {
  const named = (pattern: RegExp) => fields.filter((field) => pattern.test(columnName(field)));
  return [...named(/^id$/), ...named(/_id$/)].find((field) => isUnique(field, records, values)) ?? null;
}

function isUnique(field: string, records: SourceRecord[], values: "text" | "json"): boolean {
  const column = records.map((record) => record[field]);
  const isPlain = (value: unknown) => typeof value !== "object" || value instanceof DecimalText;
  if (!column.every((value) => !isEmpty(value, values) && value !== "" && isPlain(value))) return false;
  return new Set(column.map(String)).size === column.length;
}

/** Text formats have no null but the empty value. */
function isEmpty(value: unknown, values: "text" | "json"): boolean {
  return value === undefined || value === null || (values === "text" && value === "");
}

function labelText(value: unknown): string[] {
  return typeof value === "string" && value !== "" ? [value] : typeof value === "number" ? [String(value)] : [];
}

function typeOf(value: unknown): JsonType {
  if (value instanceof DecimalText) return /^-?\d+$/.test(value.text) ? "integer" : "number";
  if (typeof value === "number") return Number.isInteger(value) ? "integer" : "number";
  if (Array.isArray(value)) return "array";
  return typeof value === "boolean" || typeof value === "string" ? (typeof value as JsonType) : "object";
}

function jsonType(text: string): JsonType | null {
  try {
    return typeOf(parseJson(text));
  } catch {
    return null;
  }
}

function isDay(match: RegExpExecArray | null): boolean {
  if (!match) return false;
  const [year, month, day] = [Number(match[1]), Number(match[2]), Number(match[3])];
  if (year < 1 || month < 1 || month > 12 || day < 1) return false;
  return day <= new Date(Date.UTC(year < 100 ? year + 400 : year, month, 0)).getUTCDate();
}
