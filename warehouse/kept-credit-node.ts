import type { ModelNode, RelationSpec } from "./models/relation.ts";

const KEPT_CREDIT: RelationSpec = {
  name: "core.kept_credit",
  grain:
    "One row per order of an erased customer, channel and campaign, and attribution model that gives credit to it.",
  materialize: "table",
  key: ["order_id", "touchpoint_id", "model"],
  follows: [],
  notNull: ["customer_id", "channel", "share"],
  foreignKeys: [],
  columns: {
    order_id: "The order",
    touchpoint_id: "Stands for the order's touchpoints of this channel and campaign; it is no visit's",
    model: "How credit is given, as in fct_attribution",
    customer_id: "ops.nobody(), as the order has it",
    channel: "The channel; Unassigned where the project has no such channel any more",
    campaign_id: "The campaign; null where nobody else came by it and nothing was spent on it",
    share: "The part of the order; the parts of an order in a model are 1 together",
    amount: "The part of the order's amount, in the reporting currency, when it was kept",
    order_amount: "What the order was worth then",
  },
};

/** What an erasure has kept of orders' credit, as far as its channels and campaigns are still there. */
export const keptCreditNode: ModelNode = {
  name: "kept_credit",
  inputs: ["ops.kept_credit", "mart.dim_campaigns", "mart.dim_channels"],
  outputs: [KEPT_CREDIT],
  version: "1",
  async compute({ client, input, output }) {
    const { rowCount } = await client.query(
      `create table ${output(KEPT_CREDIT.name)} as
       select kept.order_id, kept.touchpoint_id, kept.model, ops.nobody() as customer_id,
         coalesce(channels.channel, 'Unassigned') as channel, campaigns.campaign_id, kept.share, kept.amount, kept.order_amount
       from ${input("ops.kept_credit")} as kept
       left join ${input("mart.dim_channels")} as channels on channels.channel = kept.channel
       left join ${input("mart.dim_campaigns")} as campaigns on campaigns.campaign_id = kept.campaign_id`,
    );
    return { [KEPT_CREDIT.name]: rowCount ?? 0 };
  },
};
