import type pg from "pg";

/** How long a session may take to end, in milliseconds. */
const PATIENCE_MS = 5_000;

/** Ends sessions of the pool's own login. A login may end its own, and a role that it has become may not. */
export async function endSessions(pool: pg.Pool, pids: number[]): Promise<void> {
  const client = await pool.connect();
  try {
    await client.query("set role none");
    for (const pid of pids) await client.query("select pg_terminate_backend($1, $2)", [pid, PATIENCE_MS]);
  } finally {
    // Not given back: it is another role now.
    client.release(true);
  }
}
