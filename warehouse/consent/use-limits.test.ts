import { setTimeout } from "node:timers/promises";
import fc from "fast-check";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import type { Choice } from "../../domain/consent.ts";
import { createTestDatabase, type TestDatabase } from "../../test/database.ts";
import { inTransaction } from "../database.ts";
import { recordSaid } from "./record.ts";
import { refreshUseLimits } from "./use-limits.ts";

let database: TestDatabase;
beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database.drop());
beforeEach(async () => {
  await database.pool.query(`
    alter table privacy.consent_events disable trigger insert_only;
    delete from privacy.consent_identifiers; delete from privacy.consent_events;
    alter table privacy.consent_events enable trigger insert_only;
    truncate ops.use_limits, ops.use_limit_words`);
});

interface Word {
  tokens: string[];
  choice: Choice;
  isGiven: boolean;
  purpose?: string;
  daysAgo?: number;
  endsAt?: Date;
}

const say = ({ tokens, choice, isGiven, purpose = "marketing", daysAgo = 1, endsAt }: Word) =>
  inTransaction(
    database.pool,
    (client) =>
      recordSaid(
        client,
        {
          choice,
          isGiven,
          purpose,
          occurredAt: new Date(Date.now() - daysAgo * 86_400_000),
          source: "cli",
          noticeVersion: null,
          jurisdiction: null,
          expiresAt: endsAt ?? null,
        },
        tokens,
        "test",
      ),
    "begin; set local role privacy",
  );
const refresh = () => refreshUseLimits(database.pool, []);
const limits = async (): Promise<string[]> =>
  (
    await database.pool.query<{ line: string }>(
      "select concat_ws(' ', token, choice, purpose, said_at, holds) as line from ops.use_limits order by 1",
    )
  ).rows.map(({ line }) => line);

/** What the whole ledger says now, told in another way: a word that no later one of the same kind outdoes. */
const whole = async (): Promise<string[]> =>
  (
    await database.pool.query<{ line: string }>(
      `with said as (
         select who.token, e.*, least(e.occurred_at, e.recorded_at) as at
         from privacy.consent_events as e join privacy.consent_identifiers as who using (event_id) where e.choice <> 'consent'
       )
       select concat_ws(' ', token, choice, purpose, at, is_given and (expires_at is null or expires_at > now())) as line
       from said where not exists (
         select from said as later where (later.token, later.choice, later.purpose) = (said.token, said.choice, said.purpose)
           and (later.at, later.is_given, later.event_id) > (said.at, said.is_given, said.event_id)
       ) order by 1`,
    )
  ).rows.map(({ line }) => line);

const token = fc.constantFrom("email_a", "email_b", "phone_a", "device_a");
const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant("say" as const),
      tokens: fc.uniqueArray(token, { minLength: 1, maxLength: 3 }),
      choice: fc.constantFrom<Choice>("consent", "objection", "opt_out", "limit", "restriction"),
      isGiven: fc.boolean(),
      purpose: fc.constantFrom("marketing", "sale"),
      daysAgo: fc.integer({ min: 1, max: 3 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("forget" as const), token }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("rename" as const), token }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("refresh" as const) }) },
);

test("what is told from the last words alone is what the whole ledger says, whatever is said, renamed or erased between", async () => {
  let renamed = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
      for (const each of steps) {
        if (each.do === "say") await say(each);
        else if (each.do === "refresh") await refresh();
        else if (each.do === "forget") {
          // As an erasure does: what is derived first.
          await database.pool.query("delete from ops.use_limits where token = $1", [each.token]);
          await database.pool.query("delete from privacy.consent_identifiers where token = $1", [each.token]);
        } else {
          await database.pool.query("update privacy.consent_identifiers set token = $2 where token = $1", [
            each.token,
            `email_${(renamed += 1)}`,
          ]);
        }
      }
      await refresh();
      expect(await limits()).toEqual(await whole());
      expect((await database.pool.query("select from ops.use_limit_words")).rowCount).toBe(0);
    }),
    { numRuns: 25 },
  );
});

test("an objection that ends by itself is no limit from then on, though nobody says a word", async () => {
  const endsAt = new Date(Date.now() + 1_500);
  await say({ tokens: ["email_a"], choice: "objection", isGiven: true, endsAt });
  await refresh();
  expect(await limits()).toEqual([expect.stringMatching(/ t$/)]);
  await setTimeout(endsAt.getTime() - Date.now() + 10);
  await refresh();
  expect(await limits()).toEqual([expect.stringMatching(/ f$/)]);
  await refresh();
  expect(await limits()).toEqual(await whole());
});

test("a word that is still being written while a build looks is told by the next", async () => {
  const client = await database.pool.connect();
  await client.query("begin");
  await client.query(
    `with event as (
       insert into privacy.consent_events (occurred_at, choice, is_given, purpose, source)
       values (now(), 'objection', true, 'marketing', 'cli') returning event_id
     ) insert into privacy.consent_identifiers (token, event_id) select 'email_late', event_id from event`,
  );
  await say({ tokens: ["email_a"], choice: "objection", isGiven: true });
  await refresh();
  expect(await limits()).toHaveLength(1);
  await client.query("commit");
  client.release();
  await refresh();
  expect(await limits()).toEqual(await whole());
  expect(await limits()).toHaveLength(2);
});

test("one more word among twenty thousand reads that one and not the others", async () => {
  await database.pool.query(
    `with event as (
       insert into privacy.consent_events (occurred_at, choice, is_given, purpose, source)
       select now() - interval '1 day', 'opt_out', true, 'sale', 'gpc:shop' from generate_series(1, 20000) returning event_id
     ) insert into privacy.consent_identifiers (token, event_id) select 'device_' || event_id, event_id from event`,
  );
  await refresh();
  expect(await limits()).toHaveLength(20_000);
  await database.pool.query(
    "analyze privacy.consent_events, privacy.consent_identifiers, ops.use_limits, ops.use_limit_words",
  );
  await say({ tokens: ["device_new"], choice: "opt_out", isGiven: true, purpose: "sale" });
  const before = await rowsRead();
  await refresh();
  expect((await rowsRead()) - before).toBeLessThan(100);
  expect(await limits()).toHaveLength(20_001);
});

/** Rows of the ledger and of what is told from it that were read so far. */
async function rowsRead(): Promise<number> {
  // Sessions report what they have read when they are told to, or in a second.
  await setTimeout(1_100);
  await database.pool.query("select pg_stat_force_next_flush()");
  const { rows } = await database.pool.query<{ read: string }>(
    `select sum(seq_tup_read + coalesce(idx_tup_fetch, 0)) as read from pg_stat_user_tables
     where relid in ('privacy.consent_events'::regclass, 'privacy.consent_identifiers'::regclass, 'ops.use_limits'::regclass)`,
  );
  return Number(rows[0]?.read);
}
