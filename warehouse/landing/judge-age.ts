import type pg from "pg";
import { quoteName } from "../database.ts";
import type { Age, TableRules } from "../retention/rules.ts";
import type { Verdict } from "./judge.ts";
import type { StreamPlan } from "./plan.ts";
import { versionNumber, type Prepared } from "./record.ts";

/**
 * Judges a page's records by their age. Of what is past it nothing comes in: a record that its own field dates, unless it
 * stands here, which retention then decides; and one that was taken out before because it had landed too long ago, unless
 * it is a later version. What is taken out right now counts as gone.
 * @param older records that only the history would get
 */
export async function judgeAge(
  client: pg.ClientBase,
  plan: StreamPlan,
  records: readonly Prepared[],
  older: ReadonlySet<Prepared>,
  rules: TableRules | null,
): Promise<Map<Prepared, Verdict>> {
  const verdicts = new Map<Prepared, Verdict>();
  if (records.length === 0) return verdicts;
  for (const record of await findExpired(client, records)) verdicts.set(record, "drop");
  const past = rules?.retention?.from ? await findPastAge(client, plan, records, rules, rules.retention) : [];
  if (past.length === 0) return verdicts;
  const { rows } = await client.query<{ record_key: string }>(
    `select t.record_key from ${quoteName("raw", plan.table)} as t where t.record_key = any($1::uuid[])
       and not exists (select from privacy.retention_records as going where going.record_key = t.record_key)`,
    [`{${past.map(({ recordKey }) => recordKey).join(",")}}`],
  );
  const standing = new Set(rows.map(({ record_key }) => record_key));
  const own = rules?.action === "strip" ? "strip" : "drop";
  for (const record of past) {
    if (older.has(record)) verdicts.set(record, "drop");
    else if (!standing.has(record.recordKey)) verdicts.set(record, verdicts.get(record) ?? own);
  }
  return verdicts;
}

/** Those that stand among the expired, with the same content or an older version. */
async function findExpired(client: pg.ClientBase, records: readonly Prepared[]): Promise<Prepared[]> {
  const { rows } = await client.query<{ index: number }>(
    `select (r.ordinality - 1)::int as index
     from unnest($1::uuid[], $2::uuid[], $3::numeric[]) with ordinality as r (record_key, content_hash, version, ordinality)
     join privacy.expired_records as expired on expired.record_key = r.record_key
     where expired.content_hash = r.content_hash or r.version <= expired.version`,
    [
      records.map(({ recordKey }) => recordKey),
      records.map(({ contentHash }) => contentHash),
      records.map(({ version }) => version),
    ],
  );
  return rows.map(({ index }) => records[index] as Prepared);
}

/** Those that a field of theirs says are past their age, and no rule holds; by the warehouse's clock. */
async function findPastAge(
  client: pg.ClientBase,
  plan: StreamPlan,
  records: readonly Prepared[],
  { holds }: TableRules,
  retention: Age,
): Promise<Prepared[]> {
  const ages = [retention, ...holds];
  const { rows } = await client.query<{ before: number }>(
    `select (extract(epoch from now() - keep::interval) * 1000000)::float8 as before
     from unnest($1::text[]) with ordinality as age (keep, number) order by number`,
    [ages.map(({ keep }) => keep)],
  );
  const [limit, ...heldFrom] = rows.map(({ before }) => before);
  /** Microseconds since 1970; of what no field dates, now. */
  const momentBy = ({ values }: Prepared, { from }: Age): number => {
    const index = from === null ? undefined : plan.fieldIndex.get(from);
    return Number(versionNumber(index === undefined ? null : (values[index] ?? null)) ?? Number.POSITIVE_INFINITY);
  };
  return records.filter(
    (record) =>
      momentBy(record, retention) < (limit as number) &&
      holds.every((hold, index) => momentBy(record, hold) < (heldFrom[index] as number)),
  );
}
