import pg from "pg";
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
 * Reads all figures from one snapshot, in two transactions that cannot write: two processors of the server work, and one of
 * them while a figure is drawn here.
 * @param pool has two connections at the least
 * @param take is given each reading as it comes, in no order
 */
export async function readFigures<F extends { sql: string }>(
  pool: pg.Pool,
  figures: F[],
  take: (figure: F, reading: Reading) => void,
): Promise<void> {
  const queue = [...figures];
  const work = async (client: pg.PoolClient): Promise<void> => {
    // Sorts and hashes of 100,000 orders stay in memory, on a server of any setting.
    await client.query("set local work_mem = '64MB'");
    for (let figure = queue.shift(); figure; figure = queue.shift()) take(figure, await read(client, figure.sql));
  };
  await inTransaction(
    pool,
    async (client) => {
      const { rows } = await client.query<{ snapshot: string }>("select pg_export_snapshot() as snapshot");
      const second = inTransaction(
        pool,
        async (other) => {
          await other.query(`set transaction snapshot ${pg.escapeLiteral(rows[0]!.snapshot)}`);
          await work(other);
        },
        BEGIN,
      );
      // Where one fails, the other has nothing more to do, and the first error is the one that is told.
      await Promise.all([work(client), second]).finally(() => queue.splice(0));
    },
    BEGIN,
  );
}

const BEGIN = "begin isolation level repeatable read read only";

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
