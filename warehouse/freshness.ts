import type pg from "pg";
import type { AlertState } from "../domain/alerts.ts";
import type { FreshnessRule } from "../domain/project.ts";

export interface StreamFreshness extends FreshnessRule {
  /** When a sync last brought something new, ISO 8601; null: never. */
  lastNewAt: string | null;
  /** Seconds since then; for a stream that never brought anything, since it is watched. */
  age: number;
  state: AlertState;
}

/** How fresh the streams are for which the project sets a limit: one look at an index for each. */
export async function streamFreshness(
  client: pg.Pool | pg.ClientBase,
  rules: FreshnessRule[],
): Promise<StreamFreshness[]> {
  const { rows } = await client.query<{ lastNewAt: string | null; age: number }>(
    `select to_char(landed.at at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') as "lastNewAt",
       extract(epoch from now() - coalesce(landed.at, alert.watched_at, now()))::float8 as age
     from unnest($1::text[], $2::text[]) with ordinality as rule (source, stream, number)
     left join lateral (
       select coalesce(sync.finished_at, sync.started_at) as at from ops.syncs as sync
       where sync.source = rule.source and sync.stream = rule.stream and sync.inserted + sync.updated + sync.deleted > 0
       order by sync.started_at desc limit 1
     ) as landed on true
     left join ops.alerts as alert on alert.subject = 'freshness:' || rule.source || '.' || rule.stream
     order by rule.number`,
    [rules.map(({ source }) => source), rules.map(({ stream }) => stream)],
  );
  return rules.map((rule, index) => {
    const { lastNewAt, age } = rows[index]!;
    return { ...rule, lastNewAt, age, state: stateOf(rule, age) };
  });
}

function stateOf({ warnAfter, errorAfter }: FreshnessRule, age: number): AlertState {
  if (errorAfter !== null && age > errorAfter) return "error";
  return warnAfter !== null && age > warnAfter ? "warning" : "ok";
}
