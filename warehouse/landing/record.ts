import type { RecordNaming } from "../../privacy/tokens.ts";
import { normaliseIdentifier } from "../../privacy/normalise.ts";
import type { FieldPlan, StreamPlan } from "./plan.ts";
import { canonicalJson } from "./json-text.ts";
import { type Parsed, Rejection } from "./rejection.ts";

const MISSING = new Rejection("missing_field");

/** A record that fits its schema: known by key and content, still in plaintext, in memory only. */
export interface Prepared {
  recordKey: string;
  contentHash: string;
  /** The version as a number's text (a date-time in microseconds), or null. */
  version: string | null;
  /** Text of each declared field, in the plan's order; may be put together anew each time it is asked for. */
  readonly values: (string | null)[];
  /** The fields that no schema declares; null where there are none. */
  undeclared: Record<string, unknown> | null;
  /** Text of the window's field, or null where the stream has none. */
  window: string | null;
}

/** A record that breaks its schema, and where. */
export interface Refused {
  reason: string;
  /** JSON pointer to the field, or `` for the whole record. */
  pointer: string;
  /** Known where the key could be read, so that a snapshot does not take the record for gone. */
  recordKey: string | null;
}

/** Counts how often each keyless record occurred in the part (file) that is being read. */
export class Occurrences {
  #part: string | undefined;
  #counts = new Map<string, number>();
  next(part: string | undefined, content: string): number {
    if (part !== this.#part) {
      this.#part = part;
      this.#counts = new Map();
    }
    const count = this.#counts.get(content) ?? 0;
    this.#counts.set(content, count + 1);
    return count;
  }
}

/**
 * Reads a record by its schema, and names it. Nothing of it is sealed yet, since most records of a repeated sync turn
 * out unchanged and are dropped.
 */
export function prepareRecord(
  plan: StreamPlan,
  naming: RecordNaming,
  record: Record<string, unknown>,
  keyless: { part: string | undefined; occurrences: Occurrences },
): Prepared | Refused {
  const values: (string | null)[] = [];
  let refused: { reason: string; pointer: string } | undefined;
  let declared = 0;
  for (const field of plan.fields) {
    const isThere = Object.hasOwn(record, field.name);
    if (isThere) declared += 1;
    const parsed = readField(field, isThere ? record[field.name] : undefined);
    if (typeof parsed !== "string" && parsed !== null) {
      refused ??= { reason: parsed.reason, pointer: pointerTo(field.name) };
      values.push(null);
      continue;
    }
    const broken = parsed === null || !field.validate ? null : brokenConstraint(field, parsed, record[field.name]);
    if (broken) refused ??= { reason: broken, pointer: pointerTo(field.name) };
    values.push(parsed);
  }
  const keyParts = plan.key?.map((index) => keyText(plan, index, values[index] ?? null));
  const recordKey = keyParts && recordKeyOf(plan, naming, keyParts);
  if (refused) return { ...refused, recordKey: recordKey ?? null };
  if (recordKey === null) return { reason: "missing_key", pointer: keyPointer(plan, keyParts ?? []), recordKey: null };

  const undeclared = undeclaredFields(plan, record, declared);
  const undeclaredText = undeclared === null ? "" : canonicalJson(undeclared);
  if (undeclaredText === null) return { reason: "nested_too_deep", pointer: "", recordKey: recordKey ?? null };
  const content = JSON.stringify(values) + undeclaredText;
  const contentHash = naming.contentHash(plan.definition, content);
  return {
    recordKey: recordKey ?? keylessKey(plan, naming, content, keyless),
    contentHash,
    version: plan.version === null ? null : versionNumber(values[plan.version] ?? null),
    values,
    undeclared,
    window: plan.window === null ? null : (values[plan.window] ?? null),
  };
}

export function isRefused(result: Prepared | Refused): result is Refused {
  return "reason" in result;
}

function readField(field: FieldPlan, value: unknown): Parsed {
  if (value !== undefined) return field.type.parse(value);
  return field.isRequired ? MISSING : null;
}

export function brokenConstraint(field: FieldPlan, text: string, value: unknown): string | null {
  if (!field.validate || field.validate(typedValue(field.type.sql, text, value))) return null;
  return `breaks_${field.validate.errors?.[0]?.keyword ?? "schema"}`;
}

/** What ajv has to see: numbers and booleans of a text source in their own type, nested JSON parsed. */
function typedValue(sql: string, text: string, value: unknown): unknown {
  if (sql === "bigint" || sql.startsWith("numeric")) return Number(text);
  if (sql === "boolean") return text === "true";
  if (sql === "jsonb") return JSON.parse(text);
  return value;
}

/** An identifier is compared in its canonical form, so that two spellings of an e-mail are one key. */
function keyText(plan: StreamPlan, index: number, value: string | null): string | null {
  const personal = plan.fields[index]?.schema.personal;
  if (value === null || !personal || !plan.fields[index]?.schema.identifier) return value;
  return normaliseIdentifier(personal, value, plan.defaultCountry) ?? value;
}

function recordKeyOf(plan: StreamPlan, naming: RecordNaming, parts: (string | null)[]): string | null {
  return parts.some((part) => part === null || part === "")
    ? null
    : naming.recordKey(plan.stream.source, plan.stream.name, parts as string[]);
}

function keyPointer(plan: StreamPlan, parts: (string | null)[]): string {
  const index = plan.key?.[parts.findIndex((part) => part === null || part === "")];
  return index === undefined ? "" : pointerTo(plan.fields[index]?.name ?? "");
}

function keylessKey(
  plan: StreamPlan,
  naming: RecordNaming,
  content: string,
  { part, occurrences }: { part: string | undefined; occurrences: Occurrences },
): string {
  // The hash stands for the content in the counts: 36 bytes a record instead of all of it.
  const hash = naming.recordKey(plan.stream.source, plan.stream.name, [part ?? "", content]);
  return naming.recordKey(plan.stream.source, plan.stream.name, [hash, String(occurrences.next(part, hash))]);
}

/** The key of the record that a reference points at; null where a part of it is null. */
export function referencedKey(
  plan: StreamPlan,
  naming: RecordNaming,
  parent: string,
  fields: number[],
  record: Prepared,
): string | null {
  const { values } = record;
  const parts = fields.map((index) => keyText(plan, index, values[index] ?? null));
  const [source, stream] = parent.includes(".") ? parent.split(".") : [plan.stream.source, parent];
  if (parts.some((part) => part === null || part === "")) return null;
  return naming.recordKey(source as string, stream as string, parts as string[]);
}

/** Orders versions as numbers: a date or date-time becomes microseconds since 1970. */
export function versionNumber(text: string | null): string | null {
  if (text === null) return null;
  const match = /^(\d{4}-\d{2}-\d{2})(?: (\d{2}:\d{2}):(\d{2})(?:\.(\d+))?([+-]\d{2}(?::?\d{2})?))?$/.exec(text);
  if (!match) return text;
  const [, day, time = "00:00", second = "00", fraction = "", offset = "+00"] = match;
  const zone =
    offset.length === 3 ? `${offset}:00` : offset.length === 5 ? `${offset.slice(0, 3)}:${offset.slice(3)}` : offset;
  // A leap second has no Date; it counts as the second after :59, as in Postgres.
  const milliseconds = Date.parse(`${day}T${time}:00${zone}`) + Number(second) * 1000;
  return (BigInt(milliseconds) * 1000n + BigInt(fraction.padEnd(6, "0").slice(0, 6) || "0")).toString();
}

/** RFC 6901. */
function pointerTo(name: string): string {
  return `/${name.replaceAll("~", "~0").replaceAll("/", "~1")}`;
}

/** @param declared how many of the record's fields the schema declares */
function undeclaredFields(
  plan: StreamPlan,
  record: Record<string, unknown>,
  declared: number,
): Record<string, unknown> | null {
  const names = Object.keys(record);
  if (names.length === declared) return null;
  return Object.fromEntries(names.filter((name) => !plan.fieldIndex.has(name)).map((name) => [name, record[name]]));
}
