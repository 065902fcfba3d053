import { DecimalText } from "../../domain/decimal.ts";

const MAX_DEPTH = 200;

/**
 * Sorted-key JSON of any value, or null where it is nested more than 200 deep.
 * @param map what each string and key becomes
 */
export function canonicalJson(
  value: unknown,
  map: (text: string) => string = (text) => text,
  depth = 0,
): string | null {
  if (typeof value === "string") return JSON.stringify(map(value));
  if (typeof value === "number") return Number.isFinite(value) ? String(value) : "null";
  if (typeof value === "boolean" || typeof value === "bigint") return String(value);
  if (typeof value !== "object" || value === null) return "null";
  if (value instanceof DecimalText) return value.text;
  if (depth >= MAX_DEPTH) return null;
  const parts: string[] = [];
  if (Array.isArray(value)) {
    for (const item of value) {
      const text = canonicalJson(item, map, depth + 1);
      if (text === null) return null;
      parts.push(text);
    }
    return `[${parts.join(",")}]`;
  }
  const object = value as Record<string, unknown>;
  for (const key of Object.keys(object).sort()) {
    const text = canonicalJson(object[key], map, depth + 1);
    if (text === null) return null;
    parts.push(`${JSON.stringify(map(key))}:${text}`);
  }
  return `{${parts.join(",")}}`;
}
