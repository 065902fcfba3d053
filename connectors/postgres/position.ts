import type { Json } from "../../domain/streams.ts";
import { APPLICATION_NAME, type Session, type Text } from "./session.ts";
import type { Column } from "./types.ts";

/**
 * Where reading stands: within a pass, or between two. A pass reads everything from a lower bound to the end of what is
 * there. A transaction that commits after a pass may hold smaller cursor values than the pass has seen, so the bound of
 * the next pass lies below the last value by as much as such a transaction can reach (`endPass`).
 */
export interface Position {
  /** Names and types of the columns that it is ordered by; under another order it means nothing. */
  by: string[];
  /** No row with a smaller cursor value is missing; null: the start. */
  from: Text;
  /** The greatest value of an earlier pass, and the transaction id below which all have to end before it is a bound. */
  settling: { value: string; below: string } | null;
  /** The source's clock when the pass began, so that no two passes end in the same cursor. */
  clock: string;
  /** Null between two passes. */
  pass: { oldest: Horizon; isInNulls: boolean; after: Text[] | null } | null;
}

/** What was in flight when a pass began. */
export interface Horizon {
  clock: string;
  /** No transaction in flight began before this moment. */
  start: string;
  /** Every transaction with a smaller id has ended; none with this id or a greater one had begun. */
  xmin: string;
  xmax: string;
}

/** Fixed overlap where other transactions cannot be seen: without pg_read_all_stats, or on a standby. */
const BLIND_OVERLAP = "5 minutes";
/** For clocks of application servers that run behind the database's, and values taken just before a transaction began. */
const CLOCK_MARGIN = "10 seconds";

/**
 * The moment before which no transaction in flight began. Has to be read before the snapshot that the pass reads: one
 * that ends in between is then counted for nothing, in the other order it would be missed.
 */
export async function readStart(session: Session): Promise<{ clock: string; start: string }> {
  const [row] = await session.query(
    `select now(), case
       when pg_is_in_recovery() then least(now(), pg_last_xact_replay_timestamp()) - $2::interval
       when not pg_has_role(current_user, 'pg_read_all_stats', 'usage') then now() - $2::interval
       else least(
         now(),
         (select min(a.xact_start) from pg_stat_activity a
          where a.datname = current_database() and a.pid <> pg_backend_pid()
            and a.backend_type not in ('autovacuum worker', 'walsender')
            and not (a.application_name = $1 and a.usename = current_user)),
         (select min(p.prepared) - $2::interval from pg_prepared_xacts p where p.database = current_database())
       ) - $3::interval
     end`,
    [APPLICATION_NAME, BLIND_OVERLAP, CLOCK_MARGIN],
  );
  return { clock: row?.[0] as string, start: row?.[1] as string };
}

/** The transactions that the session's own snapshot does not see. */
export async function readSnapshot(session: Session): Promise<{ xmin: string; xmax: string }> {
  const [row] = await session.query("select pg_snapshot_xmin(s), pg_snapshot_xmax(s) from pg_current_snapshot() as s");
  return { xmin: row?.[0] as string, xmax: row?.[1] as string };
}

/** Goes on with the pass that a cursor stands in, or begins the next one. */
export function enterPass(cursor: Json | null, by: string[], horizon: Horizon): Position & { pass: object } {
  const stored = cursor as unknown as Position | null;
  const known = stored && JSON.stringify(stored.by) === JSON.stringify(by) ? stored : null;
  return {
    by,
    from: known?.from ?? null,
    settling: known?.settling ?? null,
    clock: horizon.clock,
    pass: known?.pass ?? { oldest: horizon, isInNulls: true, after: null },
  };
}

/**
 * The position after a pass.
 *
 * A date or timestamp column is taken as the writer's clock, at or after the start of the writer's transaction: the next
 * pass begins at the last value, or at the start of the oldest transaction that was in flight when this pass began. Any
 * other column is taken as a sequence: the next pass begins where this one did, unless nothing was in flight, or at the
 * end of the last pass all of whose contemporaries have ended. What no overlap can cover: values that a writer takes from
 * elsewhere (an import with old dates, a block of numbers reserved in advance), and the hour that a timestamp of local
 * time repeats in autumn.
 *
 * @param cursor the cursor column; null where everything is read each time
 * @param last the greatest cursor value of the pass; null where it met none
 * @param latest what was in flight when the pass was last taken up
 */
export async function endPass(
  session: Session,
  position: Position & { pass: { oldest: Horizon } },
  cursor: Column | null,
  last: Text,
  latest: Horizon,
): Promise<Position> {
  const { oldest } = position.pass;
  const end = { ...position, pass: null };
  if (!cursor || last === null) return end;
  const bound = CLOCK_BOUND[cursor.type.schema === "pg_catalog" ? cursor.type.name : ""];
  if (bound) {
    const [row] = await session.query(
      `select greatest($5::${cursor.type.cast}, ${bound}) from
         (select $1::${cursor.type.cast}, $2::timestamptz at time zone 'UTC', $3::timestamptz at time zone 'UTC', $4::timestamptz)
         as known (last, start, clock, zoned_start)`,
      [last, oldest.start, latest.clock, oldest.start, position.from],
    );
    return { ...end, from: row?.[0] ?? null };
  }
  if (BigInt(oldest.xmin) >= BigInt(latest.xmax)) return { ...end, from: last, settling: null };
  const isSettled = position.settling !== null && BigInt(oldest.xmin) >= BigInt(position.settling.below);
  return {
    ...end,
    from: isSettled ? (position.settling?.value ?? null) : position.from,
    settling: isSettled || !position.settling ? { value: last, below: latest.xmax } : position.settling,
  };
}

/** By type; `start` and `clock` are in UTC. A value from the future never hides what is written until then. */
const CLOCK_BOUND: Record<string, string> = {
  timestamptz: "least(last, zoned_start)",
  // Of a timestamp nobody knows the zone (-12 to +14 hours), so the time is reckoned back from its own last value.
  timestamp: `case when last <= clock + interval '14 hours' then last - (clock - start) else start - interval '12 hours' end`,
  date: "least(last, start::date - 1)",
};
