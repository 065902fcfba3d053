import type pg from "pg";
import { inTransaction } from "../warehouse/database.ts";
import type { Row } from "./figure.ts";

/** What a figure's select came to: rows, or why there are none. */
export type Reading =
  | { rows: Row[] }
  /** A relation that the select names is not there, because nothing was built yet. */
  | { missing: true }
  /** Postgres' sentence: a project's model of the same name has other columns. */
  | { problem: string };

/**
 * Reads all figures from one snapshot, in a transaction that cannot write.
 * @param take is given each reading while the server already works at the next, so that drawing takes no time of its own
 */
export async function readFigures<F extends { sql: string }>(
  pool: pg.Pool,
  figures: F[],
  take: (figure: F, reading: Reading) => void,
): Promise<void> {
  await inTransaction(
    pool,
    async (client) => {
      // Sorts and hashes of 100,000 orders stay in memory, on a server of any setting.
      await client.query("set local work_mem = '64MB'");
      let next = figures[0] && read(client, figures[0].sql);
      for (const [index, figure] of figures.entries()) {
        const reading = (await next) as Reading;
        const following = figures[index + 1];
        next = following && read(client, following.sql);
        // Where drawing fails, its error is the one that is told.
        next?.catch(() => undefined);
        take(figure, reading);
      }
    },
    "begin isolation level repeatable read read only",
  );
}

async function read(client: pg.PoolClient, sql: string): Promise<Reading> {
  try {
    const results = (await client.query(`savepoint figure; ${sql}`)) as unknown as pg.QueryResult<Row>[];
    return { rows: results.at(-1)?.rows ?? [] };
  } catch (error) {
    const { code = "", message } = error as Error & { code?: string };
    // Class 42 says that a name or a type is wrong, without a value of any row; the rest is the world's fault.
    if (!code.startsWith("42")) throw error;
    await client.query("rollback to savepoint figure");
    return code === "42P01" || code === "3F000" ? { missing: true } : { problem: message };
  }
}
