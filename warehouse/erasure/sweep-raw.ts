import type pg from "pg";
import { quoteName } from "../database.ts";
import { recordChange } from "../relation-state.ts";
import type { RawTable } from "./raw-tables.ts";

/** Rows that were changed of a raw table. */
export interface SweptRows {
  deleted: number;
  stripped: number;
  cut: number;
  history: number;
}

/** Whom a batch erases; tokens and ids of people, never their values. */
export interface Erased {
  tokens: readonly string[];
  customers: readonly string[];
}

/** Makes the tables `erased_tokens` and `erased_people`, until the transaction ends. */
export async function holdErased(client: pg.ClientBase, { tokens, customers }: Erased): Promise<void> {
  await client.query(
    `create temporary table erased_tokens (token text primary key) on commit drop;
     create temporary table erased_people (customer_id uuid primary key) on commit drop`,
  );
  await client.query("insert into erased_tokens select distinct unnest($1::text[])", [tokens]);
  await client.query("insert into erased_people select distinct unnest($1::uuid[])", [customers]);
  await client.query("analyze erased_tokens, erased_people");
}

/**
 * Takes a batch's people out of a raw table and its history, in the caller's transaction and in one pass for all of them.
 * Records are theirs by identity resolution, by a token of theirs where it has not been asked yet, or by the record they
 * refer to. Records of other people lose the tokens alone.
 * @param dropped null where records are deleted; else they stay without their person, and lose these open columns too
 */
export async function sweepRaw(
  client: pg.ClientBase,
  table: RawTable,
  dropped: readonly string[] | null,
): Promise<SweptRows> {
  // Parents are told by what was taken out of them before.
  const parents =
    "select record_key from privacy.stripped_records union all select record_key from ops.removed_records";
  await findRows(client, table, dropped !== null, parents);
  const swept = { deleted: 0, stripped: 0, cut: 0, history: 0 };
  const relation = quoteName("raw", table.name);
  const isMine = "t.record_key in (select record_key from found where not is_anothers)";
  if (dropped === null) {
    const { rowCount } = await client.query(
      `with gone as (delete from ${relation} as t where ${isMine} returning t.record_key)
       insert into ops.removed_records (relation, record_key) select $1, record_key from gone
       on conflict (relation, record_key) do update set removed_xid = pg_current_xact_id()`,
      [table.relation],
    );
    swept.deleted = rowCount ?? 0;
  } else {
    await client.query(
      "insert into privacy.stripped_records select record_key from found where not is_anothers on conflict do nothing",
    );
    const lost = [...new Set([...table.personal, ...dropped])].map((name) => quoteName(name));
    const columns = [...lost, "sealed", "owner_token"];
    const { rowCount } = await client.query(
      `update ${relation} as t set ${columns.map((name) => `${name} = null`).join(", ")}, landed_xid = pg_current_xact_id()
       where ${isMine} and num_nonnulls(${columns.map((name) => `t.${name}`).join(", ")}) > 0`,
    );
    swept.stripped = rowCount ?? 0;
  }
  swept.cut = await cutOthers(client, table);
  const { rowCount } = await client.query(
    `delete from ${quoteName("raw", `${table.name}__history`)} as t where ${isMine} or ${carries(table)}`,
  );
  swept.history = rowCount ?? 0;
  await client.query("drop table found");
  if (swept.deleted + swept.stripped + swept.cut > 0) await recordChange(client, table.relation);
  return swept;
}

/**
 * Makes the table `found`: keys of a raw table's rows that are the people's of `erased_people` and `erased_tokens`, or
 * carry an identifier of theirs while another person owns them.
 * @param isKept whether the table's records are facts that outlive their person, which follow the record they refer to
 * @param parents a select of the keys of records that were found to be theirs in other tables
 */
export async function findRows(
  client: pg.ClientBase,
  table: RawTable,
  isKept: boolean,
  parents: string,
): Promise<void> {
  const relation = quoteName("raw", table.name);
  const { rows } = await client.query<{ has: boolean }>("select to_regclass('core.record_owners') is not null as has");
  const hasOwners = rows[0]?.has ?? false;
  const nobodyElse = "case when t.owner_token in (select token from erased_tokens) then false else";
  await client.query(
    `create temporary table found (record_key uuid primary key, is_anothers boolean not null) on commit drop`,
  );
  await client.query(
    `insert into found
     with carrying as materialized (select t.record_key, t.owner_token from ${relation} as t where ${carries(table)})
     select t.record_key, ${
       hasOwners
         ? `${nobodyElse} o.customer_id is not null and not exists (select from erased_people as p where p.customer_id = o.customer_id) end
            from carrying as t left join core.record_owners as o on o.record_key = t.record_key`
         : "false from carrying as t"
     }`,
  );
  if (hasOwners) {
    await client.query(
      `insert into found select t.record_key, false from core.record_owners as o join ${relation} as t on t.record_key = o.record_key
       where o.customer_id in (select customer_id from erased_people) on conflict do nothing`,
    );
  }
  // What somebody else wrote about the record of an erased person is theirs.
  const isUnnamed =
    isKept || table.identifiers.length === 0
      ? "true"
      : `num_nonnulls(${table.identifiers.map((name) => `t.${quoteName(name)}`).join(", ")}) = 0`;
  for (const column of table.parents) {
    await client.query(
      `insert into found select t.record_key, false from ${relation} as t
       where ${isUnnamed} and t.${quoteName(column)} in (${parents})
       on conflict do nothing`,
    );
  }
}

/** An SQL condition: a row `t` of the table carries an identifier of theirs. */
export function carries(table: RawTable): string {
  const columns = [...table.identifiers.map((name) => quoteName(name)), "owner_token"];
  return `(${columns.map((name) => `t.${name} in (select token from erased_tokens)`).join(" or ")})`;
}

/** Records of living people: they lose the erased identifiers, and their own are remembered, since they will be delivered again. */
async function cutOthers(client: pg.ClientBase, table: RawTable): Promise<number> {
  if (table.identifiers.length === 0) return 0;
  const relation = quoteName("raw", table.name);
  const names = table.identifiers.map((name) => quoteName(name));
  await client.query(
    `insert into privacy.bystanders
     select distinct token from ${relation} as t
       cross join lateral (values ${names.map((name) => `(t.${name}::text)`).join(", ")}) as own (token)
     where t.record_key in (select record_key from found where is_anothers) and token is not null
       and token not in (select token from erased_tokens)
     on conflict do nothing`,
  );
  const set = names.map(
    (name) => `${name} = case when ${name} in (select token from erased_tokens) then null else ${name} end`,
  );
  const { rowCount } = await client.query(
    `update ${relation} as t set ${set.join(", ")}, landed_xid = pg_current_xact_id()
     where t.record_key in (select record_key from found where is_anothers)`,
  );
  return rowCount ?? 0;
}
