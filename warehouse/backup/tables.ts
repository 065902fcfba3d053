import type { ClientBase, Pool } from "pg";
import { quoteName } from "../database.ts";

/** A table as a backup describes it, so that it can be made again where no migration makes it. */
export interface TableDescription {
  schema: string;
  name: string;
  columns: ColumnDescription[];
  /** `[name, definition]` of primary key, unique and check constraints, as Postgres writes them. */
  constraints: [string, string][];
  /** Statements of the indexes that belong to no constraint. */
  indexes: string[];
  /** Of `transformer` and `analyst`, those that may read it. */
  readers: string[];
}

interface ColumnDescription {
  name: string;
  type: string;
  notNull: boolean;
  default: string | null;
  identity: "" | "a" | "d";
  /**
   * Whether its values are in the backup. Computed columns are not, nor are transaction ids that are drawn as a row is
   * written: those of one cluster mean nothing in another.
   */
  isKept: boolean;
}

/** Schemas that hold state, by the part of a backup they go to. Keys and what privacy law asks to be kept are stored apart. */
export const STATE_SCHEMAS = { data: ["ops", "raw"], vault: ["vault", "privacy"] } as const;
/** What erasures keep of orders goes with the vault: of data from before an erasure nothing else knows it. */
export const KEPT_WITH_VAULT = ["ops.kept_credit", "ops.kept_campaigns"];
/** Schemas that a build fills again. */
export const DERIVED_SCHEMAS = ["staging", "core", "mart", "build_staging", "build_core", "build_mart"];

/** Written by the migrations themselves. */
const MIGRATIONS = ["ops.migrations", "ops.migrations_lock"];

/**
 * The tables of some schemas and some tables by name, parents before the tables whose foreign keys point at them.
 * @param also `core.people`: schema and name
 * @param without those that are left out
 */
export async function describeTables(
  client: ClientBase | Pool,
  schemas: readonly string[],
  also: readonly string[],
  without: readonly string[] = [],
): Promise<TableDescription[]> {
  const { rows } = await (client as Pool).query<TableDescription & { parents: string[] }>(QUERY, [
    schemas,
    also,
    [...MIGRATIONS, ...without],
  ]);
  const byName = new Map(rows.map((row) => [nameOf(row), row]));
  const ordered = new Map<string, TableDescription>();
  const visit = (name: string): void => {
    const row = byName.get(name);
    if (!row || ordered.has(name)) return;
    // A cycle of foreign keys ends here too: the first table met comes last.
    byName.delete(name);
    for (const parent of row.parents) visit(parent);
    const { parents: _parents, ...table } = row;
    ordered.set(name, table);
  };
  for (const name of byName.keys()) visit(name);
  return [...ordered.values()];
}

const QUERY = `
select n.nspname as schema, c.relname as name,
  (select json_agg(json_build_object('name', a.attname, 'type', format_type(a.atttypid, a.atttypmod), 'notNull', a.attnotnull,
       'default', case when a.attgenerated = '' then pg_get_expr(d.adbin, d.adrelid) end, 'identity', a.attidentity,
       'isKept', a.attgenerated = '' and not (a.atttypid = 'xid8'::regtype and d.adbin is not null)) order by a.attnum)
   from pg_attribute a left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
   where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped) as columns,
  (select coalesce(json_agg(json_build_array(k.conname, pg_get_constraintdef(k.oid)) order by k.contype, k.conname), '[]')
   from pg_constraint k where k.conrelid = c.oid and k.contype in ('p', 'u', 'c', 'x')) as constraints,
  (select coalesce(json_agg(pg_get_indexdef(i.indexrelid) order by i.indexrelid), '[]') from pg_index i
   where i.indrelid = c.oid and not exists (select from pg_constraint k where k.conindid = i.indexrelid and k.conrelid = c.oid)) as indexes,
  (select coalesce(json_agg(distinct r.rolname), '[]') from aclexplode(c.relacl) g join pg_roles r on r.oid = g.grantee
   where r.rolname in ('transformer', 'analyst') and g.privilege_type = 'SELECT') as readers,
  (select coalesce(json_agg(distinct pn.nspname || '.' || p.relname), '[]') from pg_constraint f
   join pg_class p on p.oid = f.confrelid join pg_namespace pn on pn.oid = p.relnamespace
   where f.conrelid = c.oid and f.contype = 'f' and f.confrelid <> c.oid) as parents
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'p') and not c.relispartition and (n.nspname = any ($1) or n.nspname || '.' || c.relname = any ($2))
  and n.nspname || '.' || c.relname <> all ($3)
order by n.nspname, c.relname`;

export function nameOf({ schema, name }: { schema: string; name: string }): string {
  return `${schema}.${name}`;
}

/** `("a", "b")`: the columns whose values are kept, in the order of the table. */
export function keptColumns({ columns }: TableDescription): string {
  return `(${columns
    .filter(({ isKept }) => isKept)
    .map(({ name }) => quoteName(name))
    .join(", ")})`;
}

/** Makes the table bare; {@link finishTable} adds keys and indexes once the rows are there. */
export async function createTable(client: ClientBase, table: TableDescription): Promise<void> {
  const columns = table.columns.map(({ name, type, notNull, default: value, identity }) => {
    const always = identity === "a" ? "always" : "by default";
    const origin = identity ? ` generated ${always} as identity` : value === null ? "" : ` default ${value}`;
    return `${quoteName(name)} ${type}${origin}${notNull ? " not null" : ""}`;
  });
  await client.query(`create table ${quoteName(table.schema, table.name)} (${columns.join(", ")})`);
}

export async function finishTable(client: ClientBase, table: TableDescription): Promise<void> {
  const quoted = quoteName(table.schema, table.name);
  for (const [name, definition] of table.constraints) {
    await client.query(`alter table ${quoted} add constraint ${quoteName(name)} ${definition}`);
  }
  for (const statement of table.indexes) await client.query(statement);
  if (table.readers.length)
    await client.query(`grant select on ${quoted} to ${table.readers.map((role) => quoteName(role)).join(", ")}`);
}

/** Numbers that are drawn next come after those that were restored. */
export async function advanceSequences(client: ClientBase, table: TableDescription): Promise<void> {
  const quoted = quoteName(table.schema, table.name);
  for (const { name } of table.columns.filter((column) => column.identity || column.default?.startsWith("nextval("))) {
    await client.query(
      `select setval(pg_get_serial_sequence($1, $2), coalesce(max(${quoteName(name)}), 0) + 1, false) from ${quoted}`,
      [quoted, name],
    );
  }
}
