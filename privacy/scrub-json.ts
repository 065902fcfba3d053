import { DecimalText } from "../domain/decimal.ts";
import { isPhoneKey, scrub, tellingKey, type Replace } from "./scrubber.ts";

/** Scrubs every text within a JSON value, and the keys of its objects: an export may be keyed by e-mail addresses. */
export function scrubJson(value: unknown, replace: Replace, defaultCountry: string | null, key?: string): unknown {
  if (typeof value === "string") {
    return scrub(value, replace, { defaultCountry, ...(key !== undefined && { key }) });
  }
  if (typeof value === "number" || value instanceof DecimalText) {
    if (key === undefined || !isPhoneKey(key)) return value;
    const text = value instanceof DecimalText ? value.text : String(value);
    const scrubbed = scrub(text, replace, { defaultCountry, key });
    return scrubbed === text ? value : scrubbed;
  }
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map((item) => scrubJson(item, replace, defaultCountry, key));
  return Object.fromEntries(
    Object.entries(value).map(([name, item]) => [
      scrub(name, replace, { defaultCountry }),
      scrubJson(item, replace, defaultCountry, tellingKey(name, key)),
    ]),
  );
}
