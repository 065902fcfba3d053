-- One row per order, touchpoint and attribution model that gives the touchpoint credit for the order.
-- A touchpoint leads to an order if it is the customer's own and lies at most 30 days before it.
-- key: order_id, touchpoint_id, model
-- follows: mart.fct_orders by customer_id; mart.fct_touchpoints by customer_id; core.kept_credit by customer_id
-- foreign key: order_id -> mart.fct_orders
-- foreign key: customer_id -> core.people
-- foreign key: channel -> mart.dim_channels
-- foreign key: campaign_id -> mart.dim_campaigns
-- not null: customer_id, channel, order_date, share
-- column order_id: the order
-- column touchpoint_id: the touchpoint; of an order that no touchpoint leads to, the order_id itself; of an order whose
--   visits are gone, an id that stands for its touchpoints of one channel and campaign
-- column model: how credit is given. first: all to the first touchpoint. last: all to the last. last_non_direct: all to
--   the last that is not Direct, or to the last if all are. linear: the same to each. position_based: 40% to the first,
--   40% to the last, 20% to those between, halves to two. time_decay: half as much for every 7 days before the order
-- column customer_id: who ordered
-- column channel: channel of the touchpoint; Unassigned where no touchpoint leads to the order
-- column campaign_id: campaign of the touchpoint; null where none is named
-- column order_date: the day of the order in the project's time zone
-- column share: the touchpoint's part of the order; the shares of an order in a model are 1 together
-- column amount: the touchpoint's part of the order's amount in whole cents, in the reporting currency; the parts of an
--   order in a model are its amount together
with reached as (
    select
        orders.order_id,
        orders.customer_id,
        orders.order_date,
        orders.amount,
        touchpoints.touchpoint_id,
        touchpoints.channel,
        touchpoints.campaign_id,
        row_number() over path as position,
        count(*) over (partition by orders.order_id) as length,
        -- 7 days are 604,800 seconds.
        power(0.5::float8, extract(epoch from orders.ordered_at - touchpoints.touched_at)::float8 / 604800) as recency
    from mart.fct_orders as orders
    join mart.fct_touchpoints as touchpoints
        on touchpoints.customer_id = orders.customer_id
        and touchpoints.touched_at <= orders.ordered_at
        -- In hours: 30 days would depend on the session's time zone where a clock changes between.
        and touchpoints.touched_at >= orders.ordered_at - interval '720 hours'
    where orders.customer_id <> ops.nobody()
        and not exists (
            select from core.kept_credit as credit
            where credit.order_id = orders.order_id and credit.customer_id = orders.customer_id
        )
    window path as (partition by orders.order_id order by touchpoints.touched_at, touchpoints.touchpoint_id)
),
paths as (
    select
        *,
        coalesce(max(position) filter (where channel <> 'Direct') over (partition by order_id), length) as last_non_direct
    from reached
),
-- All of the order to one touchpoint: whatever the model, where only one leads to it.
whole as (
    select paths.*, models.model
    from paths
    cross join lateral (
        values
        ('first', 1),
        ('last', paths.length),
        ('last_non_direct', paths.last_non_direct),
        ('linear', case when paths.length = 1 then 1 end),
        ('position_based', case when paths.length = 1 then 1 end),
        ('time_decay', case when paths.length = 1 then 1 end)
    ) as models (model, chosen)
    where models.chosen = paths.position
),
weighed as (
    select
        paths.*,
        models.model,
        models.weight / sum(models.weight) over parts as share,
        sum(models.weight) over (parts order by paths.position) / sum(models.weight) over parts as share_so_far,
        trunc(abs(paths.amount) * 100)::float8 as cents
    from paths
    cross join lateral (
        values
        ('linear', 1::float8),
        (
            'position_based',
            case
                when paths.length = 2 then 0.5
                when paths.position in (1, paths.length) then 0.4
                else 0.2::float8 / (paths.length - 2)
            end
        ),
        ('time_decay', paths.recency)
    ) as models (model, weight)
    where paths.length > 1
    window parts as (partition by paths.order_id, models.model)
),
-- By largest remainder: everybody gets the whole cents of their share, and the cents left over go, one each, to those
-- who lost most by it.
floored as (
    select
        *,
        floor(cents * share) as whole_cents,
        row_number() over (partition by order_id, model order by cents * share - floor(cents * share) desc, position) as remainder_rank
    from weighed
),
rounded as (
    select
        *,
        cents - sum(whole_cents) over (partition by order_id, model) as left_over
    from floored
),
parted as (
    select
        *,
        (sign(amount) * (whole_cents + case when remainder_rank <= left_over then 1 else 0 end)::numeric / 100)::numeric(20, 2) as part
    from rounded
),
-- Orders of erased customers, and those whose visits are past their age, keep the credit of their channels, though the
-- visits that tell it are gone. An order that is worth something else by now is parted by the same shares; the last part then takes what is left.
kept as (
    select
        credit.*,
        orders.order_date,
        orders.amount as order_amount_now,
        round(orders.amount * credit.share, 2) as part,
        row_number() over (partition by credit.order_id, credit.model order by credit.touchpoint_id) as position
    from core.kept_credit as credit
    join mart.fct_orders as orders on orders.order_id = credit.order_id and orders.customer_id = credit.customer_id
)
select
    whole.order_id,
    whole.touchpoint_id,
    whole.model,
    whole.customer_id,
    whole.channel,
    whole.campaign_id,
    whole.order_date,
    1.000000::numeric as share,
    whole.amount
from whole
union all
select
    parted.order_id,
    parted.touchpoint_id,
    parted.model,
    parted.customer_id,
    parted.channel,
    parted.campaign_id,
    parted.order_date,
    round(parted.share_so_far::numeric, 6)
        - coalesce(lag(round(parted.share_so_far::numeric, 6)) over (parts order by parted.position), 0) as share,
    -- The first also gets what an amount has beyond cents, as after a conversion.
    parted.part
        + case when parted.position = 1 then parted.amount - sum(parted.part) over parts else 0 end as amount
from parted
window parts as (partition by parted.order_id, parted.model)
union all
select
    orders.order_id,
    orders.order_id as touchpoint_id,
    models.model,
    orders.customer_id,
    'Unassigned' as channel,
    null as campaign_id,
    orders.order_date,
    1.000000::numeric as share,
    orders.amount
from mart.fct_orders as orders
cross join (
    values ('first'), ('last'), ('last_non_direct'), ('linear'), ('position_based'), ('time_decay')
) as models (model)
where not exists (select from paths where paths.order_id = orders.order_id)
    and not exists (select from kept where kept.order_id = orders.order_id)
union all
select
    kept.order_id,
    kept.touchpoint_id,
    kept.model,
    kept.customer_id,
    kept.channel,
    kept.campaign_id,
    kept.order_date,
    kept.share,
    case
        when kept.order_amount = kept.order_amount_now then kept.amount
        when kept.position > 1 then kept.part
        else kept.order_amount_now - (sum(kept.part) over (partition by kept.order_id, kept.model) - kept.part)
    end as amount
from kept
