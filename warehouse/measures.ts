import type pg from "pg";
import type { Project } from "../domain/project.ts";

/** What is measured from the warehouse; times are Unix seconds. */
export interface Measures {
  streams: { source: string; stream: string; doneAt: number | null; newAt: number | null }[];
  quarantine: { source: string; stream: string; records: number }[];
  build: { publishedAt: number; seconds: number } | null;
  alerts: { state: string; count: number }[];
}

/** Looks at indexes alone: two probes for each declared stream, and the quarantine's keys, counted. */
export async function readMeasures(pool: pg.Pool, { sources }: Project): Promise<Measures> {
  const declared = sources.flatMap(({ name, streams }) => streams.map((stream) => [name, stream.name] as const));
  const streams = await pool.query<Measures["streams"][number]>(
    `select rule.source, rule.stream, extract(epoch from done.at)::float8 as "doneAt", extract(epoch from new.at)::float8 as "newAt"
     from unnest($1::text[], $2::text[]) as rule (source, stream)
     left join lateral (
       select finished_at as at from ops.syncs as sync
       where sync.source = rule.source and sync.stream = rule.stream and status = 'done' order by started_at desc limit 1
     ) as done on true
     left join lateral (
       select coalesce(finished_at, started_at) as at from ops.syncs as sync
       where sync.source = rule.source and sync.stream = rule.stream and inserted + updated + deleted > 0
       order by started_at desc limit 1
     ) as new on true`,
    [declared.map(([source]) => source), declared.map(([, stream]) => stream)],
  );
  const quarantine = await pool.query<Measures["quarantine"][number]>(
    "select source, stream, count(*)::float8 as records from ops.quarantine group by source, stream",
  );
  const build = await pool.query<NonNullable<Measures["build"]>>(
    `select extract(epoch from finished_at)::float8 as "publishedAt", extract(epoch from finished_at - started_at)::float8 as seconds
     from ops.builds where status = 'published' order by finished_at desc limit 1`,
  );
  const alerts = await pool.query<Measures["alerts"][number]>(
    "select state, count(*)::float8 as count from ops.alerts group by state",
  );
  return { streams: streams.rows, quarantine: quarantine.rows, build: build.rows[0] ?? null, alerts: alerts.rows };
}
