import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import type pg from "pg";
import { to as copyTo } from "pg-copy-streams";
import Cursor from "pg-cursor";
import { UserError } from "../domain/errors.ts";
import { quoteName } from "./database.ts";

export interface QueryResult {
  columns: string[];
  /** Values as Postgres gives them, numbers of more than 53 bits and dates as text. */
  rows: unknown[][];
  /** Whether there are more rows than were asked for. */
  isCut: boolean;
}

/**
 * Runs one statement in a read-only transaction.
 * @param pool connections of the analyst, who can read the mart and nothing else
 * @throws UserError with Postgres' own sentence where the statement itself is wrong
 */
export async function query(pool: pg.Pool, sql: string, limit: number): Promise<QueryResult> {
  const client = await pool.connect();
  try {
    await client.query("begin read only");
    const cursor = client.query(new Cursor<unknown[]>(sql, [], { rowMode: "array" }));
    const rows = await cursor.read(limit + 1);
    const { fields } = (cursor as unknown as { _result: { fields: { name: string }[] } })._result;
    await cursor.close();
    return { columns: fields.map(({ name }) => name), rows: rows.slice(0, limit), isCut: rows.length > limit };
  } catch (error) {
    throw asSentence(error);
  } finally {
    await client.query("rollback").catch(() => undefined);
    client.release();
  }
}

/** Streams a relation of the mart as CSV with a header (RFC 4180, UTF-8) or as one JSON object per line. */
export async function exportRelation(
  pool: pg.Pool,
  relation: string,
  format: "csv" | "jsonl",
  out: NodeJS.WritableStream,
): Promise<void> {
  const [schema, name] = relation.includes(".") ? relation.split(".") : ["mart", relation];
  const quoted = quoteName(schema as string, name as string);
  const client = await pool.connect();
  try {
    await client.query("begin read only");
    if (format === "csv") {
      await pipeline(client.query(copyTo(`copy (select * from ${quoted}) to stdout with (format csv, header)`)), out, {
        end: false,
      });
    } else {
      await pipeline(Readable.from(jsonLines(client, quoted)), out, { end: false });
    }
  } catch (error) {
    throw asSentence(error);
  } finally {
    await client.query("rollback").catch(() => undefined);
    client.release();
  }
}

async function* jsonLines(client: pg.PoolClient, quoted: string): AsyncGenerator<string> {
  const cursor = client.query(
    new Cursor<{ line: string }>(`select row_to_json(relation)::text as line from ${quoted} as relation`),
  );
  for (;;) {
    const rows = await cursor.read(1000);
    if (rows.length === 0) return;
    yield rows.map(({ line }) => `${line}\n`).join("");
  }
}

/** Class 42 (a name or the syntax is wrong) quotes the statement alone; other classes may quote values of rows. */
function asSentence(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  const { code, position } = error as Error & { code?: string; position?: string };
  if (code?.startsWith("42")) return new UserError(`${error.message}${position ? ` (at character ${position})` : ""}`);
  if (code === "25006") return new UserError("the statement writes, and queries only read");
  if (code && /^2[123]/.test(code))
    return new UserError(`the statement meets a value that it can't compute with (SQLSTATE ${code})`);
  return error;
}
