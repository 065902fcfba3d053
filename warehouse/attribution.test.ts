import fc from "fast-check";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { createTestDatabase, type TestDatabase } from "../test/database.ts";
import { makeModels } from "../test/models.ts";
import { loadSqlTree } from "../config/sql-tree.ts";
import { PACKAGE_DIRECTORY } from "../config.ts";

const MODELS = ["first", "last", "last_non_direct", "linear", "position_based", "time_decay"];
const NOBODY = "00000000-0000-0000-0000-000000000000";
const ORDERED_AT = Date.UTC(2026, 2, 31, 12);
const DAY = 86_400_000;

let database: TestDatabase;
let check: string;
const rows = async (sql: string, values?: unknown[]) => (await database.pool.query(sql, values)).rows;
const uuid = (n: number) => `00000000-0000-4000-8000-${String(n).padStart(12, "0")}`;

beforeAll(async () => {
  database = await createTestDatabase();
  await database.pool.query(`
    create table mart.fct_orders (order_id uuid primary key, customer_id uuid, ordered_at timestamptz, order_date date, amount numeric);
    create table mart.fct_touchpoints (touchpoint_id uuid, customer_id uuid, touched_at timestamptz, channel text, campaign_id uuid);
    create table mart.fct_sessions (session_date date, channel text);
    create table mart.fct_ad_spend (spent_on date, channel text, amount numeric);
    create table core.kept_credit (order_id uuid, touchpoint_id uuid, model text, customer_id uuid, channel text, campaign_id uuid,
      share numeric, amount numeric, order_amount numeric)`);
  const files = await loadSqlTree(`${PACKAGE_DIRECTORY}/sql`, "/nonexistent");
  check = files.find(({ path }) => path === "checks/credit_adds_up.sql")!.text;
});
afterAll(() => database.drop());
beforeEach(async () => {
  await database.pool.query("truncate mart.fct_orders, mart.fct_touchpoints, mart.fct_sessions, mart.fct_ad_spend");
});

/** A path of touchpoints, each so many days before the order, of which the order is `n`'s. */
interface Path {
  amount: string | null;
  touches: { daysBefore: number; channel: string }[];
}

async function land(paths: Path[]): Promise<void> {
  await database.pool.query(
    `insert into mart.fct_orders select o.id, o.customer, to_timestamp($2 / 1000.0), '2026-03-31', o.amount
     from json_to_recordset($1) as o (id uuid, customer uuid, amount numeric)`,
    [JSON.stringify(paths.map(({ amount }, n) => ({ id: uuid(n), customer: uuid(n), amount }))), ORDERED_AT],
  );
  const touches = paths.flatMap(({ touches: theirs }, n) =>
    theirs.map((touch, i) => ({
      id: uuid(1_000_000 + n * 1000 + i),
      customer: uuid(n),
      at: ORDERED_AT - touch.daysBefore * DAY,
      channel: touch.channel,
    })),
  );
  await database.pool.query(
    `insert into mart.fct_touchpoints select t.id, t.customer, to_timestamp(t.at / 1000.0), t.channel, null
     from json_to_recordset($1) as t (id uuid, customer uuid, at float8, channel text)`,
    [JSON.stringify(touches)],
  );
}

/** Amounts of each model by channel. */
async function creditOf(...paths: Path[]): Promise<Record<string, Record<string, string>>> {
  await land(paths);
  await makeModels(database.pool, ["mart.fct_attribution"]);
  const found = await rows(
    `select model, json_object_agg(channel, amount::text) as amounts from
       (select model, channel, sum(amount) as amount from mart.fct_attribution group by model, channel) as sums group by model`,
  );
  return Object.fromEntries(found.map(({ model, amounts }) => [model, amounts]));
}

describe("credit for an order", () => {
  test("goes to the touchpoints that led to it, as each model says", async () => {
    expect(
      await creditOf({
        amount: "100.00",
        touches: [
          { daysBefore: 14, channel: "Paid Social" },
          { daysBefore: 7, channel: "Organic Video" },
          { daysBefore: 0, channel: "Direct" },
        ],
      }),
    ).toEqual({
      first: { "Paid Social": "100.00" },
      last: { Direct: "100.00" },
      last_non_direct: { "Organic Video": "100.00" },
      linear: { "Paid Social": "33.34", "Organic Video": "33.33", Direct: "33.33" },
      position_based: { "Paid Social": "40.00", "Organic Video": "20.00", Direct: "40.00" },
      // 1/4, 1/2 and 1 of 7/4.
      time_decay: { "Paid Social": "14.29", "Organic Video": "28.57", Direct: "57.14" },
    });
    expect(
      (await rows("select share::text from mart.fct_attribution where model = 'linear' order by share")).map(
        (row) => row.share,
      ),
    ).toEqual(["0.333333", "0.333333", "0.333334"]);
  });

  test("gives the cents that are left over to those who lost most by rounding down", async () => {
    const touches = [14, 7, 0].map((daysBefore, i) => ({ daysBefore, channel: ["Email", "Display", "Direct"][i]! }));
    // 1.43, 2.86 and 5.71 of 10 cents.
    expect((await creditOf({ amount: "0.10", touches }))["time_decay"]).toEqual({
      Email: "0.01",
      Display: "0.03",
      Direct: "0.06",
    });
  });

  test("is halved by position between two, and all of one's where it is the only one", async () => {
    const two = await creditOf({
      amount: "0.01",
      touches: [
        { daysBefore: 2, channel: "Email" },
        { daysBefore: 1, channel: "Direct" },
      ],
    });
    expect(two["position_based"]).toEqual({ Email: "0.01", Direct: "0.00" });
    await database.pool.query("truncate mart.fct_orders, mart.fct_touchpoints");
    expect(await creditOf({ amount: "5", touches: [{ daysBefore: 1, channel: "Direct" }] })).toEqual(
      Object.fromEntries(MODELS.map((model) => [model, { Direct: "5" }])),
    );
  });

  test("counts what lies 30 days before it and not what lies further or after", async () => {
    const edge = 1 / DAY;
    const credit = await creditOf({
      amount: "9.00",
      touches: [
        { daysBefore: 30 + edge, channel: "Referral" },
        { daysBefore: 30, channel: "Email" },
        { daysBefore: 0, channel: "Display" },
        { daysBefore: -edge, channel: "Affiliates" },
      ],
    });
    expect(credit["linear"]).toEqual({ Email: "4.50", Display: "4.50" });
  });

  test("does not go to somebody else's touchpoints nor nobody's, and an order without any is Unassigned", async () => {
    await land([{ amount: "7.00", touches: [] }]);
    await database.pool.query(`insert into mart.fct_orders values ($1, $2, now(), '2026-01-02', 3);`, [
      uuid(50),
      NOBODY,
    ]);
    await database.pool.query(
      `insert into mart.fct_touchpoints values ($1, $2, now(), 'Email', null), ($3, $4, to_timestamp($5 / 1000.0), 'Email', null)`,
      [uuid(60), NOBODY, uuid(61), uuid(62), ORDERED_AT],
    );
    await makeModels(database.pool, ["mart.fct_attribution"]);
    expect(
      await rows(
        `select order_id, touchpoint_id = order_id as stands_alone, channel, share::text, amount::text, count(*)::int as models
         from mart.fct_attribution group by 1, 2, 3, 4, 5 order by amount desc`,
      ),
    ).toEqual([
      { order_id: uuid(0), stands_alone: true, channel: "Unassigned", share: "1.000000", amount: "7.00", models: 6 },
      { order_id: uuid(50), stands_alone: true, channel: "Unassigned", share: "1.000000", amount: "3", models: 6 },
    ]);
  });
});

/** Each touchpoint's part of 1. */
function weights(model: string, touches: Path["touches"]): number[] {
  const n = touches.length;
  const lastNonDirect = touches.findLastIndex(({ channel }) => channel !== "Direct");
  const raw = touches.map(({ daysBefore }, i) => {
    if (model === "first") return i === 0 ? 1 : 0;
    if (model === "last") return i === n - 1 ? 1 : 0;
    if (model === "last_non_direct") return i === (lastNonDirect === -1 ? n - 1 : lastNonDirect) ? 1 : 0;
    if (model === "position_based" && n > 2) return i === 0 || i === n - 1 ? 0.4 : 0.2 / (n - 2);
    return model === "time_decay" ? 2 ** (-daysBefore / 7) : 1;
  });
  const sum = raw.reduce((a, b) => a + b, 0);
  return raw.map((weight) => weight / sum);
}

test("credit sums to the order to the cent, and no part is a cent from what it should be", async () => {
  const amount = fc.oneof(
    fc.integer({ min: -100_000, max: 10_000_000 }).map((cents) => (cents / 100).toFixed(2)),
    fc.integer({ min: 0, max: 20 }).map((cents) => (cents / 100).toFixed(2)),
    // As after a conversion, and further than a double counts.
    fc.integer({ min: 0, max: 1_000_000_000 }).map((n) => (n / 1_000_000).toFixed(6)),
    fc.constantFrom(null, "123456789012345678.91"),
  );
  const touches = fc
    .array(
      fc.record({
        daysBefore: fc.integer({ min: 0, max: 3000 }).map((n) => n / 100),
        channel: fc.constantFrom("Direct", "Email", "Display"),
      }),
      { maxLength: 12 },
    )
    .map((list) => [...new Map(list.map((touch) => [touch.daysBefore, touch])).values()])
    .map((list) => list.toSorted((a, b) => b.daysBefore - a.daysBefore));
  const paths = fc.array(fc.record({ amount, touches }), { minLength: 60, maxLength: 60 });
  await fc.assert(
    fc.asyncProperty(paths, async (list) => {
      await database.pool.query("truncate mart.fct_orders, mart.fct_touchpoints");
      await land(list);
      await makeModels(database.pool, ["mart.fct_attribution"]);
      expect(await rows(check)).toEqual([]);
      const found = await rows(
        `select order_id, model, array_agg(amount::float8 order by touchpoint_id) as amounts, array_agg(share::float8 order by touchpoint_id) as shares
         from mart.fct_attribution where order_id <> touchpoint_id group by 1, 2`,
      );
      const byKey = new Map(found.map((row) => [`${row.order_id} ${row.model}`, row]));
      for (const [n, path] of list.entries()) {
        for (const model of path.touches.length ? MODELS : []) {
          const expected = weights(model, path.touches).filter((weight) => weight > 0);
          const { amounts, shares } = byKey.get(`${uuid(n)} ${model}`)!;
          expect(shares).toHaveLength(expected.length);
          expected.forEach((weight, i) => {
            expect(Math.abs(shares[i] - weight)).toBeLessThanOrEqual(2e-6);
            if (path.amount === null) expect(amounts[i]).toBeNull();
            else if (path.amount.length < 16) {
              // What an amount has beyond cents is not shared out, and goes to the first.
              const limit = /\.\d\d$/.test(path.amount) ? 0.01 : 0.02;
              expect(Math.abs(amounts[i] - weight * Number(path.amount))).toBeLessThan(limit + 1e-6);
            }
          });
        }
      }
    }),
    { numRuns: 10 },
  );
});

test("channel performance holds every session, order and cent of spend once in every model", async () => {
  await land([
    {
      amount: "90.00",
      touches: [
        { daysBefore: 3, channel: "Paid Social" },
        { daysBefore: 2, channel: "Email" },
        { daysBefore: 1, channel: "Email" },
      ],
    },
    { amount: "10.00", touches: [] },
  ]);
  await database.pool.query(`
    insert into mart.fct_sessions values ('2026-03-28', 'Paid Social'), ('2026-03-31', 'Email');
    insert into mart.fct_ad_spend values ('2026-03-31', 'Paid Social', 12), ('2026-03-30', 'Paid Social', 5)`);
  await makeModels(database.pool, ["mart.fct_attribution", "mart.channel_performance"]);
  expect(
    await rows(
      "select model, sum(sessions)::int as sessions, sum(orders)::text as orders, sum(revenue)::text as revenue, sum(spend)::int as spend from mart.channel_performance group by 1 order by 1",
    ),
  ).toEqual(MODELS.map((model) => ({ model, sessions: 2, orders: "2.000000", revenue: "100.00", spend: 17 })));
  expect(
    await rows(
      "select channel, sessions::int, orders::text, revenue::text, spend::int, roas::text from mart.channel_performance where model = 'linear' and date = '2026-03-31' order by 1",
    ),
  ).toEqual([
    { channel: "Email", sessions: 1, orders: "0.666667", revenue: "60.00", spend: 0, roas: null },
    { channel: "Paid Social", sessions: 0, orders: "0.333333", revenue: "30.00", spend: 12, roas: "2.5000" },
    { channel: "Unassigned", sessions: 0, orders: "1.000000", revenue: "10.00", spend: 0, roas: null },
  ]);
});
