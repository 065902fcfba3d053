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
  const flat = flatText(object);
  if (flat !== null) return flat;
  let members = "";
  for (const key of Object.keys(object).sort()) {
    const text = canonicalJson(object[key], depth + 1);
    if (text === null) return null;
    members += `${members === "" ? "" : ","}${JSON.stringify(key)}:${text}`;
  }
  return `{${members}}`;
}

const [QUOTE, COMMA, COLON, OPEN, CLOSE] = [34, 44, 58, 123, 125];
/** Characters that JSON escapes, or that a text must not hold. */
const NOT_PLAIN = /[\\\p{Cc}\p{Cs}]/u;
/** What `String` writes of the number that is read of it, too: at most 15 digits, no exponent, no closing zeros. */
const PLAIN_VALUE = /^(?:0|-?[1-9]\d{0,14}|-?(?:0|[1-9]\d{0,8})\.\d{0,5}[1-9]|true|false|null)$/;

/** Sorting by insertion takes the square of it. */
const MOST_SORTED = 40;

/**
 * The canonical text of JSON's text without parsing it, where it is one object of short members and no escapes or blanks,
 * as most of what shops send along: a quarter of the time, and nothing is left for the collector but the text.
 * @returns null where it is anything else, valid or not
 */
export function canonicalText(text: string): string | null {
  if (text.charCodeAt(0) !== OPEN || NOT_PLAIN.test(text)) return null;
  const names: string[] = [];
  const members: string[] = [];
  let isSorted = true;
  for (let at = 1; ;) {
    if (text.charCodeAt(at) !== QUOTE) return null;
    const nameEnd = text.indexOf('"', at + 1);
    if (nameEnd === -1 || text.charCodeAt(nameEnd + 1) !== COLON) return null;
    const name = text.slice(at + 1, nameEnd);
    const end = valueEnd(text, nameEnd + 2);
    if (end === -1) return null;
    const last = names.at(-1);
    if (last !== undefined && last >= name) isSorted = false;
    names.push(name);
    members.push(text.slice(at, end));
    at = end + 1;
    if (text.charCodeAt(end) === COMMA) continue;
    if (text.charCodeAt(end) !== CLOSE || at !== text.length) return null;
    if (isSorted) return text;
    return names.length > MOST_SORTED ? null : sortMembers(names, members);
  }
}

function valueEnd(text: string, start: number): number {
  if (text.charCodeAt(start) === QUOTE) return text.indexOf('"', start + 1) + 1 || -1;
  let end = start;
  for (let code = text.charCodeAt(end); code !== COMMA && code !== CLOSE; code = text.charCodeAt(end)) {
    // Beyond the text this is NaN.
    if (!(code > 0) || end - start > 20) return -1;
    end += 1;
  }
  return PLAIN_VALUE.test(text.slice(start, end)) ? end : -1;
}

/** Null where two have one name. */
function sortMembers(names: string[], members: string[]): string | null {
  for (let index = 1; index < names.length; index += 1) {
    const name = names[index] as string;
    const member = members[index] as string;
    let place = index;
    for (; place > 0 && (names[place - 1] as string) >= name; place -= 1) {
      if (names[place - 1] === name) return null;
      names[place] = names[place - 1] as string;
      members[place] = members[place - 1] as string;
    }
    names[place] = name;
    members[place] = member;
  }
  return `{${members.join(",")}}`;
}

/**
 * The same of an object that holds texts, whole numbers and fractions alone, as most do: written by one call instead of
 * one for each member, which takes a third of the time. Null where it is another, or where the engine would write its keys
 * in an order of its own: those that look like an array's index come first.
 */
function flatText(object: Record<string, unknown>): string | null {
  const names = Object.keys(object).sort();
  const sorted: Record<string, unknown> = {};
  for (const name of names) {
    const value = object[name];
    const isPlain = value === null || typeof value === "string" || typeof value === "boolean" || Number.isFinite(value);
    const first = name.charCodeAt(0);
    if (!isPlain || name === "__proto__" || (first >= 48 && first <= 57)) return null;
    sorted[name] = value;
  }
  return JSON.stringify(sorted);
}
