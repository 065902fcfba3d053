import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { deliveryDays } from "../demo/orders.ts";
import { openDemo } from "./demo.ts";

let demo: Awaited<ReturnType<typeof openDemo>>;
const rows = async (sql: string) => (await demo.pipeline.pool.query(sql)).rows;

beforeAll(async () => {
  demo = await openDemo();
  await demo.pipeline.run();
}, 180_000);
afterAll(() => demo.close());

describe("the demo store's customers", () => {
  test("have metrics that add up to all its orders, and cohorts that hold each customer once", async () => {
    const { orders, revenue, customers } = demo.store.truth.counts;
    expect(
      await rows("select sum(frequency)::int as orders, sum(monetary)::text as revenue from mart.customer_metrics"),
    ).toEqual([{ orders, revenue }]);
    expect(
      await rows("select sum(customers)::int as n, sum(orders) from mart.customer_cohorts where month_number = 0"),
    ).toMatchObject([{ n: customers }]);
  });

  test("were unhappy in the month that was planted, and its cause is the first driver", async () => {
    const truth = demo.store.truth.bad_month;
    const months = await rows(
      "select to_char(month, 'YYYY-MM') as month, mean_rating::float8 as mean from mart.satisfaction where dimension = 'all' and reviews >= 20 order by mean_rating",
    );
    expect(months[0]).toMatchObject({ month: truth.month });
    expect(months[0].mean).toBeCloseTo(truth.mean_rating, 2);

    const top = await rows(
      "select driver, value, difference::float8 from mart.satisfaction_drivers where rank <= 3 order by rank",
    );
    const lateDays = demo.store.orders.flatMap((order) => (order.isLate ? [deliveryDays(order) ?? 0] : []));
    expect(Math.min(...lateDays)).toBeGreaterThanOrEqual(8);
    expect(top[0]).toMatchObject({ driver: "delivery_days", value: "8+" });
    expect(top[0].difference).toBeLessThan(-1);
  });

  test("wrote reviews whose mood goes with their stars, in English and in no other language's place", async () => {
    const [found] = await rows(
      "select corr(rating, sentiment) as r, count(sentiment)::int as moods, count(*)::int as reviews from mart.fct_reviews",
    );
    expect(found.r).toBeGreaterThan(0.4);
    expect(found.moods).toBeGreaterThan(0.2 * found.reviews);
    expect(await rows("select from mart.fct_reviews where sentiment not between -1 and 1")).toHaveLength(0);
    const [foreign] = await rows(
      "select avg((text_sentiment is null)::int)::float8 as silent from raw.reviews__reviews where language <> 'en' and text_length > 60",
    );
    expect(foreign.silent).toBeGreaterThan(0.9);
  });

  test("fill the example segments, and the goals have a value", async () => {
    const segments = await rows("select segment, customers::int as n from mart.dim_segments order by 1");
    expect(segments.map(({ segment }) => segment)).toEqual([
      "at_risk",
      "champions",
      "saw_a_video_and_did_not_buy",
      "unhappy",
    ]);
    for (const { n } of segments) expect(n).toBeGreaterThan(10);
    const goals = await rows("select goal, value, status from mart.goals");
    expect(goals).toHaveLength(4);
    for (const goal of goals) expect(goal.value).not.toBeNull();
  });
});
