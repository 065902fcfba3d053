import type pg from "pg";
import type { StreamCounts } from "../domain/runs.ts";

export interface StreamStatus extends Omit<StreamCounts, "pages"> {
  source: string;
  stream: string;
  status: "running" | "done" | "failed" | "never";
  errorCode: string | null;
  lastSyncAt: string | null;
  notice: string | null;
}

/** Where each stream that ever synced stands: its newest sync. */
export async function streamStatus(pool: pg.Pool): Promise<StreamStatus[]> {
  const { rows } = await pool.query<StreamStatus>(
    `select distinct on (source, stream) source, stream, status, error_code as "errorCode",
       to_char(coalesce(finished_at, started_at) at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') as "lastSyncAt",
       rows_read::float8 as "rowsRead", inserted::float8 as inserted, updated::float8 as updated, unchanged::float8 as unchanged,
       deleted::float8 as deleted, rejected::float8 as rejected, notice
     from ops.syncs order by source, stream, started_at desc`,
  );
  return rows;
}

/** A stream whose rows are being brought under a changed schema. */
export interface Reprocessing {
  source: string;
  stream: string;
  /** Fields and match keys that land in another way since. */
  fields: string[];
  /** Of the rows that landed before, 0 to 1. */
  share: number;
}

/** What is being reprocessed, or waits for the workflow that does it. */
export async function runningReprocessings(pool: pg.Pool): Promise<Reprocessing[]> {
  const { rows } = await pool.query<Reprocessing>(
    `select source, stream, fields, least(1, coalesce(rows_read::float8 / nullif(rows_total, 0), 0)) as share
     from ops.reprocessings where finished_at is null order by source, stream`,
  );
  return rows;
}

/** Whether syncs, builds, erasures and hand-overs wait until stored tokens have their new names. */
export async function isClosedForRenaming(pool: pg.Pool): Promise<boolean> {
  const { rowCount } = await pool.query("select from privacy.epoch where moving_xid is not null");
  return rowCount === 1;
}

export interface UndeclaredField {
  source: string;
  stream: string;
  field: string;
  records: number;
}

/** Fields that arrive although no schema declares them: sealed until they are. */
export async function undeclaredFields(pool: pg.Pool): Promise<UndeclaredField[]> {
  const { rows } = await pool.query<UndeclaredField>(
    `select source, stream, field, records::float8 as records from ops.undeclared_fields order by source, stream, records desc, field`,
  );
  return rows;
}

export interface RelationCount {
  relation: string;
  rows: number;
}

/** Rows of each relation of the mart. */
export async function martCounts(pool: pg.Pool): Promise<RelationCount[]> {
  const { rows } = await pool.query<RelationCount>(
    `select 'mart.' || c.relname as relation,
       (xpath('/row/n/text()', query_to_xml(format('select count(*) as n from mart.%I', c.relname), false, true, '')))[1]::text::float8 as rows
     from pg_class c where c.relnamespace = 'mart'::regnamespace and c.relkind in ('r', 'p', 'v', 'm') order by c.relname`,
  );
  return rows;
}
