import type pg from "pg";
import { inTransaction } from "../database.ts";
import { endSessions } from "../end-sessions.ts";
import type { Sync } from "./sync.ts";

type Unit = Pick<Sync, "id" | "source" | "cursorName">;

/** Runs `work` in a transaction that a later attempt at the same sync finds, and may end. */
export async function inAttempt<T>(pool: pg.Pool, unit: Unit, work: (client: pg.PoolClient) => Promise<T>): Promise<T> {
  return await inTransaction(pool, async (client) => {
    await client.query("select pg_advisory_xact_lock_shared(hashtextextended($1, 5131715))", [nameOf(unit)]);
    return await work(client);
  });
}

/**
 * Ends what attempts before this one have open. A worker that was paused, or is cut off, keeps the rows of the page that
 * it was landing locked, and whoever goes on would wait for it: without an end, where it was in the middle of a COPY.
 * Sessions of another login stay.
 */
export async function endFormerAttempts(pool: pg.Pool, unit: Unit): Promise<void> {
  const { rows } = await pool.query<{ pid: number }>(
    `select lock.pid from pg_locks as lock join pg_stat_activity as session using (pid)
     where session.usename = session_user and session.datname = current_database() and lock.locktype = 'advisory' and lock.objsubid = 1
       and (lock.classid::bigint << 32 | lock.objid::bigint) = hashtextextended($1, 5131715)`,
    [nameOf(unit)],
  );
  if (rows.length > 0)
    await endSessions(
      pool,
      rows.map(({ pid }) => pid),
    );
}

function nameOf({ id, source, cursorName }: Unit): string {
  return JSON.stringify([id, source, cursorName]);
}
