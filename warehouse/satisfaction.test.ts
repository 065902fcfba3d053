import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { PACKAGE_DIRECTORY } from "../config.ts";
import { createTestDatabase, type TestDatabase } from "../test/database.ts";

let database: TestDatabase;
let satisfaction: string;
let drivers: string;

const model = async (name: string) => await readFile(join(PACKAGE_DIRECTORY, `sql/models/mart/${name}.sql`), "utf8");
const rows = async (sql: string, values?: unknown[]) => (await database.pool.query(sql, values)).rows;

beforeAll(async () => {
  [satisfaction, drivers] = await Promise.all([model("satisfaction"), model("satisfaction_drivers")]);
  database = await createTestDatabase();
  await database.pool.query(`
    update ops.settings set time_zone = 'Europe/Paris';
    create table mart.dim_products (product_id uuid primary key, product_ref text, product_name text, category text);
    create table mart.fct_orders (order_id uuid primary key, ordered_at timestamptz, order_date date, delivered_at timestamptz);
    create table mart.fct_order_lines (order_id uuid, product_id uuid, quantity numeric, amount numeric);
    create table mart.fct_attribution (order_id uuid, touchpoint_id uuid, model text, channel text);
    create table mart.fct_reviews (review_id uuid primary key default gen_random_uuid(), order_id uuid, product_id uuid,
      product_ref text, rating numeric, sentiment numeric, review_date date)`);
});
afterAll(() => database.drop());
beforeEach(async () => {
  await database.pool.query(
    "truncate mart.dim_products, mart.fct_orders, mart.fct_order_lines, mart.fct_attribution, mart.fct_reviews",
  );
});

async function review(month: string, productRef: string, ratings: number[], sentiment: number | null = null) {
  await database.pool.query(
    `insert into mart.fct_reviews (product_ref, rating, sentiment, review_date, product_id)
     select $1, r, $2, $3::date, (select product_id from mart.dim_products where product_ref = $1) from unnest($4::numeric[]) as r`,
    [productRef, sentiment, `${month}-10`, ratings],
  );
}

/** Of Student's sleep data, whose Welch interval every statistics program shows: -3.3654832 to 0.2054832. */
const SLEEP = [
  [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0, 2],
  [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4],
] as const;

describe("satisfaction", () => {
  test("shows mean, share of 1 and 2 stars and mood, and no figure of fewer than 5 reviews", async () => {
    await database.pool.query("insert into mart.dim_products values (gen_random_uuid(), 'A', 'Lamp', 'home')");
    await review("2026-03", "A", [1, 2, 3, 5, 5], 0.5);
    await review("2026-03", "B", [4, 4, 4, 4], -0.25);
    const found = await rows(
      `select dimension, value, label, month::text, reviews::int, round(mean_rating, 6)::float8 as mean, round(low_share, 6)::float8 as low,
         round(mean_sentiment, 6)::float8 as mood from (${satisfaction}) as satisfaction order by 1, 2`,
    );
    const month = "2026-03-01";
    expect(found).toEqual([
      {
        dimension: "all",
        value: "all",
        label: "all reviews",
        month,
        reviews: 9,
        mean: 3.555556,
        low: 0.222222,
        mood: 0.166667,
      },
      { dimension: "product", value: "A", label: "Lamp", month, reviews: 5, mean: 3.2, low: 0.4, mood: 0.5 },
      { dimension: "product", value: "B", label: "B", month, reviews: 4, mean: null, low: null, mood: null },
    ]);
  });

  test("shows no mood where fewer than 5 texts have one", async () => {
    await review("2026-03", "A", [3, 3, 3, 3], 0.5);
    await review("2026-03", "A", [3]);
    expect(
      await rows(`select mean_rating::float8, mean_sentiment from (${satisfaction}) as s where dimension = 'all'`),
    ).toEqual([{ mean_rating: 3, mean_sentiment: null }]);
  });

  test("is empty without reviews", async () => {
    expect(await rows(satisfaction)).toEqual([]);
    expect(await rows(drivers)).toEqual([]);
  });
});

describe("the channel of a review", () => {
  test("is the one that led to its order first, in both tables", async () => {
    await rows(`
      insert into mart.fct_orders select md5(n::text)::uuid, '2026-05-01T10:00Z', '2026-05-01' from generate_series(1, 30) as n;
      insert into mart.fct_attribution
        select md5(n::text)::uuid, gen_random_uuid(), model,
          case when model = 'first' then case when n <= 20 then 'Email' else 'Direct' end else 'Display' end
        from generate_series(1, 30) as n, unnest(array['first', 'last']) as model;
      insert into mart.fct_reviews (order_id, rating, review_date)
        select md5(n::text)::uuid, case when n <= 20 then 5 else 2 end, '2026-05-10' from generate_series(1, 31) as n`);
    expect(
      await rows(
        `select value, reviews::int, mean_rating::float8 as mean from (${satisfaction}) as s where dimension = 'channel' order by 1`,
      ),
    ).toEqual([
      { value: "Direct", reviews: 10, mean: 2 },
      { value: "Email", reviews: 20, mean: 5 },
    ]);
    expect(
      await rows(
        `select value, reviews_with::int as n, difference::float8 from (${drivers}) as d where driver = 'channel' order by 1`,
      ),
    ).toEqual([
      { value: "Direct", n: 10, difference: -3 },
      { value: "Email", n: 20, difference: 3 },
    ]);
  });
});

describe("drivers of satisfaction", () => {
  test("have Welch's 95% confidence interval", async () => {
    await review("2026-03", "A", [...SLEEP[0]]);
    await review("2026-03", "B", [...SLEEP[1]]);
    const [first, second] = await rows(`select * from (${drivers}) as drivers where driver = 'product' order by value`);
    expect(first.ci_low).toBeCloseTo(-3.3654832, 3);
    expect(first.ci_high).toBeCloseTo(0.2054832, 3);
    expect(Number(first.difference)).toBeCloseTo(-1.58, 6);
    expect(first).toMatchObject({ reviews_with: "10", reviews_without: "10", is_certain: false });
    expect([second.ci_low, second.ci_high]).toEqual([-first.ci_high, -first.ci_low]);
  });

  test("leave out what has fewer than 10 reviews with it or without it", async () => {
    await review("2026-03", "A", Array<number>(30).fill(5));
    await review("2026-04", "B", Array<number>(9).fill(1));
    expect(await rows(drivers)).toEqual([]);
  });

  test("take ratings that never differ for certain", async () => {
    await review("2026-03", "A", Array<number>(10).fill(5));
    await review("2026-03", "B", Array<number>(10).fill(1));
    expect(
      await rows(
        `select value, difference::float8, ci_low, ci_high, is_certain, rank::int from (${drivers}) as d order by rank`,
      ),
    ).toEqual([
      { value: "A", difference: 4, ci_low: 4, ci_high: 4, is_certain: true, rank: 1 },
      { value: "B", difference: -4, ci_low: -4, ci_high: -4, is_certain: true, rank: 2 },
    ]);
  });

  test("rank a great difference that may be chance below a small one that is certain", async () => {
    await review("2026-01", "chance", [1, 5, 1, 5, 1, 5, 1, 5, 1, 1]);
    await review(
      "2026-02",
      "certain",
      Array.from({ length: 400 }, (_, i) => (i % 10 === 0 ? 3 : 4)),
    );
    await review(
      "2026-03",
      "rest",
      Array.from({ length: 400 }, (_, i) => (i % 5 === 0 ? 3 : 4)),
    );
    const found = await rows(`select value, is_certain from (${drivers}) as d where driver = 'product' order by rank`);
    expect(found.map(({ value, is_certain }) => [value, is_certain])).toEqual([
      ["certain", true],
      ["rest", true],
      ["chance", false],
    ]);
  });

  test("part deliveries by days in the project's time zone, and products into quarters by the price that is paid", async () => {
    await database.pool.query(`
      insert into mart.dim_products select md5(p)::uuid, p, p, 'all' from unnest(array['A', 'B', 'C', 'D']) as p;
      insert into mart.fct_orders
        select md5(n::text)::uuid, '2026-05-01T10:00Z', '2026-05-01',
          -- Past midnight in Paris, and half of the parcels a week later.
          '2026-05-03T22:30Z'::timestamptz + make_interval(days => 7 * (n % 2))
        from generate_series(1, 80) as n;
      insert into mart.fct_order_lines
        select md5(n::text)::uuid, md5(chr(65 + n % 4))::uuid, 2, 20 * (1 + n % 4) from generate_series(1, 80) as n;
      insert into mart.fct_reviews (order_id, product_id, product_ref, rating, review_date)
        select md5(n::text)::uuid, md5(chr(65 + n % 4))::uuid, chr(65 + n % 4), 5 - n % 2 * 2, '2026-05-20'
        from generate_series(1, 80) as n`);
    const found = await rows(
      `select driver, value, reviews_with::int as n from (${drivers}) as d where driver in ('delivery_days', 'price') order by 1, 2`,
    );
    expect(found.map(({ driver, value, n }) => `${driver} ${value} ${n}`)).toEqual([
      "delivery_days 3-4 40",
      "delivery_days 8+ 40",
      "price 1 20",
      "price 2 20",
      "price 3 20",
      "price 4 20",
    ]);
  });
});
