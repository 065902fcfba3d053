/** The attributes of `dim_customers` that several records of a customer may give, and of which one value survives. */
export const SURVIVING_ATTRIBUTES = ["country", "birth_year"] as const;

export type SurvivingAttribute = (typeof SURVIVING_ATTRIBUTES)[number];

/**
 * Which value of an attribute survives: that of the source named first, of the latest registration, or the one that most
 * records hold. Equal ones are told apart by the later registration, then by the record's key.
 */
export interface SurvivorshipRule {
  attribute: SurvivingAttribute;
  by: "priority" | "most_recent" | "most_frequent";
  /** With `priority`: sources, the first that names a value wins; sources not listed come after them. Else empty. */
  sources: string[];
}
