import type pg from "pg";
import type { StreamReport } from "../../domain/runs.ts";
import { columnName } from "../../domain/columns.ts";
import { quoteName } from "../database.ts";
import { lockEpoch, readEpoch } from "../epoch.ts";
import { CodedError } from "../../domain/errors.ts";
import { recordChange } from "../relation-state.ts";
import { inAttempt } from "./attempt.ts";
import type { StreamPlan } from "./plan.ts";
import { NO_COUNTS } from "./counts.ts";
import type { Sync } from "./sync.ts";

/** A snapshot that saw less than this share of what is live deletes nothing: a broken export is likelier than a purge. */
const LEAST_SHARE = 0.5;

/** Ends a sync: of a snapshot, what was not seen is marked deleted; the cursor of a window goes. */
export async function finishSync(pool: pg.Pool, sync: Sync): Promise<StreamReport[]> {
  const reports: StreamReport[] = [];
  for (const plan of sync.plans.values()) {
    const stream = plan.stream.name;
    const counts = sync.counts.get(stream) ?? NO_COUNTS;
    const { deleted, notice } = await inAttempt(pool, sync, async (client) => {
      const epoch = await readEpoch(client);
      const { rows } = await client.query(
        "select status from ops.syncs where sync_id = $1 and source = $2 and stream = $3 for update",
        [sync.id, sync.source, stream],
      );
      const isDone = rows[0]?.status === "done";
      const result =
        plan.stream.mode === "snapshot" && !isDone
          ? await deleteMissing(client, sync, plan)
          : { deleted: 0, notice: null };
      await client.query("delete from ops.snapshot_keys where sync_id = $1 and source = $2 and stream = $3", [
        sync.id,
        sync.source,
        stream,
      ]);
      await client.query(
        `update ops.syncs set status = 'done', finished_at = coalesce(finished_at, now()), deleted = deleted + $4, notice = coalesce(notice, $5)
         where sync_id = $1 and source = $2 and stream = $3`,
        [sync.id, sync.source, stream, result.deleted, result.notice],
      );
      if ((await lockEpoch(client)) !== epoch)
        throw new CodedError("epoch_conflict", "an erasure began while the sync was ending", { retryable: true });
      return result;
    });
    reports.push({ ...counts, deleted: counts.deleted + deleted, stream, notice });
  }
  if (sync.window)
    await pool.query("delete from ops.cursors where source = $1 and stream = $2", [sync.source, sync.cursorName]);
  return reports;
}

async function deleteMissing(
  client: pg.ClientBase,
  sync: Sync,
  plan: StreamPlan,
): Promise<{ deleted: number; notice: string | null }> {
  const table = quoteName("raw", plan.table);
  const parameters: unknown[] = [sync.id, sync.source, plan.stream.name];
  let inWindow = "true";
  if (sync.window && plan.stream.window !== null) {
    const column = `raw.${quoteName(columnName(plan.stream.window))}`;
    parameters.push(sync.window.from ?? null, sync.window.to ?? null);
    inWindow = `${column} >= coalesce($4::timestamptz, '-infinity') and ${column} < coalesce($5::timestamptz, 'infinity')`;
  }
  const { rows } = await client.query<{ live: string; missing: string }>(
    `select count(*) as live, count(*) filter (where seen.record_key is null) as missing
     from ${table} as raw left join ops.snapshot_keys as seen
       on seen.sync_id = $1 and seen.source = $2 and seen.stream = $3 and seen.record_key = raw.record_key
     where raw.deleted_at is null and ${inWindow}`,
    parameters,
  );
  const [live, missing] = [Number(rows[0]?.live), Number(rows[0]?.missing)];
  if (missing === 0) return { deleted: 0, notice: null };
  if ((sync.kind !== "full" && live - missing < live * LEAST_SHARE) || live === missing) {
    return {
      deleted: 0,
      notice: `the snapshot holds ${live - missing} of ${live} records, so nothing was deleted; if the rest is really gone, run miette sync ${sync.source}.${plan.stream.name} --full`,
    };
  }
  const { rowCount } = await client.query(
    `update ${table} as raw set deleted_at = now(), landed_xid = pg_current_xact_id()
     where raw.deleted_at is null and ${inWindow} and not exists (
       select from ops.snapshot_keys as seen
       where seen.sync_id = $1 and seen.source = $2 and seen.stream = $3 and seen.record_key = raw.record_key)`,
    parameters,
  );
  await recordChange(client, `raw.${plan.table}`);
  return { deleted: rowCount ?? 0, notice: null };
}
