import pg from "pg";
import type { PlannedRows } from "../../domain/requests.ts";
import { quoteName } from "../database.ts";
import { recordChange } from "../relation-state.ts";
import type { RawTable } from "./raw-tables.ts";

/** Rows of one relation that were changed. */
export interface SweptRows extends PlannedRows {
  /** Whose they are, by the place in the list that {@link holdErased} was given; null: of nobody in it. */
  request: number | null;
}

/** Whom a request erases; tokens and ids of people, never their values. */
export interface Erased {
  tokens: readonly string[];
  customers: readonly string[];
}

/**
 * Makes the tables `erased_tokens`, `erased_people` and, empty, `erased_records`, until the transaction ends. What stands
 * in several requests is the first one's.
 */
export async function holdErased(client: pg.ClientBase, requests: readonly Erased[]): Promise<void> {
  await client.query(
    `create temporary table erased_tokens (token text primary key, request integer not null) on commit drop;
     create temporary table erased_people (customer_id uuid primary key, request integer not null) on commit drop;
     create temporary table erased_records (record_key uuid primary key, request integer) on commit drop`,
  );
  const insert = (table: string, type: string, values: readonly (readonly string[])[]): Promise<unknown> =>
    client.query(`insert into ${table} select * from unnest($1::${type}[], $2::integer[]) on conflict do nothing`, [
      values.flat(),
      values.flatMap((each, request) => each.map(() => request)),
    ]);
  await insert(
    "erased_tokens",
    "text",
    requests.map(({ tokens }) => tokens),
  );
  await insert(
    "erased_people",
    "uuid",
    requests.map(({ customers }) => customers),
  );
  await client.query("analyze erased_tokens, erased_people");
}

/**
 * Takes people out of a raw table and its history, in the caller's transaction and in one pass for all of them.
 * Records are theirs by identity resolution, by a token of theirs where it has not been asked yet, or by the record they
 * refer to. Records of other people lose the tokens alone.
 * @param dropped null where records are deleted; else they stay without their person, and lose these open columns too
 * @param isAnothers SQL: whether a row `t` with an identifier of theirs is somebody else's, where identity has not been asked
 * @param beforeTaking called once the rows are known, in `found`
 */
export async function sweepRaw(
  client: pg.ClientBase,
  table: RawTable,
  dropped: readonly string[] | null,
  isAnothers = "false",
  beforeTaking?: () => Promise<void>,
): Promise<SweptRows[]> {
  // Parents are told by what was taken out of them before.
  const parents =
    "select record_key from privacy.stripped_records union all select record_key from ops.removed_records";
  await findRows(client, table, dropped !== null, parents, isAnothers);
  await beforeTaking?.();
  const swept = dropped === null ? await deleteFound(client, table) : await stripFound(client, table, dropped);
  swept.push(...(await cutOthers(client, table)));
  if (swept.length > 0) await recordChange(client, table.relation);
  swept.push(...(await deleteHistory(client, table)));
  await client.query("insert into erased_records select record_key, request from found on conflict do nothing");
  await client.query("drop table found");
  return swept;
}

/** Makes the table `found`, empty, until the transaction ends: keys of a raw table's rows, and whose they are. */
export async function createFound(client: pg.ClientBase): Promise<void> {
  await client.query(
    "create temporary table found (record_key uuid primary key, is_anothers boolean not null, request integer) on commit drop",
  );
}

/** An SQL condition: row `t` is one of `found`. */
export const MINE = "t.record_key in (select record_key from found where not is_anothers)";

/** Deletes the rows of `found` from their raw table. */
export async function deleteFound(client: pg.ClientBase, { relation, name }: RawTable): Promise<SweptRows[]> {
  return await countFound(
    client,
    relation,
    "delete",
    `delete from ${quoteName("raw", name)} as t where ${MINE} returning t.record_key`,
    `insert into ops.removed_records (relation, record_key) select ${pg.escapeLiteral(relation)}, record_key from changed
     on conflict (relation, record_key) do update set removed_xid = pg_current_xact_id()`,
  );
}

/** Takes their person out of the rows of `found`. @param dropped open columns that go too */
export async function stripFound(
  client: pg.ClientBase,
  table: RawTable,
  dropped: readonly string[],
): Promise<SweptRows[]> {
  await client.query(
    "insert into privacy.stripped_records select record_key from found where not is_anothers on conflict do nothing",
  );
  const { relation, name } = table;
  const columns = lostColumns(table, dropped);
  return await countFound(
    client,
    relation,
    "strip",
    `update ${quoteName("raw", name)} as t
     set ${columns.map((column) => `${column} = null`).join(", ")}, landed_xid = pg_current_xact_id()
     where ${MINE} and num_nonnulls(${columns.map((column) => `t.${column}`).join(", ")}) > 0 returning t.record_key`,
  );
}

/** What a record loses with its person, quoted for SQL. */
export function lostColumns({ personal }: RawTable, dropped: readonly string[]): string[] {
  return [...[...new Set([...personal, ...dropped])].map((name) => quoteName(name)), "sealed", "owner_token"];
}

/** Runs a change that returns the keys of rows of `found`. @returns the rows by whose they are */
async function countFound(
  client: pg.ClientBase,
  relation: string,
  action: SweptRows["action"],
  change: string,
  further?: string,
): Promise<SweptRows[]> {
  const { rows } = await client.query<Pick<SweptRows, "request" | "rows">>(
    `with changed as (${change})${further ? `, further as (${further})` : ""}
     select found.request, count(*)::float8 as rows from changed join found using (record_key) group by found.request`,
  );
  return rows.map((row) => ({ relation, action, ...row }));
}

async function deleteHistory(client: pg.ClientBase, table: RawTable): Promise<SweptRows[]> {
  const relation = `${table.relation}__history`;
  const { rows } = await client.query<Pick<SweptRows, "request" | "rows">>(
    `with gone as (
       delete from ${quoteName("raw", `${table.name}__history`)} as t where ${MINE} or ${carries(table)}
       returning t.record_key, ${requestOf(table)} as request)
     select coalesce(gone.request, found.request) as request, count(*)::float8 as rows
     from gone left join found using (record_key) group by 1`,
  );
  return rows.map((row) => ({ relation, action: "delete", ...row }));
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
  isAnothers = "false",
): Promise<void> {
  const relation = quoteName("raw", table.name);
  const { rows } = await client.query<{ has: boolean }>("select to_regclass('core.record_owners') is not null as has");
  const hasOwners = rows[0]?.has ?? false;
  const nobodyElse = "case when t.owner_token in (select token from erased_tokens) then false else";
  await createFound(client);
  await client.query(
    `insert into found
     with carrying as materialized (
       select t.record_key, t.owner_token, ${requestOf(table)} as request from ${relation} as t where ${carries(table)})
     ${
       hasOwners
         ? `select t.record_key, ${nobodyElse} o.customer_id is not null and p.customer_id is null end, coalesce(p.request, t.request)
            from carrying as t left join core.record_owners as o on o.record_key = t.record_key
              left join erased_people as p on p.customer_id = o.customer_id`
         : `select t.record_key, ${isAnothers}, t.request from carrying as t`
     }`,
  );
  if (hasOwners) {
    await client.query(
      `insert into found select t.record_key, false, p.request from erased_people as p
         join core.record_owners as o on o.customer_id = p.customer_id join ${relation} as t on t.record_key = o.record_key
       on conflict do nothing`,
    );
  }
  // What somebody else wrote about the record of an erased person is theirs.
  const isUnnamed =
    isKept || table.identifiers.length === 0
      ? "true"
      : `num_nonnulls(${table.identifiers.map((name) => `t.${quoteName(name)}`).join(", ")}) = 0`;
  for (const column of table.parents) {
    await client.query(
      `insert into found
       select t.record_key, false, (select request from erased_records as e where e.record_key = t.${quoteName(column)})
       from ${relation} as t where ${isUnnamed} and t.${quoteName(column)} in (${parents})
       on conflict do nothing`,
    );
  }
}

/** An SQL condition: a row `t` of the table carries an identifier of theirs. */
export function carries(table: RawTable): string {
  return `(${tokensOf(table)
    .map((column) => `${column} in (select token from erased_tokens)`)
    .join(" or ")})`;
}

/** An SQL expression: of which request the first identifier is that a row `t` of the table carries. */
function requestOf(table: RawTable): string {
  const each = tokensOf(table).map((column) => `(select request from erased_tokens where token = ${column})`);
  return `coalesce(${each.join(", ")})`;
}

function tokensOf({ identifiers }: RawTable): string[] {
  return [...identifiers.map((name) => `t.${quoteName(name)}`), "t.owner_token"];
}

/** Records of living people: they lose the erased identifiers, and their own are remembered, since they will be delivered again. */
async function cutOthers(client: pg.ClientBase, table: RawTable): Promise<SweptRows[]> {
  if (table.identifiers.length === 0) return [];
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
  return await countFound(
    client,
    table.relation,
    "cut",
    `update ${relation} as t set ${set.join(", ")}, landed_xid = pg_current_xact_id()
     where t.record_key in (select record_key from found where is_anothers) returning t.record_key`,
  );
}
