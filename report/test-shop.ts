import type pg from "pg";
import { build, makeContractStreams, packageGraph, touch } from "../warehouse/models/test-warehouse.ts";

/** Names that a page, a chart or a template could take for something else than text. */
export const HOSTILE_NAMES = [
  "<script>document.title = 'taken'</script>",
  '"><img src=x onerror="document.title=\'taken\'">',
  "{a|b} {b} {c} ${d} &amp; %s",
  "</style></svg><h1>taken</h1>",
  `A very long name ${"that goes on ".repeat(20)}`,
];

const STREAMS = ["customers", "orders", "order_lines", "products", "events", "reviews", "ad_spend"];

/**
 * Builds the mart of a shop with a year of orders, visits and reviews, by the package's own models, on two days.
 * @param orders how many; there are four visits to each
 */
export async function buildShop(pool: pg.Pool, { orders }: { orders: number }): Promise<void> {
  const staging = await makeContractStreams(pool, STREAMS);
  const count = String(Math.trunc(orders));
  const customer = `'customer_id_' || md5('customer ' || (1 + power(abs(hashint4(o)) % 1000003 / 1000003.0, 2) * ${count} / 4)::int)`;
  const statements = [
    `insert into raw.shop__customers (customer_ref, country, registered_at)
     select 'customer_id_' || md5('customer ' || c), (array['FR', 'DE', 'GB'])[1 + c % 3], '2025-05-01'
     from generate_series(1, ${count} / 4 + 1) as c`,
    `insert into raw.shop__orders (record_key, order_number, customer_ref, ordered_at, delivered_at, amount, currency)
     select md5('order ' || o)::uuid, 'N' || o, ${customer},
       timestamptz '2025-05-20 08:00Z' + o * (interval '375 days' / ${count}),
       timestamptz '2025-05-20 08:00Z' + o * (interval '375 days' / ${count}) + (1 + o % 10) * interval '1 day',
       20 + (o * 37) % 400 + 0.99, 'EUR'
     from generate_series(1, ${count}) as o`,
    `insert into raw.shop__order_lines (order_record_key, line_number, product_ref, quantity, amount, currency)
     select record_key, 1, 'P' || (ascii(record_key::text) % 7), 1, amount, 'EUR' from raw.shop__orders`,
    `insert into raw.shop__events (name, occurred_at, device_token, customer_ref, page_url, referrer, utm_source, utm_medium, utm_campaign, product_ref)
     select case when v = 3 and o % 5 = 0 then 'video_watched' else 'page_viewed' end, ordered_at - (4 - v) * (interval '1 day' + o % 5 * interval '3 hours'),
       'device_id_' || md5(customer_ref), customer_ref, 'https://shop.example/', case when (o + v) % 6 = 0 then 'https://www.google.com/' end,
       (array['google', 'facebook', 'newsletter', null, null, null])[1 + (o + v) % 6],
       (array['cpc', 'paid_social', 'email', null, null, null])[1 + (o + v) % 6],
       (array['spring', 'brand', 'weekly', null, null, null])[1 + (o + v) % 6], 'P' || (o % 7)
     from (select *, substr(order_number, 2)::int as o from raw.shop__orders) as orders, generate_series(0, 3) as v`,
    `insert into raw.shop__reviews (order_record_key, product_ref, customer_ref, rating, sentiment, reviewed_at)
     select record_key, 'P' || (o % 7), customer_ref, case when o % 10 > 7 then 1 + o % 2 else 3 + o % 3 end, (o % 20 - 8) / 12.0, delivered_at + interval '2 days'
     from (select *, substr(order_number, 2)::int as o from raw.shop__orders) as orders where o % 2 = 0`,
    `insert into raw.shop__ad_spend (spent_on, platform, campaign, utm_source, utm_medium, amount, currency, impressions, clicks)
     select date '2025-05-20' + d, p, 'brand', p, 'cpc', 5 + d % 7, 'EUR', 1000, 20
     from generate_series(0, 380) as d, unnest(array['google', 'facebook']) as p`,
  ];
  for (const statement of statements) await pool.query(statement);
  const names = ["Laptop", "Phone", ...HOSTILE_NAMES];
  await pool.query(
    `insert into raw.shop__products (product_ref, product_name, category, price, currency)
     select 'P' || (n - 1), name, name, 10 * n, 'EUR' from unnest($1::text[]) with ordinality as names (name, n)`,
    [names],
  );
  await pool.query("analyze");
  const goal = (name: string, measure: string, target: number) => ({
    name,
    measure,
    target,
    direction: "at_least" as const,
    by: "2026-12-31",
    start: null,
    place: { file: "miette.yaml", key: "goals[0]" },
  });
  const graph = await packageGraph(staging, STREAMS, {}, [
    goal("orders so far", "select count(*) from mart.fct_orders", 2 * orders),
    ...HOSTILE_NAMES.map((name) => goal(name, "select avg(rating) from mart.fct_reviews", 3)),
  ]);
  await touch(pool, ...STREAMS.map((stream) => `raw.shop__${stream}`));
  for (const day of ["2026-06-14", "2026-06-15"]) await build(pool, graph, { now: new Date(`${day}T12:00Z`) });
}
