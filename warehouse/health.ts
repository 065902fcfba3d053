import type pg from "pg";
import type { Alert } from "../domain/alerts.ts";
import type { Project } from "../domain/project.ts";
import { putAlerts } from "./alerts.ts";
import { inTransaction } from "./database.ts";
import { streamFreshness } from "./freshness.ts";
import { findLogLeaks } from "./log-settings.ts";
import { nextLook, openClocks, requestAlerts } from "./requests/clocks.ts";
import type { CheckResult } from "./models/run-checks.ts";

/**
 * Looks at what is watched and notes what has changed: the freshness of streams, the checks of the last build, and
 * whether what had failed works again, and when people's requests are due. One look at a time, so that two never overtake each other.
 */
export async function watchHealth(pool: pg.Pool, project: Project, now = new Date()): Promise<void> {
  await inTransaction(pool, async (client) => {
    await client.query("select pg_advisory_xact_lock(hashtextextended('miette.health', 0))");
    const checks = await checkAlerts(client);
    await putAlerts(client, [
      ...(await freshnessAlerts(client, project)),
      ...checks,
      ...(await recoveries(client, project)),
      await logAlert(client),
      ...(await requestAlerts(client, project.timeZone, now)),
    ]);
    await forgetGone(client, project, checks);
  });
}

/**
 * Looks at one request's clock and notes how it stands.
 * @returns when to look again, ISO 8601; null: nobody waits for an answer any more
 */
export async function watchClock(
  pool: pg.Pool,
  { timeZone }: Project,
  requestId: string,
  now: Date,
): Promise<string | null> {
  return await inTransaction(pool, async (client) => {
    await client.query("select pg_advisory_xact_lock(hashtextextended('miette.health', 0))");
    await putAlerts(client, await requestAlerts(client, timeZone, now, requestId));
    const [open] = await openClocks(client, timeZone, requestId);
    return open ? nextLook(open, now) : null;
  });
}

async function freshnessAlerts(client: pg.ClientBase, { freshness }: Project): Promise<Alert[]> {
  return (await streamFreshness(client, freshness)).map(({ source, stream, state, age, warnAfter, errorAfter }) => ({
    subject: `freshness:${source}.${stream}`,
    state,
    code: "late",
    counts: { hours: hours(age), allowed: hours((state === "error" ? errorAfter : warnAfter) ?? errorAfter ?? 0) },
  }));
}

/** A server of somebody else's may write values of rows into its log. */
async function logAlert(client: pg.ClientBase): Promise<Alert> {
  const leaks = await findLogLeaks(client);
  const state = leaks.length > 0 ? "warning" : "ok";
  return { subject: "warehouse:log", state, code: "log_holds_values", counts: { settings: leaks.length } };
}

function hours(seconds: number): number {
  return Math.round(seconds / 360) / 10;
}

/** The checks of the newest build that came to run them. */
async function checkAlerts(client: pg.ClientBase): Promise<Alert[]> {
  const { rows } = await client.query<{ checks: CheckResult[] }>(
    `select case jsonb_typeof(result) when 'array' then result else coalesce(result -> 'checks', '[]') end as checks
     from ops.builds where status in ('published', 'failed') and result is not null order by finished_at desc limit 1`,
  );
  return (rows[0]?.checks ?? []).map(({ name, severity, rows: breaches }) => ({
    subject: `check:${name}`,
    state: breaches === 0 ? "ok" : severity === "warn" ? "warning" : "error",
    code: "check_failed",
    counts: { rows: breaches },
  }));
}

/** What has failed and since gone well: a sync once every stream's newest one is done, a build once one was published. */
async function recoveries(client: pg.ClientBase, { sources }: Project): Promise<Alert[]> {
  const streams = sources.flatMap(({ name, streams: declared }) => declared.map((stream) => [name, stream.name]));
  const { rows } = await client.query<Alert>(
    `with newest as (
       select rule.source, sync.status, sync.finished_at
       from unnest($1::text[], $2::text[]) as rule (source, stream)
       cross join lateral (
         select status, finished_at from ops.syncs as sync
         where sync.source = rule.source and sync.stream = rule.stream order by started_at desc limit 1
       ) as sync
     ), synced as (
       select source, max(finished_at) as at from newest group by source having bool_and(status = 'done')
     ), published as (
       select max(finished_at) as at from ops.builds where status = 'published'
     )
     select alert.subject, 'ok' as state, alert.code, '{}'::jsonb as counts
     from ops.alerts as alert left join synced on alert.subject = 'sync:' || synced.source, published
     where alert.state <> 'ok' and case
       when alert.subject like 'sync:%' then synced.at > alert.since
       when alert.subject = 'build' then published.at > alert.since
       when alert.subject = 'run' then published.at > alert.since or exists (select from synced as any_source where any_source.at > alert.since)
       else false end`,
    [streams.map(([source]) => source), streams.map(([, stream]) => stream)],
  );
  return rows;
}

/** Sources, streams, rules and checks that the project no longer has worry nobody any more. */
async function forgetGone(client: pg.ClientBase, { sources, freshness }: Project, checks: Alert[]): Promise<void> {
  await client.query("delete from ops.alerts where subject like any ($1) and subject <> all ($2)", [
    ["sync:%", "freshness:%", ...(checks.length > 0 ? ["check:%"] : [])],
    [
      ...sources.map(({ name }) => `sync:${name}`),
      ...freshness.map(({ source, stream }) => `freshness:${source}.${stream}`),
      ...checks.map(({ subject }) => subject),
    ],
  ]);
}
