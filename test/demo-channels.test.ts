import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { DAY_MS } from "../demo/calendar.ts";
import type { OrderTruth } from "../demo/truth.ts";
import { openDemo } from "./demo.ts";

let demo: Awaited<ReturnType<typeof openDemo>>;
/** What the mart credits each order to, by its number. */
let credited: Map<string, Record<string, string>>;
const rows = async (sql: string) => (await demo.pipeline.pool.query(sql)).rows;

beforeAll(async () => {
  demo = await openDemo();
  await demo.pipeline.run();
  const found = await rows(
    `select orders.order_number, json_object_agg(credit.model, credit.channel) as channels
     from mart.fct_attribution as credit join mart.fct_orders as orders on orders.order_id = credit.order_id
     where credit.model in ('first', 'last', 'last_non_direct') group by orders.order_number`,
  );
  credited = new Map(found.map((row) => [row.order_number, row.channels]));
}, 180_000);
afterAll(() => demo.close());

/** What must come out for an order: an order by telephone has no channel, and one that only direct visits led to is Direct. */
function expectedChannels(order: OrderTruth): Record<string, string> {
  const last = order.last_channel ?? "Unassigned";
  return { first: order.first_channel ?? "Unassigned", last, last_non_direct: order.last_non_direct_channel ?? last };
}

/** Whether some of the visits that led to an order were on a family's tablet or a device that forgets its id. */
function isHidden(order: OrderTruth): boolean {
  if (order.hidden_because !== null) return true;
  const at = demo.store.orders.find(({ number }) => number === order.order_number)!.orderedAt;
  return demo.store.visits.some(
    ({ person, deviceKind, start }) =>
      person?.customer === order.customer_id && deviceKind === "unknown" && start <= at && start >= at - 30 * DAY_MS,
  );
}

describe("the demo store's channels", () => {
  test("are right for 95% of the orders and more; where they are not, the pages cannot know", () => {
    const { orders } = demo.store.truth;
    expect(credited.size).toBe(orders.length);
    for (const model of ["first", "last", "last_non_direct"]) {
      const wrong = orders.filter(
        (order) => credited.get(order.order_number)?.[model] !== expectedChannels(order)[model],
      );
      expect(wrong.length).toBeLessThan(0.05 * orders.length);
      expect(wrong.filter((order) => !(model === "first" ? order.hidden_because : isHidden(order)))).toEqual([]);
    }
  });

  test("hold all revenue, all spend and every visit, in every attribution model", async () => {
    const { revenue, orders, ad_spend } = demo.store.truth.counts;
    const found = await rows(
      `select model, sum(revenue)::text as revenue, sum(orders)::float8 as orders, sum(spend)::text as spend, sum(sessions)::int as sessions
       from mart.channel_performance group by model`,
    );
    expect(found).toHaveLength(6);
    const [{ sessions }] = await rows("select count(*)::int as sessions from mart.fct_sessions");
    for (const row of found) expect(row).toMatchObject({ revenue, orders, spend: ad_spend, sessions });
  });

  test("know every event of a visitor in exactly one session", async () => {
    const [found] = await rows(
      `select (select sum(event_count) from mart.fct_sessions)::int as in_sessions,
         (select count(*) from core.events as events left join core.record_owners as owners on owners.record_key = events.record_key
          where device_token is not null or owners.customer_id <> ops.nobody())::int as events`,
    );
    expect(found.in_sessions).toBe(found.events);
  });

  test("spend money only on channels that are paid, and never on a campaign of another name", async () => {
    expect(
      await rows(
        "select distinct channel from mart.channel_performance join mart.dim_channels using (channel) where spend > 0 and not is_paid",
      ),
    ).toEqual([]);
    expect(
      await rows(
        `select count(*)::int as unknown from mart.fct_ad_spend as spend
         where not exists (select from mart.dim_campaigns as campaigns where campaigns.campaign = spend.campaign)`,
      ),
    ).toEqual([{ unknown: 0 }]);
  });
});
