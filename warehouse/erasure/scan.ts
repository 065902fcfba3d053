import pg from "pg";
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
  columns: { name: string; holds: "text" | "id" | "binary" | "nothing" }[];
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
 * Looks in every column of every table for what must be nowhere: ids are compared, and whatever else can hold text is read
 * as text; numbers and times can hold none. It shares no statement with what erases: it knows no schema, label or model, and
 * goes by the catalogue alone.
 * @param clients tables are shared out to them
 * @param only which relations, by `schema.name`; absent: all
 */
export async function scanTables(
  clients: readonly pg.ClientBase[],
  needles: Needles,
  only?: (relation: string) => boolean,
): Promise<ScannedTables> {
  const result: ScannedTables = { tables: 0, rows: 0, findings: [], unscanned: [] };
  const relations = (await readRelations(clients[0] as pg.ClientBase)).filter(
    ({ schema, name }) => !only || only(`${schema}.${name}`),
  );
  const scanNext = async (client: pg.ClientBase): Promise<void> => {
    for (let relation = relations.shift(); relation; relation = relations.shift()) {
      await scanRelation(client, relation, needles, result);
    }
  };
  await Promise.all(clients.map(scanNext));
  result.findings.sort((one, other) => (one.place < other.place ? -1 : 1));
  result.unscanned.sort();
  return result;
}

async function scanRelation(
  client: pg.ClientBase,
  relation: StoredRelation,
  needles: Needles,
  result: ScannedTables,
): Promise<void> {
  const name = `${relation.schema}.${relation.name}`;
  if (relation.isHidden || !relation.isReadable) {
    result.unscanned.push(
      relation.isHidden ? `${name}: its rows can't be seen whole` : `${name}: the role privacy may not read it`,
    );
    return;
  }
  const named = (wanted: string): string[] =>
    relation.columns.filter(({ holds }) => holds === wanted).map((column) => column.name);
  if (!SEALED.has(relation.schema)) {
    result.unscanned.push(...named("binary").map((column) => `${name}.${column}: binary`));
  }
  if (relation.columns.every(({ holds }) => holds === "binary")) return;
  const { lines, hits } = await scanTable(client, relation, named("id"), named("text"), needles);
  result.tables += 1;
  result.rows += lines;
  if (hits > 0) result.findings.push({ place: `table ${name}`, count: hits });
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
    const { hits: count } = needles.count(text);
    return count > 0 ? [{ place: `statistics of ${place}`, count }] : [];
  });
  return { columns: rows.length, findings };
}

/** What stands before a row's texts where one of its ids is a needle. */
const MARK = "!";
const NEW_LINE = "\n".charCodeAt(0);

async function scanTable(
  client: pg.ClientBase,
  { schema, name }: StoredRelation,
  ids: readonly string[],
  texts: readonly string[],
  needles: Needles,
): Promise<{ lines: number; hits: number }> {
  const people = `${pg.escapeLiteral(`{${needles.customers.join(",")}}`)}::uuid[]`;
  const isOne = ids.map((column) => `${quoteName(column)} = any(${people})`).join(" or ") || "false";
  if (texts.length === 0) {
    // Nothing to read: the server compares faster than it sends.
    const { rows } = await client.query<{ lines: string; hits: string }>(
      `select count(*) as lines, count(*) filter (where ${isOne}) as hits from ${quoteName(schema, name)}`,
    );
    return { lines: Number(rows[0]?.lines), hits: Number(rows[0]?.hits) };
  }
  const list = [`case when ${isOne} then '${MARK}' else '' end`, ...texts.map((column) => quoteName(column))].join(
    ", ",
  );
  const stream = client.query(copyTo(`copy (select ${list} from ${quoteName(schema, name)}) to stdout`));
  const total = { lines: 0, hits: 0 };
  let rest: Buffer[] = [];
  const look = (bytes: Buffer): void => {
    const { lines, hits } = needles.count(bytes, MARK.charCodeAt(0));
    total.lines += lines;
    total.hits += hits;
  };
  // Only whole rows, in pieces of some size: a value that is cut in two would not be found.
  for await (const piece of stream as AsyncIterable<Buffer>) {
    rest.push(piece);
    const end = piece.lastIndexOf(NEW_LINE) + 1;
    if (end === 0 || rest.reduce((sum, { length }) => sum + length, 0) < 1 << 18) continue;
    look(Buffer.concat([...rest.slice(0, -1), piece.subarray(0, end)]));
    rest = [piece.subarray(end)];
  }
  look(Buffer.concat(rest));
  return total;
}

/** Types none of whose values can hold a token, an id of a person, an address or a number in international form. */
const PLAIN =
  "boolean,smallint,integer,bigint,real,double precision,numeric,oid,xid,xid8,date,time,timetz,timestamp,timestamptz,interval".split(
    ",",
  );

async function readRelations(client: pg.ClientBase): Promise<StoredRelation[]> {
  const { rows } = await client.query<StoredRelation>(
    `select n.nspname as schema, c.relname as name,
       has_schema_privilege(n.oid, 'usage') and has_table_privilege(c.oid, 'select') as "isReadable",
       (c.relrowsecurity and row_security_active(c.oid)) or c.relkind = 'f'
         or exists (select from pg_partition_tree(c.oid) as part join pg_class as p on p.oid = part.relid where p.relkind = 'f')
         as "isHidden",
       (select coalesce(json_agg(json_build_object('name', a.attname, 'holds',
          case a.atttypid when 'bytea'::regtype then 'binary' when 'uuid'::regtype then 'id'
            else case when a.atttypid = any($1::regtype[]) then 'nothing' else 'text' end end) order by a.attnum), '[]')
        from pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped) as columns
     from pg_class c join pg_namespace n on n.oid = c.relnamespace
     -- Partitions are read by their table, whose rights count; one that is detached is a table of its own.
     where c.relkind in ('r', 'p', 'm', 'f') and not c.relispartition and c.relpersistence <> 't'
       and n.nspname not in ('pg_catalog', 'information_schema') and n.nspname !~ '^pg_toast'
     order by pg_relation_size(c.oid) desc, 1, 2`,
    [PLAIN],
  );
  return rows;
}
