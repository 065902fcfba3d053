import type pg from "pg";
import { recordChange } from "../relation-state.ts";

/**
 * Keeps, by order, which channels and campaigns the orders of erased people are credited to, before the visits that tell
 * it go. In the caller's transaction, which has `erased_people`.
 */
export async function keepErasedCredit(client: pg.ClientBase): Promise<void> {
  await keepCredit(client, ordersOfErased, false);
  // A campaign that nobody else came by may have been made for one.
  if (!(await hasAttribution(client))) return;
  await client.query(
    `delete from ops.kept_campaigns as campaigns where not exists (
       select from ops.kept_credit as kept join mart.fct_orders as orders on orders.order_id = kept.order_id
       where kept.campaign_id = campaigns.campaign_id and orders.customer_id <> ops.nobody()
         and orders.customer_id not in (select customer_id from erased_people))`,
  );
}

/** The same for people who are restricted, until that is lifted. */
export async function keepRestrictedCredit(client: pg.ClientBase): Promise<void> {
  await keepCredit(client, ordersOfErased, true);
}

const ordersOfErased = `select orders.order_id from mart.fct_orders as orders
  where orders.customer_id in (select customer_id from erased_people)`;

/**
 * Keeps the credit of some orders as sums per channel and campaign, with no person, visit or moment in them. An order
 * that has been kept before stays as it was.
 * @param orders a select of `order_id`
 * @param untilLifted whether it is a restriction for which it is kept
 * @returns orders that are new
 */
export async function keepCredit(client: pg.ClientBase, orders: string, untilLifted: boolean): Promise<number> {
  if (!(await hasAttribution(client))) return 0;
  const { rows: kept } = await client.query<{ orders: number }>(
    `with kept as (
       insert into ops.kept_credit (order_id, model, channel, campaign_id, share, amount, order_amount, until_lifted)
       select credit.order_id, credit.model, credit.channel, credit.campaign_id, sum(credit.share), sum(credit.amount), orders.amount, $1
       from mart.fct_attribution as credit
       join mart.fct_orders as orders on orders.order_id = credit.order_id
       where credit.order_id in (${orders})
         and not exists (select from ops.kept_credit as other where other.order_id = credit.order_id)
       group by credit.order_id, credit.model, credit.channel, credit.campaign_id, orders.amount
       returning order_id
     )
     select count(distinct order_id)::float8 as orders from kept`,
    [untilLifted],
  );
  const count = kept[0]?.orders ?? 0;
  if (count > 0) await recordChange(client, "ops.kept_credit");
  return count;
}

/** Keeps the names of the campaigns that kept credit of living people's orders belongs to. */
export async function keepCampaigns(client: pg.ClientBase): Promise<void> {
  if (!(await hasAttribution(client))) return;
  const { rowCount } = await client.query(
    `insert into ops.kept_campaigns (campaign_id, source, medium, campaign, channel)
     select campaigns.campaign_id, campaigns.source, campaigns.medium, campaigns.campaign, campaigns.channel
     from mart.dim_campaigns as campaigns
     where campaigns.campaign_id in (
       select kept.campaign_id from ops.kept_credit as kept join mart.fct_orders as orders on orders.order_id = kept.order_id
       where orders.customer_id <> ops.nobody())
     on conflict do nothing`,
  );
  if ((rowCount ?? 0) > 0) await recordChange(client, "ops.kept_campaigns");
}

async function hasAttribution(client: pg.ClientBase): Promise<boolean> {
  const { rows } = await client.query<{ has: boolean }>(
    "select to_regclass('mart.fct_attribution') is not null as has",
  );
  return rows[0]?.has ?? false;
}
