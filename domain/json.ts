import { DecimalText } from "./decimal.ts";

/**
 * A number that a double may not hold: 16 or more digits, or an exponent, where a number may stand; so the digits of a
 * uuid or a timestamp are none, and most texts take the plain path.
 */
const SUSPECT = /(?:^|[:,[\s])-?(?:[\d.]{16}|[\d.]+[eE])/;
const QUOTE_OR_NUMBER = /"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;
/** Stands for a number while the text is parsed; no text from outside can hold it, since it is drawn at each start. */
const MARK = `decimal ${globalThis.crypto?.randomUUID?.() ?? Math.random()}`;

/**
 * JSON.parse that loses no digit: a number that a double can't hold exactly comes as DecimalText.
 * @throws SyntaxError where the text is no JSON; its message is not for logs, since it quotes the text
 */
export function parseJson(text: string): unknown {
  const plain: unknown = JSON.parse(text);
  if (!SUSPECT.test(text)) return plain;
  const marked = markNumbers(text);
  if (marked === text) return plain;
  return JSON.parse(marked, (_key, value: unknown) => {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, MARK)) return value;
    return new DecimalText((value as Record<string, string>)[MARK] as string);
  });
}

/** The text of valid JSON with every number that a double can't hold in an object of its own. */
function markNumbers(text: string): string {
  let marked = "";
  let copied = 0;
  QUOTE_OR_NUMBER.lastIndex = 0;
  for (let match = QUOTE_OR_NUMBER.exec(text); match; match = QUOTE_OR_NUMBER.exec(text)) {
    const [token] = match;
    // Not matched by the expression: strings of some MB overflow its stack.
    if (token === '"') QUOTE_OR_NUMBER.lastIndex = stringEnd(text, match.index);
    else if (!isExact(token)) {
      marked += `${text.slice(copied, match.index)}{"${MARK}":"${token}"}`;
      copied = QUOTE_OR_NUMBER.lastIndex;
    }
  }
  return marked + text.slice(copied);
}

function stringEnd(text: string, open: number): number {
  for (let close = text.indexOf('"', open + 1); ; close = text.indexOf('"', close + 1)) {
    let backslashes = 0;
    while (text[close - 1 - backslashes] === "\\") backslashes += 1;
    if (backslashes % 2 === 0) return close + 1;
  }
}

function isExact(token: string): boolean {
  const number = Number(token);
  return Number.isFinite(number) && plainDigits(String(number)) === plainDigits(token);
}

/** Digits and point position of a number's text, without sign, leading and trailing zeros: `0.10e1` → `1@1`. */
function plainDigits(token: string): string {
  const [, whole = "", fraction = "", exponent = "0"] = /^-?(\d*)\.?(\d*)(?:[eE]([+-]?\d+))?$/.exec(token) ?? [];
  const digits = (whole + fraction).replace(/^0+/, "");
  const leading = (whole + fraction).length - digits.length;
  const kept = digits.replace(/0+$/, "");
  return kept === "" ? "0" : `${kept}@${whole.length - leading + Number(exponent)}`;
}
