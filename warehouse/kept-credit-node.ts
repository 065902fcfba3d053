import type { ComputeContext, ModelNode, RelationSpec } from "./models/relation.ts";

const KEPT_CREDIT: RelationSpec = {
  name: "core.kept_credit",
  grain:
    "One row per order whose visits are gone, channel and campaign, and attribution model that gives credit to it.",
  materialize: "table",
  key: ["order_id", "touchpoint_id", "model"],
  follows: [],
  notNull: ["customer_id", "channel", "share"],
  foreignKeys: [],
  columns: {
    order_id: "The order",
    touchpoint_id: "Stands for the order's touchpoints of this channel and campaign; it is no visit's",
    model: "How credit is given, as in fct_attribution",
    customer_id: "Who ordered, as fct_orders has it; ops.nobody() after an erasure",
    channel: "The channel; Unassigned where the project has no such channel any more",
    campaign_id: "The campaign; null where nobody living came by it and nothing was spent on it",
    share: "The part of the order; the parts of an order in a model are 1 together",
    amount: "The part of the order's amount, in the reporting currency, when it was kept",
    order_amount: "What the order was worth then",
  },
};

const KEPT_CAMPAIGNS: RelationSpec = {
  name: "core.kept_campaigns",
  grain: "One row per campaign that kept credit belongs to.",
  materialize: "table",
  key: ["campaign_id"],
  follows: [],
  notNull: ["campaign", "channel"],
  foreignKeys: [],
  columns: {
    campaign_id: "The campaign",
    source: "utm_source of its links",
    medium: "utm_medium of its links",
    campaign: "Its name: utm_campaign of its links",
    channel: "The channel that it belonged to",
  },
};

/** What is kept of orders' credit whose visits are gone, as far as its channels and campaigns are still there. */
export const keptCreditNode: ModelNode = {
  name: "kept_credit",
  inputs: ["ops.kept_credit", "mart.fct_orders", "mart.dim_campaigns", "mart.dim_channels"],
  outputs: [KEPT_CREDIT],
  version: "2",
  compute: (context) => write(context, ""),
  async computeChanges(context) {
    const { client, changes, published, touched } = context;
    const before = published(KEPT_CREDIT.name);
    if (!before || changes("ops.kept_credit") || changes("mart.dim_campaigns") || changes("mart.dim_channels"))
      return false;
    const orders = changes("mart.fct_orders", ["customer_id"]);
    const isTouched = `where kept.order_id in (select order_id from ${orders ?? "(select null::uuid as order_id) as none"})`;
    await client.query(
      `create table ${touched(KEPT_CREDIT.name)} as
       select kept.order_id, kept.touchpoint_id, kept.model from ${before} as kept ${isTouched}`,
    );
    await write(context, isTouched);
    return true;
  },
};

async function write({ client, input, output }: ComputeContext, condition: string): Promise<Record<string, number>> {
  const { rowCount } = await client.query(
    `create table ${output(KEPT_CREDIT.name)} as
     select kept.order_id, kept.touchpoint_id, kept.model, orders.customer_id,
       coalesce(channels.channel, 'Unassigned') as channel, campaigns.campaign_id, kept.share, kept.amount, kept.order_amount
     from ${input("ops.kept_credit")} as kept
     join ${input("mart.fct_orders")} as orders on orders.order_id = kept.order_id
     left join ${input("mart.dim_channels")} as channels on channels.channel = kept.channel
     left join ${input("mart.dim_campaigns")} as campaigns on campaigns.campaign_id = kept.campaign_id ${condition}`,
  );
  return { [KEPT_CREDIT.name]: rowCount ?? 0 };
}

/** The campaigns of that credit, whose visits may be gone too. */
export const keptCampaignsNode: ModelNode = {
  name: "kept_campaigns",
  inputs: ["ops.kept_campaigns", "mart.dim_channels"],
  outputs: [KEPT_CAMPAIGNS],
  version: "1",
  async compute({ client, input, output }) {
    const { rowCount } = await client.query(
      `create table ${output(KEPT_CAMPAIGNS.name)} as
       select kept.campaign_id, kept.source, kept.medium, kept.campaign, coalesce(channels.channel, 'Unassigned') as channel
       from ${input("ops.kept_campaigns")} as kept
       left join ${input("mart.dim_channels")} as channels on channels.channel = kept.channel`,
    );
    return { [KEPT_CAMPAIGNS.name]: rowCount ?? 0 };
  },
};
