import type pg from "pg";
import type { Project } from "../../domain/project.ts";

/** Which sources have been read in full since an erasure, and which not yet. */
export interface Reread {
  reread: string[];
  waiting: string[];
}

/** A source counts once every stream of it was synced in full, with a start after the tombstone. */
export async function listReread(pool: pg.Pool, project: Project, requestId: string): Promise<Reread> {
  const streams = project.sources.flatMap(({ name, streams: each }) => each.map((stream) => [name, stream.name]));
  const { rows } = await pool.query<{ source: string; is_reread: boolean }>(
    `select each.source, bool_and(exists (
       select from ops.syncs as sync join privacy.requests as request on request.request_id = $3
         join privacy.erasure_batches as batch using (batch_id)
       where sync.source = each.source and sync.stream = each.stream and sync.kind = 'full' and sync.status = 'done'
         and sync.started_at > batch.tombstoned_at)) as is_reread
     from unnest($1::text[], $2::text[]) as each (source, stream) group by each.source order by each.source`,
    [streams.map(([source]) => source), streams.map(([, stream]) => stream), requestId],
  );
  return {
    reread: rows.filter((row) => row.is_reread).map(({ source }) => source),
    waiting: rows.filter((row) => !row.is_reread).map(({ source }) => source),
  };
}
