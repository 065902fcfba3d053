import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createTestDatabase, type TestDatabase } from "../../test/database.ts";
import type { Graph } from "./graph.ts";
import { planBuild } from "./plan.ts";
import { runChecks } from "./run-checks.ts";
import { build, makeContractStreams, packageGraph, touch } from "./test-warehouse.ts";

const STREAMS = ["customers", "orders", "order_lines", "products", "events", "reviews", "ad_spend", "fx_rates"];

let database: TestDatabase;
let graph: Graph;

beforeAll(async () => {
  database = await createTestDatabase();
  const staging = await makeContractStreams(database.pool, STREAMS);
  graph = await packageGraph(staging, STREAMS);
  const key = (n: number) => `00000000-0000-4000-8000-${String(n).padStart(12, "0")}`;
  await database.pool.query(`
    insert into raw.shop__customers (record_key, customer_ref, email_token, country, birth_year, registered_at) values
      ('${key(1)}', 'customer_id_${"1".repeat(32)}', 'email_${"a".repeat(32)}', 'FR', 1980, '2026-01-01T10:00Z'),
      ('${key(2)}', 'customer_id_${"2".repeat(32)}', null, null, null, '2026-01-02T10:00Z');
    insert into raw.shop__products (record_key, product_ref, product_name, category, price, currency) values
      ('${key(11)}', 'P1', 'Laptop', 'computers', 999, 'EUR');
    insert into raw.shop__orders (record_key, order_number, customer_ref, email_token, ordered_at, amount, currency) values
      ('${key(21)}', 'A1', 'customer_id_${"1".repeat(32)}', null, '2026-01-05T23:30Z', 100, 'EUR'),
      ('${key(22)}', 'A2', null, 'email_${"a".repeat(32)}', '2026-01-10T12:00Z', 108, 'USD'),
      ('${key(23)}', 'A3', null, null, '2026-01-11T12:00Z', 7, 'EUR');
    insert into raw.shop__order_lines (record_key, order_record_key, line_number, product_ref, quantity, amount, currency) values
      ('${key(31)}', '${key(21)}', 1, 'P1', 1, 60, 'EUR'), ('${key(32)}', '${key(21)}', 2, 'P9', 1, 40, 'EUR');
    insert into raw.shop__fx_rates (valid_on, base_currency, quote_currency, rate) values
      ('2026-01-01', 'EUR', 'USD', 1.20), ('2026-01-09', 'EUR', 'USD', 1.08);
    insert into raw.shop__events (name, occurred_at, device_token, product_ref, properties) values
      ('page_viewed', '2026-01-03T08:00Z', 'device_id_${"d".repeat(32)}', 'P1', '{"seconds": 3}');
    insert into raw.shop__reviews (product_ref, customer_ref, rating, sentiment, reviewed_at) values
      ('P1', 'customer_id_${"2".repeat(32)}', 4, 0.5, '2026-01-20T08:00Z');
    insert into raw.shop__ad_spend (spent_on, platform, amount, currency, clicks) values ('2026-01-04', 'google', 12, 'USD', 3);`);
});
afterAll(() => database.drop());

const rows = async (sql: string) => (await database.pool.query(sql)).rows;

describe("the first cut of the mart", () => {
  test("is built, with every check passed", async () => {
    const { published } = await build(database.pool, graph, { now: new Date("2026-02-01T12:00Z") });
    expect(published!.checks.map(({ name, rows }) => [name, rows])).toEqual(graph.checks.map(({ name }) => [name, 0]));
    const again = await runChecks(database.pool, graph);
    expect(again.map(({ name, rows }) => [name, rows])).toEqual(graph.checks.map(({ name }) => [name, 0]));
  });

  test("shows amounts in the reporting currency, by the rate of the day, and keeps the source's", async () => {
    expect(
      await rows(`select order_number, order_date, round(amount, 2)::float8 as amount, currency, source_amount::float8, source_currency
        from mart.fct_orders order by 1`),
    ).toEqual([
      {
        order_number: "A1",
        order_date: "2026-01-06",
        amount: 100,
        currency: "EUR",
        source_amount: 100,
        source_currency: "EUR",
      },
      {
        order_number: "A2",
        order_date: "2026-01-10",
        amount: 100,
        currency: "EUR",
        source_amount: 108,
        source_currency: "USD",
      },
      {
        order_number: "A3",
        order_date: "2026-01-11",
        amount: 7,
        currency: "EUR",
        source_amount: 7,
        source_currency: "EUR",
      },
    ]);
    expect(await rows("select amount::float8 from mart.fct_ad_spend")).toEqual([{ amount: 10 }]);
  });

  test("gives facts to the person that their identifiers lead to, and the rest to nobody", async () => {
    const [first, second, third] = await rows("select customer_id from mart.fct_orders order by order_number");
    expect(first!.customer_id).toBe(second!.customer_id);
    expect(third!.customer_id).toBe("00000000-0000-0000-0000-000000000000");
    expect(
      await rows(
        `select is_anonymous, country, birth_year, identifier_count::int from mart.dim_customers order by first_seen_at`,
      ),
    ).toEqual([
      { is_anonymous: false, country: "FR", birth_year: 1980, identifier_count: 2 },
      { is_anonymous: false, country: null, birth_year: null, identifier_count: 1 },
      { is_anonymous: true, country: null, birth_year: null, identifier_count: 1 },
    ]);
  });

  test("keeps a line whose product nobody has described", async () => {
    expect(
      await rows("select product_ref, product_id is not null as known from mart.fct_order_lines order by 1"),
    ).toEqual([
      { product_ref: "P1", known: true },
      { product_ref: "P9", known: false },
    ]);
  });

  test("covers the data's years in the calendar", async () => {
    expect(
      await rows("select min(date) as first, max(date) as last, count(*)::int as days from mart.dim_dates"),
    ).toEqual([{ first: "2026-01-01", last: "2026-12-31", days: 365 }]);
  });

  test("describes every table and every column of core and mart", async () => {
    const undescribed = await rows(`
      select n.nspname || '.' || c.relname || coalesce('.' || a.attname, '') as what
      from pg_class c join pg_namespace n on n.oid = c.relnamespace
      left join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
      where n.nspname in ('core', 'mart') and c.relkind in ('r', 'v')
        and (obj_description(c.oid, 'pg_class') is null or col_description(c.oid, a.attnum) is null) order by 1`);
    expect(undescribed).toEqual([]);
  });

  test("is open to the analyst, without core and without tokens", async () => {
    const client = await database.pool.connect();
    await client.query("set role analyst");
    expect((await client.query("select count(*)::int as n from mart.fct_orders")).rows).toEqual([{ n: 3 }]);
    await expect(client.query("select from core.orders")).rejects.toThrow(/permission denied/);
    client.release(true);
    expect(
      await rows(
        "select attname from pg_attribute a join pg_class c on c.oid = attrelid where relnamespace = 'mart'::regnamespace and attname ~ '_(token|ref)$' and attname <> 'product_ref'",
      ),
    ).toEqual([]);
  });
});

describe("a second build", () => {
  test("writes no row where nothing is new", async () => {
    const before = await writes();
    const { plan } = await build(database.pool, graph, { now: new Date("2026-02-01T15:00Z") });
    expect(plan.relations.filter((relation) => relation.action !== "skip")).toEqual([]);
    expect(plan.buildId).toBeNull();
    expect(await writes()).toEqual(before);
  });

  test("on another day computes what counts from today, and no fact", async () => {
    const plan = await planBuild(database.pool, graph, { dry: true, now: new Date("2026-02-02T15:00Z") });
    const work = plan.relations.filter((relation) => relation.action !== "skip");
    const metrics = work.find(({ relation }) => relation === "mart.customer_metrics");
    expect(metrics).toMatchObject({ action: "full", reason: "the day changed" });
    expect(work.filter(({ relation }) => /^core\.|_orders$|_events$|dim_customers/.test(relation))).toEqual([]);
  });

  test("computed in full, writes no row either", async () => {
    const before = await writes();
    const { published } = await build(database.pool, graph, { full: true, now: new Date("2026-02-01T15:00Z") });
    expect(published!.relations.filter((r) => r.inserted + r.updated + r.deleted > 0)).toEqual([]);
    expect(await writes()).toEqual(before);
  });

  test("refuses an amount without a rate, and readers keep the state of before", async () => {
    await database.pool.query(
      "insert into raw.shop__orders (order_number, ordered_at, amount, currency) values ('A4', '2026-01-12T12:00Z', 5, 'JPY')",
    );
    await touch(database.pool, "raw.shop__orders");
    await expect(build(database.pool, graph)).rejects.toThrow(
      /amounts_have_a_rate \(sql\/checks\/amounts_have_a_rate\.sql\): 1 row\./,
    );
    expect(await rows("select count(*)::int as n from mart.fct_orders")).toEqual([{ n: 3 }]);
    await database.pool.query("delete from raw.shop__orders where order_number = 'A4'");
    await touch(database.pool, "raw.shop__orders");
  });

  test("gives a changed customer a new span of history, and one per day", async () => {
    const history = `select country, lower(valid) as since, upper(valid) as until from mart.dim_customer_history h
      where exists (select from mart.dim_customers c where c.customer_id = h.customer_id and c.birth_year = 1980) order by since nulls first`;
    for (const country of ["BE", "DE"]) {
      await database.pool.query(`update raw.shop__customers set country = '${country}' where birth_year = 1980`);
      await touch(database.pool, "raw.shop__customers");
      await build(database.pool, graph, { now: new Date("2026-03-01T12:00Z") });
      expect(await rows(history)).toEqual([
        { country: "FR", since: null, until: "2026-02-28 23:00:00+00" },
        { country, since: "2026-02-28 23:00:00+00", until: null },
      ]);
    }
    expect(
      await rows(`select o.order_number, h.country from mart.fct_orders o
        join mart.dim_customer_history h on h.customer_id = o.customer_id and h.valid @> o.ordered_at order by 1`),
    ).toEqual([
      { order_number: "A1", country: "FR" },
      { order_number: "A2", country: "FR" },
    ]);
  });

  test("moves facts and drops the history of a customer who turns out to be another", async () => {
    const people = await rows("select count(*)::int as n from mart.dim_customers");
    await database.pool.query(
      `insert into raw.shop__events (name, occurred_at, device_token, email_token) values
        ('email_opened', '2026-01-04T08:00Z', 'device_id_${"d".repeat(32)}', 'email_${"a".repeat(32)}')`,
    );
    await touch(database.pool, "raw.shop__events");
    await build(database.pool, graph, { now: new Date("2026-03-02T12:00Z") });
    expect(await rows("select count(*)::int as n from mart.dim_customers")).toEqual([{ n: people[0]!.n - 1 }]);
    expect(await rows("select count(distinct customer_id)::int as n from mart.fct_events")).toEqual([{ n: 1 }]);
    expect(await rows("select count(distinct customer_id)::int as n from mart.dim_customer_history")).toEqual([
      { n: people[0]!.n - 1 },
    ]);
  });

  test("lets a deleted order go with its lines", async () => {
    await database.pool.query("update raw.shop__orders set deleted_at = now() where order_number = 'A1'");
    await touch(database.pool, "raw.shop__orders");
    const { published } = await build(database.pool, graph);
    expect(published!.checks.find((check) => check.name === "every_line_has_an_order")!.rows).toBe(2);
    expect(await rows("select order_number from mart.fct_orders order by 1")).toEqual([
      { order_number: "A2" },
      { order_number: "A3" },
    ]);
    expect(await rows("select from mart.fct_order_lines")).toEqual([]);
  });
});

/** Rows ever written to core and mart, transactions that were rolled back included. */
/** Where each row of each table lies and who wrote it: the server's own counts of writes come late from other sessions. */
async function writes() {
  const tables = await rows(
    "select oid::regclass as name from pg_class where relnamespace in ('core'::regnamespace, 'mart'::regnamespace) and relkind = 'r' order by 1",
  );
  const versions = tables.map(({ name }) => `select '${name}' as name, ctid::text, xmin::text from ${name}`);
  return await rows(`${versions.join(" union all ")} order by name, ctid`);
}
