import pg from "pg";
import { columnName, referenceColumn } from "../../domain/columns.ts";
import type { FieldSchema, Reference } from "../../domain/streams.ts";
import type { DiscoveredStream } from "../connector.ts";
import { proposeLabels } from "../propose-labels.ts";
import { isStatementError, type Session, type Text } from "./session.ts";
import { columnSchema, readColumns, valueExpression, type Column } from "./types.ts";

interface Relation {
  oid: string;
  name: string;
  quoted: string;
  description: string | null;
  /** Columns of the primary key, else of the smallest unique index without NULLs; null where there is none. */
  key: string[] | null;
  indexed: Set<string>;
  isParent: boolean;
}

/** Rows by which personal fields are recognised. */
const SAMPLE_ROWS = 50;
/** updated_at, lastModified, modified_on, change_time: what a table's owner moves with every change. */
const CHANGE_TIME =
  /^(last_)?(update|updated|modified|modification|change|changed)(_(at|on|date|time|datetime|timestamp|ts))?$/;

/**
 * The tables, views and foreign tables of a schema that the role may select, with what the catalogue knows of them:
 * keys, types, comments and foreign keys. Partitions are read through their parent.
 */
export async function discover(session: Session, schema: string): Promise<DiscoveredStream[]> {
  await session.begin();
  const relations = await readRelations(session, schema);
  const oids = relations.map(({ oid }) => oid);
  const columns = await readColumns(session, oids);
  const names = streamNames(relations);
  const references = await readReferences(session, relations, names);
  await session.query("commit");

  const streams: DiscoveredStream[] = [];
  for (const relation of relations) {
    const readable = (columns.get(relation.oid) ?? []).filter((column) => column.isSelectable);
    if (readable.length === 0) continue;
    const sample = await readSample(session, relation, readable);
    const properties = Object.fromEntries(
      readable.map((column, index): [string, FieldSchema] => {
        const values = sample.flatMap((row) => row[index] ?? []);
        return [column.name, { ...columnSchema(column), ...proposeLabels(column.name, values, relation.name) }];
      }),
    );
    const isReadable = (name: string) => Object.hasOwn(properties, name);
    const key = relation.key?.every(isReadable) && !relation.isParent ? relation.key : null;
    const known = (references.get(relation.oid) ?? []).filter(({ field }) => [field].flat().every(isReadable));
    const required = readable.filter((column) => !column.isNullable).map((column) => column.name);
    const description = describe(relation);
    const name = names.get(relation.oid) as string;
    streams.push({
      name,
      key,
      cursor: proposeCursor(readable, relation.indexed),
      ...(name === relation.name ? {} : { config: { table: relation.name } }),
      schema: {
        type: "object",
        ...(description === null ? {} : { description }),
        ...(required.length > 0 ? { required } : {}),
        properties,
        ...(known.length > 0 ? { references: known } : {}),
      },
    });
  }
  return streams;
}

async function readRelations(session: Session, schema: string): Promise<Relation[]> {
  const rows = await session.query(
    `select c.oid, c.relname, obj_description(c.oid, 'pg_class'),
       (select json_agg(a.attname order by k.position)
        from (select i.indexrelid, i.indkey from pg_index i
              where i.indrelid = c.oid and i.indisunique and i.indisvalid and i.indimmediate
                and i.indpred is null and i.indexprs is null
                and not exists (select from pg_attribute a
                                where a.attrelid = c.oid and a.attnum = any((i.indkey::int2[])[:i.indnkeyatts - 1]) and not a.attnotnull)
              order by i.indisprimary desc, i.indnkeyatts, i.indexrelid limit 1) as best,
          unnest(best.indkey) with ordinality as k (attnum, position)
          join pg_attribute a on a.attrelid = c.oid and a.attnum = k.attnum
        where k.position <= (select i.indnkeyatts from pg_index i where i.indexrelid = best.indexrelid)),
       (select json_agg(distinct a.attname) from pg_index i
        join pg_attribute a on a.attrelid = c.oid and a.attnum = i.indkey[0] where i.indrelid = c.oid and i.indisvalid),
       c.relkind <> 'p' and exists (select from pg_inherits h where h.inhparent = c.oid)
     from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where n.nspname = $1 and c.relkind in ('r', 'p', 'v', 'm', 'f') and not c.relispartition
       and has_schema_privilege(n.oid, 'usage') and has_any_column_privilege(c.oid, 'select')
       and not exists (select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e')
     order by c.relname`,
    [schema],
  );
  return rows.map(([oid, name, description, key, indexed, isParent]: Text[]) => ({
    oid: oid as string,
    name: name as string,
    quoted: `${pg.escapeIdentifier(schema)}.${pg.escapeIdentifier(name as string)}`,
    description: description ?? null,
    key: key ? (JSON.parse(key) as string[]) : null,
    indexed: new Set(indexed ? (JSON.parse(indexed) as string[]) : []),
    isParent: isParent === "t",
  }));
}

/** Foreign keys that point at the key of a stream; its fields come in the order of that key. */
async function readReferences(
  session: Session,
  relations: Relation[],
  names: Map<string, string>,
): Promise<Map<string, Reference[]>> {
  const byOid = new Map(relations.map((relation) => [relation.oid, relation]));
  const rows = await session.query(
    `select f.conrelid, f.confrelid,
       (select json_agg(json_build_array(child.attname, parent.attname) order by pair.position)
        from unnest(f.conkey, f.confkey) with ordinality as pair (child, parent, position)
        join pg_attribute child on child.attrelid = f.conrelid and child.attnum = pair.child
        join pg_attribute parent on parent.attrelid = f.confrelid and parent.attnum = pair.parent)
     from pg_constraint f
     where f.contype = 'f' and f.conparentid = 0 and f.conrelid = any($1::oid[]) and f.confrelid = any($1::oid[])
     order by f.oid`,
    [relations.map(({ oid }) => oid)],
  );
  const references = new Map<string, Reference[]>();
  for (const [child, parent, pairs] of rows) {
    const key = byOid.get(parent as string)?.key;
    const childOf = new Map((JSON.parse(pairs as string) as [string, string][]).map(([from, to]) => [to, from]));
    if (!key || byOid.get(parent as string)?.isParent || key.length !== childOf.size) continue;
    const fields = key.map((name) => childOf.get(name));
    if (fields.includes(undefined)) continue;
    const field = (fields.length === 1 ? fields[0] : fields) as string | string[];
    const known = references.get(child as string) ?? [];
    // Two that land in one column can't both be had.
    if (known.some((other) => referenceColumn(other.field) === referenceColumn(field))) continue;
    references.set(child as string, [...known, { field, stream: names.get(parent as string) as string }]);
  }
  return references;
}

/** The table's name where a stream may have it; else one like it (`"Order Details"` is read by the stream order_details). */
function streamNames(relations: Relation[]): Map<string, string> {
  const names = new Map<string, string>();
  const taken = new Set<string>();
  const wanted = relations.map(({ oid, name }) => ({ oid, stem: streamName(name), isOwn: streamName(name) === name }));
  for (const { oid, stem } of wanted.toSorted((a, b) => Number(b.isOwn) - Number(a.isOwn))) {
    let name = stem;
    for (let number = 2; taken.has(name); number++) name = `${stem}_${number}`;
    taken.add(name);
    names.set(oid, name);
  }
  return names;
}

/** Lower-case ASCII letters, digits and single underscores, a letter first. */
function streamName(table: string): string {
  const plain = columnName(table)
    .normalize("NFKD")
    .replace(/\p{M}+/gu, "")
    .replace(/[^a-z0-9]+/g, "_")
    .replace(/^_+|_+$/g, "");
  return /^[a-z]/.test(plain) ? plain : `table_${plain}`.replace(/_$/, "");
}

/** A view may be slow or fail over its rows; it is then proposed without labels by value. */
async function readSample(session: Session, relation: Relation, columns: Column[]): Promise<Text[][]> {
  const selected = columns.map((column) => valueExpression(column, pg.escapeIdentifier(column.name)));
  await session.begin();
  try {
    await session.query("select set_config('statement_timeout', '2s', true)");
    return await session.query(`select ${selected.join(", ")} from ${relation.quoted} limit ${SAMPLE_ROWS}`);
  } catch (error) {
    if (!isStatementError(error)) throw error;
    return [];
  } finally {
    await session.query("rollback").catch(() => undefined);
  }
}

function proposeCursor(columns: Column[], indexed: Set<string>): string | null {
  const ranked = columns
    .filter(({ name, type }) => CHANGE_TIME.test(columnName(name)) && ["timestamptz", "timestamp"].includes(type.name))
    .map(({ name, isNullable }) => ({ name, rank: (isNullable ? 0 : 2) + (indexed.has(name) ? 1 : 0) }))
    .sort((a, b) => b.rank - a.rank);
  return ranked[0]?.name ?? null;
}

function describe({ description, isParent, key }: Relation): string | null {
  const warning =
    isParent && key
      ? `Holds the rows of its child tables, among which ${key.join(", ")} may repeat; it is proposed without a key.`
      : null;
  return [description, warning].filter(Boolean).join(" ") || null;
}
