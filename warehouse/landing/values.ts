import { DecimalText } from "../../domain/decimal.ts";
import { parseJson } from "../../domain/json.ts";
import type { FieldSchema, JsonType } from "../../domain/streams.ts";
import { parseDate, parseDateTime } from "./dates.ts";
import { canonicalJson, canonicalText } from "./json-text.ts";
import { type Parsed, Rejection } from "./rejection.ts";

export type Parser = (value: unknown) => Parsed;

export interface FieldType {
  /** The column's type in SQL. */
  sql: string;
  parse: Parser;
  nullable: boolean;
}

const NOT_NULLABLE = new Rejection("null_not_allowed");
const WRONG_TYPE = new Rejection("wrong_type");
const NUL = new Rejection("nul_character");
const SURROGATE = new Rejection("lone_surrogate");
const TOO_DEEP = new Rejection("nested_too_deep");
const OUT_OF_RANGE = new Rejection("number_out_of_range");
const NOT_FINITE = new Rejection("number_not_finite");
const DECIMAL = new Rejection("decimal_would_lose_digits");
const BAD_UUID = new Rejection("not_a_uuid");

/** A number as text; the exponent is bounded so that a hostile `1e999999999` can't be spelled out. */
const NUMBER = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d{1,3})?$/i;
const INTEGER = /^[+-]?\d+$/;
const NOT_A_FINITE = /^[+-]?(?:nan|inf(?:inity)?)$/i;
const MAX_DIGITS = 1000;
const MAX_BIGINT = 9223372036854775807n;
const MIN_BIGINT = -9223372036854775808n;

/**
 * How a field is parsed and stored.
 * @param textual strings are read by the field's type ("12" is an integer, an empty string is null unless it is a string);
 *   else a value must have the JSON type that the schema says. A personal string is sealed, so it may hold any character.
 */
export function fieldType(schema: FieldSchema, textual: boolean): FieldType {
  const sealed = schema.personal !== undefined;
  const types: JsonType[] = Array.isArray(schema.type) ? schema.type : [schema.type];
  const nullable = types.includes("null");
  const named = types.filter((type) => type !== "null");
  const { sql, parse } = scalar(named, schema, textual, sealed);
  const emptyIsNull = textual && sql !== "text";
  return {
    sql,
    nullable,
    parse(value) {
      if (value === null || value === undefined || (emptyIsNull && value === "")) return nullable ? null : NOT_NULLABLE;
      return parse(value);
    },
  };
}

function scalar(
  types: JsonType[],
  schema: FieldSchema,
  textual: boolean,
  sealed: boolean,
): { sql: string; parse: Parser } {
  const [type] = types;
  if (types.length !== 1) {
    const nested = types.some((each) => each === "object" || each === "array");
    return nested ? { sql: "jsonb", parse: (value) => jsonText(value) } : { sql: "text", parse: anyScalar(types) };
  }
  switch (type) {
    case "integer":
      return { sql: "bigint", parse: (value) => parseInteger(value, textual) };
    case "number": {
      const decimal = schema.decimal;
      return decimal
        ? {
            sql: `numeric(${Number(decimal[0])},${Number(decimal[1])})`,
            parse: (value) => fitDecimal(parseNumber(value, textual), decimal),
          }
        : { sql: "numeric", parse: (value) => parseNumber(value, textual) };
    }
    case "boolean":
      return { sql: "boolean", parse: (value) => parseBoolean(value, textual) };
    case "object":
    case "array":
      return { sql: "jsonb", parse: (value) => parseNested(value, type, textual) };
    default:
      return stringType(schema.format, sealed ? (value) => value : checkText);
  }
}

function stringType(format: string | undefined, check: (value: string) => Parsed): { sql: string; parse: Parser } {
  switch (format) {
    case "date":
      return { sql: "date", parse: (value) => (typeof value === "string" ? parseDate(value) : WRONG_TYPE) };
    case "date-time":
      return { sql: "timestamptz", parse: (value) => (typeof value === "string" ? parseDateTime(value) : WRONG_TYPE) };
    case "uuid":
      return { sql: "uuid", parse: (value) => (typeof value === "string" ? parseUuid(value) : WRONG_TYPE) };
    default:
      return { sql: "text", parse: (value) => (typeof value === "string" ? check(value) : WRONG_TYPE) };
  }
}

/** Postgres text can hold neither U+0000 nor half of a surrogate pair. */
function checkText(value: string): Parsed {
  if (value.includes("\0")) return NUL;
  return value.isWellFormed() ? value : SURROGATE;
}

function anyScalar(types: JsonType[]): Parser {
  return (value) => {
    if (typeof value === "string") return types.includes("string") ? checkText(value) : WRONG_TYPE;
    if (typeof value === "boolean") return types.includes("boolean") ? String(value) : WRONG_TYPE;
    const whole = parseInteger(value, false);
    if (typeof whole === "string") return types.includes("integer") || types.includes("number") ? whole : WRONG_TYPE;
    return types.includes("number") ? parseNumber(value, false) : WRONG_TYPE;
  };
}

function parseInteger(value: unknown, textual: boolean): Parsed {
  if (typeof value === "number") {
    if (!Number.isFinite(value)) return NOT_FINITE;
    if (!Number.isInteger(value)) return WRONG_TYPE;
    return Number.isSafeInteger(value) ? String(value) : inBigint(BigInt(value));
  }
  if (typeof value === "bigint") return inBigint(value);
  if (value instanceof DecimalText) return INTEGER.test(value.text) ? inBigint(BigInt(value.text)) : WRONG_TYPE;
  if (!textual || typeof value !== "string") return WRONG_TYPE;
  const text = value.trim();
  if (!INTEGER.test(text)) return WRONG_TYPE;
  if (text.length > 25) return OUT_OF_RANGE;
  return inBigint(BigInt(text.startsWith("+") ? text.slice(1) : text));
}

function inBigint(value: bigint): Parsed {
  return value > MAX_BIGINT || value < MIN_BIGINT ? OUT_OF_RANGE : value.toString();
}

function parseNumber(value: unknown, textual: boolean): Parsed {
  if (typeof value === "number") return Number.isFinite(value) ? String(value) : NOT_FINITE;
  if (typeof value === "bigint") return boundedDigits(value.toString());
  if (value instanceof DecimalText) return NUMBER.test(value.text) ? boundedDigits(value.text) : OUT_OF_RANGE;
  if (!textual || typeof value !== "string") return WRONG_TYPE;
  const text = value.trim();
  if (NOT_A_FINITE.test(text)) return NOT_FINITE;
  return NUMBER.test(text) ? boundedDigits(text) : WRONG_TYPE;
}

function boundedDigits(text: string): Parsed {
  return text.length > MAX_DIGITS ? OUT_OF_RANGE : text;
}

/** numeric(p,s) would round what has more decimals; a rounded amount is a wrong amount, so it is rejected instead. */
function fitDecimal(number: Parsed, [precision, scale]: [number, number]): Parsed {
  if (typeof number !== "string") return number;
  const [, digits = "", fraction = "", exponent = "0"] = /^[+-]?(\d*)\.?(\d*)(?:e([+-]?\d+))?$/i.exec(number) ?? [];
  const significant = `${digits}${fraction}`.replace(/0+$/, "");
  const point = digits.length + Number(exponent);
  const whole = significant.replace(/^0+/, "");
  const leadingZeros = significant.length - whole.length;
  const wholeDigits = whole === "" ? 0 : Math.max(0, point - leadingZeros);
  const decimals = whole === "" ? 0 : Math.max(0, significant.length - point);
  if (decimals > scale) return DECIMAL;
  return wholeDigits > precision - scale ? OUT_OF_RANGE : number;
}

function parseBoolean(value: unknown, textual: boolean): Parsed {
  if (typeof value === "boolean") return String(value);
  if (!textual) return WRONG_TYPE;
  if (value === 1 || value === 0) return value === 1 ? "true" : "false";
  if (typeof value !== "string") return WRONG_TYPE;
  const text = value.trim();
  if (/^(?:true|t|yes|y|1)$/i.test(text)) return "true";
  return /^(?:false|f|no|n|0)$/i.test(text) ? "false" : WRONG_TYPE;
}

function parseUuid(value: string): Parsed {
  const text = value.trim().toLowerCase();
  return /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/.test(text) ? text : BAD_UUID;
}

function parseNested(value: unknown, type: "object" | "array", textual: boolean): Parsed {
  let nested = value;
  if (textual && typeof value === "string") {
    const plain = type === "object" ? canonicalText(value) : null;
    if (plain !== null) return plain;
    try {
      nested = parseJson(value);
    } catch {
      return new Rejection("invalid_json");
    }
  }
  const isArray = Array.isArray(nested);
  if (typeof nested !== "object" || nested === null || isArray !== (type === "array")) return WRONG_TYPE;
  return jsonText(nested);
}

/**
 * JSON text with sorted keys and every digit of a number kept, so that equal values have equal text.
 * U+0000 and lone surrogates are rejected, since jsonb holds neither.
 */
function jsonText(value: unknown): Parsed {
  const text = canonicalJson(value);
  if (text === null) return TOO_DEEP;
  // Both are written as escapes; so are control characters, which jsonb holds.
  return text.includes("\\u") ? (jsonFlaw(value) ?? text) : text;
}

function jsonFlaw(value: unknown): Rejection | null {
  if (typeof value === "string") {
    const checked = checkText(value);
    return checked instanceof Rejection ? checked : null;
  }
  if (typeof value !== "object" || value === null) return null;
  for (const [key, member] of Object.entries(value)) {
    const flaw = jsonFlaw(key) ?? jsonFlaw(member);
    if (flaw) return flaw;
  }
  return null;
}
