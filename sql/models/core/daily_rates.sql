-- One row per foreign currency and day on which an amount in it was made.
-- key: currency, valid_on
-- not null: rate
-- column currency: the foreign currency, ISO 4217
-- column valid_on: the day, in the project's time zone
-- column rate: what one unit of the currency is worth in the reporting currency: the latest rate on or before the day
with rates as (
    -- Sources publish a pair in either direction.
    select fx_rates.base_currency as currency, fx_rates.valid_on, fx_rates.rate, 1 as preference
    from core.fx_rates
    where fx_rates.quote_currency = (select ops.currency()) and fx_rates.rate > 0
    union all
    select fx_rates.quote_currency, fx_rates.valid_on, 1 / fx_rates.rate, 2
    from core.fx_rates
    where fx_rates.base_currency = (select ops.currency()) and fx_rates.rate > 0
),
chosen as (
    select distinct on (currency, valid_on) currency, valid_on, rate
    from rates
    order by currency, valid_on, preference, rate
),
days as (
    select orders.currency, (orders.ordered_at at time zone (select ops.time_zone()))::date as valid_on
    from core.orders as orders
    where orders.currency <> (select ops.currency())
    union
    select lines.currency, (orders.ordered_at at time zone (select ops.time_zone()))::date
    from core.order_lines as lines
    join core.orders as orders on orders.record_key = lines.order_record_key
    where lines.currency <> (select ops.currency())
    union
    select ad_spend.currency, ad_spend.spent_on
    from core.ad_spend as ad_spend
    where ad_spend.currency <> (select ops.currency())
),
timeline as (
    select currency, valid_on, rate, false as is_asked from chosen
    union all
    select currency, valid_on, null, true from days
),
-- A day belongs to the group that the latest rate before it, or of that same day, has opened.
grouped as (
    select
        currency, valid_on, rate, is_asked,
        count(rate) over (partition by currency order by valid_on, is_asked) as rate_group
    from timeline
),
filled as (
    select currency, valid_on, is_asked, max(rate) over (partition by currency, rate_group) as rate
    from grouped
)
select currency, valid_on, rate
from filled
where is_asked and rate is not null
