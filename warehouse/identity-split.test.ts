import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createTestDatabase, type TestDatabase } from "../test/database.ts";
import { decideMerge, decideSplit } from "./identity/decide.ts";
import type { Graph } from "./models/graph.ts";
import { build, makeContractStreams, packageGraph, shopProject, touch } from "./models/test-warehouse.ts";

const STREAMS = ["customers", "orders", "events", "reviews"];
const RULES = shopProject(STREAMS).identity;
let database: TestDatabase;
let graph: Graph;

beforeAll(async () => {
  database = await createTestDatabase();
  graph = await packageGraph(await makeContractStreams(database.pool, STREAMS), STREAMS);
});
afterAll(() => database.drop());

const query = async <T = Record<string, unknown>>(sql: string, values: unknown[] = []): Promise<T[]> =>
  (await database.pool.query(sql, values)).rows as T[];
const token = (kind: string, value: string | number | null): string | null =>
  value === null ? null : `${kind}_${Buffer.from(String(value)).toString("hex").padEnd(32, "0")}`;

/** Records of up to eight accounts, which share e-mails and devices among them, and may have none. */
const someone = fc.option(fc.integer({ min: 0, max: 7 }), { freq: 3 });
const day = fc.integer({ min: 1, max: 28 }).map((value) => `2026-03-${String(value).padStart(2, "0")}T12:00:00Z`);
const record = fc.record({
  stream: fc.constantFrom(...STREAMS, "orders", "events"),
  account: someone,
  // No more than one person may have: of the others a merge by hand would make people of their own.
  email: fc.option(fc.integer({ min: 0, max: 4 }), { freq: 3 }),
  device: someone,
  day,
  number: fc.integer({ min: 1, max: 5 }),
  country: fc.constantFrom("FR", "DE", null),
});
type Random = typeof record extends fc.Arbitrary<infer T> ? T : never;

/** @param round keeps the people of one round apart from those of the others */
async function land(records: Random[], round: number): Promise<void> {
  for (const { stream, account, email, device, day: at, number, country } of records) {
    const who = {
      customer_ref: token("customer_id", account === null ? null : `${round}.${account}`),
      email_token: token("email", email === null ? null : `${round}.${email}`),
    };
    const columns: Record<string, Record<string, unknown>> = {
      customers: { ...who, country, birth_year: 1980 + number, registered_at: at },
      orders: { ...who, order_number: `${round}-${at}`, ordered_at: at, amount: 10 * number, currency: "EUR" },
      events: {
        ...who,
        device_token: token("device_id", device === null ? null : `${round}.${device}`),
        name: "page_viewed",
        occurred_at: at,
        page_url: "https://shop.example/",
        utm_source: country === null ? null : "newsletter",
        utm_medium: country === null ? null : "email",
      },
      reviews: { ...who, rating: number, reviewed_at: at },
    };
    const table = `raw.shop__${stream}`;
    await query(
      `insert into ${table} select (json_populate_record(null::${table}, (jsonb_build_object('record_key', gen_random_uuid(),
         'landed_xid', pg_current_xact_id()::text) || $1::jsonb)::json)).*`,
      [JSON.stringify(columns[stream])],
    );
  }
  await touch(database.pool, ...STREAMS.map((stream) => `raw.shop__${stream}`));
}

/** Every row of the mart, and who is who. */
async function everything(): Promise<Record<string, string[]>> {
  const tables = await query<{ name: string }>(
    `select schemaname || '.' || tablename as name from pg_tables
     where schemaname = 'mart' or schemaname = 'core' and tablename ~ '^(people|identifiers|record_owners|hidden_|merged_people|identity_)'`,
  );
  const found: Record<string, string[]> = {};
  for (const { name } of tables) {
    // A link that a limit has refused may be refused by the split since. Ranks are everybody's, so whoever left a segment
    // because two were one, and is back, has left it for a while.
    const isMembership = name === "mart.fct_segment_memberships";
    const apart = ["changed_xid", "reason", "limit_kind", "person_limit", ...(isMembership ? ["valid"] : [])];
    const rows = await query<{ line: string }>(
      `select (to_jsonb(t) - $1::text[])::text as line from ${name} as t ${isMembership ? "where upper_inf(valid)" : ""}`,
      [apart],
    );
    found[name] = rows.map(({ line }) => line).toSorted();
  }
  return found;
}

test("who was merged by hand and split again is who they were, with every fact, whatever was merged and split in between", async () => {
  let round = 0;
  let lastSequence = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.array(record, { minLength: 10, maxLength: 30 }),
      fc.array(fc.boolean(), { minLength: 6, maxLength: 6 }),
      fc.infiniteStream(fc.integer({ min: 0, max: 1000 })),
      async (records, areMerged, order) => {
        round += 1;
        await land(records, round);
        await build(database.pool, graph);
        const before = await everything();
        expect(before["mart.fct_orders"]?.length).toBe((await query("select from raw.shop__orders")).length);

        // Of this round alone: two whom an earlier one has parted would stay apart, however they are connected, and hold too many e-mails together.
        const people = await query<{ id: string; anchor: string }>(
          `select customer_id as id, anchor_token as anchor from core.people where person_seq > $1 order by person_seq desc limit 7`,
          [lastSequence],
        );
        const [{ last }] = (await query<{ last: number }>("select max(person_seq)::int as last from core.people")) as [
          { last: number },
        ];
        lastSequence = last;
        const shuffled = people.map((person) => ({ person, at: order.next().value })).toSorted((a, b) => a.at - b.at);
        const links: [string, string][] = [];
        for (const [index, { person }] of shuffled.entries()) {
          const next = shuffled[index + 1]?.person;
          if (!next || !areMerged[index]) continue;
          await decideMerge(database.pool, [person.id, next.id], "test");
          links.push([person.anchor, next.anchor]);
        }
        await build(database.pool, graph);
        const [{ n }] = (await query<{ n: number }>("select count(*)::int as n from core.people")) as [{ n: number }];
        expect(n).toBe(before["core.people"]!.length - links.length);

        // Some in one build, the last in one of its own.
        const splits = links.map((link) => ({ link, at: order.next().value })).toSorted((a, b) => a.at - b.at);
        for (const [index, { link }] of splits.entries()) {
          if (index === splits.length - 1) await build(database.pool, graph);
          await decideSplit(database.pool, RULES, link, "test");
        }
        await build(database.pool, graph);
        expect(await everything()).toEqual(before);
      },
    ),
    { numRuns: process.env["MIETTE_TEST_LONG"] ? 60 : 3, endOnFailure: true },
  );
  const { published } = await build(database.pool, graph, { full: true });
  expect(published!.relations.filter((each) => each.inserted + each.updated + each.deleted)).toEqual([]);
}, 600_000);
