import type pg from "pg";
import { needsIdentity, type RequestState, type RequestTerms } from "../../domain/requests.ts";
import { inTransaction } from "../database.ts";
import { quoteRelation } from "../models/build.ts";
import { noteEvent } from "../requests/store.ts";

/** Requests that are carried out together at the most: each of them costs some statements, and a table is read once for all. */
const MOST = 1_000;

export interface Batch {
  batchId: string;
  requests: string[];
}

/** Takes the approved erasures into a batch, or goes on with the one that was not finished; null where nothing is left. */
export async function claimBatch(pool: pg.Pool): Promise<Batch | null> {
  return await inTransaction(pool, async (client) => {
    await client.query("select pg_advisory_xact_lock(hashtext('miette erasures'))");
    const { rows: open } = await client.query<{ id: string }>(
      "select batch_id as id from privacy.erasure_batches where finished_at is null order by started_at limit 1",
    );
    const batchId = open[0]?.id ?? (await openBatchRow(client));
    if (!batchId) return null;
    const { rows } = await client.query<{ id: string }>(
      "select request_id as id from privacy.requests where batch_id = $1 order by request_id",
      [batchId],
    );
    return { batchId, requests: rows.map(({ id }) => id) };
  });
}

async function openBatchRow(client: pg.ClientBase): Promise<string | null> {
  const { rows } = await client.query<{ id: string }>(
    `select request_id as id from privacy.requests
     where kind = 'erasure' and state = 'approved' and (not_before is null or not_before <= now())
     order by received_at, request_id limit ${MOST} for update`,
  );
  if (rows.length === 0) return null;
  const { rows: made } = await client.query<{ id: string }>(
    "insert into privacy.erasure_batches default values returning batch_id as id",
  );
  const batchId = made[0]?.id as string;
  await client.query(
    "update privacy.requests set batch_id = $1, state = 'running' where request_id = any($2::uuid[])",
    [batchId, rows.map(({ id }) => id)],
  );
  for (const { id } of rows) await noteEvent(client, id, "worker", "running", { requests: rows.length });
  return batchId;
}

/** Erasures that wait for their plan and may have one, oldest first. */
export async function listUnplanned(pool: pg.Pool): Promise<string[]> {
  const { rows } = await pool.query<{ id: string; channel: string; state: RequestState; terms: RequestTerms }>(
    `select request_id as id, channel, state, terms from privacy.requests
     where kind = 'erasure' and state in ('received', 'verified') order by received_at, request_id limit ${MOST}`,
  );
  return rows
    .filter(({ channel, state, terms }) => state === "verified" || !needsIdentity("erasure", channel, terms))
    .map(({ id }) => id);
}

/** The request and those that were carried out with it: they are looked at again at about the same time. */
export async function listCompanions(pool: pg.Pool, requestId: string): Promise<string[]> {
  const { rows } = await pool.query<{ id: string }>(
    `select other.request_id as id from privacy.requests as one join privacy.requests as other using (batch_id)
     where one.request_id = $1 and other.scope is not null order by other.request_id`,
    [requestId],
  );
  return rows.map(({ id }) => id);
}

/** Rows that a batch has changed, by relation and action. */
export async function readSwept(
  pool: pg.Pool,
  batchId: string,
): Promise<{ swept: Record<string, number>; startedAt: string; tombstonedAt: string | null }> {
  const { rows } = await pool.query<{ swept: Record<string, number>; startedAt: string; tombstonedAt: string | null }>(
    `select swept, started_at::text as "startedAt", tombstoned_at::text as "tombstonedAt"
     from privacy.erasure_batches where batch_id = $1`,
    [batchId],
  );
  return rows[0] ?? { swept: {}, startedAt: "", tombstonedAt: null };
}

export async function finishBatch(pool: pg.Pool, batchId: string): Promise<void> {
  await pool.query(
    "update privacy.erasure_batches set finished_at = coalesce(finished_at, now()) where batch_id = $1",
    [batchId],
  );
}

/**
 * VACUUM and ANALYZE of every table that the batch, or a build since its tombstone, has taken rows out of: the planner's
 * statistics keep samples of values, and dead rows stay in the files, until then.
 * @returns how many tables
 */
export async function vacuumTouched(pool: pg.Pool, batchId: string): Promise<number> {
  const { rows } = await pool.query<{ relation: string }>(
    `select distinct relation from (
       select split_part(key, ' ', 1) as relation from privacy.erasure_batches, jsonb_object_keys(swept) as key where batch_id = $1
       union all
       select r ->> 'relation' from privacy.erasure_batches as b
         join ops.builds on builds.status = 'published' and builds.finished_at >= b.tombstoned_at
         cross join lateral jsonb_array_elements(builds.result -> 'relations') as r
       where b.batch_id = $1 and (r ->> 'deleted')::bigint + (r ->> 'updated')::bigint > 0
       union all select 'privacy.requests' union all select 'vault.keys'
     ) as touched
     where to_regclass(relation) is not null order by relation`,
    [batchId],
  );
  await vacuumTables(
    pool,
    rows.map(({ relation }) => relation),
  );
  return rows.length;
}

/** VACUUM and ANALYZE of tables from which something was taken out for good. */
export async function vacuumTables(pool: pg.Pool, tables: readonly string[]): Promise<void> {
  const relations = [...tables];
  const vacuumNext = async (): Promise<void> => {
    for (let relation = relations.shift(); relation !== undefined; relation = relations.shift()) {
      // ANALYZE leaves what it knew of a table that is empty by now.
      await pool.query(
        `select pg_clear_attribute_stats(n.nspname, c.relname, a.attname, of_children)
         from pg_class as c join pg_namespace as n on n.oid = c.relnamespace
           join pg_attribute as a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped,
           (values (false), (true)) as kinds (of_children)
         where (c.oid = $1::regclass or c.oid in (select relid from pg_partition_tree($1::regclass)))
           and has_table_privilege(c.oid, 'maintain')`,
        [quoteRelation(relation)],
      );
      await pool.query(`vacuum (analyze) ${quoteRelation(relation)}`);
    }
  };
  await Promise.all([vacuumNext(), vacuumNext()]);
}
