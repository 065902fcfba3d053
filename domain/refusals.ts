/** The words in which a request is refused. Pure; safe in workflows. */

/** The grounds on which a law lets a request be refused, each as the person is told it. */
export const REFUSAL_REASONS = {
  unfounded: "the request is manifestly unfounded (GDPR article 12(5)(b))",
  excessive: "the request repeats earlier ones without need, so it is excessive (GDPR article 12(5)(b))",
  not_identified:
    "we could not make sure that you are the person whom the data are about (GDPR articles 11(2) and 12(6))",
  no_data: "we hold no data that we can tell to be yours (GDPR article 11)",
  legal_obligation: "a law obliges us to keep the data (GDPR article 17(3)(b))",
  legal_claims: "the data are needed for legal claims (GDPR article 17(3)(e))",
  expression: "the data serve freedom of expression and information (GDPR article 17(3)(a))",
  public_interest: "the data serve public health, archives, science or statistics (GDPR article 17(3)(c) and (d))",
  rights_of_others: "an answer would harm the rights of other people (GDPR article 15(4))",
} as const;
export type RefusalReason = keyof typeof REFUSAL_REASONS;

/** Where somebody whose request is refused may complain, by the law that it falls under (GDPR article 12(4)). */
const COMPLAINT_ROUTES: Readonly<Record<string, string>> = {
  EU: "You may lodge a complaint with the supervisory authority of your country (edpb.europa.eu lists them all), and go to court.",
  UK: "You may complain to the Information Commissioner's Office (ico.org.uk/make-a-complaint), and go to court.",
  "US-CA":
    "You may complain to the California Privacy Protection Agency (cppa.ca.gov/webapplications/complaint) or to the Attorney General (oag.ca.gov).",
};

/** What the person is told: why, and where to complain. */
export interface Refusal {
  reason: RefusalReason;
  why: string;
  complaint: string;
}

/** @param jurisdiction null: not known, so as the strictest of laws has it */
export function refusalOf(reason: RefusalReason, jurisdiction: string | null): Refusal {
  const complaint = COMPLAINT_ROUTES[jurisdiction ?? "EU"] ?? (COMPLAINT_ROUTES["EU"] as string);
  return { reason, why: REFUSAL_REASONS[reason], complaint };
}
