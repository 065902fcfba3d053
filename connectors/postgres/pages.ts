import pg from "pg";
import type { Json } from "../../domain/streams.ts";
import type { Page, ReadOptions, ReadStream, SourceRecord } from "../connector.ts";
import { endPass, enterPass, type Horizon, type Position } from "./position.ts";
import type { Session, Text } from "./session.ts";
import { isTimestamp, valueExpression, valueReader, type Column } from "./types.ts";

export interface Table {
  name: string;
  /** `schema.table`, for people. */
  label: string;
  /** The same, quoted for SQL. */
  quoted: string;
  columns: Column[];
}

interface Reading {
  stream: ReadStream;
  table: Table;
  horizon: Horizon;
  options: ReadOptions;
}

const PAGE_BYTES = 8 * 1024 * 1024;
/** Rows are fetched in batches of about this size, and never more at once, since the next may be a thousand times as wide. */
const BATCH_BYTES = 2 * 1024 * 1024;
const FIRST_BATCH_ROWS = 100;
const MOST_BATCH_ROWS = 500;

/**
 * The pages of one pass, from the snapshot of the session's open transaction: one ordered scan, so that a table without
 * a fitting index is sorted once and not once per page. A page's cursor names the last key of which every row has been
 * read, so that rows with equal keys are never parted by a resumption.
 */
export async function* readPages(session: Session, reading: Reading, cursor: Json | null): AsyncIterable<Page> {
  const { stream, table, horizon, options } = reading;
  const columnOf = (name: string) => table.columns.find((column) => column.name === name) as Column;
  const cursorColumn = stream.cursor === null ? null : columnOf(stream.cursor);
  const key = (stream.key ?? []).filter((name) => name !== stream.cursor).map(columnOf);
  const order = [...(cursorColumn ? [cursorColumn] : []), ...key];
  await showTypes(session, order);

  const position = enterPass(
    cursor,
    order.map((column) => `${column.name} ${column.type.cast}`),
    horizon,
  );
  const { pass } = position;
  // Rows without a cursor value come first: they are few, and a pass that was cut off later need not repeat them.
  if (!cursorColumn?.isNullable) pass.isInNulls = false;
  const segments = pass.isInNulls ? [true, false] : [false];
  const toRecord = recordMaker(table.columns);
  let records: SourceRecord[] = [];
  let bytes = 0;
  let hasRead = false;
  const page = (next: Position): Page => {
    const full: Page = { records: { [stream.name]: records }, cursor: structuredClone(next) as unknown as Json };
    if (stream.key === null) full.part = table.name;
    records = [];
    bytes = 0;
    return full;
  };

  const width = table.columns.length;
  let last: Text = null;
  for (const isInNulls of segments) {
    if (isInNulls !== pass.isInNulls) Object.assign(pass, { isInNulls, after: null });
    const sort = isInNulls ? key : order;
    let latest: Text[] | null = null;
    let complete: Text[] | null = null;
    const query = segmentQuery(reading, position, { sort, cursorColumn, isInNulls });
    for await (const batch of fetchBatches(session, query)) {
      for (const [index, row] of batch.rows.entries()) {
        if (latest && !areEqualFrom(width, row, latest)) complete = latest;
        if (records.length >= options.pageSize || bytes >= PAGE_BYTES) {
          // Without a key the part is read from its start again, so there is no place to resume at.
          if (stream.key && complete) pass.after = complete.slice(width);
          yield page(position);
          options.signal.throwIfAborted();
        }
        latest = row;
        hasRead = true;
        records.push(toRecord(row));
        bytes += batch.sizes[index] ?? 0;
      }
    }
    if (!isInNulls && cursorColumn) last = (latest ? latest[width] : pass.after?.[0]) ?? null;
  }
  const end = await endPass(session, position, cursorColumn, last, horizon);
  const wasCutOff = cursor !== null && (cursor as unknown as Position).pass !== null;
  if (hasRead || wasCutOff) yield page(end);
}

function segmentQuery(
  { table, options }: Reading,
  position: Position,
  segment: { sort: Column[]; cursorColumn: Column | null; isInNulls: boolean },
): { text: string; values: Text[] } {
  const { sort, cursorColumn, isInNulls } = segment;
  const values: Text[] = [];
  const parameter = (value: Text, cast: string) => `$${values.push(value)}::${cast}`;
  const conditions: string[] = [];
  if (cursorColumn && isInNulls) conditions.push(`${quote(cursorColumn)} is null`);
  if (cursorColumn && !isInNulls) {
    conditions.push(
      position.from === null
        ? `${quote(cursorColumn)} is not null`
        : `${quote(cursorColumn)} >= ${parameter(position.from, cursorColumn.type.cast)}`,
    );
  }
  const after = position.pass?.after;
  if (after && sort.length > 0) {
    const place = sort.map((column, index) => parameter(after[index] ?? null, column.type.cast));
    const comparison = `(${sort.map(quote).join(", ")}) > (${place.join(", ")})`;
    // A comparison that meets a NULL says nothing; the row comes again rather than not at all.
    conditions.push(sort.some((column) => column.isNullable) ? `(${comparison}) is not false` : comparison);
  }
  conditions.push(...windowConditions(table, options.window, parameter));
  const selected = [
    ...table.columns.map((column) => valueExpression(column, quote(column))),
    ...sort.map((column) => `${quote(column)}::text`),
  ];
  return {
    text: [
      `select ${selected.join(", ")} from ${table.quoted} as source`,
      conditions.length > 0 ? `where ${conditions.join(" and ")}` : "",
      sort.length > 0 ? `order by ${sort.map(quote).join(", ")}` : "",
    ].join(" "),
    values,
  };
}

/** Dates and timestamps only: what a text column holds may be written in any way, so the landing cuts it. */
function windowConditions(
  table: Table,
  window: ReadOptions["window"],
  parameter: (value: Text, cast: string) => string,
): string[] {
  const column = window && table.columns.find(({ name }) => name === window.field);
  if (!column || !(isTimestamp(column) || column.type.name === "date")) return [];
  const isZoned = column.type.name === "timestamptz";
  const value = isZoned ? quote(column) : `${quote(column)}::timestamp`;
  const bound = (text: string) => parameter(text, isZoned ? "timestamptz" : "timestamptz at time zone 'UTC'");
  return [
    ...(window.from === undefined ? [] : [`${value} >= ${bound(window.from)}`]),
    ...(window.to === undefined ? [] : [`${value} < ${bound(window.to)}`]),
  ];
}

/** The next batch is fetched while the caller lands the one before. */
async function* fetchBatches(session: Session, query: { text: string; values: Text[] }) {
  await session.query(`declare rows no scroll cursor for ${query.text}`, query.values);
  let size = FIRST_BATCH_ROWS;
  let next = session.query(`fetch ${size} from rows`);
  for (;;) {
    const rows = await next;
    const isLast = rows.length < size;
    const sizes = rows.map((row) => row.reduce((sum, value) => sum + (value?.length ?? 0), 0));
    const average = sizes.reduce((sum, size) => sum + size, 0) / Math.max(1, rows.length);
    if (!isLast) {
      size = Math.max(1, Math.min(MOST_BATCH_ROWS, size * 2, Math.floor(BATCH_BYTES / (average + 1))));
      next = session.query(`fetch ${size} from rows`);
      // It is awaited at the next turn, which does not come when the caller stops.
      next.catch(() => undefined);
    }
    yield { rows, sizes };
    if (isLast) break;
  }
  await session.query("close rows");
}

/** Operators of types from extensions (citext, …) are found by the search path alone; without them another order would apply. */
async function showTypes(session: Session, columns: Column[]): Promise<void> {
  const schemas = new Set(columns.map((column) => column.type.schema).filter((schema) => schema !== "pg_catalog"));
  for (const schema of schemas) {
    await session.query(
      "select set_config('search_path', concat_ws(', ', nullif(current_setting('search_path'), ''), quote_ident($1)), true)",
      [schema],
    );
  }
}

function recordMaker(columns: Column[]): (row: Text[]) => SourceRecord {
  const fields = columns.map((column) => ({ name: column.name, read: valueReader(column) }));
  return (row) => {
    const record: SourceRecord = {};
    for (let index = 0; index < fields.length; index++) {
      const { name, read } = fields[index] as (typeof fields)[number];
      const text = row[index] as Text;
      const value = read && text !== null ? read(text) : text;
      if (name === "__proto__") Object.defineProperty(record, name, { value, enumerable: true });
      else record[name] = value;
    }
    return record;
  };
}

function areEqualFrom(start: number, a: Text[], b: Text[]): boolean {
  for (let index = start; index < a.length; index++) if (a[index] !== b[index]) return false;
  return true;
}

/** With its table, since a bare name in `order by` would mean the selected text: 10 before 9. */
function quote(column: Column): string {
  return `source.${pg.escapeIdentifier(column.name)}`;
}
