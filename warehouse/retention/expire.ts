import type pg from "pg";
import { columnName } from "../../domain/columns.ts";
import { inTransaction, quoteName } from "../database.ts";
import { readRawTables, type RawTable } from "../erasure/raw-tables.ts";
import { createFound, deleteFound, MINE, stripFound } from "../erasure/sweep-raw.ts";
import { readEpoch } from "../epoch.ts";
import { recordChange } from "../relation-state.ts";
import { isPastAge, type Retention, type TableRules } from "./rules.ts";
import { addChanged } from "./run.ts";
import { notSpared } from "./spared.ts";

/** Records that are taken out in one transaction. */
const BATCH = 10_000;

/**
 * Takes out what a run has written down, table by table and in batches, each a transaction of its own: cut off anywhere
 * and done again, it goes on. Versions in the histories that are past their age go too, also of records that stay.
 */
export async function expireRecords(
  pool: pg.Pool,
  runId: string,
  retention: Retention,
  progress: (rows: number) => void = () => undefined,
): Promise<void> {
  const { rules, facts } = retention;
  let total = 0;
  for (const table of await readRawTables(pool)) {
    const rule = rules.get(table.relation);
    for (let taken = BATCH; taken === BATCH; progress((total += taken))) {
      taken = await inTransaction(pool, (client) => expireBatch(client, runId, table, rule, facts));
    }
    if (!rule?.retention) continue;
    for (let taken = BATCH; taken === BATCH; progress((total += taken))) {
      taken = await inTransaction(pool, (client) => expireHistory(client, runId, table, rule, retention));
    }
  }
}

/** @returns how many of the listed records are done */
async function expireBatch(
  client: pg.ClientBase,
  runId: string,
  table: RawTable,
  rule: TableRules | undefined,
  facts: Retention["facts"],
): Promise<number> {
  await readEpoch(client);
  await client.query(
    `create temporary table batch on commit drop as
     select record_key, action, is_past_age from privacy.retention_records
     where run_id = $1 and relation = $2 order by action, record_key limit ${BATCH} for update`,
    [runId, table.relation],
  );
  let [taken, history] = [0, 0];
  for (const action of ["delete", "strip"] as const) {
    const changed = await takeListed(client, table, action, rule, facts);
    taken += changed.history + changed.rows;
    history += changed.history;
    await addChanged(client, runId, { [`${table.relation} ${action}`]: changed.rows });
  }
  await addChanged(client, runId, { [`${table.relation}__history delete`]: history });
  if (taken > 0) await recordChange(client, table.relation);
  const { rowCount } = await client.query(
    "delete from privacy.retention_records where record_key in (select record_key from batch)",
  );
  return rowCount ?? 0;
}

async function takeListed(
  client: pg.ClientBase,
  table: RawTable,
  action: TableRules["action"],
  rule: TableRules | undefined,
  facts: Retention["facts"],
): Promise<{ rows: number; history: number }> {
  await createFound(client);
  // A record that its source has made younger since it was listed stays.
  await client.query(
    `insert into found select t.record_key, false, null from ${quoteName("raw", table.name)} as t join batch on batch.record_key = t.record_key
     where batch.action = $1 and (not batch.is_past_age or (${rule ? isPastAge(rule) : "false"})) for update of t`,
    [action],
  );
  if (action === "delete") await rememberUndated(client, table, rule);
  const changed =
    action === "delete"
      ? await deleteFound(client, table)
      : await stripFound(client, table, facts.get(table.relation) ?? []);
  const { rowCount } = await client.query(
    `delete from ${quoteName("raw", `${table.name}__history`)} as t where ${MINE}`,
  );
  await client.query("drop table found");
  return { rows: changed.reduce((sum, { rows }) => sum + rows, 0), history: rowCount ?? 0 };
}

/** Records whose age no field of theirs tells: a loader knows them by their key and content. */
async function rememberUndated(client: pg.ClientBase, table: RawTable, rule: TableRules | undefined): Promise<void> {
  const from = rule?.retention?.from ?? null;
  const isUndated = from === null ? "true" : `(not batch.is_past_age or t.${quoteName(columnName(from))} is null)`;
  await client.query(
    `insert into privacy.expired_records (record_key, content_hash, version)
     select t.record_key, t.content_hash, t.version from ${quoteName("raw", table.name)} as t
     join found on found.record_key = t.record_key join batch on batch.record_key = t.record_key where ${isUndated}
     on conflict (record_key) do update set content_hash = excluded.content_hash, version = excluded.version`,
  );
}

async function expireHistory(
  client: pg.ClientBase,
  runId: string,
  table: RawTable,
  rule: TableRules,
  retention: Retention,
): Promise<number> {
  await readEpoch(client);
  const relation = quoteName("raw", `${table.name}__history`);
  const { rowCount } = await client.query(
    `delete from ${relation} where ctid = any(array(
       select t.ctid from ${relation} as t where ${isPastAge(rule)} and ${await notSpared(client, table.relation, retention)} limit ${BATCH} for update))`,
  );
  await addChanged(client, runId, { [`${table.relation}__history delete`]: rowCount ?? 0 });
  return rowCount ?? 0;
}
