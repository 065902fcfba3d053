import type pg from "pg";
import { columnName, referenceColumn } from "../../domain/columns.ts";
import { rawTableName, type StreamSchema } from "../../domain/streams.ts";
import { remainColumns } from "../../privacy/remains.ts";

/** A raw table as its stream's schema, the one by which it landed last, labels it. */
export interface RawTable {
  /** `raw.shop__orders`. */
  relation: string;
  name: string;
  /** `shop.orders`. */
  stream: string;
  /** Columns that hold tokens of the record's identifiers. */
  identifiers: string[];
  /** Of them those with match keys, by which nothing is found in the vault. */
  matchKeys: string[];
  /** Columns that hold tokens or remains of personal fields: what a record loses with its person. */
  personal: string[];
  /** Open columns of text and JSON, in which the tokens of addresses and numbers may stand. */
  texts: { name: string; isJson: boolean }[];
  /** Columns that hold the key of a parent record. */
  parents: string[];
}

/** The raw tables of all streams that have landed, with their columns by what they hold. */
export async function readRawTables(client: pg.ClientBase | pg.Pool): Promise<RawTable[]> {
  const { rows } = await client.query<{ source: string; stream: string; schema: StreamSchema }>(
    "select source, stream, schema from ops.streams order by source, stream",
  );
  const { rows: columns } = await client.query<{ table: string; name: string; type: string }>(
    `select c.relname as table, a.attname as name, format_type(a.atttypid, null) as type
     from pg_attribute a join pg_class c on c.oid = a.attrelid
     where c.relnamespace = 'raw'::regnamespace and c.relkind in ('r', 'p') and a.attnum > 0 and not a.attisdropped`,
  );
  return rows.flatMap(({ source, stream, schema }) => {
    const name = rawTableName(source, stream);
    const types = new Map(columns.filter(({ table }) => table === name).map((each) => [each.name, each.type]));
    return types.size === 0 ? [] : [describe(name, `${source}.${stream}`, schema, types)];
  });
}

function describe(name: string, stream: string, schema: StreamSchema, types: ReadonlyMap<string, string>): RawTable {
  const identifiers: string[] = [];
  const personal: string[] = [];
  const open = new Set<string>();
  for (const [field, label] of Object.entries(schema.properties)) {
    const column = columnName(field);
    if (!label.personal) {
      open.add(column);
      continue;
    }
    if (label.identifier) identifiers.push(column);
    personal.push(...remainColumns(column, label).map((each) => each.name));
  }
  const matchKeys = Object.keys(schema.match_keys ?? {}).map((matchKey) => columnName(matchKey));
  identifiers.push(...matchKeys);
  const there = (columnsOf: string[]): string[] => [...new Set(columnsOf)].filter((column) => types.has(column));
  const isText = (column: string): boolean => types.get(column) === "text" || types.get(column) === "jsonb";
  return {
    relation: `raw.${name}`,
    name,
    stream,
    identifiers: there(identifiers),
    matchKeys: there(matchKeys),
    personal: there([...identifiers, ...personal]),
    texts: there([...open])
      .filter(isText)
      .map((column) => ({ name: column, isJson: types.get(column) === "jsonb" })),
    parents: there((schema.references ?? []).map(({ field }) => referenceColumn(field))),
  };
}
