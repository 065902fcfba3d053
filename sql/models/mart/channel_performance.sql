-- One row per day, channel and attribution model: what came by the channel, what it sold and what it cost.
-- key: date, channel, model
-- follows: mart.fct_sessions by date from session_date; mart.fct_attribution by date from order_date
-- follows: mart.fct_ad_spend by date from spent_on
-- foreign key: channel -> mart.dim_channels
-- not null: sessions, orders, revenue, spend
-- column date: the day, in the project's time zone: of the session, of the order, of the spending
-- column channel: the channel
-- column model: the attribution model by which orders and revenue are credited; sessions and spend are the same in all
-- column sessions: how many sessions came by the channel
-- column orders: how many of the day's orders are credited to the channel, in parts of an order
-- column revenue: how much of the day's orders is credited to the channel, in the reporting currency
-- column spend: what was spent on advertising in the channel, in the reporting currency
-- column roas: return on advertising spend: revenue per unit of spend; null where nothing was spent
with visits as (
    select session_date as date, channel, count(*) as sessions
    from mart.fct_sessions
    group by session_date, channel
),
credits as (
    select order_date as date, channel, model, sum(share) as orders, sum(amount) as revenue
    from mart.fct_attribution
    group by order_date, channel, model
),
spending as (
    select spent_on as date, channel, sum(amount) as spend
    from mart.fct_ad_spend
    group by spent_on, channel
),
days as (
    select date, channel from visits
    union
    select date, channel from credits
    union
    select date, channel from spending
)
select
    days.date,
    days.channel,
    models.model,
    coalesce(visits.sessions, 0) as sessions,
    coalesce(credits.orders, 0) as orders,
    coalesce(credits.revenue, 0) as revenue,
    coalesce(spending.spend, 0) as spend,
    round(coalesce(credits.revenue, 0) / nullif(spending.spend, 0), 4) as roas
from days
cross join (
    values ('first'), ('last'), ('last_non_direct'), ('linear'), ('position_based'), ('time_decay')
) as models (model)
left join visits on visits.date = days.date and visits.channel = days.channel
left join credits on credits.date = days.date and credits.channel = days.channel and credits.model = models.model
left join spending on spending.date = days.date and spending.channel = days.channel
