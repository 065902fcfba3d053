import type { PersonalKind } from "./streams.ts";

/**
 * The non-personal remains that `keep:` may ask of each kind of personal data; each becomes the column
 * `<field>_<remain>`. A kind that is not here offers none.
 */
export const REMAINS: Partial<Record<PersonalKind, readonly string[]>> = {
  email: ["domain"],
  phone: ["country"],
  birth_date: ["year", "age_band"],
  postal_code: ["area"],
  ip: ["prefix"],
  free_text: ["length", "language", "sentiment"],
  payment: ["country"],
};
