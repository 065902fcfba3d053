import type pg from "pg";
import type { RetainedRows, RetentionReport } from "../../domain/retention.ts";
import { recordAudit } from "../audit.ts";
import { inTransaction } from "../database.ts";
import { vacuumTables } from "../erasure/batch.ts";
import { backupResidue } from "../erasure/complete.ts";
import { issueReceiptOnce } from "../receipts.ts";
import type { Vault } from "../vault.ts";
import { readRun } from "./run.ts";

/** VACUUM and ANALYZE of every table that a run, or a build since its beginning, has taken rows out of. */
export async function vacuumRun(pool: pg.Pool, runId: string): Promise<void> {
  const { rows } = await pool.query<{ relation: string }>(
    `select distinct relation from (
       select split_part(key, ' ', 1) as relation from privacy.retention_runs, jsonb_object_keys(changed) as key where run_id = $1
       union all
       select r ->> 'relation' from privacy.retention_runs as run
         join ops.builds on builds.status = 'published' and builds.finished_at >= run.started_at
         cross join lateral jsonb_array_elements(builds.result -> 'relations') as r
       where run.run_id = $1 and (r ->> 'deleted')::bigint + (r ->> 'updated')::bigint > 0
     ) as touched
     where to_regclass(relation) is not null order by relation`,
    [runId],
  );
  await vacuumTables(
    pool,
    rows.map(({ relation }) => relation),
  );
}

/** Ends a run with its receipt, if anything was taken out. Done again, it gives the one that was issued. */
export async function completeRetention(
  pool: pg.Pool,
  vault: Vault,
  { runId, actor }: { runId: string; actor: string },
): Promise<RetentionReport> {
  const run = await readRun(pool, runId);
  const receipt =
    Object.keys(run.changed).length > 0
      ? await issueReceiptOnce(pool, vault, { runId }, "retention", async () => ({
          kind: "retention",
          outcome: "completed",
          started_at: run.startedAt,
          rules: run.rules,
          changed: run.changed,
          // Of people whose data are restricted, or held.
          passed_over: run.passedOver,
          backup_residue_until: await backupResidue(pool),
        }))
      : null;
  await inTransaction(pool, async (client) => {
    const { rowCount } = await client.query(
      "update privacy.retention_runs set finished_at = now() where run_id = $1 and finished_at is null",
      [runId],
    );
    if (rowCount) await recordAudit(client, { actor, action: "retention.run", detail: { run: runId, receipt } });
  });
  return { runId, relations: relationsOf(run), receipt };
}

function relationsOf({ changed, passedOver }: { changed: Record<string, number>; passedOver: Record<string, number> }) {
  const keys = [...new Set([...Object.keys(changed), ...Object.keys(passedOver)])].toSorted();
  return keys.map((key): RetainedRows => {
    const [relation, action] = key.split(" ") as [string, RetainedRows["action"]];
    return { relation, action, rows: changed[key] ?? 0, passedOver: passedOver[key] ?? 0 };
  });
}
