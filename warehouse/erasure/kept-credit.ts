import type pg from "pg";
import { recordChange } from "../relation-state.ts";

/**
 * Keeps, by order, which channels and campaigns the orders of erased people are credited to, before the visits that tell
 * it go: sums per channel and campaign, with no person, visit or moment in them. In the caller's transaction, which has
 * `erased_people`. An order that has been kept before stays as it was.
 * @returns orders that are new
 */
export async function keepCredit(client: pg.ClientBase): Promise<number> {
  const { rows } = await client.query<{ has: boolean }>(
    "select to_regclass('mart.fct_attribution') is not null as has",
  );
  if (!rows[0]?.has) return 0;
  const { rows: kept } = await client.query<{ orders: number }>(
    `with kept as (
       insert into ops.kept_credit (order_id, model, channel, campaign_id, share, amount, order_amount)
       select credit.order_id, credit.model, credit.channel, credit.campaign_id, sum(credit.share), sum(credit.amount), orders.amount
       from mart.fct_attribution as credit
       join mart.fct_orders as orders on orders.order_id = credit.order_id
       where orders.customer_id in (select customer_id from erased_people)
         and not exists (select from ops.kept_credit as other where other.order_id = credit.order_id)
       group by credit.order_id, credit.model, credit.channel, credit.campaign_id, orders.amount
       returning order_id
     )
     select count(distinct order_id)::float8 as orders from kept`,
  );
  const orders = kept[0]?.orders ?? 0;
  if (orders > 0) await recordChange(client, "ops.kept_credit");
  return orders;
}
