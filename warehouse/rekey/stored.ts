import type pg from "pg";
import { inTransaction, quoteName } from "../database.ts";

/** Where tokens may stand: everything that lands, is built or is kept about people. */
const SCHEMAS = ["raw", "staging", "core", "mart", "build_staging", "build_core", "build_mart", "ops", "privacy"];
/** Rows of these are never altered; what they name stays under the key that named it, and nobody can compute it any more. */
const NEVER_ALTERED = ["privacy.audit", "privacy.audit_chain", "privacy.request_events", "privacy.receipts"];

interface TextTable {
  name: string;
  /** Columns that can hold text, with their types. */
  columns: [name: string, type: string][];
}

/** Every table with columns in which a token can stand: as the whole value, in a longer text, in JSON or in an array. */
async function textTables(client: pg.ClientBase | pg.Pool): Promise<TextTable[]> {
  const { rows } = await (client as pg.Pool).query<TextTable>(
    `select format('%I.%I', n.nspname, c.relname) as name,
       json_agg(json_build_array(a.attname, format_type(a.atttypid, a.atttypmod)) order by a.attnum) as columns
     from pg_class c join pg_namespace n on n.oid = c.relnamespace join pg_attribute a on a.attrelid = c.oid
     where n.nspname = any($1) and c.relkind in ('r', 'p') and not c.relispartition and n.nspname || '.' || c.relname <> all($2)
       and a.attnum > 0 and not a.attisdropped and a.attgenerated = ''
       and a.atttypid = any('{text,varchar,json,jsonb,text[],varchar[],jsonb[]}'::regtype[])
     group by n.nspname, c.relname order by n.nspname, c.relname`,
    [SCHEMAS, NEVER_ALTERED],
  );
  return rows;
}

/** The tables in groups: those that foreign keys tie together by such columns have to change in one transaction. */
async function tiedTables(client: pg.ClientBase | pg.Pool): Promise<TextTable[][]> {
  const tables = await textTables(client);
  const { rows: keys } = await (client as pg.Pool).query<{ from: string; to: string }>(
    `select format('%I.%I', n.nspname, c.relname) as "from", format('%I.%I', tn.nspname, t.relname) as "to"
     from pg_constraint k
     join pg_class c on c.oid = k.conrelid join pg_namespace n on n.oid = c.relnamespace
     join pg_class t on t.oid = k.confrelid join pg_namespace tn on tn.oid = t.relnamespace
     where k.contype = 'f' and exists (
       select from pg_attribute a where a.attrelid = k.conrelid and a.attnum = any(k.conkey)
         and a.atttypid = any('{text,varchar}'::regtype[]))`,
  );
  const groups = new Map(tables.map((table) => [table.name, [table]]));
  for (const { from, to } of keys) {
    const [one, other] = [groups.get(from), groups.get(to)];
    if (!one || !other || one === other) continue;
    one.push(...other);
    for (const { name } of other) groups.set(name, one);
  }
  return [...new Set(groups.values())];
}

/** `(?:email_folded|email)` without its brackets: the kinds of all tokens that are renamed; null where there are none. */
async function kindsPattern(client: pg.ClientBase | pg.Pool): Promise<string | null> {
  const { rows } = await (client as pg.Pool).query<{ kind: string }>(
    "select distinct left(former, -33) as kind from vault.token_changes where token is not null",
  );
  const kinds = rows.map(({ kind }) => kind.replaceAll(/[^a-z0-9_]/g, "\\$&"));
  return kinds.length === 0 ? null : kinds.toSorted((a, b) => b.length - a.length).join("|");
}

/**
 * Gives every stored token its new name, a table (or those that foreign keys tie together) at a time, each in a
 * transaction of its own; done again, it finds those that are left.
 * @returns rows that held one
 */
export async function renameStored(pool: pg.Pool, progress: (rows: number) => void = () => undefined): Promise<number> {
  const kinds = await kindsPattern(pool);
  if (kinds === null) return 0;
  let total = 0;
  for (const group of await tiedTables(pool)) {
    total += await inTransaction(pool, async (client) => {
      await client.query("set constraints all deferred");
      let renamed = 0;
      for (const table of group) renamed += await renameIn(client, table, kinds);
      return renamed;
    });
    progress(total);
  }
  return total;
}

async function renameIn(client: pg.ClientBase, { name, columns }: TextTable, kinds: string): Promise<number> {
  const held = columns.map(([column]) => quoteName(column));
  const isHeld = `(${held.map((column) => `${column}::text ~ $2`).join(" or ")}) and ${changes(held, "$1")}`;
  const parameters = [kinds, patternOf(kinds)];
  // A table without one is not touched: its triggers need not know.
  const { rowCount: any } = await client.query(`select from ${name} where ${isHeld} limit 1`, parameters);
  if (!any) return 0;
  const renamed = columns.map(([column, type]) => {
    const quoted = quoteName(column);
    return `${quoted} = vault.renamed(${quoted}::text, $1)::${type}`;
  });
  const { rowCount } = await client.query(`update ${name} set ${renamed.join(", ")} where ${isHeld}`, parameters);
  return rowCount ?? 0;
}

/** Tables that still hold a token under its former name. */
export async function holdersOfFormer(client: pg.ClientBase | pg.Pool): Promise<string[]> {
  const kinds = await kindsPattern(client);
  if (kinds === null) return [];
  const holders: string[] = [];
  for (const { name, columns } of await textTables(client)) {
    const held = columns.map(([column]) => quoteName(column));
    const where = held.map((column) => `${column}::text ~ $2`).join(" or ");
    const { rowCount } = await (client as pg.Pool).query(
      `select from ${name} where (${where}) and ${changes(held, "$1")} limit 1`,
      [kinds, patternOf(kinds)],
    );
    if (rowCount) holders.push(name);
  }
  return holders;
}

function changes(columns: string[], kinds: string): string {
  return `(${columns.map((column) => `vault.renamed(${column}::text, ${kinds}) is distinct from ${column}::text`).join(" or ")})`;
}

function patternOf(kinds: string): string {
  return `(?:${kinds})_[0-9a-f]{32}`;
}

/** Tokens of identifiers that are noted somewhere and that the vault does not know: no new name can be made of them. */
export async function unknownTokens(client: pg.ClientBase | pg.Pool): Promise<string[]> {
  const { rows } = await (client as pg.Pool).query<{ token: string }>(
    `select token from (
       select token from privacy.consent_identifiers union select token from privacy.bystanders
       union select token from privacy.subjects where token is not null union select token from ops.use_limits
     ) as noted
     where not exists (select from vault.identifiers as i where i.token = noted.token)
       and not exists (select from vault.token_changes as c where c.token = noted.token)`,
  );
  return rows.map(({ token }) => token);
}
