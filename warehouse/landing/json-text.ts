import { DecimalText } from "../../domain/decimal.ts";

const MAX_DEPTH = 200;

/**
 * Sorted-key JSON of any value, every digit of a number kept, or null where it is nested more than 200 deep.
 */
export function canonicalJson(value: unknown, depth = 0): string | null {
  if (typeof value === "string") return JSON.stringify(value);
  if (typeof value === "number") return Number.isFinite(value) ? String(value) : "null";
  if (typeof value === "boolean" || typeof value === "bigint") return String(value);
  if (typeof value !== "object" || value === null) return "null";
  if (value instanceof DecimalText) return value.text;
  if (depth >= MAX_DEPTH) return null;
  if (Array.isArray(value)) {
    let list = "";
    for (const item of value) {
      const text = canonicalJson(item, depth + 1);
      if (text === null) return null;
      list += list === "" ? text : `,${text}`;
    }
    return `[${list}]`;
  }
  const object = value as Record<string, unknown>;
  let members = "";
  for (const key of Object.keys(object).sort()) {
    const text = canonicalJson(object[key], depth + 1);
    if (text === null) return null;
    members += `${members === "" ? "" : ","}${JSON.stringify(key)}:${text}`;
  }
  return `{${members}}`;
}
