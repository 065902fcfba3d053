import { normaliseIdentifier } from "./normalise.ts";

/** `user@host.tld`, its @ also percent-encoded, as it stands in URLs and properties. */
const EMAIL = /[\p{L}\p{N}._%+'-]{1,64}(?:@|%40)(?:[\p{L}\p{N}-]{1,63}\.)+\p{L}{2,24}/giu;
/** International form only: `+` or `%2B`, then 8 to 15 digits; bare digits are as likely an order number. */
const PHONE = /(?:\+|%2B)(?:[\s().-]?\d){8,15}(?!\d)/giu;

/**
 * Replaces e-mail addresses and international phone numbers that hide in an open string by what `token` makes of them.
 * @param token receives the kind and the canonical form; called once per finding
 */
export function scrub(text: string, token: (kind: "email" | "phone", canonical: string) => string): string {
  let result = text;
  if (result.includes("@") || result.includes("%40")) {
    result = result.replace(EMAIL, (found) => {
      const canonical = normaliseIdentifier("email", decode(found), null);
      return canonical === null ? found : token("email", canonical);
    });
  }
  if (result.includes("+") || /%2b/i.test(result)) {
    result = result.replace(PHONE, (found) => {
      const canonical = normaliseIdentifier("phone", decode(found), null);
      return canonical === null ? found : token("phone", canonical);
    });
  }
  return result;
}

/** A local part may hold a `%` that encodes nothing: then the text stands as it is. */
function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text.replace(/%40/g, "@");
  }
}
