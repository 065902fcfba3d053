import { setTimeout as sleep } from "node:timers/promises";
import type pg from "pg";
import { CodedError, UserError } from "../../domain/errors.ts";
import { endSessions } from "../end-sessions.ts";

/** What a session that is ended was doing is tried again under the new epoch. */
const PATIENCE_MS = 5 * 60_000;
const LOOK_EVERY_MS = 100;

/**
 * Waits until no transaction lives that began before a batch's tombstone: whatever such a one writes without a look at
 * the epoch has been written, or never is. Judged by snapshots and transaction ids of all sessions of this database, the
 * idle included; a snapshot's own xmin would not show those that only read. Prepared transactions count too.
 * @param patience after so many milliseconds our own sessions that are in the way are ended
 * @throws UserError where others' sessions can't be seen; CodedError where somebody else's session stays
 */
export async function awaitFence(pool: pg.Pool, batchId: string, patience = PATIENCE_MS): Promise<void> {
  const { rows } = await pool.query<{ xid: string | null }>(
    "select tombstone_xid::text as xid from privacy.erasure_batches where batch_id = $1",
    [batchId],
  );
  if (rows[0]?.xid) await awaitOlder(pool, rows[0].xid, patience);
}

/** The same for any transaction, by its id. */
export async function awaitOlder(pool: pg.Pool, xid: string, patience = PATIENCE_MS): Promise<void> {
  const { rows } = await pool.query<{ sees: boolean }>(
    "select pg_has_role(current_user, 'pg_read_all_stats', 'usage') as sees",
  );
  if (!rows[0]?.sees) {
    throw new UserError(
      "the role privacy can't see other sessions, so it can't tell when older transactions have ended; run grant pg_read_all_stats to privacy as a superuser",
      { key: "DATABASE_URL" },
    );
  }
  const until = Date.now() + patience;
  for (;;) {
    const waiting = await older(pool, xid);
    if (waiting.length === 0) return;
    if (Date.now() >= until) {
      const own = waiting.filter(({ pid, isOwn }) => pid !== null && isOwn);
      await endSessions(
        pool,
        own.map(({ pid }) => pid as number),
      );
      const others = (await older(pool, xid)).length;
      if (others === 0) return;
      throw new CodedError(
        "older_transactions",
        `${others} transactions that began before it are still open in the warehouse; end them (pg_stat_activity, pg_prepared_xacts), and it goes on`,
        { retryable: true },
      );
    }
    await sleep(LOOK_EVERY_MS);
  }
}

async function older(pool: pg.Pool, xid: string): Promise<{ pid: number | null; isOwn: boolean }[]> {
  const { rows } = await pool.query<{ pid: number | null; isOwn: boolean }>(
    `with t as (select $1::xid8::xid as xid)
     select a.pid, a.usename = session_user as "isOwn"
     from pg_stat_activity as a, t
     where a.datname = current_database() and a.pid <> pg_backend_pid()
       and a.backend_type in ('client backend', 'parallel worker')
       and (age(a.backend_xmin) >= age(t.xid) or age(a.backend_xid) >= age(t.xid))
     union all
     select null, false from pg_prepared_xacts where database = current_database()`,
    [xid],
  );
  return rows;
}
