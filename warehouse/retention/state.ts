import type pg from "pg";
import { STATE_CATEGORIES, type RetainedRows, type RetentionRule, type StateCategory } from "../../domain/retention.ts";
import { inTransaction } from "../database.ts";
import { quoteRelation } from "../models/build.ts";
import { readEpoch } from "../epoch.ts";
import { addChanged } from "./run.ts";

const BATCH = 10_000;

interface State {
  relation: string;
  /** When row `t` began to age, in SQL. */
  moment: string;
  /** Until when it was to be kept from the first, in SQL. */
  expiry: string | null;
  /** Whose it is, in SQL over `restricted`, the people whose data are only stored. */
  isRestricted: string;
  /** What must not go whatever its age, in SQL. */
  isNeeded: string;
}

const OF_RESTRICTED = (column: string): string =>
  `t.${column} && array(select token from core.identifiers join core.restricted_people using (customer_id))`;

const STATES: Record<StateCategory, State> = {
  quarantine: {
    relation: "ops.quarantine",
    moment: "t.last_seen_at",
    expiry: "t.expires_at",
    isRestricted: OF_RESTRICTED("tokens"),
    isNeeded: "false",
  },
  archives: {
    relation: "privacy.archives",
    moment: "coalesce(t.finished_at, t.started_at)",
    expiry: "t.expires_at",
    isRestricted: OF_RESTRICTED("subject_tokens"),
    isNeeded: "false",
  },
  recipients: {
    relation: "privacy.recipients",
    moment: "coalesce(t.settled_at, t.claimed_at)",
    expiry: null,
    isRestricted: "t.customer_id in (select customer_id from core.restricted_people)",
    // Who is still with a recipient has to be known, so that withdrawals and erasures reach them there.
    isNeeded: `t.state = 'intended' or (t.operation = 'deliver' and t.state <> 'withheld' and not exists (
      select from privacy.recipients as later
      where later.recipient = t.recipient and later.audience = t.audience and later.customer_id = t.customer_id
        and later.operation = 'remove' and later.state = 'done' and later.claimed_at > t.claimed_at))`,
  },
};

/** What of the project's own running is past its age, counted. */
export async function countExpiredState(
  client: pg.ClientBase,
  rules: readonly RetentionRule[],
): Promise<RetainedRows[]> {
  const counts: RetainedRows[] = [];
  for (const { relation, condition } of await expiredStates(client, rules)) {
    const { rows } = await client.query<{ count: number }>(
      `select count(*)::float8 as count from ${quoteRelation(relation)} as t where ${condition}`,
    );
    const count = rows[0]?.count ?? 0;
    if (count > 0) counts.push({ relation, action: "delete", rows: count, passedOver: 0 });
  }
  return counts;
}

/** Takes it out, in batches. */
export async function expireState(pool: pg.Pool, runId: string, rules: readonly RetentionRule[]): Promise<void> {
  for (const { relation, condition } of await expiredStates(pool, rules)) {
    const name = quoteRelation(relation);
    for (let taken = BATCH; taken === BATCH;) {
      taken = await inTransaction(pool, async (client) => {
        await readEpoch(client);
        const { rowCount } = await client.query(
          `delete from ${name} where ctid = any(array(select t.ctid from ${name} as t where ${condition} limit ${BATCH} for update))`,
        );
        await addChanged(client, runId, { [`${relation} delete`]: rowCount ?? 0 });
        return rowCount ?? 0;
      });
    }
  }
}

async function expiredStates(
  client: pg.ClientBase | pg.Pool,
  rules: readonly RetentionRule[],
): Promise<{ relation: string; condition: string }[]> {
  const { rows } = await (client as pg.Pool).query<{ has: boolean }>(
    "select to_regclass('core.restricted_people') is not null as has",
  );
  return STATE_CATEGORIES.flatMap((category) => {
    const { relation, moment, expiry, isRestricted, isNeeded } = STATES[category];
    const keep = rules.find((rule) => rule.category === category)?.keep;
    const ends = [expiry && `${expiry} <= now()`, keep && `${moment} < now() - interval '${keep}'`].filter(Boolean);
    if (ends.length === 0) return [];
    const kept = rows[0]?.has ? `(${isNeeded}) or (${isRestricted})` : isNeeded;
    return [{ relation, condition: `(${ends.join(" or ")}) and not (${kept})` }];
  });
}
