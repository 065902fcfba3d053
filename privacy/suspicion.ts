/** Shortest run of base64 that is opened: an address of nine letters has as many. */
export const FEWEST_BASE64 = 12;
/** A phone number has no fewer digits. */
const FEWEST_DIGITS = 7;

const [UPPER, LOWER, DIGIT, OTHER_BASE64, SIGN, ESCAPE, REFERENCE] = [1, 2, 4, 8, 16, 32, 64];
const BASE64 = UPPER | LOWER | DIGIT | OTHER_BASE64;

const [QUOTE, BACKSLASH] = [34, 92];

/** What each character below 128 may be a part of. */
const MEANING = new Uint8Array(128);
for (let code = 0; code < 26; code += 1) {
  MEANING[65 + code] = UPPER;
  MEANING[97 + code] = LOWER;
}
for (let code = 48; code < 58; code += 1) MEANING[code] = DIGIT;
for (const [characters, meaning] of [
  ["/_-", OTHER_BASE64],
  ["+", OTHER_BASE64 | SIGN],
  ["@", SIGN],
  ["%\\", ESCAPE],
  [";", REFERENCE],
] as const) {
  for (const character of characters) MEANING[character.charCodeAt(0)] = meaning;
}

/** A part of every word that says of digits that they are a phone number. */
const PHONE_WORD = /phone|tel|tél|mobile|m[oó]vil|celular|msisdn|cell|whats|handy|portable|gsm|fax|wa\.me/i;

/** Full-width and small at signs and pluses. */
const DISGUISED = new Set([0xff20, 0xfe6b, 0xff0b, 0xfe62]);

/**
 * Whether a text can hide an e-mail address or a phone number at all, by one look at each character: an at sign or a plus,
 * an encoding that could hold one, a word for phones beside digits, or what may be base64. Most texts of a shop have none of it.
 */
export function isSuspicious(text: string): boolean {
  let seen = 0;
  let digits = 0;
  let run = 0;
  let inRun = 0;
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (code >= 128) {
      if (DISGUISED.has(code)) return true;
      run = inRun = 0;
      continue;
    }
    const meaning = MEANING[code] as number;
    if (meaning & (SIGN | ESCAPE)) return true;
    seen |= meaning;
    if (meaning & DIGIT) digits += 1;
    if (meaning & BASE64) {
      run += 1;
      inRun |= meaning;
      if (run >= FEWEST_BASE64 && inRun & UPPER && inRun & LOWER) return true;
    } else run = inRun = 0;
  }
  if (seen & REFERENCE && text.includes("&")) return true;
  return digits >= FEWEST_DIGITS && namesPhone(text);
}

/** Whether a word for phones stands in a text. */
function namesPhone(text: string): boolean {
  return PHONE_WORD.test(text);
}

/**
 * Whether JSON can say of digits that they are a phone number: a word for phones, and a value with as many digits as the
 * shortest one has. Most objects of a shop hold prices and counts, and are left after one look at each character.
 */
export function namesPhoneInJson(text: string): boolean {
  let digits = 0;
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (code === QUOTE) digits = 0;
    // An escape, or a sign of another script, may stand for a digit, or for a quote within the value.
    else if (code >= 128 || code === BACKSLASH) return namesPhone(text);
    else if ((MEANING[code] as number) & DIGIT && (digits += 1) === FEWEST_DIGITS) return namesPhone(text);
  }
  return false;
}

/** Runs that may be base64 of a text: twelve or more of its letters, of both cases, as the base64 of any word has. */
export function* base64Runs(text: string): Generator<{ from: number; to: number }> {
  let from = 0;
  let inRun = 0;
  for (let at = 0; at <= text.length; at += 1) {
    const code = at < text.length ? text.charCodeAt(at) : 0;
    const meaning = code < 128 ? (MEANING[code] as number) & BASE64 : 0;
    if (meaning !== 0) {
      inRun |= meaning;
      continue;
    }
    if (at - from >= FEWEST_BASE64 && inRun & UPPER && inRun & LOWER) yield { from, to: at };
    from = at + 1;
    inRun = 0;
  }
}
