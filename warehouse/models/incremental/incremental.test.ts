import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createTestDatabase, type TestDatabase } from "../../../test/database.ts";
import { loadContracts } from "../../contracts.ts";
import type { Graph } from "../graph.ts";
import { build, emptyWarehouse, keepLandings, packageGraph, sqlFile, touch } from "../test-warehouse.ts";
import { loadSqlTree } from "../../../config.ts";

const STREAMS = [
  "customers",
  "orders",
  "order_lines",
  "products",
  "events",
  "reviews",
  "ad_spend",
  "fx_rates",
] as const;
type Stream = (typeof STREAMS)[number];

let database: TestDatabase;
let graph: Graph;
let columns: Map<string, string>;

beforeAll(async () => {
  database = await createTestDatabase();
  const files = await loadSqlTree(new URL("../../../sql", import.meta.url).pathname, "/nonexistent");
  columns = new Map(
    [...loadContracts(files)].map(([name, contract]) => [
      name,
      contract.columns.map((column) => `${column.name} ${column.type}`).join(", "),
    ]),
  );
  const staging = STREAMS.map((stream) =>
    sqlFile(
      `models/staging/shop__${stream}.sql`,
      `-- One row per record of ${stream}.\n-- contract: ${stream}\nselect * from raw.shop__${stream}\n`,
    ),
  );
  graph = await packageGraph(staging, [...STREAMS]);
});
afterAll(() => database.drop());

const query = async (sql: string, values: unknown[] = []) => (await database.pool.query(sql, values)).rows;
const uuid = (text: string) => `md5('${text}')::uuid`;
const token = (kind: string, n: number | null) => (n === null ? "null" : `'${kind}_' || md5('${n}')`);

/** One change of raw: a record that comes or comes again, otherwise, is deleted, or is taken out. */
type Change =
  | { kind: "put"; stream: Stream; id: number; a: number; b: number; c: number | null; day: number }
  | { kind: "delete" | "remove"; stream: Stream; id: number };

const small = fc.nat({ max: 5 });
const changes: fc.Arbitrary<Change[]> = fc.array(
  fc.oneof(
    {
      weight: 5,
      arbitrary: fc.record({
        kind: fc.constant("put" as const),
        stream: fc.constantFrom(...STREAMS, "events" as const, "events" as const, "orders" as const),
        id: fc.nat({ max: 7 }),
        a: small,
        b: small,
        c: fc.option(small),
        day: fc.nat({ max: 40 }),
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        kind: fc.constantFrom("delete" as const, "remove" as const),
        stream: fc.constantFrom(...STREAMS),
        id: fc.nat({ max: 7 }),
      }),
    },
  ),
  { minLength: 1, maxLength: 12 },
);

function valuesOf({ stream, id, a, b, c, day }: Extract<Change, { kind: "put" }>): Record<string, string> {
  const at = `timestamptz '2026-01-01 08:00Z' + ${day} * interval '7 hours'`;
  const currency = `'${["EUR", "EUR", "EUR", "USD"][b % 4]}'`;
  const campaign = c === null ? "null" : `'c${c}'`;
  switch (stream) {
    case "customers":
      return {
        customer_ref: token("customer_id", a),
        email_token: token("email", c),
        country: `'${["FR", "DE"][b % 2]}'`,
        registered_at: at,
      };
    case "orders":
      return {
        customer_ref: token("customer_id", c),
        email_token: token("email", b > 3 ? a : null),
        ordered_at: at,
        amount: `${10 + a}.5`,
        currency,
      };
    case "order_lines":
      return {
        order_record_key: uuid(`orders ${a}`),
        line_number: `${id}`,
        product_ref: `'P${b}'`,
        quantity: "1",
        amount: `${a}`,
        currency,
      };
    case "products":
      return { product_ref: `'P${a}'`, product_name: `'Product ${b}'`, price: `${b}`, currency: "'EUR'" };
    case "events":
      return {
        name: `'${["page_viewed", "video_watched"][a % 2]}'`,
        occurred_at: `timestamptz '2026-01-01 08:00Z' + ${day} * interval '17 minutes'`,
        device_token: token("device_id", b > 4 ? null : b),
        customer_ref: token("customer_id", c),
        page_url: `'https://shop.example/${c === null ? "" : `?utm_source=google&utm_medium=cpc&utm_campaign=c${c}`}'`,
        referrer: `'${["https://www.google.com/", "https://shop.example/a", "https://blog.example/"][a % 3]}'`,
        product_ref: `'P${a}'`,
      };
    case "reviews":
      return {
        product_ref: `'P${b}'`,
        customer_ref: token("customer_id", c),
        order_record_key: uuid(`orders ${a}`),
        rating: `${1 + (a % 5)}`,
        reviewed_at: at,
      };
    case "ad_spend":
      return { spent_on: `date '2026-01-01' + ${day}`, platform: "'Google Ads'", campaign, amount: `${a}`, currency };
    case "fx_rates":
      return {
        valid_on: "date '2025-12-01'",
        base_currency: "'USD'",
        quote_currency: "'EUR'",
        rate: `0.${5 + (a % 4)}`,
      };
  }
}

async function apply(change: Change): Promise<void> {
  const table = `raw.shop__${change.stream}`;
  const key = uuid(`${change.stream} ${change.id}`);
  if (change.kind === "put") {
    const entries = Object.entries({ ...valuesOf(change), deleted_at: "null" });
    await query(
      `insert into ${table} (record_key, ${entries.map(([name]) => name).join(", ")})
       values (${key}, ${entries.map(([, value]) => value).join(", ")})
       on conflict (record_key) do update set ${entries.map(([name]) => `${name} = excluded.${name}`).join(", ")}`,
    );
  } else if (change.kind === "delete") await query(`update ${table} set deleted_at = now() where record_key = ${key}`);
  else await query(`delete from ${table} where record_key = ${key}`);
  await touch(database.pool, table);
}

/** A fresh shop in which a rate makes every amount countable. */
async function openShop(): Promise<void> {
  await emptyWarehouse(database.pool);
  for (const stream of STREAMS) {
    await query(
      `create table raw.shop__${stream} (record_key uuid primary key, deleted_at timestamptz, ${columns.get(stream)})`,
    );
    await keepLandings(database.pool, `raw.shop__${stream}`);
  }
  await query(
    "insert into raw.shop__fx_rates (record_key, valid_on, base_currency, quote_currency, rate) values (md5('rate')::uuid, '2025-01-01', 'USD', 'EUR', 0.9)",
  );
}

/** What facts refer to goes, and they stay: a product with an event, a line and a review; then the order of the review. */
const left = (...[stream, a, b]: [Stream, number, number]): Change => ({
  kind: "put",
  stream,
  id: 0,
  a,
  b,
  c: 1,
  day: 1,
});
const LEFT_BEHIND: [Change[], Change[][]] = [
  [
    left("products", 2, 0),
    left("orders", 0, 0),
    left("order_lines", 0, 2),
    left("events", 2, 0),
    left("reviews", 0, 2),
  ],
  [[{ kind: "remove", stream: "products", id: 0 }], [{ kind: "delete", stream: "orders", id: 0 }]],
];

test("builds of what has changed end in the mart of a full build, and a further build finds nothing to do", async () => {
  await fc.assert(
    fc.asyncProperty(changes, fc.array(changes, { minLength: 1, maxLength: 4 }), async (first, later) => {
      await openShop();
      for (const change of first) await apply(change);
      await build(database.pool, graph);
      for (const batch of later) {
        for (const change of batch) await apply(change);
        const { plan } = await build(database.pool, graph);
        expect(plan.steps).toEqual([]);
        expect((await build(database.pool, graph)).plan.buildId).toBeNull();
      }
      const full = await build(database.pool, graph, { full: true });
      const changed = full.published!.relations.filter(
        ({ inserted, updated, deleted }) => inserted + updated + deleted,
      );
      expect(changed.map(({ relation }) => relation)).toEqual([]);
    }),
    { numRuns: process.env["MIETTE_TEST_LONG"] ? 200 : 3, endOnFailure: true, examples: [LEFT_BEHIND] },
  );
}, 7_200_000);

test("when thousands of records change hands, the few orders and customers among them alone are computed again", async () => {
  await openShop();
  const event = (n: string, of: string, device: number, email: number | null) =>
    `insert into raw.shop__events (record_key, name, occurred_at, device_token, email_token)
     select md5('${of} ' || n)::uuid, 'page_viewed', timestamptz '2026-01-01 08:00Z' + n * interval '1 minute',
       ${token("device_id", device)}, ${token("email", email)} from generate_series(1, ${n}) as n`;
  for (const [who, orders] of [
    [1, 3],
    [2, 4],
  ] as const) {
    await query(event("3000", `visits of ${who}`, who, null));
    await query(event("1", `login of ${who}`, who, who));
    await query(
      `insert into raw.shop__orders (record_key, email_token, ordered_at, amount, currency)
       select md5('order ${who} ' || n)::uuid, ${token("email", who)}, '2026-01-02', 10, 'EUR' from generate_series(1, ${orders}) as n`,
    );
    await query(
      `insert into raw.shop__customers (record_key, email_token, country) select md5('customer ${who}')::uuid, ${token("email", who)}, 'FR'`,
    );
  }
  await touch(database.pool, ...STREAMS.map((stream) => `raw.shop__${stream}`));
  await build(database.pool, graph);
  await query(event("1", "login of 2 elsewhere", 1, 2));
  await touch(database.pool, "raw.shop__events");
  const { published } = await build(database.pool, graph);
  const changed = new Map(published!.models.map(({ relation, rows, how }) => [relation, { rows, how }]));
  expect(changed.get("core.record_owners")!.rows).toBeGreaterThan(3000);
  expect(changed.get("core.customer_records")).toEqual({ rows: 1, how: "incremental" });
  expect(changed.get("mart.fct_orders")!.how).toBe("incremental");
  // Either of the two may be the older, who stays.
  expect([3, 4]).toContain(changed.get("mart.fct_orders")!.rows);
  const [{ owners }] = (await query("select count(distinct customer_id)::int as owners from mart.fct_orders")) as [
    { owners: number },
  ];
  expect(owners).toBe(1);
  const full = await build(database.pool, graph, { full: true });
  expect(full.published!.relations.filter((each) => each.inserted + each.updated + each.deleted)).toEqual([]);
});
