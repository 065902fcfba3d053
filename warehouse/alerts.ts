import { createHash } from "node:crypto";
import type pg from "pg";
import type { Alert, AlertMessage, Channel } from "../domain/alerts.ts";
import { inTransaction } from "./database.ts";

/** What one channel has to be told. */
export interface Delivery {
  channel: Channel;
  message: AlertMessage;
}

/** A check of health tells this much at the most; the next goes on. */
const MOST_DELIVERIES = 100;

type Queryable = pg.Pool | pg.ClientBase;

/**
 * Notes how what is watched stands. Only a change of its state or code is a change: counts stay as they were then, so
 * that what goes on being late is told once. What is well and was never otherwise is noted too, as watched from now on.
 */
export async function putAlerts(client: Queryable, alerts: Alert[]): Promise<void> {
  await client.query(
    `insert into ops.alerts (subject, state, code, counts)
     select subject, state, code, counts
     from jsonb_to_recordset($1::jsonb) as alert (subject text, state text, code text, counts jsonb)
     order by subject
     on conflict (subject) do update set state = excluded.state, code = excluded.code, counts = excluded.counts, since = now()
     where alerts.state <> excluded.state or (excluded.state <> 'ok' and alerts.code <> excluded.code)`,
    [JSON.stringify(alerts)],
  );
}

/** What is not well, the worst first. */
export async function openAlerts(client: Queryable): Promise<(Alert & { since: string })[]> {
  const { rows } = await client.query<Alert & { since: string }>(
    `select subject, state, code, counts, to_char(since at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') as since
     from ops.alerts where state <> 'ok' order by state, subject`,
  );
  return rows;
}

/**
 * What the channels have not been told yet, the oldest change first.
 * @param subjects only of these alerts
 */
export async function pendingDeliveries(
  pool: pg.Pool,
  project: string,
  channels: Channel[],
  subjects: string[] | null = null,
): Promise<Delivery[]> {
  const { rows } = await pool.query<Alert & { since: string; channel: Channel }>(
    `select alert.subject, alert.state, alert.code, alert.counts, channel,
       to_char(alert.since at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as since
     from ops.alerts as alert cross join unnest($1::text[]) as channel
     left join ops.alert_deliveries as told using (subject, channel)
     where (alert.state <> coalesce(told.state, 'ok') or (alert.state <> 'ok' and alert.code <> told.code))
       and ($2::text[] is null or alert.subject = any($2))
     order by alert.since, alert.subject, channel limit ${MOST_DELIVERIES}`,
    [channels, subjects],
  );
  return rows.map(({ channel, ...alert }) => ({ channel, message: { ...alert, id: messageId(alert), project } }));
}

/**
 * Tells a channel of a change and notes it, unless somebody else has meanwhile. A crash between the two repeats the
 * message under the same id.
 */
export async function deliverOnce(
  pool: pg.Pool,
  { channel, message }: Delivery,
  send: () => Promise<void>,
): Promise<void> {
  const { subject, state, code } = message;
  await inTransaction(pool, async (client) => {
    await client.query("select pg_advisory_xact_lock(hashtextextended($1, 0))", [`${channel} ${subject}`]);
    const { rowCount } = await client.query(
      "select from ops.alert_deliveries where subject = $1 and channel = $2 and state = $3 and code = $4",
      [subject, channel, state, code],
    );
    if (rowCount) return;
    await send();
    await client.query(
      `insert into ops.alert_deliveries (subject, channel, state, code)
       select subject, $2, $3, $4 from ops.alerts where subject = $1
       on conflict (subject, channel) do update set state = excluded.state, code = excluded.code, told_at = now()`,
      [subject, channel, state, code],
    );
  });
}

/** Names one change, so that an attempt whose answer was lost can be repeated without a second notice. */
function messageId({ subject, state, code, since }: Alert & { since: string }): string {
  const hash = createHash("sha256").update(JSON.stringify([subject, state, code, since]));
  return `msg_${hash.digest("hex").slice(0, 32)}`;
}
