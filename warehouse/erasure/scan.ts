import type pg from "pg";
import { to as copyTo } from "pg-copy-streams";
import type { Finding } from "../../domain/requests.ts";
import { quoteName } from "../database.ts";
import type { Needles } from "./needles.ts";

/** A relation that holds rows, as the catalogue has it. */
interface StoredRelation {
  schema: string;
  name: string;
  isReadable: boolean;
  /** A table of another server, or one whose rows policies hide. */
  isHidden: boolean;
  columns: { name: string; isBinary: boolean }[];
}

export interface ScannedTables {
  tables: number;
  rows: number;
  findings: Finding[];
  unscanned: string[];
}

/** Schemas whose binary columns hold ciphertext, hashes and signatures, in which nothing can be found. */
const SEALED = new Set(["raw", "ops", "vault", "privacy"]);

/**
 * Reads every column of every table as text and looks for what must be nowhere. It shares no statement with what erases:
 * it knows no schema, label or model, and goes by the catalogue alone.
 * @param only which relations, by `schema.name`; absent: all
 */
export async function scanTables(
  client: pg.ClientBase,
  needles: Needles,
  only?: (relation: string) => boolean,
): Promise<ScannedTables> {
  const result: ScannedTables = { tables: 0, rows: 0, findings: [], unscanned: [] };
  for (const relation of await readRelations(client)) {
    const name = `${relation.schema}.${relation.name}`;
    if (only && !only(name)) continue;
    if (relation.isHidden || !relation.isReadable) {
      result.unscanned.push(
        relation.isHidden ? `${name}: its rows can't be seen whole` : `${name}: the role privacy may not read it`,
      );
      continue;
    }
    const binary = relation.columns.filter(({ isBinary }) => isBinary);
    if (binary.length > 0 && !SEALED.has(relation.schema)) {
      result.unscanned.push(...binary.map((column) => `${name}.${column.name}: binary`));
    }
    const columns = relation.columns.filter(({ isBinary }) => !isBinary);
    if (columns.length === 0) continue;
    const { rows, count } = await scanTable(
      client,
      relation,
      columns.map((column) => column.name),
      needles,
    );
    result.tables += 1;
    result.rows += rows;
    if (count > 0) result.findings.push({ place: `table ${name}`, count });
  }
  return result;
}

/** What the planner's statistics say of columns' values: they keep samples until the next ANALYZE. */
export async function scanStatistics(
  client: pg.ClientBase,
  needles: Needles,
): Promise<{ columns: number; findings: Finding[] }> {
  const { rows } = await client.query<{ place: string; text: string }>(
    `select format('%s.%s.%s', schemaname, tablename, attname) as place,
       concat_ws(' ', most_common_vals::text, histogram_bounds::text, most_common_elems::text) as text
     from pg_stats where schemaname not in ('pg_catalog', 'information_schema')`,
  );
  const findings = rows.flatMap(({ place, text }) => {
    const count = needles.countIn(text);
    return count > 0 ? [{ place: `statistics of ${place}`, count }] : [];
  });
  return { columns: rows.length, findings };
}

async function scanTable(
  client: pg.ClientBase,
  { schema, name }: StoredRelation,
  columns: string[],
  needles: Needles,
): Promise<{ rows: number; count: number }> {
  const list = columns.map((column) => quoteName(column)).join(", ");
  const stream = client.query(copyTo(`copy (select ${list} from ${quoteName(schema, name)}) to stdout`));
  stream.setEncoding("utf8");
  let rows = 0;
  let count = 0;
  let rest = "";
  const look = (text: string): void => {
    for (let at = text.indexOf("\n"); at !== -1; at = text.indexOf("\n", at + 1)) rows += 1;
    count += needles.countIn(text);
  };
  // Only whole rows, in pieces of some size: a value that is cut in two would not be found.
  for await (const piece of stream as AsyncIterable<string>) {
    rest += piece;
    if (rest.length < 1 << 18) continue;
    const end = rest.lastIndexOf("\n") + 1;
    look(rest.slice(0, end));
    rest = rest.slice(end);
  }
  look(rest);
  return { rows, count };
}

async function readRelations(client: pg.ClientBase): Promise<StoredRelation[]> {
  const { rows } = await client.query<StoredRelation>(
    `select n.nspname as schema, c.relname as name,
       has_schema_privilege(n.oid, 'usage') and has_table_privilege(c.oid, 'select') as "isReadable",
       c.relkind = 'f' or (c.relrowsecurity and row_security_active(c.oid)) as "isHidden",
       (select coalesce(json_agg(json_build_object('name', a.attname, 'isBinary', a.atttypid = 'bytea'::regtype) order by a.attnum), '[]')
        from pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped) as columns
     from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where c.relkind in ('r', 'm', 'f') and c.relpersistence <> 't'
       and n.nspname not in ('pg_catalog', 'information_schema') and n.nspname !~ '^pg_toast'
     order by 1, 2`,
  );
  return rows;
}
