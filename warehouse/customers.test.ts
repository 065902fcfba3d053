import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import fc from "fast-check";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { PACKAGE_DIRECTORY } from "../config.ts";
import { createTestDatabase, type TestDatabase } from "../test/database.ts";
import { HAS_SHARED_DATA, SHARED_DATA } from "../test/pipeline.ts";

let database: TestDatabase;
let metrics: string;
let cohorts: string;

/** A model is plain SQL that runs over any tables of these names. */
const model = async (name: string) => await readFile(join(PACKAGE_DIRECTORY, `sql/models/mart/${name}.sql`), "utf8");
const rows = async (sql: string, values?: unknown[]) => (await database.pool.query(sql, values)).rows;

beforeAll(async () => {
  [metrics, cohorts] = await Promise.all([model("customer_metrics"), model("customer_cohorts")]);
  database = await createTestDatabase();
  await database.pool.query(
    `create table mart.fct_orders (customer_id uuid not null, order_date date not null, amount numeric)`,
  );
});
afterAll(() => database.drop());
beforeEach(async () => {
  await database.pool.query(
    "truncate mart.fct_orders; update ops.settings set as_of = '2026-06-14T22:00Z', time_zone = 'Europe/Paris', currency = 'EUR'",
  );
});

const id = (n: number) => `00000000-0000-4000-8000-${String(n).padStart(12, "0")}`;

async function order(...orders: [customer: number, date: string, amount: number | null][]): Promise<void> {
  await database.pool.query(`insert into mart.fct_orders select * from unnest($1::uuid[], $2::date[], $3::numeric[])`, [
    orders.map(([customer]) => id(customer)),
    orders.map(([, date]) => date),
    orders.map(([, , amount]) => amount),
  ]);
}

describe("customer metrics", () => {
  test("count from today in the project's time zone, and leave out orders that are dated later", async () => {
    await order([1, "2026-06-15", 10], [1, "2026-06-01", 20.5], [1, "2026-06-16", 99], [2, "2026-07-01", 5]);
    expect(await rows(metrics)).toMatchObject([
      {
        customer_id: id(1),
        first_order_date: "2026-06-01",
        last_order_date: "2026-06-15",
        recency_days: 0,
        frequency: "2",
        monetary: "30.5",
        average_order_value: "15.2500000000000000",
        currency: "EUR",
        tenure_days: 14,
      },
    ]);
  });

  test("leave out orders of nobody, and are empty without orders", async () => {
    expect(await rows(metrics)).toEqual([]);
    await database.pool.query("insert into mart.fct_orders values (ops.nobody(), '2026-01-01', 5)");
    expect(await rows(metrics)).toEqual([]);
  });

  test("have a customer whose amounts have no rate", async () => {
    await order([1, "2026-06-01", null]);
    expect(await rows(metrics)).toMatchObject([{ frequency: "1", monetary: "0" }]);
  });

  test("name every pair of recency and frequency", async () => {
    // Five customers for each of five recencies and frequencies fill every fifth.
    const orders: [number, string, number][] = [];
    for (let recency = 0; recency < 5; recency++)
      for (let frequency = 1; frequency <= 5; frequency++)
        for (let n = 0; n < frequency; n++) orders.push([recency * 10 + frequency, `2026-06-1${recency}`, 10]);
    await order(...orders);
    const grid = await rows(
      `select recency_score, string_agg(rfm_segment, ' ' order by frequency_score) as segments
       from (${metrics}) as metrics group by 1 order by 1 desc`,
    );
    expect(grid).toEqual([
      { recency_score: 5, segments: "new_customers potential_loyalists potential_loyalists champions champions" },
      {
        recency_score: 4,
        segments: "promising potential_loyalists potential_loyalists loyal_customers loyal_customers",
      },
      { recency_score: 3, segments: "about_to_sleep about_to_sleep need_attention loyal_customers loyal_customers" },
      { recency_score: 2, segments: "hibernating hibernating at_risk at_risk cant_lose_them" },
      { recency_score: 1, segments: "hibernating hibernating at_risk at_risk cant_lose_them" },
    ]);
  });

  test("score equal values equally, better values never lower, and every score by its fifths, whatever the orders", async () => {
    const orders = fc.array(
      fc.tuple(
        fc.integer({ min: 1, max: 40 }),
        fc.integer({ min: 1, max: 14 }).map((day) => `2026-06-${String(day).padStart(2, "0")}`),
        fc.oneof(
          fc.constantFrom(10, 20),
          fc.integer({ min: 1, max: 100_000 }).map((cents) => cents / 100),
        ),
      ),
      { minLength: 1, maxLength: 120 },
    );
    await fc.assert(
      fc.asyncProperty(orders, async (made) => {
        await database.pool.query("truncate mart.fct_orders");
        await order(...made);
        const found = (await rows(metrics)).map((row) => ({
          ...row,
          frequency: Number(row.frequency),
          monetary: Number(row.monetary),
        }));
        const parts: [string, string, 1 | -1][] = [
          ["recency_days", "recency_score", -1],
          ["frequency", "frequency_score", 1],
          ["monetary", "monetary_score", 1],
        ];
        for (const [value, score, sign] of parts) {
          const ordered = found.toSorted((a, b) => sign * (a[value] - b[value]));
          for (const [index, row] of ordered.entries()) {
            const next = ordered[index + 1];
            expect(row[score]).toBeGreaterThanOrEqual(1);
            expect(row[score]).toBeLessThanOrEqual(5);
            if (next) expect(next[score]).toBeGreaterThanOrEqual(row[score]);
            if (next && next[value] === row[value]) expect(next[score]).toBe(row[score]);
          }
          // At most a fifth of the customers, and those who tie with them, can be in the top bin of values that grow.
          const best = found.filter((row) => row[score] === 5);
          if (sign === 1) expect(best.length).toBeLessThanOrEqual(Math.ceil(found.length / 5));
        }
        for (const row of found)
          expect(row.rfm).toBe(`${row.recency_score}${row.frequency_score}${row.monetary_score}`);
      }),
      { numRuns: 40 },
    );
  });
});

if (!HAS_SHARED_DATA) console.warn(`the customers of R's rfm are absent at ${SHARED_DATA}: their test is skipped`);

describe.skipIf(!HAS_SHARED_DATA)("39,999 customers with 393,223 orders", () => {
  test("keep their totals, and score as the documentation of R's package rfm shows for the first ten", async () => {
    const text = gunzipSync(await readFile(join(SHARED_DATA, "rfm_r/rfm_data_customer.csv.gz"))).toString();
    const customers = text
      .trim()
      .split("\n")
      .slice(1)
      .map((line) => line.split(",").slice(0, 5));
    await database.pool.query(
      `update ops.settings set as_of = '2006-12-31T23:00Z'`, // 2007-01-01 in Paris
    );
    await database.pool.query(
      `insert into mart.fct_orders
       select lpad(c.id, 32, '0')::uuid, c.last_visit, case n when 1 then c.revenue else 0 end
       from unnest($1::text[], $2::numeric[], $3::date[], $4::integer[]) as c (id, revenue, last_visit, orders)
       cross join lateral generate_series(1, c.orders) as n`,
      [
        customers.map(([key]) => String(Number(key))),
        customers.map(([, revenue]) => revenue),
        customers.map(([, , day]) => day),
        customers.map(([, , , orders]) => Number(orders)),
      ],
    );
    await database.pool.query(`create table mart.customer_metrics as ${metrics}`);
    expect(
      await rows(
        `select count(*)::int as customers, sum(frequency)::int as orders, sum(monetary)::int as revenue from mart.customer_metrics`,
      ),
    ).toEqual([{ customers: 39_999, orders: 393_223, revenue: 37_537_400 }]);
    const scores = await rows(
      "select recency_days, rfm from mart.customer_metrics where customer_id <= lpad('10', 32, '0')::uuid order by customer_id",
    );
    expect(scores.map(({ recency_days, rfm }) => `${recency_days} ${rfm}`)).toEqual([
      "229 235",
      "467 145",
      "143 354",
      "222 222",
      "659 111",
      "157 323",
      "195 243",
      "572 111",
      "244 224",
      "239 244",
    ]);
    // Every fifth holds a fifth, as far as ties allow.
    const fifths = await rows(
      `select recency_score, count(*)::int as n from mart.customer_metrics group by 1 order by 1`,
    );
    for (const { n } of fifths) expect(Math.abs(n - 8000)).toBeLessThan(400);
  });
});

describe("customer cohorts", () => {
  test("follow each month's first buyers to the current month, months without orders too", async () => {
    await order(
      [1, "2026-03-05", 10],
      [1, "2026-03-09", 5],
      [2, "2026-03-31", 20],
      [1, "2026-05-01", 7],
      [3, "2026-05-02", 1],
      [3, "2026-07-01", 99],
    );
    const found = await rows(
      `select cohort_month::text, month_number, month::text, customers::int, active_customers::int as active,
         retention::float8, orders::int, revenue::float8 from (${cohorts}) as cohorts order by 1, 2`,
    );
    const march = { cohort_month: "2026-03-01", customers: 2 };
    const may = { cohort_month: "2026-05-01", customers: 1 };
    expect(found).toEqual([
      { ...march, month_number: 0, month: "2026-03-01", active: 2, retention: 1, orders: 3, revenue: 35 },
      { ...march, month_number: 1, month: "2026-04-01", active: 0, retention: 0, orders: 0, revenue: 0 },
      { ...march, month_number: 2, month: "2026-05-01", active: 1, retention: 0.5, orders: 1, revenue: 7 },
      { ...march, month_number: 3, month: "2026-06-01", active: 0, retention: 0, orders: 0, revenue: 0 },
      { ...may, month_number: 0, month: "2026-05-01", active: 1, retention: 1, orders: 1, revenue: 1 },
      { ...may, month_number: 1, month: "2026-06-01", active: 0, retention: 0, orders: 0, revenue: 0 },
    ]);
  });

  test("hold every order of a known customer up to today once", async () => {
    const orders = fc.array(
      fc.tuple(
        fc.integer({ min: 1, max: 15 }),
        fc.integer({ min: 0, max: 900 }).map((day) => new Date(Date.UTC(2024, 0, 1 + day)).toISOString().slice(0, 10)),
        fc.integer({ min: 1, max: 1000 }),
      ),
      { maxLength: 60 },
    );
    await fc.assert(
      fc.asyncProperty(orders, async (made) => {
        await database.pool.query("truncate mart.fct_orders");
        await order(...made);
        const past = made.filter(([, day]) => day <= "2026-06-15");
        const [total] = await rows(
          `select coalesce(sum(orders), 0)::int as orders, coalesce(sum(revenue), 0)::float8 as revenue,
             coalesce(sum(customers) filter (where month_number = 0), 0)::int as customers,
             coalesce(bool_and(retention between 0 and 1), true) as in_range from (${cohorts}) as cohorts`,
        );
        expect(total).toEqual({
          orders: past.length,
          revenue: past.reduce((sum, [, , amount]) => sum + amount, 0),
          customers: new Set(past.map(([customer]) => customer)).size,
          in_range: true,
        });
      }),
      { numRuns: 25 },
    );
  });
});
