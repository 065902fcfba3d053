import type pg from "pg";
import { quoteName } from "../database.ts";
import { keepCampaigns, keepCredit } from "../erasure/kept-credit.ts";
import { readRawTables, type RawTable } from "../erasure/raw-tables.ts";
import { lostColumns } from "../erasure/sweep-raw.ts";
import { ROUNDS } from "../erasure/sweep-tables.ts";
import type { RetainedRows } from "../../domain/retention.ts";
import { isPastAge, momentOf, type Retention, type TableRules } from "./rules.ts";
import { notSpared } from "./spared.ts";

/**
 * Writes down, in the caller's transaction, which records a run is to take out: those past their age, and what refers to
 * them and names nobody of its own. Before they go, the credit of the orders that hang on them is kept.
 * @returns counts per table
 */
export async function collectExpired(
  client: pg.ClientBase,
  runId: string,
  retention: Retention,
): Promise<RetainedRows[]> {
  const { rules, facts } = retention;
  const tables = await readRawTables(client);
  const counts = new Map<string, RetainedRows>();
  for (const table of tables) {
    const rule = rules.get(table.relation);
    if (!rule?.retention) continue;
    const spared = await notSpared(client, table.relation, retention);
    const [relation, isLeft] = [quoteName("raw", table.name), isLeftIn(table, rule.action, facts)];
    if (rule.action === "strip") {
      // Those that landed without their person are listed too, since what refers to them follows.
      await client.query(
        `insert into privacy.stripped_records select t.record_key from ${relation} as t
         where ${isPastAge(rule)} and ${spared} and not (${isLeft}) on conflict do nothing`,
      );
    }
    const { rowCount: rows } = await client.query(
      `insert into privacy.retention_records (record_key, run_id, relation, action, is_past_age)
       select t.record_key, $1, $2, $3, true from ${relation} as t
       where ${isPastAge(rule)} and ${spared} and ${isLeft} on conflict do nothing`,
      [runId, table.relation, rule.action],
    );
    const { rows: all } = await client.query<{ count: number }>(
      `select count(*)::float8 as count from ${relation} as t
       where ${momentOf(rule.retention)} < now() - interval '${rule.retention.keep}' and ${isLeft}
         and not exists (select from privacy.retention_records as r where r.record_key = t.record_key)`,
    );
    const passedOver = all[0]?.count ?? 0;
    if ((rows ?? 0) + passedOver === 0) continue;
    counts.set(table.relation, { relation: table.relation, action: rule.action, rows: rows ?? 0, passedOver });
  }
  await collectChildren(client, runId, tables, retention, counts);
  await keepCredit(client, await ordersThatHangOn(client, runId), false);
  await keepCampaigns(client);
  return [...counts.values()];
}

/** An SQL condition: there is something to take out of row `t`. */
function isLeftIn(table: RawTable, action: TableRules["action"], facts: Retention["facts"]): string {
  if (action === "delete") return "true";
  const columns = lostColumns(table, facts.get(table.relation) ?? []);
  return `num_nonnulls(${columns.map((name) => `t.${name}`).join(", ")}) > 0`;
}

async function collectChildren(
  client: pg.ClientBase,
  runId: string,
  tables: readonly RawTable[],
  retention: Retention,
  counts: Map<string, RetainedRows>,
): Promise<void> {
  const { rules, facts } = retention;
  for (let round = 1, found = 1; found > 0 && round <= ROUNDS; round += 1) {
    found = 0;
    for (const table of tables) {
      if (table.parents.length === 0) continue;
      const spared = await notSpared(client, table.relation, retention);
      const rule = rules.get(table.relation);
      const isFact = facts.has(table.relation);
      const action = rule?.action ?? (isFact ? "strip" : "delete");
      const isUnnamed =
        isFact || table.identifiers.length === 0
          ? "true"
          : `num_nonnulls(${table.identifiers.map((name) => `t.${quoteName(name)}`).join(", ")}) = 0`;
      const isHeld = rule?.holds.map((hold) => `${momentOf(hold)} < now() - interval '${hold.keep}'`) ?? [];
      for (const parent of table.parents) {
        const { rowCount } = await client.query(
          `insert into privacy.retention_records (record_key, run_id, relation, action, is_past_age)
           select t.record_key, $1, $2, $3, false from ${quoteName("raw", table.name)} as t
           where t.${quoteName(parent)} in (
               select record_key from privacy.retention_records where run_id = $1
               union all select record_key from privacy.stripped_records)
             and ${[isUnnamed, spared, isLeftIn(table, action, facts), ...isHeld].join(" and ")}
           on conflict do nothing`,
          [runId, table.relation, action],
        );
        if (!rowCount) continue;
        found += rowCount;
        const before = counts.get(table.relation);
        counts.set(table.relation, {
          relation: table.relation,
          action,
          rows: (before?.rows ?? 0) + rowCount,
          passedOver: before?.passedOver ?? 0,
        });
      }
    }
  }
}

/**
 * A select of the orders whose credit may move when a run's records go: those that lose their person, those that are
 * credited to visits that go, and those of people who may be told apart otherwise without the records that say who is who.
 */
async function ordersThatHangOn(client: pg.ClientBase, runId: string): Promise<string> {
  await client.query("create temporary table gone (record_key uuid primary key) on commit drop");
  await client.query("insert into gone select record_key from privacy.retention_records where run_id = $1", [runId]);
  await client.query("analyze gone");
  const gone = "(select record_key from gone)";
  return `select record_key from gone
    union
    select credit.order_id from mart.fct_attribution as credit where credit.touchpoint_id in (
      select sessions.session_id from core.visitor_events as events
      join core.sessions as sessions on sessions.visitor_id = events.visitor_id
        and events.occurred_at between sessions.started_at and sessions.ended_at
      where events.event_id in ${gone})
    union
    select orders.order_id from mart.fct_orders as orders where orders.customer_id <> ops.nobody() and orders.customer_id in (
      select linked.customer_id from core.identifiers as linked where linked.linked_record_key in ${gone}
      union all
      select owners.customer_id from core.hidden_identifiers as hidden
      join core.record_owners as owners on owners.record_key = hidden.record_key
      where hidden.token in (select token from core.hidden_identifiers where record_key in ${gone})
      union all
      select who.customer_id from core.identity_conflicts as conflicts
      cross join lateral (values (conflicts.customer_id), (conflicts.other_customer_id)) as who (customer_id)
      where exists (select from core.record_owners as owners
        where owners.customer_id in (conflicts.customer_id, conflicts.other_customer_id) and owners.record_key in ${gone}))`;
}
