import type pg from "pg";
import type { StreamCounts } from "../../domain/runs.ts";
import { SHARE_POSITIONS } from "./cursor.ts";
import type { Sync } from "./sync.ts";

export const NO_COUNTS: StreamCounts = {
  pages: 0,
  rowsRead: 0,
  inserted: 0,
  updated: 0,
  unchanged: 0,
  deleted: 0,
  rejected: 0,
};

/** Adds a committed page to what this process knows of the sync. */
export function addCounts(sync: Sync, stream: string, page: StreamCounts): void {
  const before = sync.counts.get(stream) ?? NO_COUNTS;
  const sum = { ...before };
  for (const name of Object.keys(sum) as (keyof StreamCounts)[]) sum[name] += page[name];
  sync.counts.set(stream, sum);
}

/** What the pages of a sync did with a stream, over all attempts. */
export async function readCounts(
  client: pg.ClientBase,
  id: string,
  source: string,
  stream: string,
): Promise<StreamCounts> {
  const { rows } = await client.query<Record<string, string>>(
    "select pages, rows_read, inserted, updated, unchanged, deleted, rejected from ops.syncs where sync_id = $1 and source = $2 and stream = $3",
    [id, source, stream],
  );
  return asCounts(rows[0] ?? {});
}

/** The same of one share of the stream. */
export async function readShareCounts(
  client: pg.ClientBase,
  id: string,
  source: string,
  stream: string,
  share: number,
): Promise<StreamCounts> {
  const { rows } = await client.query<Record<string, string>>(
    `select count(*) as pages, coalesce(sum(rows_read), 0) as rows_read, coalesce(sum(inserted), 0) as inserted,
       coalesce(sum(updated), 0) as updated, coalesce(sum(unchanged), 0) as unchanged, 0 as deleted, coalesce(sum(rejected), 0) as rejected
     from ops.pages where sync_id = $1 and source = $2 and stream = $3 and position > $4 and position <= $5`,
    [id, source, stream, share * SHARE_POSITIONS, (share + 1) * SHARE_POSITIONS],
  );
  return asCounts(rows[0] ?? {});
}

function asCounts(row: Record<string, string>): StreamCounts {
  return {
    pages: Number(row["pages"]),
    rowsRead: Number(row["rows_read"]),
    inserted: Number(row["inserted"]),
    updated: Number(row["updated"]),
    unchanged: Number(row["unchanged"]),
    deleted: Number(row["deleted"]),
    rejected: Number(row["rejected"]),
  };
}
