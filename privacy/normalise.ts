import { isIP } from "node:net";
import { domainToASCII } from "node:url";
import { parsePhoneNumberFromString, type CountryCode } from "libphonenumber-js/max";
import type { PersonalKind } from "../domain/streams.ts";
import { foldEmail } from "./fold-email.ts";

/** Part of every content hash: raised when a normal form or a remain (`keep:`) is computed in another way, so that records land anew. */
export const NORMALISER_VERSION = 4;

/** Longest value that is taken for an identifier, in characters. */
const MOST_CHARACTERS = 1024;
/** Zero-width spaces, soft hyphens, direction marks: nobody sees them, and a copied address brings them along. */
const INVISIBLE = /[\p{Default_Ignorable_Code_Point}\p{Cf}]/gu;

/**
 * The canonical form of an identifier, which its token is made of: equal for every spelling of the same identifier, and
 * normalised again it stays as it is. All kinds: NFKC, trimmed. Then by kind:
 * - `email`: lower-case, domain in IDNA's ASCII form, without invisible characters, `mailto:` and a display name;
 * - `phone`: E.164, read with the default country, without an extension;
 * - `ip`: the one spelling of RFC 5952, an IPv4 address mapped into IPv6 as itself;
 * - `government_id`, `payment`: upper-case, without spaces, dots, dashes and slashes;
 * - `name`, `address`, `postal_code`: lower-case, runs of spaces as one;
 * - any other: case kept, since the case of an account or device id can carry meaning.
 * @param defaultCountry ISO 3166-1 alpha-2, for phone numbers without a country code
 * @returns null where the value can't be an identifier of its kind; it is then sealed like any personal field
 */
export function normaliseIdentifier(kind: PersonalKind, value: string, defaultCountry: string | null): string | null {
  const text = value.normalize("NFKC").trim();
  if (text === "" || text.length > MOST_CHARACTERS || text.includes("\0") || !text.isWellFormed()) return null;
  switch (kind) {
    case "email":
      return normaliseEmail(text.replace(INVISIBLE, ""));
    case "phone":
      return normalisePhone(text.replace(INVISIBLE, ""), defaultCountry);
    case "ip":
      return normaliseIp(text);
    case "government_id":
    case "payment":
      return normaliseNumber(text);
    case "name":
    case "address":
    case "postal_code":
      return text.toLowerCase().normalize("NFKC").replace(/\s+/g, " ").trim();
    default:
      return text;
  }
}

/** Case mapping and the loss of a separator leave marks beside letters they compose with, hence NFKC once more. */
function normaliseNumber(text: string): string | null {
  return (
    text
      .replace(/[\s.\-/]/g, "")
      .toUpperCase()
      .normalize("NFKC") || null
  );
}

function normaliseEmail(text: string): string | null {
  const bare = text
    .replace(/^[^<>]*<([^<>]*)>$/, "$1")
    .replace(/^(?:mailto:\s*)+/i, "")
    .trim();
  const at = bare.lastIndexOf("@");
  if (at < 1 || /\s/.test(bare)) return null;
  const domain = domainToASCII(bare.slice(at + 1).toLowerCase()).replace(/\.+$/, "");
  return domain === "" ? null : `${bare.slice(0, at).toLowerCase().normalize("NFKC")}@${domain}`;
}

function normalisePhone(text: string, defaultCountry: string | null): string | null {
  const number = parsePhoneNumberFromString(text, (defaultCountry ?? undefined) as CountryCode | undefined);
  return number?.isPossible() ? number.number : null;
}

function normaliseIp(text: string): string | null {
  const version = isIP(text);
  if (version === 4) return text;
  if (version === 0 || text.includes("%")) return null;
  // The URL standard's host serialiser writes RFC 5952's form.
  const host = new URL(`http://[${text}]/`).hostname.slice(1, -1);
  const mapped = /^::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})$/.exec(host);
  if (!mapped) return host;
  const [high, low] = [parseInt(mapped[1] as string, 16), parseInt(mapped[2] as string, 16)];
  return [high >> 8, high & 255, low >> 8, low & 255].join(".");
}

/** The calling country of an E.164 number, ISO 3166-1 alpha-2, or null for a code that many countries share. */
export function phoneCountry(e164: string): string | null {
  return parsePhoneNumberFromString(e164)?.country ?? null;
}

/**
 * The form of one part of a match key. Of an e-mail field the provider-folded address, of a phone field the E.164 number,
 * of anything else its letters and digits: NFKC, lower-case, without accents, punctuation and spaces.
 * @returns an empty text where nothing of the value can be compared
 */
export function normaliseMatchPart(
  kind: PersonalKind | undefined,
  value: string,
  defaultCountry: string | null,
): string {
  if (kind === "email" || kind === "phone") {
    const canonical = normaliseIdentifier(kind, value, defaultCountry);
    if (canonical === null) return "";
    return kind === "email" ? foldEmail(canonical) : canonical;
  }
  return value
    .normalize("NFKD")
    .replace(/\p{Mark}/gu, "")
    .toLowerCase()
    .replace(/[^\p{Letter}\p{Number}]/gu, "");
}
