import type pg from "pg";
import Cursor from "pg-cursor";
import { UserError } from "../domain/errors.ts";

export interface QueryResult {
  columns: string[];
  /** Values as Postgres gives them: numbers of more than 53 bits and dates as text, bytes as `\\x` and hex digits. */
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
    return {
      columns: fields.map(({ name }) => name),
      rows: rows.slice(0, limit).map((row) => row.map(asText)),
      isCut: rows.length > limit,
    };
  } catch (error) {
    throw asSentence(error);
  } finally {
    await client.query("rollback").catch(() => undefined);
    client.release();
  }
}

function asText(value: unknown): unknown {
  return Buffer.isBuffer(value) ? `\\x${value.toString("hex")}` : value;
}

/** Class 42 (a name or the syntax is wrong) quotes the statement alone; other classes may quote values of rows. */
export function asSentence(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  const { code, position } = error as Error & { code?: string; position?: string };
  if (/multiple commands/.test(error.message)) return new UserError("there are several statements; run one at a time");
  if (code?.startsWith("42")) return new UserError(`${error.message}${position ? ` (at character ${position})` : ""}`);
  if (code === "25006") return new UserError("the statement writes, and queries only read");
  if (code && /^2[123]/.test(code))
    return new UserError(`the statement meets a value that it can't compute with (SQLSTATE ${code})`);
  return error;
}
