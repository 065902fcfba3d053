-- One row per order, in the reporting currency.
-- key: order_id
-- follows: core.orders by order_id; core.record_owners by order_id from record_key
-- follows: core.restricted_records by order_id from record_key
-- follows: core.daily_rates by source_currency, order_date from currency, valid_on
-- foreign key: customer_id -> core.people
-- not null: source, customer_id, ordered_at, order_date, currency, source_amount, source_currency
-- column order_id: the order: its record_key, whatever numbers its source gives
-- column source: the source that the order came from
-- column customer_id: who ordered; ops.nobody() where that is not known
-- column order_date: the day of the order in the project's time zone
-- column amount: what the customer pays for the order, in the reporting currency
-- column currency: the reporting currency, ISO 4217
-- column source_amount: what the customer pays, as the source has it
-- column source_currency: currency of the source's amount, ISO 4217
select
    orders.record_key as order_id,
    orders.source,
    orders.order_number,
    coalesce(owners.customer_id, ops.nobody()) as customer_id,
    orders.ordered_at,
    -- As a subselect a setting is read once for the whole query, not once per row.
    (orders.ordered_at at time zone (select ops.time_zone()))::date as order_date,
    orders.delivered_at,
    case
        when orders.currency = (select ops.currency()) then orders.amount
        else orders.amount * rates.rate
    end as amount,
    (select ops.currency()) as currency,
    orders.amount as source_amount,
    orders.currency as source_currency
from core.orders as orders
left join core.record_owners as owners
    on owners.record_key = orders.record_key
    and owners.record_key not in (select restricted.record_key from core.restricted_records as restricted)
left join core.daily_rates as rates
    on rates.currency = orders.currency
    and rates.valid_on = (orders.ordered_at at time zone (select ops.time_zone()))::date
