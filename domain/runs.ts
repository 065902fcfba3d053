/** What workflows and activities take and return: ids, names and counts, never a record. */

import type { FieldSchema, PersonalKind } from "./streams.ts";

export interface SyncSourceInput {
  source: string;
  /** Names of streams; absent: all. */
  streams?: string[];
  /** Read everything again, from the start. */
  full?: boolean;
  /** Backfill only [from, to), ISO 8601, by each stream's window field. */
  window?: { from?: string; to?: string };
  /** Build the models afterwards: what a schedule wants. */
  thenBuild?: boolean;
}

/** What a sync did with a stream's records. */
export interface StreamCounts {
  pages: number;
  rowsRead: number;
  inserted: number;
  updated: number;
  unchanged: number;
  deleted: number;
  rejected: number;
}

export interface StreamReport extends StreamCounts {
  stream: string;
  /** A sentence for the operator, or null. */
  notice: string | null;
}

export interface SyncReport {
  source: string;
  streams: StreamReport[];
}

/** What is synced by itself: one stream (or a span of it), or all streams of a source that share a cursor. */
export interface SyncUnit {
  name: string;
  syncId: string;
  streams: string[];
  window: { from?: string; to?: string } | null;
  /** In how many shares it is read at the same time, each with a cursor of its own; 0: as one. */
  shares: number;
}

export interface SyncUnitInput {
  source: string;
  syncId: string;
  streams: string[];
  kind: "incremental" | "full" | "window";
  window: { from?: string; to?: string } | null;
  /** Which share of the unit, from 0; absent: all of it. */
  share?: number;
}

/** How far a stream, or one part of it, has come: signalled by the activity, shown by the workflow. */
export interface SyncProgress {
  stream: string;
  /** Tells apart what is read of the stream at the same time. */
  part: string;
  page: number;
  rows: number;
  rejected: number;
}

export interface BuildInput {
  /** dbt's selection: `fct_orders`, `+mart.fct_orders`, `core.orders+`. Absent: all. */
  select?: string[];
  /** Compute every model, also those without work. */
  full?: boolean;
}

export interface CheckReport {
  name: string;
  file: string;
  severity: "error" | "warn";
  /** Rows that break it. */
  rows: number;
}

/** What one activity computes, and the steps that come before it. */
export interface BuildStep {
  name: string;
  after: string[];
}

export interface ModelReport {
  relation: string;
  /** Null for a view, which has no rows of its own. */
  rows: number | null;
  milliseconds: number;
}

export interface BuildReport {
  models: ModelReport[];
  /** Rows that the publish really wrote. */
  inserted: number;
  updated: number;
  deleted: number;
  checks: CheckReport[];
}

export interface RunReport {
  syncs: SyncReport[];
  failed: { source: string; code: string; reason: string }[];
  build: BuildReport | null;
}

export interface KeyRotationReport {
  /** The generation that wraps now. */
  generation: number;
  destroyed: number[];
  /** Keys that were opened under it. */
  keys: number;
}

/** What tokens are named by since their key was changed. */
export interface TokenRekeying {
  /** Identifiers of the vault, each opened and compared with its new name. */
  identifiers: number;
  /** Identifiers that are noted somewhere and have not landed: they get their new names as they arrive. */
  unknown: number;
}

export interface AcceptFieldInput {
  source: string;
  stream: string;
  field: string;
  /** How it is to land; absent: as its name and its values propose. */
  as?: PersonalKind | "open";
  /** Who asks, for the audit. */
  actor: string;
}

export interface AcceptedField {
  schema: FieldSchema;
  /** False where the schema had declared it already. */
  isNew: boolean;
  /** The schema's path. */
  file: string;
}

export interface ReprocessReport {
  rowsRead: number;
  rowsChanged: number;
  /** Values that break the schema which was declared for them: they stay sealed. */
  valuesRefused: number;
}

export type AcceptFieldReport = AcceptedField & ReprocessReport;

/** What other identity rules would do, before they do it. Amounts are in the reporting currency. */
export interface IdentityPlan {
  peopleBefore: number;
  peopleAfter: number;
  /** People who would become part of somebody else. */
  merges: number;
  /** People who would come apart from somebody, or come back. */
  splits: number;
  conflictsBefore: number;
  conflictsAfter: number;
  /** Shared and blocked identifiers. */
  hiddenBefore: number;
  hiddenAfter: number;
  recordsMoved: number;
  ordersMoved: number;
  /** Decimal text. */
  revenueMoved: string;
  currency: string;
  /** The greatest moves of revenue from one customer (null: nobody) to another, who is new where not known. */
  moves: { from: string | null; to: string | null; isKnown: boolean; orders: number; revenue: string }[];
}

/** What somebody decided of a change of the identity rules. */
export interface RulesDecision {
  isApproved: boolean;
  actor: string;
}

export interface IdentityApplication {
  planId: string;
  isApproved: boolean;
}
