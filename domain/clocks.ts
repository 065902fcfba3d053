import { addBusinessDays, addDays, addMonths, dayAt, endOfDay } from "./calendar.ts";
import { UserError } from "./errors.ts";

/** How long the laws give to answer a person's request: rules as data. Pure. */

export interface Term {
  count: number;
  unit: "day" | "business_day" | "month";
}

export interface ClockRule {
  /** Names the rule in records: it stays when the text of a law changes and another rule takes its place. */
  id: string;
  /** For people: the law and its article. */
  law: string;
  /** By when to confirm that the request has come; null: no such duty. */
  acknowledge: Term | null;
  answer: Term;
  /** The longest time in all, from the same start, for who has told the person why within `answer`; null: can't be extended. */
  extended: Term | null;
  /** identity: the clock starts once the person has given what was asked for to identify them. */
  starts: "receipt" | "identity";
}

const term = (count: number, unit: Term["unit"]): Term => ({ count, unit });

const GDPR: ClockRule = {
  id: "gdpr_12_3",
  law: "GDPR article 12(3)",
  acknowledge: null,
  answer: term(1, "month"),
  extended: term(3, "month"),
  starts: "receipt",
};

const UK_GDPR: ClockRule = { ...GDPR, id: "uk_gdpr_12a", law: "UK GDPR articles 12 and 12A", starts: "identity" };

const CCPA: ClockRule = {
  id: "ccpa_7021",
  law: "11 CCR § 7021",
  acknowledge: term(10, "business_day"),
  answer: term(45, "day"),
  extended: term(90, "day"),
  starts: "receipt",
};

const CCPA_OPT_OUT: ClockRule = {
  id: "ccpa_7026",
  law: "11 CCR §§ 7026(f), 7027(g)",
  acknowledge: null,
  answer: term(15, "business_day"),
  extended: null,
  starts: "receipt",
};

/** By jurisdiction, as sources and requests name it; `opt_out` and `limit` have rules of their own in California. */
const RULES: Readonly<Record<string, { usual: ClockRule; optOut?: ClockRule }>> = {
  EU: { usual: GDPR },
  UK: { usual: UK_GDPR },
  "US-CA": { usual: CCPA, optOut: CCPA_OPT_OUT },
};

export const JURISDICTIONS: readonly string[] = Object.keys(RULES);

/**
 * The rule for a kind of request. Who does not know where a person lives keeps the strictest that we know: the GDPR's, or
 * California's for an opt-out.
 * @throws UserError for a jurisdiction without a rule
 */
export function clockRule(jurisdiction: string | null, kind: string): ClockRule {
  const isOptOut = kind === "opt_out" || kind === "limit";
  if (jurisdiction === null) return isOptOut ? CCPA_OPT_OUT : GDPR;
  const rules = Object.hasOwn(RULES, jurisdiction) ? RULES[jurisdiction] : undefined;
  if (!rules) {
    throw new UserError(`there is no clock for this jurisdiction; there are ${JURISDICTIONS.join(", ")}`, {
      key: "jurisdiction",
    });
  }
  return (isOptOut && rules.optOut) || rules.usual;
}

/** A day by whose end something has to be done. */
export interface Deadline {
  day: string;
  /** The day's last instant, ISO 8601. */
  at: string;
}

export interface Clock {
  rule: string;
  acknowledge: Deadline | null;
  answer: Deadline;
  /** Where the answer may go to, if the person is told why before `answer`. */
  extended: Deadline | null;
  /** What counts now: `extended` once the request is, else `answer`. */
  due: Deadline;
  /** When to remind of what is due: after a third, two thirds and nine tenths of the time (days 10, 20 and 27 of 30). ISO 8601. */
  warnings: string[];
}

export interface ClockInput {
  jurisdiction: string | null;
  kind: string;
  receivedAt: Date;
  /** When the person had given what was asked for to identify them; null: not yet, or nothing was asked for. */
  identifiedAt: Date | null;
  /** Whether the person was told in time that the answer takes longer. */
  isExtended: boolean;
}

/**
 * A request's clock. The day of receipt does not count, and the last day counts to its end; a weekend or a holiday at the
 * end moves nothing, so that no deadline here is later than the law's.
 * @param timeZone IANA, in which days begin
 */
export function readClock(
  { jurisdiction, kind, receivedAt, identifiedAt, isExtended }: ClockInput,
  timeZone: string,
): Clock {
  const rule = clockRule(jurisdiction, kind);
  const start = rule.starts === "identity" && identifiedAt && identifiedAt > receivedAt ? identifiedAt : receivedAt;
  const first = dayAt(start, timeZone);
  const received = dayAt(receivedAt, timeZone);
  const answer = deadline(first, rule.answer, timeZone);
  const extended = rule.extended && deadline(first, rule.extended, timeZone);
  const due = (isExtended && extended) || answer;
  const span = Date.parse(due.at) - start.getTime();
  return {
    rule: rule.id,
    acknowledge: rule.acknowledge && deadline(received, rule.acknowledge, timeZone),
    answer,
    extended,
    due,
    warnings: [1 / 3, 2 / 3, 9 / 10].map((part) => new Date(start.getTime() + Math.floor(span * part)).toISOString()),
  };
}

const ADD = { day: addDays, business_day: addBusinessDays, month: addMonths };

function deadline(from: string, { count, unit }: Term, timeZone: string): Deadline {
  const day = ADD[unit](from, count);
  return { day, at: endOfDay(day, timeZone).toISOString() };
}
