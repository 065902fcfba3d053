import type { MatchPart, PersonalKind } from "../domain/streams.ts";
import { normaliseMatchPart } from "./normalise.ts";

/** A part of a match key, with the place of its field among the record's values. */
export interface PlannedMatchPart extends Exclude<MatchPart, string> {
  index: number;
  personal: PersonalKind | undefined;
}

/**
 * The text that a match key's token is made of; null where a part is empty, since an absent birth date ties nobody to
 * anybody.
 * @param parts of each place in the key the parts that stand there, in any order where there are several
 */
export function matchKeyText(
  parts: readonly (readonly PlannedMatchPart[])[],
  valueOf: (index: number) => string | null,
  defaultCountry: string | null,
): string | null {
  const texts: string[] = [];
  for (const alternatives of parts) {
    const forms = alternatives.map((part) => formOf(part, valueOf(part.index) ?? "", defaultCountry));
    if (forms.includes("")) return null;
    texts.push(...forms.sort());
  }
  return texts.join("\0");
}

function formOf({ personal, as, first }: PlannedMatchPart, value: string, defaultCountry: string | null): string {
  const whole = as === "local_part" ? value.slice(0, Math.max(value.lastIndexOf("@"), 0)) : value;
  const text = normaliseMatchPart(as === "local_part" ? undefined : personal, whole, defaultCountry);
  const form = as === "phonetic" ? phonetic(text) : text;
  return first === undefined ? form : [...form].slice(0, first).join("");
}

const CODES: Record<string, string> = Object.fromEntries(
  Object.entries({ 1: "bfpv", 2: "cgjkqsxz", 3: "dt", 4: "l", 5: "mn", 6: "r" }).flatMap(([code, letters]) =>
    [...letters].map((letter) => [letter, code]),
  ),
);

/**
 * American Soundex of the US National Archives (archives.gov/research/census/soundex): the first letter and three digits.
 * A name without a Latin letter stays as it is.
 * @param text in the normal form of match keys
 */
export function phonetic(text: string): string {
  const letters = text.replace(/[^a-z]/g, "");
  if (letters === "") return text;
  let code = "";
  let last = CODES[letters[0]!] ?? "";
  for (const letter of letters.slice(1)) {
    const digit = CODES[letter] ?? "";
    if (digit !== "" && digit !== last) code += digit;
    // Equal codes on both sides of h or w count once, on both sides of a vowel twice.
    if (letter !== "h" && letter !== "w") last = digit;
  }
  return `${letters[0]}${code}000`.slice(0, 4);
}
