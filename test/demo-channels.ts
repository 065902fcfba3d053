import { beforeAll, describe, expect, test } from "vitest";
import { DAY_MS } from "../demo/calendar.ts";
import { TEST_EMAILS } from "../demo/events.ts";
import type { Store } from "../demo/generate.ts";
import type { OrderTruth } from "../demo/truth.ts";
import type { Pipeline } from "./pipeline.ts";

interface Demo {
  pipeline: Pipeline;
  store: Store;
}
let demo: Demo;
/** What the mart credits each order to, by its number. */
let credited: Map<string, Record<string, string>>;
const rows = async (sql: string) => (await demo.pipeline.pool.query(sql)).rows;

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

/** What the demo's channels and people must come out as; a run of the demo is dear, so others share it. */
export function describeChannels(demoOf: () => Demo): void {
  beforeAll(async () => {
    demo = demoOf();
    const found = await rows(
      `select orders.order_number, json_object_agg(credit.model, credit.channel) as channels
       from mart.fct_attribution as credit join mart.fct_orders as orders on orders.order_id = credit.order_id
       where credit.model in ('first', 'last', 'last_non_direct') group by orders.order_number`,
    );
    credited = new Map(found.map((row) => [row.order_number, row.channels]));
  });

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

  describe("the demo store's people who are easily mistaken", () => {
    const customersOf = async (kind: string, values: readonly string[]): Promise<Map<string, string | null>> => {
      const { naming } = demo.pipeline.vault;
      const { rows: found } = await demo.pipeline.pool.query<{ token: string; id: string | null }>(
        `select token, nullif(customer_id, ops.nobody()) as id from core.identifiers where token = any($1)`,
        [values.map((value) => naming.token(kind, value))],
      );
      const ids = new Map(found.map(({ token, id }) => [token, id]));
      return new Map(values.map((value) => [value, ids.get(naming.token(kind, value)) ?? null]));
    };

    test("each have an id of their own, families with one tablet too; the tablet of a large family is nobody's", async () => {
      const { people, truth } = demo.store;
      const known = await customersOf(
        "customer_id",
        people.map(({ customer }) => String(customer)),
      );
      expect(new Set(known.values()).size).toBe(people.length);
      expect([...known.values()]).not.toContain(null);

      const tablets = await customersOf(
        "device_id",
        truth.identity.households.map(({ tablet }) => tablet),
      );
      for (const { tablet, customer_ids: members, is_shared: isShared } of truth.identity.households) {
        const owner = tablets.get(tablet);
        if (isShared) expect(owner).toBeNull();
        else expect(members.map((member) => known.get(String(member)))).toContain(owner);
      }
      expect(truth.identity.households.filter((household) => household.is_shared)).toHaveLength(6);
    });

    test("are one with both of their addresses, wherever these were left", async () => {
      const two = demo.store.people.filter(
        ({ emails, secondAddress }) => secondAddress !== null && emails.length === 2,
      );
      expect(two.length).toBeGreaterThan(100);
      const known = await customersOf(
        "customer_id",
        two.map(({ customer }) => String(customer)),
      );
      const addresses = await customersOf(
        "email",
        two.flatMap(({ emails }) => emails),
      );
      const apart = two.filter(({ customer, emails }) =>
        emails.some((email) => addresses.get(email) !== known.get(String(customer))),
      );
      expect(apart).toEqual([]);
    });

    test("are not the test accounts and placeholders, which are blocked and nobody's", async () => {
      const { naming } = demo.pipeline.vault;
      const blocked = [...TEST_EMAILS.map((email) => email.toLowerCase()), "noreply@elektra.example"];
      const { rows: found } = await demo.pipeline.pool.query(
        `select distinct is_blocked, customer_id = ops.nobody() as is_nobodys from core.identifiers where token = any($1)`,
        [blocked.map((email) => naming.token("email", email))],
      );
      expect(found).toEqual([{ is_blocked: true, is_nobodys: true }]);
    });
  });
}
