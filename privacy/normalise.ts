import { domainToASCII } from "node:url";
import { parsePhoneNumberFromString, type CountryCode } from "libphonenumber-js/max";
import type { PersonalKind } from "../domain/streams.ts";

/** Part of every content hash: raised when a normal form or a remain (`keep:`) is computed in another way, so that records land anew. */
export const NORMALISER_VERSION = 1;

/**
 * The canonical form of an identifier, which its token is made of: equal for every spelling of the same identifier.
 * E-mails: NFKC, trimmed, lower-case, domain in IDNA's ASCII form. Phones: E.164, read with the project's default
 * country. Anything else: NFKC and trimmed, case kept, since the case of an account or device id can carry meaning.
 * @returns null where the value can't be an identifier of its kind; it is then sealed like any personal field
 */
export function normaliseIdentifier(kind: PersonalKind, value: string, defaultCountry: string | null): string | null {
  const text = value.normalize("NFKC").trim();
  if (text === "" || text.length > 1024 || text.includes("\0") || !text.isWellFormed()) return null;
  switch (kind) {
    case "email":
      return normaliseEmail(text);
    case "phone":
      return normalisePhone(text, defaultCountry);
    default:
      return text;
  }
}

function normaliseEmail(text: string): string | null {
  const at = text.lastIndexOf("@");
  if (at < 1 || /\s/.test(text)) return null;
  const domain = domainToASCII(text.slice(at + 1).toLowerCase());
  return domain === "" ? null : `${text.slice(0, at).toLowerCase()}@${domain}`;
}

function normalisePhone(text: string, defaultCountry: string | null): string | null {
  const number = parsePhoneNumberFromString(text, (defaultCountry ?? undefined) as CountryCode | undefined);
  return number?.isPossible() ? number.number : null;
}

/** The calling country of an E.164 number, ISO 3166-1 alpha-2, or null for a code that many countries share. */
export function phoneCountry(e164: string): string | null {
  return parsePhoneNumberFromString(e164)?.country ?? null;
}

/** The form of one part of a match key: NFKC, lower-case, without accents, punctuation and spaces. */
export function normaliseMatchPart(value: string): string {
  return value
    .normalize("NFKD")
    .replace(/\p{Mark}/gu, "")
    .toLowerCase()
    .replace(/[^\p{Letter}\p{Number}]/gu, "");
}
