import type { ClientBase } from "pg";
import { quoteName } from "../../database.ts";
import { quoteRelation } from "../build.ts";
import type { RowChanges } from "../publish-rows.ts";
import type { Follow } from "../relation.ts";

/** What an incremental build has changed of one published table so far. */
export interface Changes {
  /** A temporary table of the rows `old` and `new`; quoted, ready for SQL. */
  table: string;
  counts: RowChanges;
  /** What {@link changedValues} has told of them. */
  told: Map<string, Values>;
}

/** Values of some columns, column by column, as text; `count` of each. */
export interface Values {
  columns: readonly (readonly string[])[];
  count: number;
  /** Whether some of the rows have no value in one of the columns; those are left out. */
  hasNull: boolean;
}

/** A table for the changes of a published one, until the transaction ends. */
export async function createChanges(client: ClientBase, relation: string, number: number): Promise<string> {
  const table = quoteName("pg_temp", `changes_${number}`);
  const row = quoteRelation(relation);
  // Of rows as values nobody asks for statistics, and to compare them costs most of an ANALYZE.
  await client.query(
    `create temporary table ${quoteName(`changes_${number}`)} (old ${row}, new ${row}) on commit drop;
     alter table ${table} alter column old set statistics 0, alter column new set statistics 0`,
  );
  return table;
}

/**
 * The values, before and after, of the columns that a reader follows, of rows that changed in a column that it reads.
 * @param read names of the columns that it reads; null: any
 */
export async function changedValues(
  client: ClientBase,
  changes: Changes,
  follow: Follow,
  read: readonly string[] | null,
): Promise<Values> {
  const asked = JSON.stringify([follow.from, read]);
  const values = changes.told.get(asked) ?? (await readValues(client, changes, follow, read));
  changes.told.set(asked, values);
  return values;
}

async function readValues(
  client: ClientBase,
  changes: Changes,
  follow: Follow,
  read: readonly string[] | null,
): Promise<Values> {
  const from = follow.from!.map((name) => quoteName(name));
  const isRelevant = read ? `where ${differs(["old", "new"], [...new Set([...follow.from!, ...read])])}` : "";
  const values = (side: string) => from.map((name, i) => `(${side}).${name}::text as v${i}`).join(", ");
  const names = from.map((_, i) => `v${i}`);
  const isNull = names.map((name) => `${name} is null`).join(" or ");
  // A side that is not there has nulls alone; so has a row whose followed columns are all null, told apart by the row.
  const { rows } = await client.query<{ columns: string[][]; nulls: boolean | null }>(
    `select json_build_array(${names.map((name) => `coalesce(json_agg(${name}) filter (where not (${isNull})), '[]')`).join(", ")}) as columns,
       bool_or(${isNull}) as nulls
     from (select distinct ${names.join(", ")} from (
       select ${values("old")} from ${changes.table} ${isRelevant} ${isRelevant ? "and" : "where"} not (old is null)
       union all
       select ${values("new")} from ${changes.table} ${isRelevant} ${isRelevant ? "and" : "where"} not (new is null)
     ) as sides) as followed`,
  );
  const { columns, nulls } = rows[0]!;
  return { columns, count: columns[0]?.length ?? 0, hasNull: nulls ?? false };
}

/** Whether anything changed in a column that a reader reads. */
export async function isTouched(
  client: ClientBase,
  changes: Changes,
  read: readonly string[] | null,
): Promise<boolean> {
  const { counts, table } = changes;
  if (!counts.inserted && !counts.updated && !counts.deleted) return false;
  if (!read) return true;
  const { rowCount } = await client.query(`select from ${table} where ${differs(["old", "new"], read)} limit 1`);
  return rowCount !== 0;
}

/** Rows are compared as they are stored, as publishing does; a row that is new or gone differs from none. */
export function differs(sides: [string, string], columns: readonly string[]): string {
  const isOneSided = `(${sides[0]} is null) <> (${sides[1]} is null)`;
  if (!columns.length) return isOneSided;
  const row = (side: string) => `row(${columns.map((name) => `(${side}).${quoteName(name)}`).join(", ")})::record`;
  return `(${isOneSided} or ${row(sides[0])} *<> ${row(sides[1])})`;
}

/** Two lists of values as one, each combination once. */
export function joinValues(lists: readonly Values[]): Values {
  const seen = new Map<string, string[]>();
  for (const { columns, count } of lists) {
    for (let i = 0; i < count; i++) {
      const row = columns.map((column) => column[i]!);
      seen.set(row.length === 1 ? row[0]! : JSON.stringify(row), row);
    }
  }
  const rows = [...seen.values()];
  const width = lists[0]?.columns.length ?? 0;
  return {
    columns: Array.from({ length: width }, (_, i) => rows.map((row) => row[i]!)),
    count: rows.length,
    hasNull: lists.some((list) => list.hasNull),
  };
}
