/** The words of people's requests about their data. Pure; safe in workflows. */
import type { RefusalReason } from "./refusals.ts";
import type { HeldRows } from "./retention.ts";

export const REQUEST_KINDS = [
  "access",
  "portability",
  "erasure",
  "correction",
  "restriction",
  "objection",
  "opt_out",
  "limit",
  "consent",
  "readmission",
] as const;
export type RequestKind = (typeof REQUEST_KINDS)[number];

export type RequestState =
  | "received"
  | "verified"
  | "planned"
  | "approved"
  | "running"
  | "completed"
  | "completed_with_exceptions"
  | "cancelled"
  | "refused"
  | "expired";

/** What a request asks beside its kind. It is kept as long as the request's row, so no value of the person's is in it. */
export interface RequestTerms {
  /** objection, opt_out, restriction: the purposes it is about; absent: all. consent: one at least. */
  purposes?: string[];
  /** Takes back what was asked or given before, of all kinds that write the consent ledger. */
  isLifted?: boolean;
  /** consent: which text the person was shown, and until when it holds (ISO 8601). */
  noticeVersion?: string;
  expiresAt?: string;
  /** correction: `source.stream.field` of the values to correct. */
  fields?: string[];
  /** Somebody else asks for the person, under a mandate that they have or say they have. */
  isByAgent?: true;
  /** Why it was refused. */
  refusal?: RefusalReason;
}

/** How somebody has shown that they are who they say. */
export const IDENTITY_PROOFS = ["signed_in", "known_contact", "document", "in_person", "challenge"] as const;
export type IdentityProof = (typeof IDENTITY_PROOFS)[number];

/** On what an agent's mandate rests: what an operator has seen or asked (CCPA § 7063, GDPR article 12(2)). The person's own answer to a challenge does as well. */
export const MANDATES = [
  "confirmed_by_person",
  "signed_permission",
  "power_of_attorney",
  "legal_representative",
] as const;
export type Mandate = (typeof MANDATES)[number];

/** Days in which an identity has to be shown: half of the shortest time to answer, so that the other half is left for it. */
export const IDENTITY_DAYS = 14;

/** Choices about the use of data bind whoever asks: the law allows no identity check before them (11 CCR § 7026(d), GDPR articles 7(3) and 21). */
const UNCHECKED: readonly RequestKind[] = ["opt_out", "limit", "objection", "consent"];

/**
 * Whether who asks has to show who they are; whoever enters a request by a command has seen to it. An agent's word is never
 * enough, whatever they ask and however it came (11 CCR § 7026(j)).
 */
export function needsIdentity(kind: RequestKind, channel: string, terms: RequestTerms): boolean {
  return terms.isByAgent === true || (channel === "api" && !UNCHECKED.includes(kind));
}

/** Rows of one relation that a request touches. */
export interface PlannedRows {
  relation: string;
  rows: number;
  /**
   * delete: the rows are the person's; strip: a fact stays without its person; cut: another's row loses an identifier;
   * follow: the next build takes the rows out.
   */
  action: "delete" | "strip" | "cut" | "follow";
}

/** What an erasure would do, in counts. */
export interface ErasurePlan {
  identifiers: number;
  people: number;
  relations: PlannedRows[];
  /** What is kept of them, sealed apart, until its time is over or it is released; absent: nothing. */
  held?: HeldRows[];
  /** Why it can't be carried out as it stands, each with the mend. */
  errors: string[];
  /** What can't be looked into, and so will stand in the receipt. */
  unscanned: string[];
}

/** Where a request stands, for people. */
export interface RequestSummary {
  requestId: string;
  kind: RequestKind;
  state: RequestState;
  channel: string;
  jurisdiction: string | null;
  receivedAt: string;
  dueAt: string | null;
  completedAt: string | null;
}
/** Which of a verification's places held what. */
export interface Finding {
  /** `table core.copy`, `statistics of raw.shop__orders`, `log worker.log`. */
  place: string;
  /** Rows, lines or events that hold something of the person. */
  count: number;
}

/** What an independent look for what is left of a person has covered and found. */
export interface Verification {
  verifiedAt: string;
  tables: number;
  rows: number;
  statistics: number;
  logs: number;
  histories: number;
  findings: Finding[];
  unscanned: string[];
}

/** What a request has come to. */
export interface RequestReport {
  state: RequestState;
  /** Number of its receipt; null where it was cancelled. */
  receipt: number | null;
}

/** What an erasure has come to. */
export interface ErasureReport extends RequestReport {
  /** Who was handed something of the person before, and has to be told by hand. */
  recipients: string[];
  /** What of the person is kept for a while, and for what. */
  held?: HeldRows[];
  plan: ErasurePlan;
}
