import type pg from "pg";
import { inTransaction } from "../warehouse/database.ts";
import type { Figure, Row } from "./figure.ts";

/** What a figure's select came to: rows, or why there are none. */
export type Reading =
  | { rows: Row[] }
  /** A relation that the select names is not there, because nothing was built yet. */
  | { missing: true }
  /** Postgres' sentence: a project's model of the same name has other columns. */
  | { problem: string };

/** Reads all figures from one snapshot, in a transaction that cannot write. */
export async function readFigures(pool: pg.Pool, figures: Figure<never>[]): Promise<Map<Figure<never>, Reading>> {
  return await inTransaction(
    pool,
    async (client) => {
      const readings = new Map<Figure<never>, Reading>();
      for (const figure of figures) readings.set(figure, await read(client, figure.sql));
      return readings;
    },
    "begin isolation level repeatable read read only",
  );
}

async function read(client: pg.PoolClient, sql: string): Promise<Reading> {
  await client.query("savepoint figure");
  try {
    const { rows } = await client.query<Row>(sql);
    return { rows };
  } catch (error) {
    const { code = "", message } = error as Error & { code?: string };
    // Class 42 says that a name or a type is wrong, without a value of any row; the rest is the world's fault.
    if (!code.startsWith("42")) throw error;
    await client.query("rollback to savepoint figure");
    return code === "42P01" || code === "3F000" ? { missing: true } : { problem: message };
  }
}
