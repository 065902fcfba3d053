import type pg from "pg";
import type { RetainedRows, RetentionRule } from "../../domain/retention.ts";
import { inTransaction, rehearse } from "../database.ts";
import { readEpoch } from "../epoch.ts";
import { collectExpired } from "./collect.ts";
import type { Retention } from "./rules.ts";
import { countExpiredState } from "./state.ts";

/** What a run would do now, in counts: it is done in a transaction that is rolled back. */
export async function planRetention(
  pool: pg.Pool,
  retention: Retention,
  states: readonly RetentionRule[],
): Promise<RetainedRows[]> {
  return await rehearse(pool, async (client) => [
    ...(await collectExpired(client, await openRunRow(client, []), retention)),
    ...(await countExpiredState(client, states)),
  ]);
}

/**
 * Begins a run, or goes on with one that has not come to its end: writes down what it takes out, and moves the epoch, so
 * that whoever lands records decides anew, knowing that these stay out.
 * @returns the run's id
 */
export async function beginRetention(
  pool: pg.Pool,
  retention: Retention,
  rules: readonly RetentionRule[],
): Promise<string> {
  const runId = await inTransaction(pool, async (client) => {
    await client.query("select pg_advisory_xact_lock(hashtext('miette retention'))");
    await readEpoch(client);
    const { rows } = await client.query<{ id: string }>(
      "select run_id as id from privacy.retention_runs where finished_at is null order by started_at limit 1",
    );
    if (rows[0]) return rows[0].id;
    const opened = await openRunRow(client, rules);
    const found = await collectExpired(client, opened, retention);
    const passedOver = found.filter((each) => each.passedOver > 0);
    await client.query("update privacy.retention_runs set passed_over = $2 where run_id = $1", [
      opened,
      JSON.stringify(
        Object.fromEntries(passedOver.map((each) => [`${each.relation} ${each.action}`, each.passedOver])),
      ),
    ]);
    return opened;
  });
  await moveEpoch(pool, runId);
  return runId;
}

async function openRunRow(client: pg.ClientBase, rules: readonly RetentionRule[]): Promise<string> {
  const stated = rules.map(({ category, keep, from, action }) => ({ category, keep, from: from ?? "landed", action }));
  const { rows } = await client.query<{ id: string }>(
    `insert into privacy.retention_runs (rules)
     select coalesce(jsonb_agg(rule || jsonb_build_object('before', now() - (rule ->> 'keep')::interval)), '[]')
     from jsonb_array_elements($1) as rule returning run_id as id`,
    [JSON.stringify(stated)],
  );
  return rows[0]?.id as string;
}

/** Only where there is something to take out: builds and syncs under way have to decide anew. */
async function moveEpoch(pool: pg.Pool, runId: string): Promise<void> {
  await inTransaction(pool, async (client) => {
    const { rowCount } = await client.query("select from privacy.retention_records where run_id = $1 limit 1", [runId]);
    if (!rowCount) return;
    await client.query("lock table privacy.epoch in exclusive mode");
    await readEpoch(client);
    await client.query("update privacy.epoch set epoch = epoch + 1");
  });
}

export interface StoredRun {
  runId: string;
  startedAt: string;
  finishedAt: string | null;
  rules: unknown;
  /** Rows by `relation action`. */
  changed: Record<string, number>;
  passedOver: Record<string, number>;
}

const COLUMNS = `run_id as "runId", started_at::text as "startedAt", finished_at::text as "finishedAt", rules, changed,
  passed_over as "passedOver"`;

export async function readRun(pool: pg.Pool, runId: string): Promise<StoredRun> {
  const { rows } = await pool.query<StoredRun>(`select ${COLUMNS} from privacy.retention_runs where run_id = $1`, [
    runId,
  ]);
  if (!rows[0]) throw new Error("there is no such run of retention");
  return rows[0];
}

/** All runs, newest first. */
export async function listRuns(pool: pg.Pool): Promise<StoredRun[]> {
  const { rows } = await pool.query<StoredRun>(
    `select ${COLUMNS} from privacy.retention_runs order by started_at desc, run_id`,
  );
  return rows;
}

/** Adds to a run's counts, in the transaction that changed the rows. */
export async function addChanged(client: pg.ClientBase, runId: string, counts: Record<string, number>): Promise<void> {
  const some = Object.fromEntries(Object.entries(counts).filter(([, rows]) => rows > 0));
  if (Object.keys(some).length === 0) return;
  await client.query(
    `update privacy.retention_runs as r set changed = r.changed || (
       select jsonb_object_agg(key, coalesce((r.changed ->> key)::bigint, 0) + value::bigint) from jsonb_each_text($2::jsonb))
     where run_id = $1`,
    [runId, JSON.stringify(some)],
  );
}
