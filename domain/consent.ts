/** What people may say about the use of their data, and what the laws make of it. Pure. */

export const CHOICES = ["consent", "objection", "opt_out", "limit", "restriction"] as const;
export type Choice = (typeof CHOICES)[number];

/** Stands for every purpose. */
export const ALL_PURPOSES = "*";

/**
 * Where a use is allowed until the person says no (CCPA § 1798.120 and the laws like it in other states). Everywhere else,
 * and where the law is not known, it needs a yes.
 */
export const OPT_OUT_JURISDICTIONS: readonly string[] = ["US", "US-CA"];

/** Of what is stored as restricted (GDPR article 18) nothing is used, whatever the person has consented to. */
export type Standing = "granted" | "refused" | "unknown" | "objected" | "opted_out" | "restricted";

/** What holds of one person and purpose now. */
export interface ConsentState {
  customerId: string;
  purpose: string;
  standing: Standing;
  /** Whether data may be used for the purpose: an unknown standing is a no where the law asks for a yes. */
  isAllowed: boolean;
  /** Of all laws that the person's events name, the one that asks for most; null: none is named. */
  jurisdiction: string | null;
}
