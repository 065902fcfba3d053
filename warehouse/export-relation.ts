import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import pg from "pg";
import { to as copyTo } from "pg-copy-streams";
import Cursor from "pg-cursor";
import { UserError } from "../domain/errors.ts";
import { FORMULA } from "../domain/csv-line.ts";
import { quoteName } from "./database.ts";
import { asSentence } from "./read.ts";
import { writeSpreadsheet, type ExportedColumn } from "./spreadsheet.ts";

export const EXPORT_FORMATS = ["csv", "jsonl", "xlsx"] as const;

export type ExportFormat = (typeof EXPORT_FORMATS)[number];

/** Rows that are in memory at once. */
const BATCH = 1000;

/**
 * Streams a relation of the mart: as CSV with a header (RFC 4180, UTF-8; no text begins a formula), as one JSON object per line, or as a workbook
 * with a second sheet that explains the columns.
 * @param pool connections of the analyst, who can read the mart and nothing else
 * @param relation `fct_orders` or `mart.fct_orders`
 * @throws UserError where there is no such relation, or a spreadsheet can't hold it
 */
export async function exportRelation(
  pool: pg.Pool,
  relation: string,
  format: ExportFormat,
  out: NodeJS.WritableStream,
): Promise<void> {
  const [schema, name] = relation.includes(".") ? relation.split(".") : ["mart", relation];
  const quoted = quoteName(schema as string, name as string);
  const client = await pool.connect();
  try {
    await client.query("begin isolation level repeatable read read only");
    await requireRelation(client, schema as string, name as string);
    if (format === "csv") {
      const columns = await describeColumns(client, quoted);
      const select = `select ${columns.map(csvColumn).join(", ")} from ${quoted}`;
      await pipeline(client.query(copyTo(`copy (${select}) to stdout with (format csv, header)`)), out, { end: false });
    } else if (format === "jsonl") {
      await pipeline(Readable.from(jsonLines(client, quoted)), out, { end: false });
    } else {
      const columns = await describeColumns(client, quoted);
      await writeSpreadsheet({ name: `${schema}.${name}`, columns, batches: textRows(client, quoted, columns) }, out);
    }
  } catch (error) {
    throw asSentence(error);
  } finally {
    await client.query("rollback").catch(() => undefined);
    client.release();
  }
}

/** A campaign's name is whatever a link says: a text that a spreadsheet would run begins with an apostrophe. */
function csvColumn({ name, type }: ExportedColumn): string {
  const column = quoteName(name);
  return type === "text" || type.startsWith("character")
    ? `case when ${column} ~ ${pg.escapeLiteral(FORMULA.source)} then '''' || ${column} else ${column} end as ${column}`
    : column;
}

async function* jsonLines(client: pg.PoolClient, quoted: string): AsyncGenerator<string> {
  const cursor = client.query(
    new Cursor<{ line: string }>(`select row_to_json(relation)::text as line from ${quoted} as relation`),
  );
  for (;;) {
    const rows = await cursor.read(BATCH);
    if (rows.length === 0) return;
    yield rows.map(({ line }) => `${line}\n`).join("");
  }
}

async function describeColumns(client: pg.PoolClient, quoted: string): Promise<ExportedColumn[]> {
  const { rows } = await client.query<ExportedColumn>(
    `select a.attname as name, format_type(a.atttypid, a.atttypmod) as type, coalesce(t.typname, '') as kind,
       coalesce(col_description(a.attrelid, a.attnum), '') as comment
     from pg_attribute as a
     join pg_type as t on t.oid = a.atttypid
     where a.attrelid = $1::regclass and a.attnum > 0 and not a.attisdropped
     order by a.attnum`,
    [quoted],
  );
  return rows;
}

/** Values as Postgres writes them, so that none loses a digit on its way through JavaScript. */
async function* textRows(
  client: pg.PoolClient,
  quoted: string,
  columns: ExportedColumn[],
): AsyncGenerator<(string | null)[][]> {
  const list = columns.map(({ name }) => `${quoteName(name)}::text`).join(", ");
  const cursor = client.query(new Cursor<(string | null)[]>(`select ${list} from ${quoted}`, [], { rowMode: "array" }));
  for (;;) {
    const rows = await cursor.read(BATCH);
    if (rows.length === 0) return;
    yield rows;
  }
}

async function requireRelation(client: pg.PoolClient, schema: string, name: string): Promise<void> {
  const { rowCount } = await client.query(
    "select from pg_class where relname = $2 and relkind in ('r', 'p', 'v', 'm') and relnamespace = (select oid from pg_namespace where nspname = $1 and nspname = 'mart')",
    [schema, name],
  );
  if (!rowCount)
    throw new UserError(
      `the mart has no relation ${name}${schema === "mart" ? "" : `, and ${schema} is not exported`}; miette status lists what it has`,
    );
}
