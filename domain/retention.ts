import type { Place } from "./errors.ts";

/** The words of how long records are kept. Pure; safe in workflows. */

/** What is kept of the project's own running, and ages too. */
export const STATE_CATEGORIES = ["quarantine", "archives", "recipients"] as const;
export type StateCategory = (typeof STATE_CATEGORIES)[number];

/** How old a record may become (GDPR article 5(1)(e)). */
export interface RetentionRule {
  /** `web.events` for a stream, `events` for every stream that becomes this contract, or a {@link StateCategory}. */
  category: string;
  /** `25 months`; a month is the calendar's. */
  keep: string;
  /** The field that the age is counted from; null: the moment at which the record landed as it is now. */
  from: string | null;
  /** delete: gone with all its versions; strip: the fact stays without its person; null: as an erasure would do. */
  action: "delete" | "strip" | null;
  place: Place;
}

/** What a law asks to be kept, whoever asks for its erasure (GDPR article 17(3)). */
export interface HoldRule {
  /** A stream or a contract, as above. */
  category: string;
  /** What it is kept for, as in `tax`. */
  purpose: string;
  keep: string;
  from: string | null;
  /** The law that asks for it, in words. */
  law: string;
  place: Place;
}

/** Rows of one relation that a run changes, or passes over. */
export interface RetainedRows {
  relation: string;
  action: "delete" | "strip";
  rows: number;
  /** Those past their age that are left alone: of people who are restricted, or held by a rule or by hand. */
  passedOver: number;
}

/** What a run of retention has come to. */
export interface RetentionReport {
  runId: string;
  relations: RetainedRows[];
  /** Number of its receipt; null where nothing was taken out. */
  receipt: number | null;
}

/** What of an erased person's records is kept, and for what. */
export interface HeldRows {
  relation: string;
  purpose: string;
  law: string;
  /** When the last of them is released by itself, as Postgres writes it; null: by hand alone. */
  until: string | null;
  rows: number;
}
