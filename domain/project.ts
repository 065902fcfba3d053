import type { Place } from "./errors.ts";
import type { HoldRule, RetentionRule } from "./retention.ts";
import type { Json, Stream } from "./streams.ts";
import type { SurvivorshipRule } from "./survivorship.ts";

/** A project as `miette.yaml` and its schemas declare it, after validation. */
export interface Project {
  name: string;
  /** Absolute path of the project's folder. */
  directory: string;
  /** ISO 4217 code of the reporting currency. */
  currency: string;
  /** IANA time zone in which a day begins. */
  timeZone: string;
  /** ISO 3166-1 alpha-2, for phone numbers without a country code; null where none is given. */
  defaultCountry: string | null;
  /** The first age in years at which a person is no minor to the project. */
  ageOfConsent: number;
  sources: SourceDeclaration[];
  identity: IdentityRules;
  /** One rule per attribute of a customer that several records may give. */
  survivorship: SurvivorshipRule[];
  goals: Goal[];
  freshness: FreshnessRule[];
  notify: Notify;
  destinations: DestinationDeclaration[];
  /** How long records are kept. */
  retention: RetentionRule[];
  /** What laws ask to be kept. */
  holds: HoldRule[];
}

export interface SourceDeclaration {
  name: string;
  connector: string;
  /** The source's config with `${ENV}` filled in: may hold secrets, so it never enters a workflow or a log. */
  config: Json;
  /** ISO 3166-1 alpha-2, for the source's phone numbers without a country code; null: the project's. */
  defaultCountry: string | null;
  schedule: Schedule | null;
  streams: Stream[];
}

export type Schedule = { every: string } | { cron: string };

export interface IdentityRules {
  /** Strongest first. */
  identifiers: IdentifierRule[];
}

export interface IdentifierRule {
  kind: string;
  /** How many identifiers of this kind one person may have; null: any number. */
  limit: number | null;
  /** How many identifiers of this kind, first seen within any span of so many days, one person may have; null: any number. */
  window: { limit: number; days: number } | null;
  /** Values (with `*` as a wildcard) that point at nobody: compared with the normalised value before it is sealed. */
  blocked: string[];
  /** An identifier linked to more than this many identifiers of the strongest kind in its links is shared; null: never. */
  sharedAbove: number | null;
}

/** What the business wants to reach, by when. */
export interface Goal {
  name: string;
  /** One select over the mart that returns one number. */
  measure: string;
  /** What the measure may read columns of special categories for; absent: it may not. */
  purpose?: string;
  target: number;
  /** Whether the number is to reach the target or to stay within it. */
  direction: "at_least" | "at_most";
  /** The day by which to reach it: `2027-03-31`. */
  by: string;
  /** From which day and number on to reckon the pace; null: from the first that was measured. */
  start: { date: string; value: number } | null;
  /** Where the measure stands. */
  place: Place;
}

/** How long a stream may bring nothing new: the time since a record of it was inserted, updated or deleted. */
export interface FreshnessRule {
  source: string;
  stream: string;
  /** Seconds; null: no such limit. */
  warnAfter: number | null;
  errorAfter: number | null;
}

/** Who may get audiences. Its config may hold secrets, so it never enters a workflow or a log. */
export interface DestinationDeclaration {
  name: string;
  connector: string;
  config: Json;
  /** What goes with a person's pseudonym: the destination's name for it, and the kind of identifier that it is. */
  fields: Record<string, string>;
  /** What the law calls the handing over besides: `sale`, `sharing`. Who has opted out of one of these is left out. */
  countsAs: string[];
}

/** Where news that needs a person goes. Holds secrets, so it never enters a workflow or a log. */
export interface Notify {
  webhook: WebhookChannel | null;
  smtp: SmtpChannel | null;
}

export interface WebhookChannel {
  url: string;
  /** `whsec_` and base64, by which messages are signed; null: unsigned. */
  secret: string | null;
}

export interface SmtpChannel {
  host: string;
  port: number;
  /** starttls: upgraded before anything is sent, or not sent; implicit: TLS from the first byte; none: on loopback only. */
  tls: "starttls" | "implicit" | "none";
  /** Null: without logging in. */
  user: string | null;
  password: string | null;
  from: string;
  to: string[];
}
