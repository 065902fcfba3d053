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

/** The kinds of all tokens that are renamed. */
async function renamedKinds(client: pg.ClientBase | pg.Pool): Promise<string[]> {
  const { rows } = await (client as pg.Pool).query<{ kind: string }>(
    "select distinct left(former, -33) as kind from vault.token_changes where token is not null",
  );
  return rows.map(({ kind }) => kind).toSorted((a, b) => b.length - a.length);
}

/** The kinds as statements take them: `$1`, an alternation, the longest first, and `$2`, an array. */
function parametersOf(kinds: string[]): [string, string[]] {
  return [kinds.map((kind) => kind.replaceAll(/[^a-z0-9_]/g, "\\$&")).join("|"), kinds];
}

const PLAIN = /^(text|character varying(\(\d+\))?)$/;

/**
 * Whether a token stands in a value beside other text, by its shape alone. What is a token and nothing else does not: it is
 * looked up. Most texts are read once, by the cheapest test first.
 */
function hasShape(column: string, type: string): string {
  const text = `${column}::text`;
  if (!PLAIN.test(type)) return `${text} ~ '_[0-9a-f]{32}'`;
  return `case when length(${text}) < 34 then false
    when left(${text}, -33) = any($2) and right(${text}, 33) ~ '^_[0-9a-f]{32}$' then false
    else ${text} ~ '_[0-9a-f]{32}' end`;
}

/** The whole value as text, with what stands in it renamed. */
const newName = (column: string): string => `vault.renamed(${column}::text, $1)`;

/** A column in which tokens stand that have another name by now. */
interface HeldColumn {
  /** Quoted. */
  column: string;
  type: string;
  /** Texts that are such a token and nothing else. */
  isWhole: boolean;
  /** Longer texts, JSON and arrays in which one stands. */
  isWithin: boolean;
}

/** The columns of a table that hold tokens to be renamed: whole ones are found by a join, the others by reading every text. */
async function heldColumns(
  client: pg.ClientBase | pg.Pool,
  { name, columns }: TextTable,
  kinds: string[],
): Promise<HeldColumn[]> {
  const asked = columns.map(([column, type]) => {
    const quoted = `t.${quoteName(column)}`;
    const isWhole = PLAIN.test(type)
      ? `exists (select from ${name} as t join vault.token_changes as c on c.former = ${quoted} where c.token is not null)`
      : "false";
    return `${isWhole}, exists (select from ${name} as t
      where case when ${hasShape(quoted, type)} then ${newName(quoted)} is distinct from ${quoted}::text else false end)`;
  });
  const { rows } = await (client as pg.Pool).query<boolean[]>({
    text: `select ${asked.join(", ")}, $1::text, $2::text[]`,
    values: parametersOf(kinds),
    rowMode: "array",
  });
  const found = rows[0] as boolean[];
  return columns.flatMap(([column, type], index) => {
    const [isWhole, isWithin] = [found[2 * index] as boolean, found[2 * index + 1] as boolean];
    return isWhole || isWithin ? [{ column: quoteName(column), type, isWhole, isWithin }] : [];
  });
}

/**
 * Gives every stored token its new name, a table (or those that foreign keys tie together) at a time, each in a
 * transaction of its own; done again, it finds those that are left.
 * @returns rows that held one
 */
export async function renameStored(pool: pg.Pool, progress: (rows: number) => void = () => undefined): Promise<number> {
  const kinds = await renamedKinds(pool);
  if (kinds.length === 0) return 0;
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

async function renameIn(client: pg.ClientBase, table: TextTable, kinds: string[]): Promise<number> {
  const held = await heldColumns(client, table, kinds);
  // A table without one is not touched: its triggers need not know.
  if (held.length === 0) return 0;
  const joins: string[] = [];
  const names = held.map(({ column, type, isWhole, isWithin }, index) => {
    const former = `t.${column}`;
    if (isWhole) joins.push(`left join vault.token_changes as c${index} on c${index}.former = ${former}`);
    const longer = isWithin
      ? `case when ${hasShape(former, type)} then ${newName(former)} else ${former}::text end`
      : `${former}::text`;
    return `${former}::text as f${index}, ${isWhole ? `coalesce(c${index}.token, ${longer})` : longer} as n${index}`;
  });
  // Nobody else writes while tokens are renamed, so a row stays in its place within the statement. Each name is made once:
  // the offset keeps it from being made again where it is compared. Both parameters are named, as Postgres wants it.
  const { rowCount } = await client.query(
    `update ${table.name} as held
     set ${held.map(({ column, type }, index) => `${column} = new.n${index}::${type}`).join(", ")}
     from (select t.tableoid as part, t.ctid as place, ${names.join(", ")}
           from ${table.name} as t ${joins.join(" ")} where $1::text <> '' and $2::text[] <> '{}' offset 0) as new
     where held.tableoid = new.part and held.ctid = new.place
       and (${held.map((_, index) => `new.n${index} is distinct from new.f${index}`).join(" or ")})`,
    parametersOf(kinds),
  );
  return rowCount ?? 0;
}

/** Tables that still hold a token under its former name. */
export async function holdersOfFormer(client: pg.ClientBase | pg.Pool): Promise<string[]> {
  const kinds = await renamedKinds(client);
  if (kinds.length === 0) return [];
  const holders: string[] = [];
  for (const table of await textTables(client)) {
    if ((await heldColumns(client, table, kinds)).length > 0) holders.push(table.name);
  }
  return holders;
}

/** Where something is noted of identifiers that may not have landed, and has to be found as they do. */
const NOTED = ["privacy.consent_identifiers", "privacy.bystanders", "privacy.hold_identifiers", "ops.use_limits"];

/** How many identifiers something is noted of that are known under their former name alone. */
export async function countWaiting(client: pg.ClientBase): Promise<number> {
  const isNoted = NOTED.map((relation) => `exists (select from ${relation} as n where n.token = c.former)`).join(
    " or ",
  );
  const { rows } = await client.query<{ count: number }>(
    `select count(*)::integer as count from vault.token_changes as c where c.token is null and (${isNoted})`,
  );
  return rows[0]?.count ?? 0;
}

/** Tokens of identifiers that are noted somewhere and that the vault does not know: no new name can be made of them. */
export async function unknownTokens(client: pg.ClientBase | pg.Pool): Promise<string[]> {
  const { rows } = await (client as pg.Pool).query<{ token: string }>(
    `select token from (
       ${NOTED.map((relation) => `select token from ${relation}`).join(" union ")}
       union select token from privacy.subjects where token is not null
     ) as noted
     where not exists (select from vault.identifiers as i where i.token = noted.token)
       and not exists (select from vault.token_changes as c where c.token = noted.token)`,
  );
  return rows.map(({ token }) => token);
}
