import { normaliseIdentifier } from "./normalise.ts";
import { plainView } from "./plain-view.ts";
import { base64Runs, FEWEST_BASE64, isSuspicious } from "./suspicion.ts";

/** Makes of an identifier that was found what stands in its place. Called once for each finding. */
export type Replace = (kind: "email" | "phone", canonical: string) => string;

export interface ScrubContext {
  /** ISO 3166-1 alpha-2, for numbers that a key says are phones. */
  defaultCountry?: string | null;
  /** The key or field that the text is the value of. */
  key?: string;
}

/** What a phone number is called in the languages that `discover` knows, with their plurals. */
const PHONE =
  "(?:tele?phone|t[ée]l[ée]phone|tele?fono?|(?:(?:cell|mobile|home|work|contact)_?)?phone|mobile|m[oó]vil|celular|msisdn|whats_?app|handy|portable|gsm|cell|tel|fax)s?";
const NUMBER = "(?:no|nr|num|number|nummer|num[eé]ro)";
const PHONE_KEY = new RegExp(
  `(?:^|[^a-z])${PHONE}(?:[^a-z]|$)|(?:phone|tel|mobile|handy)(?:_?${NUMBER})s?(?:[^a-z]|$)`,
);
const CAMEL_PHONE_KEY = /[a-z](?:Phone|Mobile|Tel)s?(?![a-z])/;
/** Members of an object that stands for a phone number: `"phone": { "number": … }`. */
const PART_OF_PHONE = new RegExp(
  `^(?:${NUMBER}|value|raw|e164|national|international|formatted|full|primary|home|work|\\d+)$`,
  "i",
);
/** Between a key and its value: `phone=`, `"phone": "`, `phone_2[]=`, `[phone]=`, `<phone>`. */
const ASSIGNED = `[a-z_.-]{0,16}(?:[_-]?\\d{1,2})?(?:\\[[a-z0-9_]{0,8}\\]|\\])?["']?\\s{0,3}[:=>]\\s{0,3}["'[]{0,2}`;
/** Between a word and the number after it: `Tel. 06…`, `phone no. 06…`. */
const SPOKEN = `\\.?\\s{1,3}(?:${NUMBER}|n°)?[.:]?\\s{0,3}`;
const NAMED_PHONES = [
  new RegExp(`(?<!\\p{L})${PHONE}(?:${ASSIGNED}|${SPOKEN})(?=[\\d+( ])`, "giu"),
  new RegExp(`[a-z](?:Phone|Mobile|Tel)s?(?![a-z])${ASSIGNED}(?=[\\d+( ])`, "g"),
  /(?<![a-z])wa\.me\/(?=\d)/gi,
];
/** RFC 5321 allows a mailbox of 64 characters; longer ones are looked at too, so that no rest of one stays behind. */
const MOST_MAILBOX = 256;
const MOST_DOMAIN = 253;
const IN_MAILBOX = /[\p{L}\p{M}\p{N}._%+'!#$*~^-]/u;
/** Characters that a mailbox may hold but that more often stand before an address. */
const BEFORE_MAILBOX = /^[.%+'!#$*~^-]+/;
const IN_DOMAIN = /[\p{L}\p{M}\p{N}.-]/u;
const DOMAIN =
  /^(?:[\p{L}\p{M}\p{N}](?:[\p{L}\p{M}\p{N}-]{0,61}[\p{L}\p{M}\p{N}])?\.)+(?:xn--[\p{L}\p{N}-]{1,59}|\p{L}[\p{L}\p{M}]{1,62})$/u;
const IPV4 = /^\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}$/;
const IN_PHONE = /[\p{Nd}\s().\-/+\u2010-\u2015\u2212]/u;
const [FEWEST_DIGITS, MOST_DIGITS] = [8, 15];
const MOST_PHONE = 40;
/** Numbers are written in fewer groups of digits; sums and lists have more. */
const MOST_GROUPS = 8;
/** Ends of groups of digits at which a number may end: tried from the longest. */
const MOST_ENDS = 4;
/** Reading a number takes a fifth of a millisecond: in a text with more runs that are none, every further run counts as one. */
const MOST_FAILURES = 500;
/** Base64 within base64 is opened this often. */
const MOST_ENCODINGS = 2;

interface Finding {
  from: number;
  to: number;
  text: string;
}

/**
 * Replaces the e-mail addresses and phone numbers that hide in an open text by what `replace` makes of them: also in
 * URLs and their queries, JSON, HTML, percent-encoded up to four times, with full-width signs, and in base64. Phone numbers
 * are found in international form, and in any form where a key before them says so; bare digits are as likely an order number.
 * Takes time linear in the text's length; a text without suspicious characters is left after one look.
 */
export function scrub(text: string, replace: Replace, context: ScrubContext = {}): string {
  if (context.key !== undefined && isPhoneKey(context.key)) {
    const canonical = phoneOf(text, context.defaultCountry ?? null);
    if (canonical !== null) return replace("phone", canonical);
  }
  if (!isSuspicious(text)) return text;
  return scrubLayer(text, replace, context.defaultCountry ?? null, MOST_ENCODINGS);
}

/** Whether a key or a column by this name holds phone numbers. */
export function isPhoneKey(key: string): boolean {
  return CAMEL_PHONE_KEY.test(key) || PHONE_KEY.test(key.toLowerCase());
}

/** The key that says what a member of an object is: its own, or that of the phone number which the object stands for. */
export function tellingKey(name: string, parent: string | undefined): string {
  return parent !== undefined && PART_OF_PHONE.test(name) && isPhoneKey(parent) ? parent : name;
}

function scrubLayer(original: string, replace: Replace, country: string | null, encodingsLeft: number): string {
  const { text, offsets } = plainView(original);
  const findings = [
    ...emails(text, replace),
    ...phones(text, replace),
    ...namedPhones(text, replace, country),
    ...(encodingsLeft > 0 ? encodings(text, replace, country, encodingsLeft - 1) : []),
  ].sort((a, b) => a.from - b.from || b.to - a.to);
  if (findings.length === 0) return original;
  const place = (at: number): number => (offsets === null ? at : (offsets[at] as number));
  let result = "";
  let at = 0;
  for (const [index, finding] of findings.entries()) {
    const next = findings[index + 1];
    // A number that an address begins with: as a whole it is an address.
    const isPartOfNext = next !== undefined && next.from < finding.to && next.to > finding.to;
    if (place(finding.from) < at || isPartOfNext) continue;
    result += original.slice(at, place(finding.from)) + finding.text;
    at = place(finding.to);
  }
  return result + original.slice(at);
}

function* emails(text: string, replace: Replace): Generator<Finding> {
  let done = 0;
  for (let at = text.indexOf("@"); at !== -1; at = text.indexOf("@", at + 1)) {
    const to = domainEnd(text, at + 1);
    if (to === at + 1) continue;
    const from = mailboxStart(text, at, done);
    if (from === at) continue;
    const canonical = normaliseIdentifier("email", text.slice(from, to), null);
    if (canonical === null) continue;
    done = to;
    // Two addresses without anything between them: no rest of the second may make one with the token.
    while (text[done] === "@" && domainEnd(text, done + 1) > done + 1) done = domainEnd(text, done + 1);
    yield { from, to: done, text: replace("email", canonical) };
    at = done - 1;
  }
}

function mailboxStart(text: string, at: number, least: number): number {
  if (text[at - 1] === '"') {
    const quote = text.lastIndexOf('"', at - 2);
    const isQuoted =
      quote >= Math.max(least, at - MOST_MAILBOX) && quote < at - 2 && !/[\s@:]/.test(text.slice(quote, at));
    return isQuoted ? quote : at;
  }
  let from = at;
  while (from > least && at - from < MOST_MAILBOX && IN_MAILBOX.test(characterBefore(text, from))) {
    from -= characterBefore(text, from).length;
  }
  const leading = BEFORE_MAILBOX.exec(text.slice(from, at));
  return from + (leading?.[0].length ?? 0);
}

function characterBefore(text: string, at: number): string {
  const unit = text.charCodeAt(at - 1);
  return unit >= 0xdc00 && unit <= 0xdfff && at > 1 ? text.slice(at - 2, at) : text.charAt(at - 1);
}

/** Where the longest domain that begins here ends; the start where none does. */
function domainEnd(text: string, start: number): number {
  if (text[start] === "[") {
    const close = text.indexOf("]", start);
    return close !== -1 && close - start < 60 && /^\[[\da-f.:]+(?:ipv6:[\da-f.:]+)?$/i.test(text.slice(start, close))
      ? close + 1
      : start;
  }
  let end = start;
  while (
    end < text.length &&
    end - start < MOST_DOMAIN &&
    IN_DOMAIN.test(String.fromCodePoint(text.codePointAt(end) as number))
  ) {
    end += (text.codePointAt(end) as number) > 0xffff ? 2 : 1;
  }
  // `jane@mail.example.Best` and `jane@mail.example-2`: labels are taken away until the rest is a domain.
  let candidate = text.slice(start, end);
  for (let labels = 0; labels < 8 && candidate !== ""; labels += 1) {
    if (DOMAIN.test(candidate) || IPV4.test(candidate)) return start + candidate.length;
    const cut = Math.max(candidate.lastIndexOf("."), candidate.lastIndexOf("-"));
    const digits = /^(.*\.\p{L}{2,24})\p{N}/u.exec(candidate);
    candidate = digits ? (digits[1] as string) : candidate.slice(0, Math.max(cut, 0));
  }
  return start;
}

function* phones(text: string, replace: Replace): Generator<Finding> {
  let failures = 0;
  for (let at = text.indexOf("+"); at !== -1; at = text.indexOf("+", at + 1)) {
    const { ends, scanned } = phoneEnds(text, at + 1);
    const found = failures < MOST_FAILURES ? firstPhone(text, at, ends, null) : unreadPhone(text, at, ends.at(-1));
    if (found === null && ends.length > 0) failures += 1;
    if (found !== null) {
      yield { from: at, to: found.to, text: replace("phone", found.canonical) };
      at = found.to - 1;
      continue;
    }
    // A plus behind a digit was a blank of this run: looked at again, a run of pluses would take its square.
    while (at + 1 < scanned && (text[at + 1] !== "+" || isDigit(text, at))) at += 1;
  }
}

function* namedPhones(text: string, replace: Replace, country: string | null): Generator<Finding> {
  let failures = 0;
  for (const named of NAMED_PHONES) {
    named.lastIndex = 0;
    for (let match = named.exec(text); match; match = named.exec(text)) {
      const from = match.index + match[0].length;
      const { ends } = phoneEnds(text, from);
      const found =
        failures < MOST_FAILURES ? firstPhone(text, from, ends, country) : unreadPhone(text, from, ends.at(-1));
      if (found === null && ends.length > 0) failures += 1;
      if (found !== null) yield { from, to: found.to, text: replace("phone", found.canonical) };
    }
  }
}

function firstPhone(
  text: string,
  from: number,
  ends: number[],
  country: string | null,
): { to: number; canonical: string } | null {
  for (const to of ends.slice(-MOST_ENDS).reverse()) {
    const canonical = phoneOf(text.slice(from, to), country);
    if (canonical !== null) return { to, canonical };
  }
  return null;
}

/** The number without a look at the world's numbering plans. */
function unreadPhone(text: string, from: number, to: number | undefined): { to: number; canonical: string } | null {
  return to === undefined ? null : { to, canonical: `+${text.slice(from, to).replace(/\P{Nd}/gu, "")}` };
}

/** Where groups of digits with little between them end, after 8 to 15 digits, and how far was looked. */
function phoneEnds(text: string, start: number): { ends: number[]; scanned: number } {
  const ends: number[] = [];
  let digits = 0;
  let groups = 0;
  let between = 0;
  let at = start;
  for (; at < text.length && at - start < MOST_PHONE && digits <= MOST_DIGITS; at += 1) {
    if (isDigit(text, at)) {
      digits += 1;
      if (between > 0 && (groups += 1) > MOST_GROUPS) break;
      between = 0;
      if (digits >= FEWEST_DIGITS && digits <= MOST_DIGITS && !isDigit(text, at + 1)) ends.push(at + 1);
    } else if ((between += 1) > 3 || !IN_PHONE.test(text.charAt(at))) break;
  }
  return { ends, scanned: at };
}

function isDigit(text: string, at: number): boolean {
  const code = text.charCodeAt(at);
  return code < 128 ? code >= 48 && code <= 57 : /\p{Nd}/u.test(text.charAt(at));
}

/** In a query a plus is a blank, so within a number it parts digits. */
function phoneOf(text: string, country: string | null): string | null {
  const digits = text.replace(/\P{Nd}/gu, "").length;
  if (digits < 7 || digits > MOST_DIGITS || text.length > MOST_PHONE + 1 || /\p{L}{4}/u.test(text)) return null;
  const spaced = text
    .trim()
    .replace(/(?<=.)\+/gu, " ")
    .replace(/[\u2010-\u2015\u2212/]/g, "-");
  const canonical = normaliseIdentifier("phone", spaced, country);
  if (canonical !== null || /^[+0]/.test(spaced)) return canonical;
  // A number whose plus was read as a blank: its country code stands first.
  return normaliseIdentifier("phone", `+${spaced}`, null);
}

/** Base64 of a text that holds an address or a number: encoded anew without it. */
function* encodings(text: string, replace: Replace, country: string | null, left: number): Generator<Finding> {
  for (const { from, to } of base64Runs(text)) {
    const run = text.slice(from, to);
    const whole = scrubBase64(run, replace, country, left);
    if (whole !== null) {
      yield { from, to, text: whole };
      continue;
    }
    // A path's slashes and a slug's dashes are letters of base64 too.
    let start = from;
    for (const part of run.split(/[/_-]/)) {
      const scrubbed =
        part.length >= FEWEST_BASE64 && part.length < run.length ? scrubBase64(part, replace, country, left) : null;
      if (scrubbed !== null) yield { from: start, to: start + part.length, text: scrubbed };
      start += part.length + 1;
    }
  }
}

function scrubBase64(encoded: string, replace: Replace, country: string | null, left: number): string | null {
  const bytes = Buffer.from(encoded, "base64");
  // Text has no control characters but spaces; most runs that are no base64 fail here.
  if (bytes.some((byte) => byte < 32 && byte !== 9 && byte !== 10 && byte !== 13)) return null;
  const decoded = bytes.toString("utf8");
  if (decoded.includes("\ufffd") || !isSuspicious(decoded)) return null;
  const scrubbed = scrubLayer(decoded, replace, country, left);
  if (scrubbed === decoded) return null;
  return Buffer.from(scrubbed)
    .toString(/[-_]/.test(encoded) ? "base64url" : "base64")
    .replace(/=+$/, "");
}
